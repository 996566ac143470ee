//! What stays because something is kept that may need it.
//!
//! # Decision: what needs what is told by kind and namespace
//!
//! Situation: with `keep` an object that others have changed stays, and what the same run has created for it would go: its Broker, say.
//! A plan does not say what needs what. Decision: what the run has created of other kinds stays in the namespaces of what is kept, and
//! where the run has created nothing of the kept kinds at all, because that serves all namespaces. Consequence: too much may stay, which
//! is named, and never too little.

use std::collections::HashSet;

use crate::change::{Action, Change, Target};
use crate::plan::Plan;

/// Where what is kept is.
#[derive(Default)]
pub(super) struct Kept {
    kinds: HashSet<String>,
    namespaces: HashSet<Option<String>>,
    /// Namespaces with created objects of the same kinds.
    peers: HashSet<Option<String>>,
}

impl Kept {
    /// Of these objects those that the plan has created.
    pub(super) fn of(plan: &Plan, drifted: &[(Target, String)]) -> Self {
        let created = || plan.changes().filter(|change| change.action() == Action::Create).map(|change| change.target);
        let mut kept = Self::default();
        for target in created().filter(|target| drifted.iter().any(|(drifted, _)| drifted == target)) {
            kept.kinds.insert(target.kind);
            kept.namespaces.insert(target.namespace);
        }
        kept.peers = created().filter(|target| kept.kinds.contains(&target.kind)).map(|target| target.namespace).collect();
        kept
    }

    /// Whether something that is kept may need what this change would delete.
    pub(super) fn may_need(&self, inverse: &Change) -> bool {
        let Target { kind, namespace, .. } = &inverse.target;
        let is_other_kind = inverse.action() == Action::Delete && !self.kinds.is_empty() && !self.kinds.contains(kind);
        is_other_kind && (self.namespaces.contains(namespace) || !self.peers.contains(namespace))
    }
}
