//! Runs whose tickets somebody has deleted: which of them stand in the way of a rollback, and how it goes on.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;

use crate::args::{Goal, RollbackArgs};
use crate::helm::HelmRecords;
use crate::place::Place;

/// Those that are to be taken back, too, as far as anybody knows: only their sequence is known, and which runs came after them.
pub(crate) fn in_the_way(missing: &[u64], runs: &[RecordedRun], goal: &Goal, helm: &HelmRecords) -> Vec<u64> {
    let is_in_the_way = |sequence: u64| match (goal.to_revision, goal.to) {
        (Some(revision), _) => {
            // A later run that stays shows that it is of no later revision either.
            let stays = |run: &RecordedRun| helm.is_ours(run) && run.helm_revision.is_some_and(|its| its <= revision);
            !runs.iter().any(|run| run.sequence > sequence && stays(run))
        }
        (None, Some(to)) => sequence > to,
        (None, None) => runs.iter().filter(|run| run.may_be_last()).all(|run| run.sequence < sequence),
    };
    missing.iter().copied().filter(|sequence| is_in_the_way(*sequence)).collect()
}

/// Names them, and both ways on.
pub(crate) fn refuse(missing: &[u64], store: &dyn Store, place: Place<'_>, args: &RollbackArgs) -> Failure {
    let names = listed(missing.iter().map(|sequence| store.address(*sequence)));
    let (tickets, runs) = match missing {
        [_] => ("is not there: somebody has deleted the ticket of run", "that run"),
        _ => ("are not there: somebody has deleted the tickets of runs", "those runs"),
    };
    let message = format!("{names} {tickets} {}", numbers(missing));
    let without = RollbackArgs { without_missing: true, ..args.clone() };
    Failure::new(&shared::DAMAGED, message).with_aftermath(format!(
        "Nothing was taken back. From an export: {}\nWithout it, what {runs} changed stays: {}\n",
        place.import(),
        place.command(&without.written())
    ))
}

/// Sequences in a sentence.
pub(crate) fn numbers(sequences: &[u64]) -> String {
    listed(sequences.iter().map(ToString::to_string))
}

fn listed(items: impl Iterator<Item = String>) -> String {
    items.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use fairlead_migration::progress::Phase;

    use super::*;
    use crate::testing;

    #[test]
    fn a_ticket_is_missed_where_its_run_may_have_to_be_taken_back() {
        let run = |sequence, helm_revision| RecordedRun { helm_revision, ..testing::run(sequence, Phase::Committed) };
        let runs = [run(1, Some(2)), run(3, Some(3)), run(5, Some(6))];
        let helm = HelmRecords::default();
        let to_revision = |it| Goal { last: false, to: None, to_revision: Some(it) };
        let to = |it| Goal { last: false, to: Some(it), to_revision: None };
        let last = Goal { last: true, to: None, to_revision: None };
        let told = |missing: &[u64], goal: &Goal| in_the_way(missing, &runs, goal, &helm);
        assert_eq!(told(&[2, 4], &to(0)), [2, 4]);
        assert_eq!((told(&[2, 4], &to(3)), told(&[2, 4], &to(4))), (vec![4], vec![]));
        assert_eq!((told(&[2, 4], &last), told(&[2, 6], &last)), (vec![], vec![6]));
        assert_eq!(in_the_way(&[1], &[], &last, &helm), [1], "nothing else is there");
        assert_eq!((told(&[2, 4], &to_revision(2)), told(&[2, 4], &to_revision(3))), (vec![2, 4], vec![4]));
        assert_eq!(told(&[2, 4], &to_revision(6)), Vec::<u64>::new());
    }
}
