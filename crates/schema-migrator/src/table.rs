//! The name of a table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A table, `transfer` or `billing.transfer`. MariaDB has no schemas: a table there is one of the database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Table {
    /// Its schema; that of the configuration when there is none.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
}

impl FromStr for Table {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(schema.to_owned()), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('.') || schema.as_deref() == Some("") {
            return Err(format!("{text:?} is no table; write transfer, or billing.transfer"));
        }
        Ok(Self { schema, name: name.to_owned() })
    }
}

impl TryFrom<String> for Table {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Table> for String {
    fn from(table: Table) -> Self {
        table.to_string()
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(out, "{schema}.{}", self.name),
            None => out.write_str(&self.name),
        }
    }
}
