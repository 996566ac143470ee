//! What stays because something is kept that may need it.
//!
//! # Decision: what needs what is told by kind and namespace
//!
//! Situation: with `keep` an object that others have changed stays, and what the same run has created for it would go: its Broker, say.
//! A plan does not say what needs what. Decision: what the run has created of other kinds stays in the namespaces of what is kept, and
//! where the run has created nothing of the kept kinds at all, because that serves all namespaces. Consequence: too much may stay, which
//! is named, and never too little.

use std::collections::{HashMap, HashSet};

use crate::change::{Action, Change, Target, Targets};
use crate::plan::Plan;

/// What is kept, by kind and where.
#[derive(Default)]
pub(super) struct Kept {
    /// Kinds of what is kept, by namespace.
    kept: HashMap<Option<String>, HashSet<String>>,
    /// Namespaces with created objects of each kind that is kept somewhere.
    peers: HashMap<String, HashSet<Option<String>>>,
}

impl Kept {
    /// Of these objects those that the plan has created.
    pub(super) fn of(plan: &Plan, drifted: &[(Target, String)]) -> Self {
        let created = || plan.changes().filter(|change| change.action() == Action::Create).map(|change| change.target);
        let mut changed = Targets::default();
        for (target, _) in drifted {
            changed.insert(target);
        }
        let mut kept = Self::default();
        for target in created().filter(|target| changed.contains(target)) {
            kept.peers.entry(target.kind.clone()).or_default();
            kept.kept.entry(target.namespace).or_default().insert(target.kind);
        }
        for target in created() {
            if let Some(peers) = kept.peers.get_mut(&target.kind) {
                peers.insert(target.namespace);
            }
        }
        kept
    }

    /// Whether something that is kept may need what this change would delete.
    pub(super) fn may_need(&self, inverse: &Change) -> bool {
        let Target { kind, namespace, .. } = &inverse.target;
        if inverse.action() != Action::Delete {
            return false;
        }
        let is_beside = self.kept.get(namespace).is_some_and(|kinds| kinds.iter().any(|kept| kept != kind));
        let serves_all = self.peers.iter().any(|(kept, peers)| kept != kind && !peers.contains(namespace));
        is_beside || serves_all
    }
}
