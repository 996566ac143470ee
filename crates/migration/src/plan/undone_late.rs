//! Changes that are undone after Helm's manifests although their stage is undone before: they give back what owners, which come back that
//! late, own.

use std::collections::{BTreeSet, HashSet};

use super::Plan;
use crate::change::{Change, Images, owners};
use crate::stage::UndoAt;

/// A change that gives an object back which has owners.
struct Owned {
    position: usize,
    uid: Option<String>,
    owners: Vec<String>,
}

impl Plan {
    /// When a change of this stage is undone: with its stage, but not before the owners of its object.
    #[must_use]
    pub fn undo_at(&self, stage: usize, position: usize) -> UndoAt {
        match self.stages[stage].undo_at {
            UndoAt::PreRollback if self.late.get_or_init(|| late(self)).contains(&position) => UndoAt::PostRollback,
            undo_at => undo_at,
        }
    }
}

/// The changes of early stages whose objects have an owner that comes back late, also one that only waits for its own.
fn late(plan: &Plan) -> BTreeSet<usize> {
    let stages = 0..plan.stages.len();
    let (late, early): (Vec<usize>, Vec<usize>) =
        stages.partition(|stage| plan.stages[*stage].undo_at == UndoAt::PostRollback);
    if late.iter().all(|stage| plan.positions(*stage).is_empty()) {
        return BTreeSet::new();
    }
    let of = |stages: Vec<usize>| stages.into_iter().flat_map(|stage| plan.changes_rev(plan.positions(stage)));
    let owned: Vec<Owned> = of(early).filter_map(|(position, change)| owned(position, &change)).collect();
    // Nearly always there are none: then no uid is kept of what may be a hundred thousand objects.
    let named: HashSet<&String> = owned.iter().flat_map(|it| &it.owners).collect();
    let mut late: HashSet<String> = if named.is_empty() {
        return BTreeSet::new();
    } else {
        of(late).filter_map(|(_, change)| deleted_uid(&change)).filter(|uid| named.contains(uid)).collect()
    };
    let mut waiting = BTreeSet::new();
    loop {
        let is_new = |it: &&Owned| !waiting.contains(&it.position) && it.owners.iter().any(|owner| late.contains(owner));
        let more: Vec<&Owned> = owned.iter().filter(is_new).collect();
        if more.is_empty() {
            return waiting;
        }
        waiting.extend(more.iter().map(|it| it.position));
        late.extend(more.iter().filter_map(|it| it.uid.clone()));
    }
}

fn owned(position: usize, change: &Change) -> Option<Owned> {
    let before = match &change.images {
        Images::Delete(before) => before,
        Images::Update(before, after) if !owners(before).eq(owners(after)) => before,
        _ => return None,
    };
    let owners: Vec<String> = owners(before).filter_map(|owner| owner["uid"].as_str()).map(str::to_owned).collect();
    (!owners.is_empty()).then(|| Owned { position, uid: deleted_uid(change), owners })
}

fn deleted_uid(change: &Change) -> Option<String> {
    let Images::Delete(before) = &change.images else { return None };
    before["metadata"]["uid"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::change::Target;
    use crate::plan::tests::plan_of;
    use crate::stage::{Stage, StageKind};

    /// Deletions of objects, each in a stage, with the uid of its owner; an empty one is none.
    fn late(stages: &[UndoAt], objects: &[(usize, &str, &str)]) -> Vec<String> {
        let stages = stages.iter().map(|undo_at| Stage::new("it", StageKind::Contract, *undo_at, 1)).collect();
        let change = |(stage, name, owner): &(usize, &str, &str)| {
            let owners = if owner.is_empty() { json!([]) } else { json!([{"uid": "nobody"}, {"uid": owner}]) };
            let target = Target { api_version: "v1".into(), kind: "It".into(), namespace: None, name: (*name).into() };
            let images = Images::Delete(json!({"metadata": {"uid": name, "ownerReferences": owners}}));
            Change { stage: *stage, target, images, reason: String::new() }
        };
        let plan = plan_of(stages, &objects.iter().map(change).collect::<Vec<_>>());
        let is_late = |(position, change): &(usize, Change)| plan.undo_at(change.stage, *position) == UndoAt::PostRollback;
        plan.changes().enumerate().filter(is_late).map(|(_, change)| change.target.name).collect()
    }

    #[test]
    fn what_is_owned_comes_back_as_late_as_its_owners() {
        use UndoAt::{PostRollback as After, PreRollback as Before};
        assert_eq!(late(&[Before, After], &[(0, "a", "b"), (0, "b", ""), (1, "c", "")]), ["c"]);
        // Whatever is between them, and in whichever order.
        let chain = [(0, "a", "b"), (0, "b", "c"), (0, "d", ""), (1, "c", "")];
        assert_eq!(late(&[Before, After], &chain), ["a", "b", "c"]);
        assert_eq!(late(&[After, Before], &[(0, "c", ""), (1, "a", "c"), (1, "b", "a"), (1, "d", "x")]), ["c", "a", "b"]);
        assert_eq!(late(&[Before, Before], &chain), Vec::<String>::new());
    }
}
