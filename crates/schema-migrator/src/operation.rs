//! Operations of a migration, as files say them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::table::Table;

/// One operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub enum Operation {
    /// A new table. Going back drops it, with its rows.
    CreateTable {
        /// The table.
        table: Table,
        /// Its columns.
        columns: Vec<Column>,
        /// Columns of its key.
        primary_key: Vec<String>,
    },
    /// A new column. Going back drops it, with what was written to it.
    AddColumn {
        /// The table.
        table: Table,
        /// Its name.
        column: String,
        /// Its type, as the engine writes it: `varchar(36)`.
        r#type: String,
        /// Whether it may hold NULL.
        #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
        nullable: bool,
        /// What it holds where an insert leaves it out: an expression of SQL.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        default: Option<String>,
        /// Whether `SELECT *` leaves it out (MariaDB).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        hidden: bool,
    },
    /// What a column holds where an insert leaves it out.
    SetDefault {
        /// The table.
        table: Table,
        /// The column.
        column: String,
        /// An expression of SQL; none takes the default away.
        default: Option<String>,
    },
    /// A new index, built while the table is in use.
    AddIndex {
        /// The table.
        table: Table,
        /// Name of the index.
        name: String,
        /// Its columns.
        columns: Vec<String>,
        /// Whether no two rows may have the same.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unique: bool,
    },
    /// A new foreign key, checked while the table is in use.
    AddForeignKey {
        /// The table.
        table: Table,
        /// Name of the constraint.
        name: String,
        /// Its columns.
        columns: Vec<String>,
        /// Table that they refer to.
        references: Table,
        /// Columns that they refer to.
        referenced: Vec<String>,
    },
    /// Fills a column that an insert or update leaves NULL, by a trigger: for writers that do not know it.
    Fill {
        /// The table.
        table: Table,
        /// The column.
        column: String,
        /// An expression of SQL; `NEW.name` is a column of the row.
        value: String,
    },
    /// Keeps two columns equal in both directions, by a trigger, while old and new writers run.
    Sync {
        /// The table.
        table: Table,
        /// The old column.
        from: String,
        /// The new column.
        to: String,
        /// The new one from the old one; `NEW.name` is a column of the row.
        up: String,
        /// The old one from the new one.
        down: String,
    },
    /// Refuses NULL in a column by a trigger: the same as `setNotNull` for writers, at once, and gone at once.
    Forbid {
        /// The table.
        table: Table,
        /// The column.
        column: String,
    },
    /// NULL is refused from now on.
    SetNotNull {
        /// The table.
        table: Table,
        /// The column.
        column: String,
    },
    /// NULL is allowed from now on.
    DropNotNull {
        /// The table.
        table: Table,
        /// The column.
        column: String,
    },
    /// A new name beside the old one: a new column, filled from the old one and kept equal with it. `dropColumn` ends it later.
    RenameColumn {
        /// The table.
        table: Table,
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// A new type beside the old one: a new column of this type, filled from the old one and kept equal with it.
    ChangeType {
        /// The table.
        table: Table,
        /// The old column.
        column: String,
        /// Name of the new one.
        to: String,
        /// Type of the new one.
        r#type: String,
        /// The new one from the old one; `NEW.name` is a column of the row.
        up: String,
        /// The old one from the new one.
        down: String,
    },
    /// A column disappears under another name, with what it holds. `finalize` drops it for good.
    DropColumn {
        /// The table.
        table: Table,
        /// The column.
        column: String,
    },
    /// A table disappears under another name, with its rows. `finalize` drops it for good.
    DropTable {
        /// The table.
        table: Table,
    },
    /// A view of a table for one version of the application, in a schema (PostgreSQL) or database (MariaDB) of that version.
    VersionView {
        /// Schema or database of the version.
        version: String,
        /// The table.
        table: Table,
        /// Columns of the view, and the expression behind each.
        columns: BTreeMap<String, String>,
    },
    /// Anything else.
    Sql {
        /// Name of it, for people.
        name: String,
        /// One statement.
        up: String,
        /// What takes it back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        undo: Option<String>,
        /// A query that answers whether it has been carried out.
        done: String,
        /// That nothing takes it back.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        irreversible: bool,
    },
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type, as the engine writes it: `varchar(36)`.
    pub r#type: String,
    /// Whether it may hold NULL.
    #[serde(default = "yes", skip_serializing_if = "Clone::clone")]
    pub nullable: bool,
    /// What it holds where an insert leaves it out: an expression of SQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

fn yes() -> bool {
    true
}

impl Operation {
    /// As files write it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CreateTable { .. } => "createTable",
            Self::AddColumn { .. } => "addColumn",
            Self::SetDefault { .. } => "setDefault",
            Self::AddIndex { .. } => "addIndex",
            Self::AddForeignKey { .. } => "addForeignKey",
            Self::Fill { .. } => "fill",
            Self::Sync { .. } => "sync",
            Self::Forbid { .. } => "forbid",
            Self::SetNotNull { .. } => "setNotNull",
            Self::DropNotNull { .. } => "dropNotNull",
            Self::RenameColumn { .. } => "renameColumn",
            Self::ChangeType { .. } => "changeType",
            Self::DropColumn { .. } => "dropColumn",
            Self::DropTable { .. } => "dropTable",
            Self::VersionView { .. } => "versionView",
            Self::Sql { .. } => "sql",
        }
    }

    /// The tables that it names.
    pub fn tables(&self) -> impl Iterator<Item = &Table> {
        let (table, other) = match self {
            Self::AddForeignKey { table, references, .. } => (Some(table), Some(references)),
            Self::CreateTable { table, .. }
            | Self::AddColumn { table, .. }
            | Self::SetDefault { table, .. }
            | Self::AddIndex { table, .. }
            | Self::Fill { table, .. }
            | Self::Sync { table, .. }
            | Self::Forbid { table, .. }
            | Self::SetNotNull { table, .. }
            | Self::DropNotNull { table, .. }
            | Self::RenameColumn { table, .. }
            | Self::ChangeType { table, .. }
            | Self::DropColumn { table, .. }
            | Self::DropTable { table }
            | Self::VersionView { table, .. } => (Some(table), None),
            Self::Sql { .. } => (None, None),
        };
        table.into_iter().chain(other)
    }

    /// The columns of its table that it needs.
    #[must_use]
    pub fn needs(&self) -> Vec<&str> {
        match self {
            Self::AddIndex { columns, .. } | Self::AddForeignKey { columns, .. } => {
                columns.iter().map(String::as_str).collect()
            }
            Self::SetDefault { column, .. }
            | Self::Fill { column, .. }
            | Self::Forbid { column, .. }
            | Self::SetNotNull { column, .. }
            | Self::DropNotNull { column, .. }
            | Self::ChangeType { column, .. }
            | Self::DropColumn { column, .. } => vec![column],
            Self::Sync { from, to, .. } => vec![from, to],
            Self::RenameColumn { from, .. } => vec![from],
            Self::CreateTable { .. }
            | Self::AddColumn { .. }
            | Self::DropTable { .. }
            | Self::VersionView { .. }
            | Self::Sql { .. } => Vec::new(),
        }
    }

    /// The column that it makes.
    #[must_use]
    pub fn makes(&self) -> Option<&str> {
        match self {
            Self::AddColumn { column, .. } => Some(column),
            Self::RenameColumn { to, .. } | Self::ChangeType { to, .. } => Some(to),
            _ => None,
        }
    }

    /// Whether it takes something from the old release.
    #[must_use]
    pub fn is_contract(&self) -> bool {
        matches!(self, Self::SetNotNull { .. } | Self::Forbid { .. } | Self::DropColumn { .. } | Self::DropTable { .. })
    }
}
