//! Puts a plan together, change by change.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::OnceLock;

use serde::Serialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::Plan;
use crate::change::{Action, Change, Images, Target};
use crate::fields;
use crate::finding::{Blocked, Finding, Unchanged};
use crate::packed::{self, Packed};
use crate::stage::Stage;

/// A plan that is being made. Clones are cheap enough to begin again where a list has expired.
#[derive(Clone)]
pub struct PlanBuilder {
    plan: Plan,
    /// What [`Self::push`] was given last.
    last: Option<(usize, Target)>,
}

impl PlanBuilder {
    /// A plan that changes nothing yet.
    #[must_use]
    pub fn new(step: &str, stages: Vec<Stage>) -> Self {
        let plan = Plan {
            step: step.to_owned(),
            stages,
            blocked: None,
            refusals: Vec::new(),
            warnings: Vec::new(),
            unchanged: Packed::default(),
            changes: Packed::default(),
            kinds: Vec::new(),
            counts: [0; 4],
            ends: BTreeMap::new(),
            late: OnceLock::new(),
            digest: Sha256::new(),
        };
        Self { plan, last: None }
    }

    /// The same for a plan that is shown and not carried out: nothing of it is stored.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.plan.changes = Packed::passing();
        self.plan.unchanged = Packed::passing();
        self
    }

    /// Adds a change. Changes are added in the order of stage and target, which makes the digest one of the content.
    ///
    /// # Panics
    ///
    /// When they are not: that is a mistake of the job, and noticed before anything is written.
    pub fn push(&mut self, change: &Change) {
        self.push_written(Written::of(change));
    }

    /// The same for a change that is written already.
    ///
    /// # Panics
    ///
    /// Like [`Self::push`].
    pub fn push_written(&mut self, change: Written) {
        let Written { action, key, digested, line } = change;
        assert!(self.last.as_ref().is_none_or(|last| *last < key), "{} is added out of order", key.1);
        let plan = &mut self.plan;
        plan.counts[action as usize] += 1;
        plan.digest.update(digested);
        plan.digest.update("\n");
        plan.changes.push_line(&line);
        let Target { api_version, kind, .. } = &key.1;
        if !plan.kinds.iter().any(|known| known.0 == *api_version && known.1 == *kind) {
            plan.kinds.push((api_version.clone(), kind.clone()));
        }
        plan.ends.insert(key.0, plan.changes.len());
        self.last = Some(key);
    }

    /// A stage, of which more becomes known while the plan is made: what its undo waits for, say.
    ///
    /// # Panics
    ///
    /// When there is no such stage.
    pub fn stage(&mut self, stage: usize) -> &mut Stage {
        &mut self.plan.stages[stage]
    }

    /// Whether the last change has the same stage and target.
    #[must_use]
    pub fn ends_with(&self, change: &Change) -> bool {
        self.last.as_ref().is_some_and(|(stage, target)| *stage == change.stage && *target == change.target)
    }

    /// Adds an object that is left alone.
    pub fn refuse(&mut self, finding: Finding) {
        self.plan.refusals.push(finding);
    }

    /// Says why nothing of the plan would be done.
    pub fn block(&mut self, blocked: Blocked) {
        self.plan.blocked = Some(blocked);
    }

    /// The objects left alone so far.
    #[must_use]
    pub fn refusals(&self) -> &[Finding] {
        &self.plan.refusals
    }

    /// Adds something that should be known.
    pub fn warn(&mut self, finding: Finding) {
        self.plan.warnings.push(finding);
    }

    /// Adds an object that is as it should be.
    pub fn keep(&mut self, unchanged: &Unchanged) {
        self.plan.unchanged.push(unchanged);
    }

    /// The changes so far, each read when it is asked for.
    pub fn changes(&self) -> impl Iterator<Item = Change> {
        self.plan.changes()
    }

    /// The positions of the changes of a stage so far.
    #[must_use]
    pub fn positions(&self, stage: usize) -> Range<usize> {
        self.plan.positions(stage)
    }

    /// The plan, whose findings are in their order, whatever the order they were found in.
    #[must_use]
    pub fn build(self) -> Plan {
        let mut plan = self.plan;
        for findings in [&mut plan.refusals, &mut plan.warnings] {
            findings.sort_by(|a, b| (&a.target, &a.code, &a.message).cmp(&(&b.target, &b.code, &b.message)));
        }
        plan
    }
}

/// A change as a plan keeps it. To write it takes most of the time, and any thread can do it.
pub struct Written {
    action: Action,
    key: (usize, Target),
    digested: Vec<u8>,
    line: Vec<u8>,
}

impl Written {
    /// Writes a change.
    #[must_use]
    pub fn of(change: &Change) -> Self {
        let (key, digested) = ((change.stage, change.target.clone()), written(change));
        Self { action: change.action(), key, digested, line: packed::line(change) }
    }
}

/// What a change writes, as the digest of the plan counts it.
fn written(change: &Change) -> Vec<u8> {
    let fields = match &change.images {
        Images::Create(after) => Some(Cow::Borrowed(after)),
        Images::Update(before, after) => fields::diff(before, after).map(Cow::Owned),
        Images::Delete(_) => None,
        Images::Sweep(from, to) => Some(Cow::Owned(json!([from, to]))),
    };
    // serde_json sorts the keys of values, so equal ones have equal texts.
    let Target { api_version, kind, namespace, name } = &change.target;
    let line = (change.action(), Sorted { api_version, kind, name, namespace }, fields);
    serde_json::to_vec(&line).expect("plain data can be written to memory")
}

/// A target, its keys in their order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sorted<'a> {
    api_version: &'a str,
    kind: &'a str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: &'a Option<String>,
}
