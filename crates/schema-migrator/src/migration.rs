//! Migration files: `kind: SchemaMigration`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::backfill::Backfill;
use crate::operation::Operation;
use crate::table::Table;

/// What a migration does to the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Adds beside the old: before the new release runs.
    Expand,
    /// Takes the old away: after the last pod of the old release is gone.
    Contract,
}

/// One migration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Specification {
    /// Adds, or takes away.
    pub kind: Kind,
    /// Migrations that must have been applied to their end, their backfills too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What is done, in this order.
    #[serde(default)]
    pub operations: Vec<Operation>,
    /// Rows that are filled when all operations are done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
}

/// One migration, with its name.
#[derive(Clone, Debug, PartialEq)]
pub struct Migration {
    /// Its name: what the database remembers.
    pub name: String,
    /// What it does.
    pub specification: Specification,
    /// `sha256:` and hex of what it says, without comments and order of keys.
    pub checksum: String,
    /// What is wrong with it, with its place, as long as it is not applied.
    pub defects: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    metadata: Metadata,
    spec: Specification,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(flatten)]
    _more: BTreeMap<String, Value>,
}

/// As in `apiVersion`.
const API_VERSION: &str = "fairlead.dev/v1";

impl Migration {
    /// The tables that it names.
    #[must_use]
    pub fn tables(&self) -> BTreeSet<Table> {
        let mut tables: BTreeSet<Table> =
            self.specification.operations.iter().flat_map(Operation::tables).cloned().collect();
        tables.extend(self.specification.backfill.iter().map(|backfill| backfill.table.clone()));
        tables
    }

    /// Reads a document.
    ///
    /// # Errors
    ///
    /// What is wrong, with the path of the field.
    pub fn read(document: &Value) -> Result<Self, String> {
        let read: Document = serde_path_to_error::deserialize(document).map_err(|error| {
            let (path, mut what) = (error.path().to_string(), error.inner().to_string());
            if what.starts_with("invalid type: boolean") {
                what += "; put it in quotes: YAML takes y, n, yes, no, on and off for true and false";
            }
            if path == "." { what } else { format!("{path}: {what}") }
        })?;
        let Document { api_version, kind, metadata: Metadata { name, .. }, spec } = read;
        if api_version != API_VERSION || kind != "SchemaMigration" {
            return Err(format!("it is {api_version} {kind}, and must be {API_VERSION} SchemaMigration"));
        }
        if name.is_empty()
            || name.len() > 63
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        {
            return Err(format!("metadata.name: {name:?} must be 1 to 63 letters, digits, '-', '_' and '.'"));
        }
        // serde_json sorts the keys of values, so equal ones have equal texts.
        let digest = Sha256::digest(document["spec"].to_string());
        let hex = digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        Ok(Self { name, specification: spec, checksum: format!("sha256:{hex}"), defects: None })
    }
}
