//! What a step will do and what it leaves alone, complete and immutable: nothing is decided while it is carried out.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::change::{Action, Change, Target};
use crate::fields;
use crate::packed::Packed;
use crate::snapshot::hex;

/// Whether a stage adds beside the old, removes the old, or holds something for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// Adds the new beside the old.
    Expand,
    /// Removes the old.
    Contract,
    /// Stops workloads or closes intake, and ends with the upgrade.
    Hold,
}

/// Where in `helm rollback` a stage is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Adds, removes or holds.
    pub kind: StageKind,
    /// Where it is undone.
    pub undo_at: UndoAt,
    /// How many changes are in flight at once.
    pub concurrency: usize,
    /// Kinds that are deleted with care.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pacing: Vec<Pacing>,
    /// Condition of its status that a created object must have before the stage is done, like `Established`. None: it is enough
    /// that it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<String>,
    /// Deletions that follow from those of another stage, and are made by others: by the garbage collector, or by the controller
    /// that owns a finalizer. Nothing is done going forward; going back, what is gone comes back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cascaded: bool,
}

impl Stage {
    /// A stage without pacing, settled when its objects are there.
    #[must_use]
    pub fn new(name: &str, kind: StageKind, undo_at: UndoAt, concurrency: usize) -> Self {
        Self { name: name.to_owned(), kind, undo_at, concurrency, pacing: Vec::new(), settled: None, cascaded: false }
    }
}

/// Objects of one kind that are deleted one after the other in each namespace, and what must have let go of one before the
/// next one is. It is data, because whoever takes a run back knows nothing of its step.
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

/// Something to tell about one object: a refusal (the plan leaves it alone) or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `TR101`; `explain` has a text for each.
    pub code: Cow<'static, str>,
    /// The object.
    pub target: Target,
    /// What is the matter with it.
    pub message: String,
    /// What to do about it.
    pub hint: Cow<'static, str>,
}

/// An object that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The object.
    pub target: Target,
    /// Why nothing has to be done.
    pub reason: String,
}

/// Everything a step will do, in order, and everything it leaves alone.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The step, named like its binary.
    pub step: String,
    /// In the order in which they are carried out.
    pub stages: Vec<Stage>,
    /// Objects left alone, sorted by target.
    pub refusals: Vec<Finding>,
    /// Sorted by target.
    pub warnings: Vec<Finding>,
    /// In an order that does not depend on that of the input.
    pub unchanged: Packed<Unchanged>,
    changes: Packed<Change>,
    /// How many create, update and delete.
    counts: [usize; 3],
    /// Position after the last change of each stage that has any.
    ends: BTreeMap<usize, usize>,
    digest: Sha256,
    /// What [`Self::push`] was given last.
    last: Option<(usize, Target)>,
}

impl Plan {
    /// A plan that changes nothing yet.
    #[must_use]
    pub fn new(step: &str, stages: Vec<Stage>) -> Self {
        Self {
            step: step.to_owned(),
            stages,
            refusals: Vec::new(),
            warnings: Vec::new(),
            unchanged: Packed::default(),
            changes: Packed::default(),
            counts: [0; 3],
            ends: BTreeMap::new(),
            digest: Sha256::new(),
            last: None,
        }
    }

    /// Adds a change. They are added in the order of stage and target, which is what makes the digest one of the content.
    ///
    /// # Panics
    ///
    /// When they are not: that is a mistake of the job, and noticed before anything is written.
    pub fn push(&mut self, change: &Change) {
        let key = (change.stage, change.target.clone());
        assert!(self.last.as_ref().is_none_or(|last| *last < key), "{} is added out of order", change.target);
        self.last = Some(key);
        self.counts[change.action() as usize] += 1;
        self.digest.update(written(change).to_string());
        self.digest.update("\n");
        self.changes.push(change);
        self.ends.insert(change.stage, self.changes.len());
    }

    /// Whether the last change has the same stage and target.
    #[must_use]
    pub fn ends_with(&self, change: &Change) -> bool {
        self.last.as_ref().is_some_and(|(stage, target)| *stage == change.stage && *target == change.target)
    }

    /// The positions of the changes of a stage.
    #[must_use]
    pub fn positions(&self, stage: usize) -> Range<usize> {
        let begin = self.ends.range(..stage).next_back().map_or(0, |(_, end)| *end);
        begin..self.ends.get(&stage).copied().unwrap_or(begin)
    }

    /// The changes, sorted by stage, then target; each is read when it is asked for.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.changes.iter()
    }

    /// The changes at these positions, each with its position, the last one first.
    pub fn changes_rev(&self, positions: Range<usize>) -> impl Iterator<Item = (usize, Change)> {
        self.changes.iter_rev(positions)
    }

    /// How many changes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.changes.len()
    }

    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// A plan whose findings are in their order, whatever the order they were found in.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        for findings in [&mut self.refusals, &mut self.warnings] {
            findings.sort_by(|a, b| (&a.target, &a.code, &a.message).cmp(&(&b.target, &b.code, &b.message)));
        }
        self
    }

    /// How many changes do this.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.counts[action as usize]
    }

    /// `sha256:` and hex over what would be written: action, target and fields of each change. What the server adds to images
    /// does not count, so a plan from files and the plan from the cluster that they were written for have the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.digest.clone().finalize()))
    }

    /// `3 to create, 0 to update, 0 to delete, 1 refused, 2 warnings, 4 unchanged`.
    #[must_use]
    pub fn counts(&self) -> String {
        let [create, update, delete] = self.counts;
        format!(
            "{create} to create, {update} to update, {delete} to delete, {} refused, {} warning{}, {} unchanged",
            self.refusals.len(),
            self.warnings.len(),
            if self.warnings.len() == 1 { "" } else { "s" },
            self.unchanged.len(),
        )
    }

    pub(crate) fn frames(&self) -> impl Iterator<Item = Cow<'_, [u8]>> {
        self.changes.frames()
    }
}

fn written(change: &Change) -> Value {
    let fields = match (change.before(), change.after()) {
        (Some(before), Some(after)) => fields::diff(before, after),
        (None, after) => after.cloned(),
        (Some(_), None) => None,
    };
    // serde_json sorts keys, so equal values have equal texts.
    json!([change.action(), change.target, fields])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::change::Images;

    pub(crate) fn plan_of_one() -> Plan {
        let target = Target {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: "settings".into(),
        };
        let images =
            Images::Create(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"bus": "mesh", "retries": "3"},
            "metadata": {"namespace": "shop", "name": "settings", "annotations": {"example.com/why": "demo"}}}));
        let stage = Stage::new("Triggers", StageKind::Expand, UndoAt::PostRollback, 8);
        let mut plan = Plan::new("trigger-replicator", vec![stage]);
        plan.push(&Change { stage: 0, target, images, reason: "the bus moves".into() });
        plan
    }

    #[test]
    fn the_digest_ignores_what_the_server_adds() {
        let update = |before: Value, after: Value| {
            let change = plan_of_one().changes().next().expect("it has one");
            let mut plan = Plan::new("trigger-replicator", vec![]);
            plan.push(&Change { images: Images::Update(before, after), ..change });
            plan.digest()
        };
        let from_files = update(json!({"data": {"a": "1"}}), json!({"data": {"a": "2"}}));
        let from_cluster = update(
            json!({"data": {"a": "1"}, "metadata": {"uid": "u"}, "status": {}}),
            json!({"data": {"a": "2"}, "metadata": {"uid": "u"}, "status": {}}),
        );
        assert_eq!(from_files, from_cluster);
        assert_ne!(from_files, update(json!({"data": {"a": "1"}}), json!({"data": {"a": "3"}})));
        assert_ne!(from_files, plan_of_one().digest());
    }

    #[test]
    #[should_panic(expected = "ConfigMap shop/settings is added out of order")]
    fn changes_come_in_order() {
        let mut plan = plan_of_one();
        let again = plan.changes().next().expect("it has one");
        plan.push(&again);
    }

    #[test]
    fn every_stage_has_its_positions_also_one_without_changes() {
        let one = plan_of_one().changes().next().expect("it has one");
        let mut plan = Plan::new("step", vec![]);
        for (stage, name) in [(0, "a"), (0, "b"), (2, "a"), (3, "a"), (3, "b"), (3, "c")] {
            plan.push(&Change { stage, target: Target { name: name.into(), ..one.target.clone() }, ..one.clone() });
        }
        let positions: Vec<Range<usize>> = (0..5).map(|stage| plan.positions(stage)).collect();
        assert_eq!(positions, [0..2, 2..2, 2..3, 3..6, 6..6]);
    }
}
