//! Whether a run is wanted any more. Not when Helm has gone on to another revision, when a rollback has come half its way, or when one
//! has taken back what an earlier pod of the same Job has done: to do it (again) is for the next upgrade.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_migration::executor::{Outcome, Watcher as _};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;

use crate::helm::HelmRecords;
use crate::known::Next;
use crate::next::halves_by_hand;
use crate::place::Place;
use crate::session::Session;

/// Looks whether a run of `step` may go on.
///
/// # Errors
///
/// `FL020` when it is cancelled; `FL026` in the middle of a rollback.
pub async fn check(session: &Session<'_>, step: &str) -> Result<(), Failure> {
    let (watch, place) = (&session.watch, session.place);
    if let Some(revision) = session.common.release.helm_revision {
        let newest = watch.guard_patiently(HelmRecords::of(session.cluster, place)).await?.newest();
        if let Some(newest) = newest.filter(|newest| *newest > revision) {
            let name = place.helm_release;
            let message = format!("this run is of revision {revision}, and Helm is at revision {newest} of release {name}");
            return Err(Failure::new(&shared::CANCELLED, message));
        }
    }
    let runs = session.runs().await?;
    if let Some(run) = runs.iter().find(|run| run.is_half()) {
        let helm = watch.guard_patiently(HelmRecords::of(session.cluster, place)).await?;
        let to = helm.begun(std::slice::from_ref(run));
        return Err(half(run, to.map(|to| place.helm_rollback(to)), place));
    }
    let Some(job) = &session.job else { return Ok(()) };
    let is_ours = |run: &&RecordedRun| {
        run.step == step && run.created >= job.created && run.was_asked_back() && run.phase() == Phase::RolledBack
    };
    match runs.iter().find(is_ours) {
        Some(run) => {
            let message = format!("what this Job has done, as {}, has been taken back by a rollback", run.name);
            Err(Failure::new(&shared::CANCELLED, message))
        }
        None => Ok(()),
    }
}

fn half(run: &RecordedRun, helms: Option<String>, place: Place<'_>) -> Failure {
    let (sequence, step) = (run.sequence, &run.step);
    let how_far = if run.progress.is_undone_before_helm() {
        "has been taken back as far as it is before Helm's manifests, and not the rest"
    } else {
        "is being taken back, or whoever did that has died before the part before Helm's manifests was done"
    };
    let failure = Failure::new(&shared::HALF_TAKEN_BACK, format!("run {sequence} ({step}) {how_far}"));
    let next = helms.map_or_else(
        || {
            let halves = halves_by_hand(run, place).into_iter();
            halves.map(|Next { command, what }| format!("By hand, {what}: {command}\n")).collect::<Vec<_>>().concat()
        },
        |helms| format!("Next: {helms}\n"),
    );
    failure.with_aftermath(next)
}

/// A run that was stopped because its lease was taken by a rollback is cancelled: it must not be run again.
#[must_use]
pub fn cancelled_by_rollback(outcome: Outcome, watch: &Watch) -> Outcome {
    match outcome {
        // Also where an answer was waited for when that was noticed.
        Outcome::Interrupted(_) if watch.stop() == Some(Stop::Cancelled) => {
            Outcome::Interrupted(Obstacle::Stopped(Stop::Cancelled))
        }
        other => other,
    }
}
