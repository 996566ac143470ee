//! What a change of a database is made of. It is data, complete: a binary that takes a run back knows nothing of the operation behind it.

use fairlead_migration::change::{Change, Images, Target};
use fairlead_sql::address::Address;
use fairlead_sql::session::LockWait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::operation::Column;

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Statement {
    /// What is sent.
    pub(crate) sql: String,
    /// A query that answers whether it has been carried out already. After a crash the catalog decides, and no journal.
    pub(crate) done: String,
    /// A query that answers why it must not be carried out now, if so: rows that hold NULL, rows without a parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unless: Option<String>,
    /// Whether it may wait for locks as long as it takes: nobody waits behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) patient: bool,
}

impl Statement {
    /// A statement that waits for locks hardly at all.
    pub(crate) fn new(sql: impl Into<String>, done: impl Into<String>) -> Self {
        Self { sql: sql.into(), done: done.into(), unless: None, patient: false }
    }

    pub(crate) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    pub(crate) fn unless(self, query: impl Into<String>) -> Self {
        Self { unless: Some(query.into()), ..self }
    }

    pub(crate) fn lock_wait(&self) -> LockWait {
        if self.patient { LockWait::Patient } else { LockWait::Brief }
    }
}

/// The catalog's entry of a target at one moment, and the way to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Image {
    /// Where.
    pub(crate) database: Address,
    /// A query that answers what there is of the target: one text, or nothing.
    pub(crate) read: String,
    /// Its answer.
    pub(crate) is: String,
    /// What makes it so.
    pub(crate) to: Vec<Statement>,
    /// What makes it absent. None: what goes does not come back, or nothing makes it absent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) away: Vec<Statement>,
    /// Why the target does not come back, once it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) lost: Option<String>,
}

/// A change of the catalog, before the database has been looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Draft {
    /// What is changed.
    pub(crate) target: Target,
    /// What there is of it.
    pub(crate) read: String,
    /// The answer before; none when it is absent.
    pub(crate) before: Option<String>,
    /// The answer after; none when it is to be absent.
    pub(crate) after: Option<String>,
    /// Forward.
    pub(crate) up: Vec<Statement>,
    /// Back; empty when it does not come back.
    pub(crate) down: Vec<Statement>,
    /// Why it does not come back.
    pub(crate) lost: Option<String>,
    /// Why it is done, for people.
    pub(crate) reason: String,
    /// Columns as the file says them, whose types the server may write otherwise.
    pub(crate) columns: Vec<Column>,
}

impl Draft {
    /// The change of a database.
    pub(crate) fn change(&self, stage: usize, database: &Address) -> Change {
        let image = |is: &String, to: &[Statement], away: &[Statement]| {
            let (database, read, lost) = (database.clone(), self.read.clone(), self.lost.clone());
            let image = Image { database, read, is: is.clone(), to: to.to_vec(), away: away.to_vec(), lost };
            serde_json::to_value(image).expect("plain data")
        };
        let images = match (&self.before, &self.after) {
            (None, Some(after)) => Images::Create(image(after, &self.up, &self.down)),
            (Some(before), Some(after)) => Images::Update(image(before, &self.down, &[]), image(after, &self.up, &[])),
            (Some(before), None) => Images::Delete(image(before, &self.down, &self.up)),
            (None, None) => unreachable!("a draft is of something"),
        };
        Change { stage, target: self.target.clone(), images, reason: self.reason.clone() }
    }
}

/// An image, as a ticket holds it.
pub(crate) fn image(value: &Value) -> Result<Image, serde_json::Error> {
    Image::deserialize(value)
}

/// The kind of a statement of somebody's own.
pub(crate) const STATEMENT: &str = "Statement";

/// A target of a table: its column, its index.
pub(crate) fn target(kind: &str, table: impl Into<String>, name: impl Into<String>) -> Target {
    let [api_version, kind] = ["fairlead.dev/v1", kind].map(str::to_owned);
    Target { api_version, kind, namespace: Some(table.into()), name: name.into() }
}
