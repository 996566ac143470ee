//! Counts the objects of the first reading: purged, kept and refused ones. Of each object only what the plan needs is kept. Pure.

use std::collections::{BTreeMap, HashSet};

use fairlead_migration::change::Target;
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::packed::Packed;
use fairlead_observe::address::target;
use serde_json::Value;

use crate::configuration::PurgedKind;
use crate::decide::{Known, Verdict, decide};
use crate::finalizers::finalizers;

/// Finalizers that the API server itself adds and removes.
const KUBERNETES_FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// The objects of one kind.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// The number of objects to delete.
    pub(crate) purged: usize,
    /// The number of those that belong to Helm releases which the user named.
    pub(crate) helm_owned: usize,
    /// The number of refused objects.
    pub(crate) refused: usize,
    /// The number of objects that stay.
    pub(crate) kept: usize,
    /// The number of those that stay only because nobody has selected them.
    pub(crate) not_selected: usize,
    /// The first that stays.
    pub(crate) first_kept: Option<Target>,
}

/// The objects of all kinds.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// By position of the definition.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) unchanged: Packed<Unchanged>,
    /// Finalizers on what goes: the first object, and how many.
    pub(crate) finalizers: BTreeMap<String, (Target, usize)>,
    /// The uids of objects to delete; kept only if the purge has kinds of dependents.
    pub(crate) uids: HashSet<Box<str>>,
}

impl Index {
    /// Begins to count the next kind.
    pub(crate) fn begin_kind(&mut self) {
        self.tallies.push(Tally::default());
    }

    /// The number of objects to delete.
    pub(crate) fn purged(&self) -> usize {
        self.tallies.iter().map(|tally| tally.purged).sum()
    }

    /// Whether a purged object owns this one.
    pub(crate) fn owns(&self, object: &Value) -> bool {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter_map(|owner| owner["uid"].as_str()).any(|uid| self.uids.contains(uid))
    }

    /// Counts an object of the kind that was begun last; `has_dependents` is whether the uids of what goes will be asked for.
    pub(crate) fn add(&mut self, object: &Value, kind: &PurgedKind, known: &Known<'_>, has_dependents: bool) {
        let Some(tally) = self.tallies.last_mut() else { return };
        match decide(object, kind, known) {
            Verdict::Purge { warnings, is_helm_owned, .. } => {
                tally.purged += 1;
                tally.helm_owned += usize::from(is_helm_owned);
                self.warnings.extend(warnings);
                for finalizer in finalizers(object).filter(|it| !KUBERNETES_FINALIZERS.contains(it)) {
                    let entry = self.finalizers.entry(finalizer.to_owned()).or_insert_with(|| (target(object), 0));
                    entry.1 += 1;
                }
                if has_dependents {
                    self.uids.extend(object["metadata"]["uid"].as_str().map(Into::into));
                }
            }
            verdict @ (Verdict::Keep(_) | Verdict::NotSelected(_)) => {
                tally.not_selected += usize::from(matches!(verdict, Verdict::NotSelected(_)));
                let (Verdict::Keep(reason) | Verdict::NotSelected(reason)) = verdict else { return };
                tally.kept += 1;
                let target = target(object);
                tally.first_kept.get_or_insert_with(|| target.clone());
                self.unchanged.push(&Unchanged { target, reason });
            }
            Verdict::Refuse(finding) => {
                tally.refused += 1;
                self.refusals.push(finding);
            }
        }
    }
}

/// The `kind` of a target in the plural, as people say it.
pub(crate) fn count_of(count: usize, kind: &str) -> String {
    if count == 1 { format!("1 {kind}") } else { format!("{count} {kind}s") }
}
