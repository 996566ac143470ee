//! What a step will do and what it leaves alone, complete and immutable: nothing is decided while it is carried out.

mod builder;
mod undone_late;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use crate::change::{Action, Change};
use crate::digest;
use crate::finding::{Blocked, Finding, Unchanged};
use crate::packed::Packed;
use crate::stage::{Stage, StageKind};

pub use self::builder::{PlanBuilder, Written};

/// Everything a step will do, in order, and everything it leaves alone. A [`PlanBuilder`] makes it.
#[derive(Clone, Debug)]
pub struct Plan {
    step: String,
    stages: Vec<Stage>,
    blocked: Option<Blocked>,
    refusals: Vec<Finding>,
    warnings: Vec<Finding>,
    unchanged: Packed<Unchanged>,
    changes: Packed<Change>,
    /// Group and version, and kind, of what is changed.
    kinds: Vec<(String, String)>,
    /// How many there are of each [`Action`].
    counts: [usize; 4],
    /// Position after the last change of each stage that has any.
    ends: BTreeMap<usize, usize>,
    /// Positions of changes of early stages that wait for owners, once they were asked for.
    late: OnceLock<BTreeSet<usize>>,
    digest: Sha256,
}

impl Plan {
    /// Group and version, and kind, of what is changed; without reading the changes.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, &str)> {
        self.kinds.iter().map(|(api_version, kind)| (api_version.as_str(), kind.as_str()))
    }

    /// The step.
    #[must_use]
    pub fn step(&self) -> &str {
        &self.step
    }

    /// In the order in which they are carried out.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// Why nothing of it would be done, if so.
    #[must_use]
    pub fn blocked(&self) -> Option<&Blocked> {
        self.blocked.as_ref()
    }

    /// The same plan, of which nothing would be done for this reason, if there was none before.
    #[must_use]
    pub fn blocked_by(mut self, blocked: Blocked) -> Self {
        self.blocked.get_or_insert(blocked);
        self
    }

    /// Objects left alone, sorted by target.
    #[must_use]
    pub fn refusals(&self) -> &[Finding] {
        &self.refusals
    }

    /// What should be known, sorted by target.
    #[must_use]
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }

    /// In an order that does not depend on that of the input.
    #[must_use]
    pub fn unchanged(&self) -> &Packed<Unchanged> {
        &self.unchanged
    }

    /// Whether it has holds or switches.
    #[must_use]
    pub fn has_holds(&self) -> bool {
        self.has_any(StageKind::may_be_ended)
    }

    /// Whether it removes something.
    #[must_use]
    pub fn has_contracts(&self) -> bool {
        self.has_any(|kind| kind == StageKind::Contract)
    }

    fn has_any(&self, is_meant: impl Fn(StageKind) -> bool) -> bool {
        (0..self.stages.len()).any(|stage| is_meant(self.stages[stage].kind) && !self.positions(stage).is_empty())
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

    /// How many changes do this.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.counts[action as usize]
    }

    /// `sha256:` and hex over what would be written: action, target and fields of each change. What the server adds to images
    /// does not count, so a plan from files and the plan from the cluster that they were written for have the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        digest::written(&self.digest.clone().finalize())
    }

    /// `3 to create, 0 to update, 0 to delete, 1 refused, 2 warnings, 4 unchanged`; sweeps only where there are any.
    #[must_use]
    pub fn counts(&self) -> String {
        let [create, update, delete, sweep] = self.counts;
        let swept = if sweep == 0 { String::new() } else { format!("{sweep} to sweep, ") };
        format!(
            "{create} to create, {update} to update, {delete} to delete, {swept}{} refused, {} warning{}, {} unchanged",
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::change::{Images, Target};
    use crate::stage::UndoAt;
    use serde_json::{Value, json};

    /// A plan of these changes.
    pub(crate) fn plan_of(stages: Vec<Stage>, changes: &[Change]) -> Plan {
        let mut builder = PlanBuilder::new("step", stages);
        for change in changes {
            builder.push(change);
        }
        builder.build()
    }

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
        let mut builder = PlanBuilder::new("trigger-replicator", vec![stage]);
        builder.push(&Change { stage: 0, target, images, reason: "the bus moves".into() });
        builder.build()
    }

    #[test]
    fn the_digest_ignores_what_the_server_adds() {
        let update = |before: Value, after: Value| {
            let change = plan_of_one().changes().next().expect("it has one");
            plan_of(vec![], &[Change { images: Images::Update(before, after), ..change }]).digest()
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
        let once = plan_of_one().changes().next().expect("it has one");
        plan_of(vec![], &[once.clone(), once]);
    }

    #[test]
    fn every_stage_has_its_positions_also_one_without_changes() {
        let one = plan_of_one().changes().next().expect("it has one");
        let change = |(stage, name): (usize, &str)| Change {
            stage,
            target: Target { name: name.into(), ..one.target.clone() },
            ..one.clone()
        };
        let changes = [(0, "a"), (0, "b"), (2, "a"), (3, "a"), (3, "b"), (3, "c")].map(change);
        let plan = plan_of(vec![], &changes);
        let positions: Vec<Range<usize>> = (0..5).map(|stage| plan.positions(stage)).collect();
        assert_eq!(positions, [0..2, 2..2, 2..3, 3..6, 6..6]);
        assert_eq!(plan.kinds().collect::<Vec<_>>(), [("v1", "ConfigMap")]);
    }
}
