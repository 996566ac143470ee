//! Objects that the garbage collector and the owners of finalizers delete with purged objects. None of these deletions is ours, so no
//! precondition guards an object that is not in the snapshot.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::address::target;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::found::Found;
use crate::owned::Fate;
use crate::stages::{DEPENDENTS, HELM_OBJECTS, OBJECTS, PRODUCTS, STRIPPED_PRODUCTS};

/// Fails where others would delete an object that is not in the snapshot of `plan`.
pub(crate) async fn check(source: &Source<'_>, found: &Found, plan: &Plan) -> Result<(), Obstacle> {
    let has_owners = !found.index.owned.going.is_empty();
    let goes = |stage: usize| match stage {
        DEPENDENTS | PRODUCTS | STRIPPED_PRODUCTS => true,
        OBJECTS | HELM_OBJECTS => has_owners,
        _ => false,
    };
    // Hashes: there may be as much of it as of what is purged.
    let known: HashSet<u64> =
        plan.changes().filter(|change| goes(change.stage)).filter_map(|change| change.before().map(hashed_uid)).collect();
    let is_new = |object: &Value| object["metadata"]["deletionTimestamp"].is_null() && !known.contains(&hashed_uid(object));
    let Some(target) = first(source, found, is_new).await? else { return Ok(()) };
    Err(Obstacle::Drift {
        target,
        what: "it was created since the snapshot, and would go along with what is purged".to_owned(),
    })
}

/// The first object that others delete and of which `is_new` is true.
async fn first(source: &Source<'_>, found: &Found, is_new: impl Fn(&Value) -> bool) -> Result<Option<Target>, Obstacle> {
    let dependents = found.dependents.iter().map(|(_, kind)| kind);
    let purged = found.readable().map(|it| &it.kind).filter(|_| !found.index.owned.going.is_empty());
    for kind in dependents.chain(purged) {
        let goes = |object: &Value| found.index.owned.fate(object) == Fate::Goes;
        let read = |object: Value| (goes(&object) && is_new(&object)).then(|| target(&object));
        if let Some(first) = source.find(kind, read).await? {
            return Ok(Some(first));
        }
    }
    // Where objects of the same kinds stay, what is made for them looks the same.
    if found.index.tallies.iter().any(|tally| tally.not_selected > 0) {
        return Ok(None);
    }
    for products in &found.products {
        let read = |object: Value| (products.finalizer_of(&object).is_some() && is_new(&object)).then(|| target(&object));
        if let Some(first) = source.find(&products.kind, read).await? {
            return Ok(Some(first));
        }
    }
    Ok(None)
}

fn hashed_uid(object: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    object["metadata"]["uid"].as_str().hash(&mut hasher);
    hasher.finish()
}
