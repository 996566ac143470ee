//! Steps of the same upgrade that must have come before. The ledger says so, not the list of endings, which is for people.

use std::time::{Duration, SystemTime};

use fairlead_migration::change::Target;
use fairlead_migration::evidence::Claim;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::{Phase, WhyBack};
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::claim_broken::broken;
use fairlead_observe::source::Source;

/// A step as the target of a finding.
#[must_use]
pub fn target(step: &str) -> Target {
    Target { api_version: "fairlead.dev/v1".to_owned(), kind: "Step".to_owned(), namespace: None, name: step.to_owned() }
}

/// No upgrade takes longer.
const LONGEST_UPGRADE: Duration = Duration::from_hours(24);

/// Which runs count.
#[derive(Clone, Copy, Debug)]
pub struct Valid {
    /// The revision of Helm that asks; none outside Helm.
    pub revision: Option<u32>,
    /// How old a run may be that no revision binds to this upgrade.
    pub age: Duration,
    /// Now.
    pub now: SystemTime,
}

/// What speaks against a step as one that has come before, in words: its last run, or what its evidence says of that run and of now.
pub async fn objection(
    step: &str,
    runs: &[RecordedRun],
    valid: Valid,
    store: &dyn Store,
    source: &Source<'_>,
) -> Result<Option<String>, Obstacle> {
    let last = match has_preceded(step, runs, valid) {
        Ok(last) => last,
        Err(message) => return Ok(Some(message)),
    };
    let Some(evidence) = store.evidence(last).await? else { return Ok(None) };
    let its = format!("its last run, {} of {},", last.sequence, last.created);
    let claim = match Claim::of(&evidence) {
        Ok(claim) => claim,
        Err(error) => return Ok(Some(format!("{its} has evidence that cannot be read: {error}"))),
    };
    if claim.is_proven == Some(false) {
        return Ok(Some(format!("{its} has proven nothing: only time has passed")));
    }
    let broken = broken(source, &claim).await?;
    Ok((!broken.is_empty()).then(|| format!("{its} does not hold any more: {}", broken.join("; "))))
}

/// Whether the last run of a step is committed, in the same revision of Helm where Helm runs both; else it must be young: what was
/// looked at last year says nothing of today. Returns that run. Pure.
///
/// # Errors
///
/// Why not, in words.
fn has_preceded<'r>(step: &str, runs: &'r [RecordedRun], valid: Valid) -> Result<&'r RecordedRun, String> {
    let Some(last) = runs.iter().rev().find(|run| run.step == step) else {
        let mut others: Vec<&str> = runs.iter().map(|run| run.step.as_str()).collect();
        others.sort_unstable();
        others.dedup();
        return Err(match others.as_slice() {
            [] => "it has not run for this release, nor has any other step".to_owned(),
            others => format!("it has not run for this release; these have: {}", others.join(", ")),
        });
    };
    let RecordedRun { sequence, created, .. } = last;
    match last.phase() {
        // What a gate has seen behind a closed intake says nothing when that is open.
        Phase::Committed if !last.progress.ended.is_empty() => {
            return Err(format!(
                "its last run, {sequence} of {created}, does not hold any more: what it had closed is open again"
            ));
        }
        Phase::Committed => {}
        // A probe takes back what it has made, and that is its success.
        Phase::RolledBack if last.progress.why_back == Some(WhyBack::Planned) => {}
        Phase::RolledBack if last.progress.asked().is_some() => {
            return Err(format!("its last run, {sequence} of {created}, has been taken back"));
        }
        Phase::RolledBack => {
            let why = last.progress.cause().map_or_else(String::new, |cause| format!(": {}", cause.message));
            return Err(format!("its last run, {sequence} of {created}, has failed{why}"));
        }
        phase => return Err(format!("its last run, {sequence} of {created}, is in phase {}", phase.as_str())),
    }
    let began =
        humantime::parse_rfc3339(created).map_err(|_| format!("its last run began at {created:?}, which is no time"))?;
    let is_younger = |age: Duration| valid.now.duration_since(began).unwrap_or_default() <= age;
    match (valid.revision, last.helm_revision) {
        (Some(ours), Some(its)) if ours != its => {
            Err(format!("its last run was that of revision {its}, and this is revision {ours}"))
        }
        // After `helm uninstall` revisions are counted from 1 again.
        (Some(ours), Some(_)) if !is_younger(valid.age.max(LONGEST_UPGRADE)) => {
            Err(format!("its last run, {sequence}, began {created}: that was another upgrade of the same number, {ours}"))
        }
        (Some(_), Some(_)) => Ok(last),
        _ if is_younger(valid.age) => Ok(last),
        _ => {
            let age = humantime::format_duration(valid.age);
            Err(format!(
                "its last run, {sequence}, began {created}, longer ago than --evidence-age {age}, and no revision of Helm binds it to this upgrade"
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use fairlead_migration::progress::{Asked, Cause, Progress};

    use super::*;

    fn run(phase: Phase, helm_revision: Option<u32>, why_back: Option<WhyBack>) -> RecordedRun {
        RecordedRun {
            name: String::new(),
            sequence: 1,
            step: "drain-waiter".to_owned(),
            helm_revision,
            installation: None,
            created: "2026-01-01T00:00:00Z".to_owned(),
            changes: 0,
            holds: false,
            progress: Progress { phase, why_back, ..Progress::planned() },
        }
    }

    #[test]
    fn the_last_run_counts() {
        let now = |text: &str| humantime::parse_rfc3339(text).expect("a time");
        let at = |runs: &[RecordedRun], revision, time: &str| {
            let valid = Valid { revision, age: Duration::from_hours(1), now: now(time) };
            has_preceded("drain-waiter", runs, valid).map(drop)
        };
        let preceded = |runs: &[RecordedRun], revision| at(runs, revision, "2026-01-01T00:59:59Z");
        let good = run(Phase::Committed, Some(2), None);
        assert_eq!(preceded(std::slice::from_ref(&good), Some(2)), Ok(()));
        // CI has no revision.
        assert_eq!(preceded(std::slice::from_ref(&good), None), Ok(()));
        // What no revision binds to this upgrade is of any day.
        let (by_hand, later) = (run(Phase::Committed, None, None), "2026-01-01T01:00:01Z");
        assert_eq!(preceded(std::slice::from_ref(&by_hand), Some(2)), Ok(()));
        for (run, revision) in [(&by_hand, Some(2)), (&by_hand, None), (&good, None)] {
            let error = at(std::slice::from_ref(run), revision, later).expect_err("it is too old");
            assert!(error.contains("longer ago than --evidence-age 1h"), "{error}");
        }
        assert_eq!(at(std::slice::from_ref(&good), Some(2), later), Ok(()));
        let error = at(std::slice::from_ref(&good), Some(2), "2026-01-02T00:00:01Z").expect_err("another installation's");
        assert!(error.contains("another upgrade of the same number, 2"), "{error}");
        let mut open = good.clone();
        open.progress.ended = vec![0];
        let failed = WhyBack::Failed(Cause { code: None, message: "3 are left".to_owned() });
        for (runs, expected) in [
            (vec![], "it has not run for this release, nor has any other step"),
            (vec![RecordedRun { step: "other".to_owned(), ..good.clone() }], "these have: other"),
            (vec![open], "does not hold any more"),
            (vec![good.clone(), run(Phase::RolledBack, Some(2), Some(WhyBack::Asked(Asked::default())))], "taken back"),
            (vec![good.clone(), run(Phase::RolledBack, Some(2), Some(failed))], "has failed: 3 are left"),
            (vec![good.clone(), run(Phase::Applying, Some(2), None)], "is in phase Applying"),
            (vec![run(Phase::Committed, Some(1), None)], "was that of revision 1, and this is revision 2"),
        ] {
            let error = preceded(&runs, Some(2)).expect_err(expected);
            assert!(error.contains(expected), "{error}");
        }
    }
}
