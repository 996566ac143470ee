//! Whether a run is wanted any more. Not when Helm has gone on to another revision, when a rollback has come half its way, or when one
//! has taken back what an earlier pod of the same Job has done: to do it (again) is for the next upgrade.

use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_kube_client::ledger::Entry;
use fairlead_migration::executor::{Outcome, Watcher as _};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::ticket::{FirstPart, Phase};

use crate::helm::Helm;
use crate::next::Next;
use crate::session::Session;
use crate::status::Place;

/// Looks whether a run of `step` may go on.
///
/// # Errors
///
/// `FL020` when it is cancelled; `FL026` in the middle of a rollback.
pub(crate) async fn check(session: &Session<'_>, step: &str) -> Result<(), Failure> {
    let (watch, place) = (&session.watch, session.place);
    if let Some(revision) = session.common.release.helm_revision {
        let newest = watch.guard_patiently(Helm::of(session.cluster, place)).await?.newest();
        if let Some(newest) = newest.filter(|newest| *newest > revision) {
            let name = place.helm_release;
            let message = format!("this run is of revision {revision}, and Helm is at revision {newest} of release {name}");
            return Err(Failure::new(ExitStatus::Failed, &code::CANCELLED, message));
        }
    }
    let entries = watch.guard_patiently(session.ledger().entries(place.release)).await?;
    if let Some(entry) = entries.iter().find(|entry| is_half(entry)) {
        let helm = watch.guard_patiently(Helm::of(session.cluster, place)).await?;
        return Err(half(entry, helm.half_way(std::slice::from_ref(entry)), place));
    }
    let Some(job) = &session.job else { return Ok(()) };
    let is_ours = |entry: &&Entry| {
        let progress = &entry.progress;
        let was_asked_for = progress.phase == Phase::RolledBack && progress.begun > 0 && progress.cause.is_none();
        entry.step == step && entry.created >= job.created && was_asked_for
    };
    match entries.iter().find(is_ours) {
        Some(entry) => {
            let message = format!("what this Job has done, as {}, has been taken back by a rollback", entry.name);
            Err(Failure::new(ExitStatus::Failed, &code::CANCELLED, message))
        }
        None => Ok(()),
    }
}

/// Whether a rollback in two parts has begun with a run, and has not come to its end.
pub(crate) fn is_half(entry: &Entry) -> bool {
    entry.phase == Phase::RollingBack && entry.progress.first_part != FirstPart::NotBegun
}

fn half(entry: &Entry, helms: Option<String>, place: Place<'_>) -> Failure {
    let (sequence, step) = (entry.sequence, &entry.step);
    let is_first_done = entry.progress.is_undone_before_helm();
    let how_far = if is_first_done {
        "has been taken back as far as it is before Helm's manifests, and not the rest"
    } else {
        "is being taken back, or whoever did that has died before the part before Helm's manifests was done"
    };
    let failure = Failure::new(ExitStatus::Refused, &code::HALF_TAKEN_BACK, format!("run {sequence} ({step}) {how_far}"));
    let next = helms.map_or_else(
        || {
            let halves = halves_by_hand(entry, place).into_iter();
            halves.map(|(command, when)| format!("By hand, {when}: {command}\n")).collect::<Vec<_>>().concat()
        },
        |helms| format!("Next: {helms}\n"),
    );
    failure.with_aftermath(next)
}

/// What ends a rollback whose oldest run that has come half its way is this one, outside Helm. All newer runs are part of it.
pub(crate) fn halves_by_hand(entry: &Entry, place: Place<'_>) -> Vec<Next> {
    let part = |at: &str| place.command(&format!("rollback --to {} --undo-at {at}", entry.sequence.saturating_sub(1)));
    let first = || (part("pre-rollback"), "while the old manifests are not there".to_owned());
    let rest = (part("post-rollback --wait-for restored"), "when the old manifests are there".to_owned());
    (!entry.progress.is_undone_before_helm()).then(first).into_iter().chain([rest]).collect()
}

/// A run that was stopped because its lease was taken by a rollback is cancelled: it must not be run again.
pub(crate) fn told(outcome: Outcome, watch: &Watch) -> Outcome {
    match outcome {
        Outcome::Interrupted(Obstacle::Stopped(Stop::LeaseOver)) if watch.stop() == Some(Stop::Cancelled) => {
            Outcome::Interrupted(Obstacle::Stopped(Stop::Cancelled))
        }
        other => other,
    }
}
