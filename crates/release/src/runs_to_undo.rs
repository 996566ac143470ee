//! Which runs are taken back.
//!
//! Back to revision n means: the runs in force now become those that were in force at n. The number is that of the chart's own
//! rendering: Helm runs the hooks that are stored in the revision it goes to, and one that was itself a rollback holds those of the
//! revision that it went to. So both mean the same runs.

use std::collections::HashMap;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;

use crate::args::RollbackArgs;
use crate::helm::HelmRecords;
use crate::missing;
use crate::place::Place;

/// The runs to take back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The newest first.
    pub(crate) runs: Vec<RecordedRun>,
    /// Nothing was changed by them, and nothing will be: nobody is at them.
    pub(crate) planned: Vec<RecordedRun>,
    /// In force, and not of a revision of this installation of the release.
    pub(crate) stay: Vec<RecordedRun>,
    /// To be taken back as far as anybody knows, and their tickets are gone.
    pub(crate) missing: Vec<u64>,
    /// The number of the newest run there is.
    pub(crate) newest: Option<u64>,
}

/// Chooses them from the ledger.
///
/// # Errors
///
/// `FL016` when the ticket of one is gone; `FL018` when the newest run was asked for, or those after one, and there is none; `FL023` when
/// what was in force then is not any more.
pub(crate) async fn choose(
    store: &dyn Store,
    place: Place<'_>,
    helm: &HelmRecords,
    args: &RollbackArgs,
) -> Result<Chosen, Failure> {
    // Of two parts the first may have been all there was.
    let (goal, is_a_part) = (&args.goal, args.undo_at.is_some());
    let runs = store.runs().await?;
    let newest = runs.last().map(|run| run.sequence);
    let missing = missing::in_the_way(&store.missing().await?, &runs, goal, helm);
    if !missing.is_empty() && !args.without_missing {
        return Err(missing::refuse(&missing, store, place, args));
    }
    if let (Some(revision), Some(newest)) = (goal.to_revision, helm.newest())
        && revision > newest
    {
        let message = format!("Helm release {} has no revision {revision}, the newest is {newest}", place.helm_release);
        return Err(Failure::new(&shared::NOTHING_IN_FORCE, message));
    }
    if let Some(revision) = goal.to_revision {
        let (ours, others): (Vec<RecordedRun>, Vec<RecordedRun>) = runs.into_iter().partition(|run| helm.is_ours(run));
        let digests = digests(store, &ours, revision).await?;
        // Never the one that is refused.
        let way_out = helm.state(&ours).way_out().filter(|to| *to != revision);
        let command = way_out.map(|to| place.helm_rollback(to));
        let is_later = |run: &&RecordedRun| run.helm_revision.is_some_and(|its| its > revision);
        let planned = ours.iter().filter(is_later).filter(|run| run.may_be_abandoned()).cloned().collect();
        let chosen = to_revision(ours, revision, &digests).map_err(|lost| refuse(&lost, place, command, revision));
        return chosen.map(|mut chosen| {
            chosen.planned = planned;
            chosen.stay.extend(others.into_iter().filter(RecordedRun::is_in_force));
            chosen.newest = newest;
            chosen.missing = missing;
            chosen
        });
    }
    let last = newest.max(missing.last().copied());
    if let (Some(to), Some(last)) = (goal.to, last)
        && to > last
    {
        let Place { release, namespace, .. } = place;
        let message = format!("there is no run {to} of release {release} in namespace {namespace}, the newest is {last}");
        return Err(Failure::new(&shared::NOTHING_IN_FORCE, message));
    }
    let oldest = goal.to.or_else(|| runs.iter().rev().find(|run| run.may_be_last()).map(|run| run.sequence)).unwrap_or(0);
    let planned: Vec<RecordedRun> =
        runs.iter().filter(|run| run.may_be_abandoned()).filter(|run| run.sequence > oldest).cloned().collect();
    let runs = runs.into_iter().rev();
    let runs: Vec<RecordedRun> = match goal.to {
        Some(sequence) => runs.filter(|run| run.may_be_undone() && run.sequence > sequence).collect(),
        None => runs.filter(RecordedRun::may_be_last).take(1).collect(),
    };
    if runs.is_empty() && planned.is_empty() && missing.is_empty() && !is_a_part {
        let after = goal.to.filter(|to| *to > 0).map(|to| format!(" after {to}")).unwrap_or_default();
        let message = format!("release {} has no run{after} in namespace {} to take back", place.release, place.namespace);
        return Err(Failure::new(&shared::NOTHING_IN_FORCE, message));
    }
    Ok(Chosen { runs, planned, missing, newest, ..Chosen::default() })
}

/// The digests of plans, by the names of their runs, where they matter: only when something is not in force that was.
async fn digests(store: &dyn Store, runs: &[RecordedRun], revision: u32) -> Result<HashMap<String, String>, Obstacle> {
    let mut digests = HashMap::new();
    for lost in runs.iter().filter(|run| run.is_lost(revision)) {
        for run in runs.iter().filter(|run| run.name == lost.name || run.is_in_force() && run.step == lost.step) {
            if !digests.contains_key(&run.name) {
                digests.insert(run.name.clone(), store.ticket(&run.name).await?.plan_digest);
            }
        }
    }
    Ok(digests)
}

/// Those of later revisions, but for one of the same step and with the same plan for each that is lost.
fn to_revision(
    runs: Vec<RecordedRun>,
    revision: u32,
    digests: &HashMap<String, String>,
) -> Result<Chosen, Box<RecordedRun>> {
    let mut instead: Vec<String> = Vec::new();
    for lost in runs.iter().filter(|run| run.is_lost(revision)) {
        let is_same = |run: &&RecordedRun| {
            let does_the_same = digests.get(&run.name).is_some_and(|digest| digests.get(&lost.name) == Some(digest));
            run.is_in_force() && run.step == lost.step && does_the_same && !instead.contains(&run.name)
        };
        match runs.iter().find(is_same) {
            Some(same) => instead.push(same.name.clone()),
            None => return Err(Box::new(lost.clone())),
        }
    }
    let stay = runs.iter().filter(|run| run.is_in_force() && run.helm_revision.is_none()).cloned().collect();
    let is_later = |run: &RecordedRun| run.helm_revision.is_some_and(|its| its > revision) && run.may_be_undone();
    let runs = runs.into_iter().rev().filter(|run| is_later(run) && !instead.contains(&run.name)).collect();
    Ok(Chosen { runs, stay, ..Chosen::default() })
}

fn refuse(lost: &RecordedRun, place: Place<'_>, pending: Option<String>, revision: u32) -> Failure {
    let Place { release, .. } = place;
    let what = match lost.phase() {
        Phase::RollingBack => "is being taken back",
        Phase::Dirty => "has been taken back since, but not all of it",
        _ => "has been taken back since",
    };
    let message = format!(
        "run {} ({}) was in force at revision {revision} of release {release}, and {what}; to have it again takes `helm upgrade`",
        lost.sequence, lost.step
    );
    let failure = Failure::new(&shared::NOT_UNDONE_AGAIN, message);
    match pending {
        Some(command) => {
            failure.with_aftermath(format!("Helm refuses every upgrade until its rollback has ended. First: {command}\n"))
        }
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use fairlead_migration::progress::{Asked, Cause, WhyBack};

    use super::*;
    use crate::testing;

    /// A run of a step, in force since a revision, or taken back in one.
    fn run(sequence: u64, step: &str, helm_revision: Option<u32>, undone_in: Option<u32>) -> RecordedRun {
        let phase = if undone_in.is_some() { Phase::RolledBack } else { Phase::Committed };
        let mut run = RecordedRun { step: step.to_owned(), helm_revision, ..testing::run(sequence, phase) };
        run.progress.why_back = undone_in.map(|_| WhyBack::Asked(Asked { revision: undone_in, ..Asked::default() }));
        run
    }

    fn sequences(chosen: &Chosen) -> Vec<u64> {
        chosen.runs.iter().map(|run| run.sequence).collect()
    }

    fn same(entries: &[RecordedRun]) -> HashMap<String, String> {
        entries.iter().map(|entry| (entry.name.clone(), format!("of {}", entry.step))).collect()
    }

    #[test]
    fn what_is_later_is_taken_back_the_newest_first() {
        let entries = [run(1, "a", Some(2), None), run(2, "b", Some(2), None), run(3, "a", Some(4), None)];
        let to = |revision| to_revision(entries.to_vec(), revision, &HashMap::new()).expect("nothing is lost");
        assert_eq!([1, 2, 3, 4].map(|revision| sequences(&to(revision))), [vec![3, 2, 1], vec![3], vec![3], vec![]]);
    }

    /// 1, up to 2, back to 1 (which is 3), up to 4: the hooks of 3 say 1.
    #[test]
    fn what_has_been_done_again_counts_as_what_was_taken_back() {
        let entries = [run(1, "a", Some(2), Some(3)), run(2, "a", Some(4), None)];
        let to = |revision, digests: &HashMap<String, String>| to_revision(entries.to_vec(), revision, digests);
        let again = to(2, &same(&entries)).expect("it is there again");
        assert_eq!(sequences(&again), Vec::<u64>::new());
        // It was another plan.
        let other: HashMap<String, String> = entries.iter().map(|entry| (entry.name.clone(), entry.name.clone())).collect();
        assert_eq!(to(2, &other).expect_err("it is lost").sequence, 1);
        assert_eq!(sequences(&to(1, &HashMap::new()).expect("nothing is lost")), [2]);
        // At 4 the first one was no more in force.
        assert_eq!(sequences(&to(4, &HashMap::new()).expect("nothing is lost")), Vec::<u64>::new());
    }

    /// The same, and back again: at 4 the second one was in force.
    #[test]
    fn what_was_in_force_and_is_not_any_more_is_not_silently_done_again() {
        let entries = [run(1, "a", Some(2), Some(3)), run(2, "a", Some(4), Some(5))];
        for (revision, lost) in [(2, 1), (4, 2)] {
            assert_eq!(to_revision(entries.to_vec(), revision, &same(&entries)).expect_err("lost").sequence, lost);
        }
        assert_eq!(
            sequences(&to_revision(entries.to_vec(), 1, &HashMap::new()).expect("nothing was there")),
            Vec::<u64>::new()
        );
    }

    #[test]
    fn one_that_is_half_taken_back_is_not_in_force() {
        let mut half = run(1, "a", Some(2), Some(3));
        half.progress.phase = Phase::RollingBack;
        assert_eq!(to_revision(vec![half.clone()], 2, &HashMap::new()).expect_err("lost").sequence, 1);
        assert_eq!(sequences(&to_revision(vec![half.clone()], 1, &HashMap::new()).expect("it is later")), [1]);
        // Nor is one of which not everything could be taken back.
        half.progress.phase = Phase::Dirty;
        assert_eq!(to_revision(vec![half], 2, &HashMap::new()).expect_err("lost").sequence, 1);
    }

    #[test]
    fn a_run_that_failed_by_itself_was_never_in_force() {
        let mut failed = run(1, "a", Some(2), Some(2));
        failed.progress.why_back = Some(WhyBack::Failed(Cause { code: None, message: "no".to_owned() }));
        assert_eq!(to_revision(vec![failed], 2, &HashMap::new()), Ok(Chosen::default()));
    }

    #[test]
    fn runs_of_others_stay_and_are_named() {
        let entries = vec![run(1, "a", None, None), run(2, "b", Some(2), None)];
        let chosen = to_revision(entries, 1, &HashMap::new()).expect("nothing is lost");
        assert_eq!((sequences(&chosen), chosen.stay.len(), chosen.stay[0].sequence), (vec![2], 1, 1));
    }

    #[test]
    fn a_gate_that_only_looked_is_never_in_force() {
        let gate = RecordedRun { changes: 0, ..run(2, "drain", Some(2), None) };
        assert!(!gate.is_in_force() && !gate.may_be_last() && gate.may_be_undone() && gate.is_superfluous());
        let chosen = to_revision(vec![run(1, "a", Some(2), None), gate], 1, &HashMap::new()).expect("nothing is lost");
        assert_eq!(sequences(&chosen), [2, 1], "what it has seen does not count any more");
    }
}
