//! Stages: changes that may run side by side, with everything that doing and undoing them needs. A stage is data, because a binary
//! that takes a run back knows nothing of its step.

use serde::{Deserialize, Serialize};

use crate::change::Target;

/// What a stage does to the running system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// Adds the new beside the old.
    Expand,
    /// Removes the old.
    Contract,
    /// Stops workloads or closes intake, and ends with the upgrade.
    Hold,
    /// Leads traffic from the old to the new, and stays until it is undone.
    Switch,
}

impl StageKind {
    /// Whether others may end what the stage did, by writing the same fields: Helm with the chart's replicas, say.
    #[must_use]
    pub fn may_be_ended(self) -> bool {
        matches!(self, Self::Hold | Self::Switch)
    }
}

/// A point of `helm rollback`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum UndoAt {
    /// Before Helm applies the old manifests.
    PreRollback,
    /// After it.
    PostRollback,
}

/// Changes that may run side by side. The next stage begins when this one is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// For people: `Triggers`.
    pub name: String,
    /// Adds, removes, holds or switches.
    pub kind: StageKind,
    /// Where it is undone.
    pub undo_at: UndoAt,
    /// How many changes are in flight at once.
    pub concurrency: usize,
    /// Kinds that are deleted with care.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pacing: Vec<Pacing>,
    /// Condition of its status that a created object must have before the stage is done, like `Established`. None: it is enough
    /// that the object is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    /// Deletions that follow from those of another stage, and are made by others: by the garbage collector, or by the controller
    /// that owns a finalizer. Nothing is done going forward; going back, what is gone comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cascaded: bool,
    /// What an undo of the stage waits for before it begins, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undo_waits: Vec<UndoWait>,
    /// What a rollback that was asked for waits for when the stage has been undone, in this order: older runs are taken back after that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undone_waits: Vec<UndoWait>,
}

impl Stage {
    /// A stage without pacing and waits, settled when its objects are there.
    #[must_use]
    pub fn new(name: &str, kind: StageKind, undo_at: UndoAt, concurrency: usize) -> Self {
        let (name, pacing, undo_waits, undone_waits) = (name.to_owned(), Vec::new(), Vec::new(), Vec::new());
        Self { name, kind, undo_at, concurrency, pacing, settled: None, cascaded: false, undo_waits, undone_waits }
    }

    /// Everything that an undo of the stage waits for: before it begins, and when it is over.
    pub fn waits(&self) -> impl Iterator<Item = &UndoWait> {
        self.undo_waits.iter().chain(&self.undone_waits)
    }
}

/// Objects of one kind that are deleted one after the other in each namespace, and what must have let go of one before the
/// next one is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pacing {
    /// Kind of what is deleted.
    pub kind: String,
    /// Group and version of the object that refers to it, which lies in the same namespace.
    pub holder_api_version: String,
    /// Its kind.
    pub holder_kind: String,
    /// Its name, where `{/spec/broker}` stands for that field of the deleted object.
    pub holder_name: String,
    /// JSON pointer to the part of it that contains the uid of the deleted object for as long as it refers to it.
    pub holder_field: String,
}

/// What must be so before a stage is undone, or before that counts: the old intake is ready before the new one goes, the new side has
/// drained before what feeds it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum UndoWait {
    /// An object has a condition, `Ready` say, that is `True`.
    Condition {
        /// The object.
        target: Target,
        /// Type of the condition.
        condition: String,
        /// How long to wait, in seconds.
        timeout_seconds: u64,
    },
    /// An address answers a GET with this HTTP status.
    Answer {
        /// `http://…`.
        url: String,
        /// The status, 200 say.
        status: u16,
        /// How long to wait, in seconds.
        timeout_seconds: u64,
    },
    /// So many seconds pass. An undo that was interrupted waits them again.
    Duration {
        /// How many.
        seconds: u64,
    },
}

impl UndoWait {
    /// How many seconds pass; 0 where something else is waited for.
    #[must_use]
    pub fn seconds(&self) -> u64 {
        match self {
            Self::Duration { seconds } => *seconds,
            Self::Condition { .. } | Self::Answer { .. } => 0,
        }
    }

    /// Why it can never be seen to be so; none where it can. An image of ours brings no certificates that an https server could be known by.
    #[must_use]
    pub fn objection(&self) -> Option<String> {
        let Self::Answer { url, .. } = self else { return None };
        let address = url.strip_prefix("http://").filter(|rest| !rest.is_empty() && !rest.starts_with('/'));
        address.is_none().then(|| format!("the way back would wait for an answer of {url}: only http://HOST… can be asked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_an_address_that_can_be_asked_is_waited_for() {
        let objects =
            |url: &str| UndoWait::Answer { url: url.into(), status: 200, timeout_seconds: 1 }.objection().is_some();
        assert!(!objects("http://old.shop:8080/healthz"));
        for url in ["https://old.shop/healthz", "old.shop/healthz", "http://", "http:///healthz", ""] {
            assert!(objects(url), "{url}");
        }
        assert_eq!(UndoWait::Duration { seconds: 5 }.objection(), None);
    }

    /// What a ticket says today must be understood by every later version.
    #[test]
    fn a_stage_is_written_as_it_will_be_read_for_ever() {
        let target =
            Target { api_version: "apps/v1".into(), kind: "Deployment".into(), namespace: None, name: "old".into() };
        let undo_waits = vec![
            UndoWait::Condition { target, condition: "Available".into(), timeout_seconds: 60 },
            UndoWait::Answer { url: "http://old/healthz".into(), status: 200, timeout_seconds: 30 },
            UndoWait::Duration { seconds: 5 },
        ];
        let stage = Stage { undo_waits, ..Stage::new("Intake", StageKind::Switch, UndoAt::PostRollback, 1) };
        let document = json!({
            "name": "Intake", "kind": "switch", "undoAt": "post-rollback", "concurrency": 1,
            "undoWaits": [
                {"condition": {"target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "old"}, "condition": "Available",
                    "timeoutSeconds": 60}},
                {"answer": {"url": "http://old/healthz", "status": 200, "timeoutSeconds": 30}},
                {"duration": {"seconds": 5}},
            ],
        });
        assert_eq!(serde_json::to_value(&stage).expect("plain data"), document);
        assert_eq!(serde_json::from_value::<Stage>(document.clone()).expect("written by us"), stage);
        // Tickets without it were written before there was such a wait.
        let stage = Stage { undone_waits: vec![UndoWait::Duration { seconds: 40 }], ..stage };
        let mut document = document;
        document["undoneWaits"] = json!([{"duration": {"seconds": 40}}]);
        assert_eq!(serde_json::to_value(&stage).expect("plain data"), document);
        assert_eq!(serde_json::from_value::<Stage>(document).expect("written by us"), stage);
    }
}
