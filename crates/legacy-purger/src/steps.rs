//! Steps of the same upgrade that must have come before. Pure.

use fairlead_kube_client::ledger::Outcome;
use fairlead_migration::change::Target;

/// The step that proves that nothing is in flight any more.
pub(crate) const DRAIN: &str = "drain-waiter";

/// A step as the target of a finding.
pub(crate) fn target(step: &str) -> Target {
    Target { api_version: "fairlead.dev/v1".to_owned(), kind: "Step".to_owned(), namespace: None, name: step.to_owned() }
}

/// A rollback that has taken nothing back, and whatever else was asked, says nothing.
fn has_done(outcome: &Outcome) -> bool {
    outcome.command == "apply" || (outcome.command == "rollback" && outcome.exit == 0)
}

/// Whether the last run of a step has ended well and is in force, in the same revision of Helm where Helm runs us.
pub(crate) fn has_preceded(step: &str, outcomes: &[Outcome], revision: Option<u32>) -> Result<(), String> {
    let Some(last) = outcomes.iter().rev().find(|outcome| outcome.step == step && has_done(outcome)) else {
        return Err("it has not run for this release".to_owned());
    };
    let Outcome { time, command, exit, .. } = last;
    if command != "apply" {
        return Err(format!("it has been taken back, {time}"));
    }
    if *exit != 0 {
        return Err(format!("its last run has ended with {exit}, {time}: {}", last.summary));
    }
    match (revision, last.helm_revision) {
        (Some(ours), Some(its)) if ours != its => {
            Err(format!("its last run was that of revision {its}, and this is revision {ours}"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(command: &str, exit: u8, helm_revision: Option<u32>) -> Outcome {
        let [time, step, command, outcome] = ["2026-01-01T00:00:00Z", DRAIN, command, "Committed"].map(str::to_owned);
        Outcome { time, step, command, outcome, exit, code: None, summary: "Full.".to_owned(), helm_revision }
    }

    #[test]
    fn the_last_run_counts() {
        let preceded = |outcomes: &[Outcome], revision| has_preceded(DRAIN, outcomes, revision);
        let good = outcome("apply", 0, Some(2));
        assert_eq!(preceded(std::slice::from_ref(&good), Some(2)), Ok(()));
        assert_eq!(
            preceded(&[good.clone(), outcome("rollback", 6, Some(2)), outcome("unhold", 0, Some(2))], Some(2)),
            Ok(())
        );
        // CI has no revision.
        assert_eq!(preceded(std::slice::from_ref(&good), None), Ok(()));
        for (outcomes, expected) in [
            (vec![], "it has not run"),
            (vec![good.clone(), outcome("rollback", 0, Some(2))], "it has been taken back"),
            (vec![good.clone(), outcome("apply", 124, Some(2))], "has ended with 124"),
            (vec![outcome("apply", 0, Some(1))], "was that of revision 1, and this is revision 2"),
        ] {
            let error = preceded(&outcomes, Some(2)).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
