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
#[expect(clippy::struct_excessive_bools, reason = "each is one thing that a catalog says")]
pub(crate) struct ColumnFacts {
    /// Its type, as the catalog writes it.
    pub(crate) r#type: String,
    /// Whether it may hold NULL.
    pub(crate) is_nullable: bool,
    /// Whether an insert may leave it out although it may not hold NULL.
    pub(crate) has_default: bool,
    /// Its type as a statement writes it: in MariaDB with its characters, `varchar(36) character set utf8mb4 collate utf8mb4_bin`.
    pub(crate) written: String,
    /// Its default, as a statement writes it (MariaDB).
    pub(crate) default: Option<String>,
    /// What else its definition says behind `null` (MariaDB): ` invisible comment '…'`.
    pub(crate) rest: String,
    /// Whether the server computes it.
    pub(crate) is_generated: bool,
    /// Whether it has a CHECK of its own (MariaDB).
    pub(crate) has_check: bool,
    /// Whether the server sets it anew with each update of its row (MariaDB).
    pub(crate) moves: bool,
}
