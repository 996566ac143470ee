//! What an engine can do to one target: how it is read, and the statements there and back.

use crate::image::Statement;

/// One thing of a catalog, as one engine makes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Primitive {
    /// A query that answers what there is of it.
    pub(crate) read: String,
    /// Its answer when it is there.
    pub(crate) is: String,
    /// What makes it.
    pub(crate) up: Vec<Statement>,
    /// What takes it away.
    pub(crate) down: Vec<Statement>,
}

/// A column as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnFacts {
    /// Its type, as the catalog writes it.
    pub(crate) r#type: String,
    /// Whether it may hold NULL.
    pub(crate) is_nullable: bool,
    /// Whether an insert may leave it out although it may not hold NULL.
    pub(crate) has_default: bool,
    /// Everything of its definition but its name and whether it may hold NULL (MariaDB): `varchar(36) CHARACTER SET utf8mb4 DEFAULT 'x'`.
    pub(crate) definition: String,
}
