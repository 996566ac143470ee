//! A backfill: rows of one table get a value in one column, batch by batch, while the table is in use.

use fairlead_sql::address::Address;
use fairlead_sql::engine::Engine;
use serde::{Deserialize, Serialize};

use crate::table::Table;

/// A backfill, as files say it. Only rows whose column is NULL are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backfill {
    /// The table; it must have a primary key.
    pub table: Table,
    /// The column.
    pub column: String,
    /// What it gets.
    pub value: Value,
    /// What becomes of rows for which there is no value.
    #[serde(default)]
    pub on_missing: OnMissing,
    /// How many rows at once.
    #[serde(default)]
    pub batch: Batch,
    /// When it waits for others.
    #[serde(default)]
    pub throttle: Throttle,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Value {
    /// An expression of SQL over the columns of the row; with a subquery over other tables, too.
    Sql(String),
    /// A field of the JSON in an ILP packet (Mojaloop), in both wire forms, in base64url.
    IlpPacket(Packet),
}

/// Where a packet is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Packet {
    /// The table with the packets.
    pub table: Table,
    /// Its column that has the key of the row.
    pub on: String,
    /// Its column with the packet.
    pub column: String,
    /// JSON pointer to the field: `/quoteId`.
    pub pointer: String,
}

/// What becomes of rows for which there is no value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OnMissing {
    /// They are written down with their reason, and stay NULL: a contract that refuses NULL is refused.
    #[default]
    Quarantine,
    /// They stay NULL, and nothing is said: NULL is what they mean.
    Leave,
    /// They get this.
    Literal(String),
}

/// How many rows at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Batch {
    /// Rows of the first batch; later ones are as large as their time allows, 100 to 10,000.
    pub rows: u64,
    /// How long a batch is to take, in milliseconds.
    pub target_millis: u64,
}

impl Default for Batch {
    fn default() -> Self {
        Self { rows: 1000, target_millis: 100 }
    }
}

/// When a backfill waits for others. The words are gh-ost's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Throttle {
    /// Milliseconds that a replica may lie behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_lag_millis: Option<u64>,
    /// Replicas that are asked for that, as the same user: what the backfill has written last is looked for there. Without them the primary
    /// is asked, where it knows (PostgreSQL: `pg_stat_replication`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<Replica>,
    /// Sessions that may be at work: active ones (PostgreSQL), `Threads_running` (MariaDB).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_load: Option<u64>,
    /// How long to sleep after a batch, as a part of the time that it took: 1 makes it half as fast.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice_ratio: Option<f64>,
    /// A query that answers a number: above 0 the backfill waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// A server that follows the primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Replica {
    /// Host name or address.
    pub host: String,
    /// Its port; that of the engine when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

impl Backfill {
    /// A backfill with the usual batches.
    #[must_use]
    pub fn new(table: Table, column: &str, value: Value) -> Self {
        let (on_missing, batch, throttle) = (OnMissing::default(), Batch::default(), Throttle::default());
        Self { table, column: column.to_owned(), value, on_missing, batch, throttle }
    }

    /// The same where no value is a value, too.
    #[must_use]
    pub fn with_missing_allowed(self) -> Self {
        Self { on_missing: OnMissing::Leave, ..self }
    }

    /// What is wrong with it before anybody has looked at a database.
    #[must_use]
    pub fn defects(&self, engine: Engine) -> Vec<String> {
        let mut defects = Vec::new();
        match (self.throttle.max_lag_millis, self.throttle.replicas.is_empty(), engine) {
            (Some(_), true, Engine::MariaDb) => defects.push(
                "throttle.maxLagMillis: MariaDB does not know how far its replicas are; name them in throttle.replicas"
                    .to_owned(),
            ),
            (None, false, _) => defects.push("throttle.replicas without throttle.maxLagMillis".to_owned()),
            _ => {}
        }
        if !(1..=100_000).contains(&self.batch.rows) {
            defects.push(format!("batch.rows is {}, and must be 1 to 100000", self.batch.rows));
        }
        if !(1..=10_000).contains(&self.batch.target_millis) {
            defects.push(format!("batch.targetMillis is {}, and must be 1 to 10000", self.batch.target_millis));
        }
        if self.throttle.nice_ratio.is_some_and(|ratio| !(0.0..=100.0).contains(&ratio)) {
            defects.push("throttle.niceRatio must be 0 to 100".to_owned());
        }
        match &self.value {
            Value::Sql(sql) if sql.trim().is_empty() => defects.push("value.sql is empty".to_owned()),
            Value::IlpPacket(packet) if !packet.pointer.starts_with('/') => {
                defects.push(format!("value.ilpPacket.pointer is {:?}, and must begin with /", packet.pointer));
            }
            _ => {}
        }
        defects
    }
}

/// A column of the key of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyColumn {
    pub(crate) name: String,
    pub(crate) r#type: String,
    /// Whether it is written without quotes.
    pub(crate) is_number: bool,
}

/// A backfill as a ticket holds it: everything that going on with it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rows {
    pub(crate) database: Address,
    /// The table, as it is written in statements.
    pub(crate) table: String,
    /// Type of the column.
    pub(crate) r#type: String,
    pub(crate) key: Vec<KeyColumn>,
    /// The table with packets, as it is written in statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) packets: Option<String>,
    /// Columns that the server would set anew with each update (MariaDB): they keep their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unchanged: Vec<String>,
    pub(crate) backfill: Backfill,
}

/// What a backfill is taken back to. What was filled in stays: it was NULL before, it was computed from what the database holds, and a value
/// that somebody has written since must not be lost with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Kept {
    pub(crate) database: Address,
    pub(crate) keep: bool,
}
