//! Counts the objects of the first reading: purged, kept and refused ones. Of each object only what the plan needs is kept. Pure.

use std::collections::BTreeMap;

use fairlead_migration::change::{Target, owners};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::packed::Packed;
use fairlead_observe::address::target;
use serde_json::Value;

use crate::configuration::PurgedKind;
use crate::decide::{Known, Verdict, decide, decide_along};
use crate::finalizers::foreign_finalizers;
use crate::owned::{Fate, Owned};
use crate::tracked::Tracked;
use crate::unmatched::Unmatched;

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
    /// The number of objects that would stay and have owners: whether they do is known when the owners are.
    pub(crate) open: usize,
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
    /// Objects to delete that Argo CD or Flux has put there.
    pub(crate) tracked: Tracked,
    /// Names on the command line that no object has.
    pub(crate) unmatched: Unmatched,
    /// What becomes of objects that purged objects own. Known only where there may be such objects.
    pub(crate) owned: Owned,
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

    /// Counts an object of the kind that was begun last; `keeps_uids` is whether the uids of what goes will be asked for.
    pub(crate) fn add(&mut self, object: &Value, kind: &PurgedKind, known: &Known<'_>, keeps_uids: bool) {
        let Some(position) = self.tallies.len().checked_sub(1) else { return };
        self.unmatched.see(object);
        let verdict = decide(object, kind, known);
        if keeps_uids && matches!(verdict, Verdict::Purge { .. }) {
            self.owned.going.extend(object["metadata"]["uid"].as_str().map(Into::into));
        }
        if matches!(verdict, Verdict::Keep(_) | Verdict::NotSelected(_)) && owners(object).next().is_some() {
            self.tallies[position].open += 1;
        } else {
            self.count(position, object, verdict);
        }
    }

    /// Counts an object that has owners and is left open so far.
    pub(crate) fn settle(&mut self, position: usize, object: &Value, kind: &PurgedKind, known: &Known<'_>) {
        let verdict = decide(object, kind, known);
        if !matches!(verdict, Verdict::Keep(_) | Verdict::NotSelected(_)) || owners(object).next().is_none() {
            return;
        }
        match self.owned.fate(object) {
            Fate::Goes => self.count(position, object, decide_along(object, kind, known)),
            Fate::Stays | Fate::Released => self.count(position, object, verdict),
        }
    }

    fn count(&mut self, position: usize, object: &Value, verdict: Verdict) {
        let tally = &mut self.tallies[position];
        match verdict {
            Verdict::Purge { warnings, is_helm_owned, .. } => {
                tally.purged += 1;
                tally.helm_owned += usize::from(is_helm_owned);
                self.warnings.extend(warnings);
                self.tracked.add(object);
                for finalizer in foreign_finalizers(object) {
                    let entry = self.finalizers.entry(finalizer.to_owned()).or_insert_with(|| (target(object), 0));
                    entry.1 += 1;
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
