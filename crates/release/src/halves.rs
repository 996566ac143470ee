//! Going back in two halves: before the old manifests come what was removed or held, after them the rest.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_migration::change::{Action, Change, Target};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::stage::UndoAt;

use crate::args::RollbackArgs;
use crate::helm::HelmRecords;
use crate::next::halves_by_hand;
use crate::place::Place;
use crate::session::Session;

/// The second part comes after Helm: what is left is what the manifests of today use. By hand it may be asked for as such, or as all of it.
pub(crate) async fn require_helm_back(
    session: &Session<'_>,
    args: &RollbackArgs,
    helm: &HelmRecords,
    runs: &[RecordedRun],
) -> Result<(), Failure> {
    let half = runs.iter().rev().find(|run| run.is_half()).filter(|_| args.undo_at.is_none());
    let revision = match half {
        Some(half) => helm.begun(std::slice::from_ref(half)),
        None => args.goal.to_revision.filter(|_| args.undo_at == Some(UndoAt::PostRollback) && session.job.is_none()),
    };
    let Some(revision) = revision else { return Ok(()) };
    let watch = &session.watch;
    if watch.guard_patiently(helm.has_gone_back(session.cluster, revision)).await? != Some(false) {
        return Ok(());
    }
    // Helm's hook has come so far, and waited in vain: the old manifests are there.
    let endings = watch.guard_patiently(session.store.endings()).await?;
    let last = endings.iter().rev().find(|ending| ending.command == "rollback");
    if last.is_some_and(|last| last.code.as_deref() == Some(shared::NOT_READY_YET.id)) {
        return Ok(());
    }
    let command = session.place.helm_rollback(revision);
    let message = format!(
        "what is left is taken back when the manifests of revision {revision} are there, and by Helm's records they are not: \
         `{command}` brings them, or with --no-hooks where its hooks have failed for another reason"
    );
    let failure = Failure::new(&shared::NOT_GONE_BACK, message);
    Err(match half.and_then(|half| halves_by_hand(half, session.place).pop()) {
        Some(rest) => failure.with_aftermath(format!("If Helm is to stay where it is: {}\n", rest.command)),
        None => failure,
    })
}

/// The second half of a run comes after the first.
///
/// # Errors
///
/// `FL046` when the second one is asked for, and the first is still to be done.
pub(crate) fn require_first_half(
    place: Place<'_>,
    args: &RollbackArgs,
    run: &RecordedRun,
    plan: &Plan,
    progress: &Progress,
) -> Result<(), Failure> {
    let early = first_not_back(plan, progress).filter(|_| args.undo_at == Some(UndoAt::PostRollback));
    let Some(target) = early else { return Ok(()) };
    let message =
        format!("what run {} ({}) has removed or held is not back yet: {target} is of that half", run.sequence, run.step);
    let first = place.command(&format!("rollback {} --undo-at pre-rollback", args.goal.written()));
    Err(Failure::new(&shared::FIRST_HALF_FIRST, message).with_aftermath(format!("First: {first}\n")))
}

/// An object that is due before Helm's manifests, and has not come back.
fn first_not_back(plan: &Plan, progress: &Progress) -> Option<Target> {
    let Progress { begun, untouched, ended, .. } = progress;
    let is_left = |position: &usize| untouched.contains(position) || ended.contains(position);
    let is_early = |position: usize, change: &Change| plan.undo_at(change.stage, position) == UndoAt::PreRollback;
    if progress.is_undone_before_helm() {
        return None;
    }
    let changes = || plan.changes_rev(0..*begun).filter(|(position, _)| !is_left(position));
    let early = || changes().filter(|(position, change)| is_early(*position, change)).map(|(_, change)| change);
    // What the run needed only for itself, a fence for example, nobody misses.
    let missed = early().find(|change| change.action() != Action::Create);
    missed.or_else(|| early().next()).map(|change| change.target)
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::Images;
    use fairlead_migration::plan::PlanBuilder;
    use fairlead_migration::progress::FirstPart;
    use fairlead_migration::stage::{Stage, StageKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_removed_or_held_comes_back_first() {
        let stages = [UndoAt::PostRollback, UndoAt::PreRollback];
        let mut plan = PlanBuilder::new("step", stages.map(|at| Stage::new("it", StageKind::Contract, at, 1)).into());
        for (stage, name) in ["a", "b"].into_iter().enumerate() {
            let target = Target { api_version: "v1".into(), kind: "It".into(), namespace: None, name: name.to_owned() };
            plan.push(&Change { stage, target, images: Images::Delete(json!({})), reason: String::new() });
        }
        let (plan, progress) = (plan.build(), Progress { begun: 2, ..Progress::planned() });
        assert_eq!(first_not_back(&plan, &progress).map(|target| target.name).as_deref(), Some("b"));
        for first_part in [FirstPart::NotBegun, FirstPart::Begun] {
            assert!(first_not_back(&plan, &Progress { first_part, ..progress.clone() }).is_some());
        }
        let nothing_left = [
            Progress { first_part: FirstPart::Undone, ..progress.clone() },
            Progress { begun: 1, ..progress.clone() },
            Progress { untouched: [1].into(), ..progress.clone() },
            Progress { ended: [1].into(), ..progress },
        ];
        for progress in nothing_left {
            assert_eq!(first_not_back(&plan, &progress), None);
        }
    }
}
