//! Which runs are taken back.
//!
//! Back to revision n means: the runs in force now become those that were in force at n. The number is that of the chart's own
//! rendering: Helm runs the hooks that are stored in the revision it goes to, and one that was itself a rollback holds those of the
//! revision that it went to. So both mean the same runs.

use std::collections::HashMap;

use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_kube_client::ledger::{Entry, Ledger};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::ticket::Phase;

use crate::args::RollbackArgs;
use crate::helm::Helm;
use crate::status::{Place, is_in_force, may_be_undone};

/// The runs to take back.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// The newest first.
    pub(crate) runs: Vec<Entry>,
    /// In force, and not of a revision of this installation of the release.
    pub(crate) stay: Vec<Entry>,
    /// The number of the newest run there is.
    pub(crate) newest: Option<u64>,
}

/// Chooses them from the ledger.
///
/// # Errors
///
/// `FL018` when the newest run was asked for, or those after one, and there is none; `FL023` when what was in force then is not any more.
pub(crate) async fn choose(
    ledger: &Ledger<'_>,
    place: Place<'_>,
    helm: &Helm,
    args: &RollbackArgs,
) -> Result<Chosen, Failure> {
    // Of two parts the first may have been all there was.
    let (goal, is_a_part) = (&args.goal, args.undo_at.is_some());
    let entries = ledger.entries(place.release).await?;
    let newest = entries.last().map(|entry| entry.sequence);
    if let Some(revision) = goal.to_revision {
        let (ours, others): (Vec<Entry>, Vec<Entry>) = entries.into_iter().partition(|entry| helm.is_ours(entry));
        let digests = digests(ledger, &ours, revision).await?;
        // Never the one that is refused.
        let command = helm.pending(&ours).filter(|command| *command != helm.rollback_to(revision));
        let chosen = to_revision(ours, revision, &digests).map_err(|lost| refuse(&lost, place, command, revision));
        return chosen.map(|mut chosen| {
            chosen.stay.extend(others.into_iter().filter(is_in_force));
            chosen.newest = newest;
            chosen
        });
    }
    let mut runs: Vec<Entry> = entries.into_iter().filter(may_be_undone).rev().collect();
    match goal.to {
        Some(sequence) => runs.retain(|run| run.sequence > sequence),
        None => runs.truncate(1),
    }
    if runs.is_empty() && !is_a_part {
        let message = format!("release {} has no run in namespace {} to take back", place.release, place.namespace);
        return Err(Failure::new(ExitStatus::Refused, &code::NOTHING_IN_FORCE, message));
    }
    Ok(Chosen { runs, stay: Vec::new(), newest })
}

/// The digests of plans, by the names of their runs, where they matter: only when something is not in force that was.
async fn digests(ledger: &Ledger<'_>, entries: &[Entry], revision: u32) -> Result<HashMap<String, String>, Obstacle> {
    let mut digests = HashMap::new();
    let is_lost = |entry: &&Entry| is_lost(entry, revision);
    for lost in entries.iter().filter(is_lost) {
        for entry in entries.iter().filter(|entry| entry.name == lost.name || is_in_force(entry) && entry.step == lost.step)
        {
            if !digests.contains_key(&entry.name) {
                digests.insert(entry.name.clone(), ledger.plan_digest(&entry.name).await?);
            }
        }
    }
    Ok(digests)
}

/// Whether a run was in force at a revision and is not now: it has been taken back since because somebody asked for that.
pub(crate) fn is_lost(entry: &Entry, revision: u32) -> bool {
    let progress = &entry.progress;
    let was_asked_for =
        matches!(entry.phase, Phase::RolledBack | Phase::RollingBack | Phase::Dirty) && progress.cause.is_none();
    // By hand, while the revision was the newest one: that was its last word. Where Helm keeps its records elsewhere nobody knows.
    let is_since = progress.undone_in.is_some_and(|undone_in| undone_in > revision);
    entry.helm_revision.is_some_and(|its| its <= revision) && was_asked_for && progress.begun > 0 && is_since
}

/// Those of later revisions, but for one of the same step and with the same plan for each that is lost.
fn to_revision(entries: Vec<Entry>, revision: u32, digests: &HashMap<String, String>) -> Result<Chosen, Box<Entry>> {
    let mut instead: Vec<String> = Vec::new();
    for lost in entries.iter().filter(|entry| is_lost(entry, revision)) {
        let is_same = |entry: &&Entry| {
            let does_the_same = digests.get(&entry.name).is_some_and(|digest| digests.get(&lost.name) == Some(digest));
            is_in_force(entry) && entry.step == lost.step && does_the_same && !instead.contains(&entry.name)
        };
        match entries.iter().find(is_same) {
            Some(same) => instead.push(same.name.clone()),
            None => return Err(Box::new(lost.clone())),
        }
    }
    let stay = entries.iter().filter(|entry| is_in_force(entry) && entry.helm_revision.is_none()).cloned().collect();
    let is_later = |entry: &Entry| entry.helm_revision.is_some_and(|its| its > revision) && may_be_undone(entry);
    let runs = entries.into_iter().rev().filter(|entry| is_later(entry) && !instead.contains(&entry.name)).collect();
    Ok(Chosen { runs, stay, newest: None })
}

fn refuse(lost: &Entry, place: Place<'_>, pending: Option<String>, revision: u32) -> Failure {
    let Place { release, .. } = place;
    let what = match lost.phase {
        Phase::RollingBack => "is being taken back",
        Phase::Dirty => "has been taken back since, but not all of it",
        _ => "has been taken back since",
    };
    let message = format!(
        "run {} ({}) was in force at revision {revision} of release {release}, and {what}; to have it again takes `helm upgrade`",
        lost.sequence, lost.step
    );
    let failure = Failure::new(ExitStatus::Refused, &code::NOT_UNDONE_AGAIN, message);
    match pending {
        Some(command) => {
            failure.with_aftermath(format!("Helm refuses every upgrade until its rollback has ended. First: {command}\n"))
        }
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use fairlead_migration::ticket::Progress;

    use super::*;

    /// A run of a step, in force since a revision, or taken back in one.
    fn run(sequence: u64, step: &str, revision: Option<u32>, undone_in: Option<u32>) -> Entry {
        let phase = if undone_in.is_some() { Phase::RolledBack } else { Phase::Committed };
        let progress = Progress { phase, begun: 3, undone_in, ..Progress::planned() };
        Entry {
            name: format!("fairlead.v1.shop.{sequence}"),
            sequence,
            step: step.to_owned(),
            phase,
            helm_revision: revision,
            created: String::new(),
            changes: 3,
            progress,
        }
    }

    fn sequences(chosen: &Chosen) -> Vec<u64> {
        chosen.runs.iter().map(|run| run.sequence).collect()
    }

    fn same(entries: &[Entry]) -> HashMap<String, String> {
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
        (half.phase, half.progress.phase) = (Phase::RollingBack, Phase::RollingBack);
        assert_eq!(to_revision(vec![half.clone()], 2, &HashMap::new()).expect_err("lost").sequence, 1);
        assert_eq!(sequences(&to_revision(vec![half.clone()], 1, &HashMap::new()).expect("it is later")), [1]);
        // Nor is one of which not everything could be taken back.
        (half.phase, half.progress.phase) = (Phase::Dirty, Phase::Dirty);
        assert_eq!(to_revision(vec![half], 2, &HashMap::new()).expect_err("lost").sequence, 1);
    }

    #[test]
    fn a_run_that_failed_by_itself_was_never_in_force() {
        let mut failed = run(1, "a", Some(2), Some(2));
        failed.progress.cause = Some("no".to_owned());
        assert_eq!(to_revision(vec![failed], 2, &HashMap::new()), Ok(Chosen::default()));
    }

    #[test]
    fn runs_of_others_stay_and_are_named() {
        let entries = vec![run(1, "a", None, None), run(2, "b", Some(2), None)];
        let chosen = to_revision(entries, 1, &HashMap::new()).expect("nothing is lost");
        assert_eq!((sequences(&chosen), chosen.stay.len(), chosen.stay[0].sequence), (vec![2], 1, 1));
    }
}
