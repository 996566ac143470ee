//! What the catalog of a database says of a table.

use std::collections::BTreeMap;

use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;

use crate::primitive::ColumnFacts;
use crate::table::Table;
use crate::{mariadb, postgresql};

/// A table as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its columns, by name.
    pub(crate) columns: BTreeMap<String, ColumnFacts>,
    /// Columns of its primary key, in their order.
    pub(crate) key: Vec<String>,
}

impl Facts {
    /// Whether a column is written as a number.
    pub(crate) fn is_number(&self, column: &str) -> bool {
        const NUMBERS: [&str; 8] = ["smallint", "integer", "bigint", "numeric", "tinyint", "mediumint", "int", "decimal"];
        self.columns.get(column).is_some_and(|facts| {
            let base: String = facts.r#type.chars().take_while(char::is_ascii_alphabetic).collect();
            NUMBERS.contains(&base.as_str())
        })
    }
}

/// Reads a table; without columns where there is none.
pub(crate) async fn table(session: &mut Session, table: &Table, schema: &str) -> Result<Facts, Error> {
    let (columns, key) = match session.engine {
        Engine::PostgreSql => (postgresql::columns(table, schema), postgresql::key(table, schema)),
        Engine::MariaDb => (mariadb::columns(table), mariadb::key(table)),
    };
    let is = |answer: &Option<String>| answer.as_deref().is_some_and(|answer| answer == "1");
    let columns = session.rows(&columns).await?.into_iter().filter_map(|row| {
        let [name, kind, nullable, default, definition] = row.try_into().ok()?;
        let facts = ColumnFacts {
            r#type: kind.unwrap_or_default(),
            is_nullable: is(&nullable),
            has_default: is(&default),
            definition: definition.unwrap_or_default(),
        };
        Some((name?, facts))
    });
    let columns = columns.collect();
    let key = session.rows(&key).await?.into_iter().filter_map(|mut row| row.pop().flatten()).collect();
    Ok(Facts { columns, key })
}
