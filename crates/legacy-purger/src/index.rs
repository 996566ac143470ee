//! The first look at the objects: what goes, what stays, and what speaks against it. Of each only what the plan needs is kept.

use std::collections::{BTreeMap, HashSet};

use fairlead_migration::change::Target;
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::packed::Packed;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::decide::{Known, Verdict, decide};
use crate::definitions::Definition;

/// What the API server itself puts on objects, and takes away.
const KUBERNETES_FINALIZERS: [&str; 2] = ["foregroundDeletion", "orphan"];

/// What there is of one kind.
#[derive(Clone, Default)]
pub(crate) struct Tally {
    /// How many objects go.
    pub(crate) purged: usize,
    /// How many of them belong to Helm releases that were named.
    pub(crate) helm_owned: usize,
    /// How many are refused.
    pub(crate) refused: usize,
    /// How many stay.
    pub(crate) kept: usize,
    /// How many of them only because nobody has selected them.
    pub(crate) not_selected: usize,
    /// The first that stays.
    pub(crate) first_kept: Option<Target>,
}

/// What there is of all kinds.
#[derive(Clone, Default)]
pub(crate) struct Index {
    /// By position of the definition.
    pub(crate) tallies: Vec<Tally>,
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    pub(crate) unchanged: Packed<Unchanged>,
    /// Finalizers on what goes: the first object, and how many.
    pub(crate) finalizers: BTreeMap<String, (Target, usize)>,
    /// Of what goes; only where somebody asks for what it owns.
    uids: HashSet<Box<str>>,
}

impl Index {
    /// Reads all objects of the kinds that can be read; `has_dependents` is whether their uids will be asked for.
    pub(crate) async fn of(
        source: &Source<'_>,
        definitions: &[Definition],
        known: &Known<'_>,
        has_dependents: bool,
    ) -> Result<Self, Obstacle> {
        let mut index = Self::default();
        for definition in definitions {
            index.tallies.push(Tally::default());
            if definition.is_unreadable() {
                continue;
            }
            let before = index;
            let add = |index: &mut Self, object: Value| index.add(&object, definition, known, has_dependents);
            index = source.fold(&definition.kind, || before.clone(), add).await?;
        }
        Ok(index)
    }

    /// How many objects go.
    pub(crate) fn purged(&self) -> usize {
        self.tallies.iter().map(|tally| tally.purged).sum()
    }

    /// Whether an object that goes owns this one.
    pub(crate) fn owns(&self, object: &Value) -> bool {
        let owners = object["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        owners.filter_map(|owner| owner["uid"].as_str()).any(|uid| self.uids.contains(uid))
    }

    /// Adds what the kinds of dependents own in turn, until there is no more of it.
    pub(crate) async fn follow(&mut self, source: &Source<'_>, kinds: &[Kind]) -> Result<(), Obstacle> {
        loop {
            let before = self.uids.len();
            for kind in kinds {
                let owned =
                    |object: Value| self.owns(&object).then(|| object["metadata"]["uid"].as_str().map(Box::from)).flatten();
                let owned = source.list(kind, owned).await?;
                self.uids.extend(owned);
            }
            if self.uids.len() == before {
                return Ok(());
            }
        }
    }

    fn add(&mut self, object: &Value, definition: &Definition, known: &Known<'_>, has_dependents: bool) {
        let Some(tally) = self.tallies.last_mut() else { return };
        match decide(object, &definition.entry, known) {
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

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The image without these finalizers.
pub(crate) fn without_finalizers(mut image: Value, stripped: &HashSet<String>) -> Value {
    let Some(metadata) = image["metadata"].as_object_mut() else { return image };
    if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| !finalizer.as_str().is_some_and(|it| stripped.contains(it)));
        // The server leaves an empty list out.
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        }
    }
    image
}

/// Whether an object carries one of these finalizers.
pub(crate) fn is_stripped(image: &Value, stripped: &HashSet<String>) -> bool {
    finalizers(image).any(|finalizer| stripped.contains(finalizer))
}

/// The `kind` of a target in the plural, as people say it.
pub(crate) fn counted(count: usize, kind: &str) -> String {
    if count == 1 { format!("1 {kind}") } else { format!("{count} {kind}s") }
}
