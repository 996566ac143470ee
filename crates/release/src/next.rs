//! What to do next: commands, each with what it does. With runs of Helm's first the way back through Helm, which brings the
//! application along.

use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;

use crate::args::{Goal, WITHOUT_MISSING};
use crate::helm::{HelmRecords, HelmState};
use crate::known::{Hooks, KEEP, Known, Next, runs_of};
use crate::missing::in_the_way;
use crate::place::Place;

/// Helm itself leaves nothing in the cluster by which it can be seen.
const NOBODY: &str = "if no helm is at work any more: ";

/// The commands, the best first.
pub(crate) fn next(known: &Known<'_>) -> Vec<Next> {
    let Known { runs, helm, place, .. } = known;
    let command = |what: &str, does: String| Next { command: place.command(what), what: does };
    let mut next = Vec::new();
    if let Some(sign) = known.under_way {
        next.push(command("status --watch", sign.to_owned()));
        next.extend(instead_of_waiting(known));
        return next;
    }
    if !known.damages.is_empty() || !known.missing.is_empty() {
        let what = "first, where there is a file that `export` has written: restores what is missing";
        next.push(Next { command: place.import(), what: what.to_owned() });
    }
    if let Some(run) = runs.iter().find(|run| run.may_be_undone() && known.is_lost(run)) {
        let what = format!(
            "where there is none: gives up what run {} ({}) has changed, and with it this way back to how it was; ask again then for what \
             can be taken back without it",
            run.sequence, run.step
        );
        next.push(Next { command: place.kubectl(&format!("delete secret {}", run.name)), what });
    }
    next.extend(when_helm_is_dead(known, with_helm(known)));
    if let Some(half) = runs.iter().find(|run| run.is_half())
        && helm.begun(std::slice::from_ref(half)).is_none()
    {
        next.extend(halves_by_hand(half, *place));
    }
    if let Some(run) = to_watch(runs).filter(|run| !known.is_unusable(run)) {
        let command = place.job_command(&run.step, "background", known.told);
        let what = format!("watches run {} to its end, if nobody does: the next upgrade waits for that", run.sequence);
        next.push(Next { command, what });
    } else if let Some(run) = to_finish(runs, helm).filter(|run| !known.is_unusable(run)) {
        let command = place.job_command(&run.step, "apply", known.told);
        let what = format!("finishes run {}, if nobody is at it, and then does what there is to do", run.sequence);
        next.push(Next { command, what });
    }
    // Helm's own rollback comes first: what is left is what the manifests of today use.
    let is_helms_turn = matches!(known.state, HelmState::GoingBack { has_begun: true, .. });
    let is_left_to_helm = |run: &RecordedRun| is_helms_turn && run.is_half();
    let is_any_left = runs.iter().any(is_left_to_helm);
    let newest = runs.iter().rev().find(|run| run.may_be_last());
    // From what was made final nothing leads back.
    let newest = newest.filter(|last| !is_left_to_helm(last) && !known.is_unusable(last) && last.step != "tables-finalize");
    if let Some(last) = newest {
        let alone = if helm.revisions.is_empty() { "" } else { ", and leaves the Helm release as it is" };
        let (flags, more) = known.flags(&Goal { last: true, to: None, to_revision: None });
        let is_warned = next.iter().any(|it| it.what.starts_with(NOBODY));
        let when = if helm.is_unfinished() && !is_warned { NOBODY } else { "" };
        let what = format!("{when}takes back run {} ({}){alone}{more}", last.sequence, last.step);
        next.push(command(&format!("rollback --last{flags}"), what));
    }
    let count = runs.iter().filter(|run| run.may_be_last()).count();
    let is_any_unusable = runs.iter().any(|run| run.may_be_last() && known.is_unusable(run));
    if count > 1 && !is_any_left && !is_any_unusable || count == 0 && !known.missing.is_empty() {
        let (flags, more) = known.flags(&Goal { last: false, to: Some(0), to_revision: None });
        let what = if count == 0 { "has nobody ask for them again" } else { "takes back all runs, the newest first" };
        next.push(command(&format!("rollback --to 0{flags}"), format!("{what}{more}")));
    }
    // What a database was before is in its catalog, and not in manifests.
    if runs.iter().any(|run| run.phase() == Phase::Dirty && !run.step.starts_with("tables")) {
        let what = "writes what objects were before, to put right by hand what cannot be taken back";
        next.push(command("export FILE --as-manifests", what.to_owned()));
    }
    if runs.iter().any(|run| run.is_in_force() && run.holds && !run.has_ended()) {
        let what = "after the upgrade: starts what was held, and names what stays held";
        next.push(command("unhold", what.to_owned()));
    }
    if let (Some(run), Some(revision)) = (lost_by_deployed(runs, helm), helm.before_newest()) {
        let what = format!(
            "what run {} ({}) had made for the revision that is deployed has been taken back: this takes that revision back, too. Or \
             mend the cause, and upgrade again",
            run.sequence, run.step
        );
        next.push(Next { command: place.helm_rollback(revision), what });
    }
    next.extend(when_helm_is_dead(known, uninstall(known).into_iter().collect()));
    // Whatever the binary: a plan of its own would need what it was told the last time, a configuration for example.
    if next.is_empty() && place.store_flags.is_none() {
        next.push(command("check", "answers whether an upgrade can run, and whether there is a way back".to_owned()));
    }
    next
}

/// The run that a job by hand would finish. A run of Helm's is finished by its Job, or by the next upgrade, with the settings of the
/// chart; one that was asked back by the rollback itself.
pub(crate) fn to_finish<'r>(runs: &'r [RecordedRun], helm: &HelmRecords) -> Option<&'r RecordedRun> {
    let was_asked_for = |run: &RecordedRun| run.phase() == Phase::RollingBack && run.progress.asked().is_some();
    let is_ours = |run: &RecordedRun| run.helm_revision.is_none() || helm.revisions.is_empty();
    runs.iter().rev().find(|run| run.is_unfinished() && !was_asked_for(run) && is_ours(run))
}

/// The run of the revision that is deployed, where it was taken back because it had failed: in the background, so that Helm knows
/// nothing of it.
fn lost_by_deployed<'r>(runs: &'r [RecordedRun], helm: &HelmRecords) -> Option<&'r RecordedRun> {
    let newest = helm.revisions.last().filter(|newest| newest.status == "deployed")?;
    let last = runs.iter().rev().find(|run| helm.is_of_upgrade(run, Some(newest.number)))?;
    let has_failed = last.phase() == Phase::RolledBack && last.progress.begun > 0 && last.progress.cause().is_some();
    has_failed.then_some(last)
}

/// The run that goes on in the background, whoever has begun it: to watch it takes no revision.
pub(crate) fn to_watch(runs: &[RecordedRun]) -> Option<&RecordedRun> {
    runs.iter().rev().find(|run| run.phase() == Phase::Background)
}

/// What ends a rollback whose oldest run that has come half its way is this one, outside Helm. All newer runs are part of it.
pub(crate) fn halves_by_hand(run: &RecordedRun, place: Place<'_>) -> Vec<Next> {
    let part = |at: &str, when: &str| Next {
        command: place.command(&format!("rollback --to {} --undo-at {at}", run.sequence.saturating_sub(1))),
        what: when.to_owned(),
    };
    let first = || part("pre-rollback", "while the old manifests are not there");
    let rest = part("post-rollback --wait-for restored", "when the old manifests are there");
    (!run.progress.is_undone_before_helm()).then(first).into_iter().chain([rest]).collect()
}

/// The same ways, the first with what nobody but a person can know of an operation that has not come to its end: whether helm is dead.
fn when_helm_is_dead(known: &Known<'_>, mut ways: Vec<Next>) -> Vec<Next> {
    if let (Some(first), true) = (ways.first_mut(), known.helm.is_unfinished()) {
        first.what.insert_str(0, NOBODY);
    }
    ways
}

/// What ends an operation of Helm's that somebody may still work for, where waiting for it is not wanted.
fn instead_of_waiting(known: &Known<'_>) -> Vec<Next> {
    let mut ways = with_helm(known);
    if ways.is_empty() {
        ways.extend(uninstall(known));
    }
    let mut ways = when_helm_is_dead(known, ways);
    if let Some(first) = ways.first_mut() {
        let is_rollback = known.helm.revisions.last().is_some_and(|newest| newest.status == "pending-rollback");
        first.what.insert_str(0, if is_rollback { "only " } else { "only to stop that, or " });
    }
    ways
}

/// What ends an installation or its end, where there is no revision to go back to.
fn uninstall(known: &Known<'_>) -> Option<Next> {
    let what = match known.helm.revisions.last()?.status.as_str() {
        "pending-install" => "nothing was deployed before, so only this ends the installation",
        "uninstalling" => "ends what it has begun to uninstall",
        _ => return None,
    };
    Some(Next { command: known.place.helm_uninstall(), what: what.to_owned() })
}

/// The way back to the revision before the newest run.
fn with_helm(known: &Known<'_>) -> Vec<Next> {
    let Known { runs, state, is_armed, hooks, place, .. } = known;
    let way_back = state.way_back().filter(|_| runs.iter().any(RecordedRun::may_be_undone));
    // First what is damaged is brought back, or given up.
    if way_back.is_some_and(|revision| known.is_in_vain(revision)) {
        return Vec::new();
    }
    let Some(revision) = way_back else {
        let pending = |revision: u32| Next {
            command: place.helm_rollback(revision),
            what: "ends the operation that it has not come to the end of".to_owned(),
        };
        return state.way_out().map(pending).into_iter().collect();
    };
    let is_taken_back = |run: &&RecordedRun| run.may_be_undone() && run.helm_revision.is_some_and(|its| its > revision);
    let taken_back: Vec<String> = runs.iter().rev().filter(is_taken_back).map(|run| run.sequence.to_string()).collect();
    let taken_back = format!("run{} {}", if taken_back.len() == 1 { "" } else { "s" }, taken_back.join(" and "));
    let rollback = place.helm_rollback(revision);
    let parts = "before Helm's manifests what was removed or held, after them the rest";
    let part = |at: &str, what: String| Next {
        command: place.command(&format!("rollback --to-revision {revision} --undo-at {at}")),
        what,
    };
    let missing = in_the_way(known.missing, runs, &Goal { last: false, to: None, to_revision: Some(revision) }, known.helm);
    let without = if missing.is_empty() { "" } else { WITHOUT_MISSING };
    let drifted = if *hooks == Hooks::Drifted { KEEP } else { "" };
    let first = format!("pre-rollback{drifted}{without}");
    if *hooks == Hooks::Drifted && *is_armed != Some(false) {
        let decided = "others have changed objects since: this leaves those as they are; `overwrite` instead of `keep` makes them as \
                       they were";
        return vec![
            part(&first, decided.to_owned()),
            Next { command: rollback, what: format!("then the release, and the rest of {taken_back}") },
        ];
    }
    // When that has been said once, the hooks do not ask for them any more.
    if !missing.is_empty() && *is_armed != Some(false) {
        let gone = runs_of(&missing);
        return vec![
            part(
                &first,
                format!("without the ticket: what {gone} changed stays, and what else was removed or held comes back"),
            ),
            Next { command: rollback, what: format!("then the release, and the rest of {taken_back}") },
        ];
    }
    if *is_armed != Some(false) && *hooks == Hooks::Good {
        let if_armed = if is_armed.is_none() { ", if that revision has our hooks" } else { "" };
        let what = format!("takes back {taken_back} with the release: {parts}{if_armed}");
        return vec![Next { command: rollback, what }];
    }
    let (why, helm) = match is_armed {
        Some(false) => (format!("revision {revision} has none of our hooks"), rollback),
        _ => (format!("the hooks of revision {revision} cannot succeed"), format!("{rollback} --no-hooks")),
    };
    vec![
        part(&first, format!("{why}, so {taken_back} by hand: first what was removed or held")),
        Next { command: helm, what: "when that has succeeded: the release".to_owned() },
        part("post-rollback --wait-for workloads,restored", "when that has succeeded: the rest, by hand".to_owned()),
    ]
}

#[cfg(test)]
mod tests;
