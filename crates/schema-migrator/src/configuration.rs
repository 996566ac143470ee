//! The section `tables` of the configuration file, and the folder of migrations beside it.

use std::path::Path;

use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::codes::shared;
use fairlead_job::configuration::section;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_sql::address::Address;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::lint::lint;
use crate::migration::Migration;

/// The section, as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Section {
    /// The database.
    pub database: Address,
    /// Schema of tables that name none (PostgreSQL).
    #[serde(default = "public")]
    pub schema: String,
    /// Documents of kind `SchemaMigration`, in the order in which they are applied.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Value>,
    /// What is there if a contract has to be taken back by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<Backup>,
}

fn public() -> String {
    "public".to_owned()
}

/// A backup of the database, or the word that there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "{reference: …, taken: …, restore: …}, or none")]
pub enum Backup {
    /// Somebody has decided to go on without one: `none`.
    None(No),
    /// A backup.
    Taken(Taken),
}

/// `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum No {
    /// There is no backup, and that is on purpose.
    #[serde(rename = "none")]
    None,
}

/// A backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Taken {
    /// Where it is: `s3://backups/ledger-2026-11-28.dump`.
    pub reference: String,
    /// When it was made; RFC 3339.
    pub taken: String,
    /// The command that restores it.
    pub restore: String,
}

/// What the job is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Tables {
    /// The database.
    pub database: Address,
    /// Schema of tables that name none.
    pub schema: String,
    /// The migrations, in their order.
    pub migrations: Vec<Migration>,
    /// The backup.
    pub backup: Option<Backup>,
    /// All of it as a document: it goes into the ticket.
    pub document: Value,
}

impl Tables {
    /// Reads only which database it is: going back needs nothing else.
    pub fn read_database(config: Option<&Path>) -> Result<Self, Failure> {
        let Section { database, schema, backup, .. } = read_section(config)?;
        Ok(Self { database, schema, migrations: Vec::new(), backup, document: Value::Null })
    }

    /// Reads the configuration, and migrations of other files behind those that stand in it.
    pub fn read(config: Option<&Path>, files: &[impl AsRef<Path>]) -> Result<Self, Failure> {
        let Section { database, schema, migrations: mut documents, backup } = read_section(config)?;
        let config = config.unwrap_or(Path::new(""));
        let inline = documents.len();
        let mut names: Vec<String> =
            (0..inline).map(|index| format!("{}: tables.migrations[{index}]", config.display())).collect();
        for file in files {
            let read = manifests::read(file.as_ref()).map_err(Failure::input)?;
            names.extend((0..read.len()).map(|index| format!("{}: document {}", file.as_ref().display(), index + 1)));
            documents.extend(read);
        }
        let mut migrations: Vec<Migration> = Vec::new();
        for (document, name) in documents.iter().zip(&names) {
            let invalid = |what: String| Failure::new(&codes::LINT, format!("{name}: {what}"));
            let mut migration = Migration::read(document).map_err(invalid)?;
            let wrong = lint(&migration, database.engine);
            migration.defects = (!wrong.is_empty()).then(|| format!("{name}: {}: {}", migration.name, wrong.join("; ")));
            if migrations.iter().any(|other| other.name == migration.name) {
                return Err(invalid(format!("there are two migrations {}", migration.name)));
            }
            migrations.push(migration);
        }
        for migration in &migrations {
            let is_known = |name: &&String| migrations.iter().any(|other| other.name == **name);
            if let Some(unknown) = migration.specification.after.iter().find(|name| !is_known(name)) {
                let message = format!("{}: after names {unknown}, which is no migration here", migration.name);
                return Err(Failure::new(&shared::INVALID_CONFIGURATION, message));
            }
        }
        let section = Section { database, schema, migrations: documents, backup };
        let document = json!(section);
        let Section { database, schema, backup, .. } = section;
        Ok(Self { database, schema, migrations, backup, document })
    }
}

fn read_section(config: Option<&Path>) -> Result<Section, Failure> {
    let Some(config) = config else {
        let message = "nothing says which database: name a configuration file with a section `tables`";
        return Err(Failure::new(&codes::NO_DATABASE, message));
    };
    let found = section::<Section>(config, "tables")?;
    let found =
        found.ok_or_else(|| Failure::new(&codes::NO_DATABASE, format!("{} has no section `tables`", config.display())))?;
    Ok(found.content)
}
