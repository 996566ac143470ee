//! Whether `helm rollback` takes changes back in their order. What is undone before Helm's manifests is undone before everything that is
//! undone after them, also when it is older. That is right as long as the two are about different objects.

use fairlead_migration::change::{Target, Targets};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;
use fairlead_migration::stage::UndoAt;

/// Objects with changes that are undone after Helm's manifests, of the runs that were looked at: the newest first.
#[derive(Default)]
pub(crate) struct LateTargets(Targets);

impl LateTargets {
    /// Looks at the next run, which is older than those before. Returns an object with a newer change that is undone after this
    /// run's.
    pub(crate) fn first_crossed(&mut self, plan: &Plan, progress: &Progress) -> Option<Target> {
        for (position, change) in plan.changes_rev(0..plan.len()) {
            let stage = &plan.stages()[change.stage];
            if position >= progress.begun && !stage.cascaded {
                continue;
            }
            match plan.undo_at(change.stage, position) {
                UndoAt::PostRollback => self.0.insert(&change.target),
                UndoAt::PreRollback if !progress.is_undone_before_helm() && self.0.contains(&change.target) => {
                    return Some(change.target);
                }
                UndoAt::PreRollback => {}
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::{Change, Images};
    use fairlead_migration::plan::PlanBuilder;
    use fairlead_migration::progress::FirstPart;
    use fairlead_migration::stage::{Stage, StageKind};
    use serde_json::json;

    use super::*;

    /// One change of each stage, of the object of this name.
    fn plan(stages: &[(UndoAt, &str)]) -> (Plan, Progress) {
        let stage = |(undo_at, _): &(UndoAt, &str)| Stage::new("it", StageKind::Contract, *undo_at, 1);
        let mut plan = PlanBuilder::new("step", stages.iter().map(stage).collect());
        for (stage, (_, name)) in stages.iter().enumerate() {
            let target = Target { api_version: "v1".into(), kind: "It".into(), namespace: None, name: (*name).to_owned() };
            plan.push(&Change { stage, target, images: Images::Delete(json!({})), reason: String::new() });
        }
        let progress = Progress { begun: stages.len(), ..Progress::planned() };
        (plan.build(), progress)
    }

    #[test]
    fn an_older_change_must_not_be_undone_before_a_newer_one() {
        use UndoAt::{PostRollback as After, PreRollback as Before};
        let crossed = |newest_first: &[&[(UndoAt, &str)]]| {
            let mut late = LateTargets::default();
            newest_first.iter().find_map(|stages| {
                let (plan, progress) = plan(stages);
                late.first_crossed(&plan, &progress).map(|target| target.name)
            })
        };
        // The newer change is undone before Helm, the older one after it: that is their order.
        assert_eq!(crossed(&[&[(Before, "a")], &[(After, "a")]]), None);
        assert_eq!(crossed(&[&[(After, "a")], &[(Before, "b")]]), None);
        assert_eq!(crossed(&[&[(After, "a"), (Before, "b")], &[(Before, "a")]]).as_deref(), Some("a"));
        // Within one run, too.
        assert_eq!(crossed(&[&[(Before, "a"), (After, "a")]]).as_deref(), Some("a"));
        assert_eq!(crossed(&[&[(After, "a"), (Before, "a")]]), None);
    }

    /// It comes back behind its owner, and so after what an older run takes back of it.
    #[test]
    fn what_waits_for_an_owner_is_late() {
        let stage = |undo_at| Stage::new("it", StageKind::Contract, undo_at, 1);
        let mut newer = PlanBuilder::new("step", vec![stage(UndoAt::PreRollback), stage(UndoAt::PostRollback)]);
        for (stage, name, owner) in [(0, "a", "owner"), (1, "owner", "nobody")] {
            let target = Target { api_version: "v1".into(), kind: "It".into(), namespace: None, name: name.into() };
            let images = Images::Delete(json!({"metadata": {"uid": name, "ownerReferences": [{"uid": owner}]}}));
            newer.push(&Change { stage, target, images, reason: String::new() });
        }
        let (older, progress) = plan(&[(UndoAt::PreRollback, "a")]);
        let (newer, mut late) = (newer.build(), LateTargets::default());
        assert_eq!(late.first_crossed(&newer, &Progress { begun: 2, ..progress.clone() }), None);
        assert_eq!(late.first_crossed(&older, &progress).map(|target| target.name).as_deref(), Some("a"));
    }

    #[test]
    fn what_has_been_undone_or_never_begun_crosses_nothing() {
        let (plan, progress) = plan(&[(UndoAt::PreRollback, "a"), (UndoAt::PostRollback, "a")]);
        let half = Progress { first_part: FirstPart::Undone, ..progress.clone() };
        assert_eq!(LateTargets::default().first_crossed(&plan, &half), None);
        assert_eq!(LateTargets::default().first_crossed(&plan, &Progress { begun: 1, ..progress }), None);
    }
}
