//! What to do next: commands, each with what it does. With runs of Helm's first the way back through Helm, which brings the
//! application along.

use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;

use crate::args::{Goal, WITHOUT_MISSING};
use crate::helm::{HelmRecords, HelmState};
use crate::known::{Hooks, KEEP, Known, Next, runs_of};
use crate::missing::in_the_way;
use crate::place::Place;

/// The commands, the best first.
pub(crate) fn next(known: &Known<'_>) -> Vec<Next> {
    let Known { runs, helm, place, .. } = known;
    let command = |what: &str, does: String| Next { command: place.command(what), what: does };
    let mut next = Vec::new();
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
    next.extend(with_helm(known));
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
    let newest = newest.filter(|last| !is_left_to_helm(last) && !known.is_unusable(last));
    if let Some(last) = newest {
        let alone = if helm.revisions.is_empty() { "" } else { ", and leaves the Helm release as it is" };
        let (flags, more) = known.flags(&Goal { last: true, to: None, to_revision: None });
        let what = format!("takes back run {} ({}){alone}{more}", last.sequence, last.step);
        next.push(command(&format!("rollback --last{flags}"), what));
    }
    let count = runs.iter().filter(|run| run.may_be_last()).count();
    let is_any_unusable = runs.iter().any(|run| run.may_be_last() && known.is_unusable(run));
    if count > 1 && !is_any_left && !is_any_unusable || count == 0 && !known.missing.is_empty() {
        let (flags, more) = known.flags(&Goal { last: false, to: Some(0), to_revision: None });
        let what = if count == 0 { "has nobody ask for them again" } else { "takes back all runs, the newest first" };
        next.push(command(&format!("rollback --to 0{flags}"), format!("{what}{more}")));
    }
    if runs.iter().any(|run| run.phase() == Phase::Dirty) {
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
    // Whatever the binary: a plan of its own would need what it was told the last time, a configuration for example.
    if next.is_empty() {
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
            what: "if no helm is at work any more: ends the operation that it has not come to the end of".to_owned(),
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
mod tests {
    use fairlead_kube_client::access::Access;
    use fairlead_migration::progress::{FirstPart, Progress, WhyBack};

    use super::*;
    use crate::testing::{self, asked, revision};

    const PLACE: Place<'_> = Place {
        namespace: "shops",
        release: "shop",
        binary: "job",
        helm_release: "shop",
        access: Access::USUAL,
        store_flags: None,
    };

    fn run(sequence: u64, phase: Phase, helm_revision: Option<u32>) -> RecordedRun {
        RecordedRun { helm_revision, ..testing::run(sequence, phase) }
    }

    fn helm(statuses: &[&str]) -> HelmRecords {
        let revision = |(index, status): (usize, &&str)| revision(u32::try_from(index).expect("few") + 1, status);
        let revisions = statuses.iter().enumerate().map(revision).collect();
        HelmRecords { release: "shop".to_owned(), namespace: "shops".to_owned(), revisions, ..HelmRecords::default() }
    }

    fn commands_in(runs: &[RecordedRun], helm: &HelmRecords, is_armed: Option<bool>, place: Place<'_>) -> Vec<String> {
        told(runs, helm, is_armed, Hooks::Good, place)
    }

    fn told(
        runs: &[RecordedRun],
        helm: &HelmRecords,
        is_armed: Option<bool>,
        hooks: Hooks,
        place: Place<'_>,
    ) -> Vec<String> {
        let told = &["--strict".to_owned()];
        let known = Known { runs, missing: &[], damages: &[], helm, state: helm.state(runs), is_armed, hooks, told, place };
        next(&known).into_iter().map(|next| next.command).collect()
    }

    fn commands(runs: &[RecordedRun], helm: &HelmRecords) -> Vec<String> {
        commands_in(runs, helm, Some(true), PLACE)
    }

    #[test]
    fn the_way_back_leads_through_helm_and_has_its_number() {
        let runs = [run(1, Phase::Committed, Some(3))];
        // What failed is no way back.
        let helm = helm(&["superseded", "failed", "deployed"]);
        assert_eq!(commands(&runs, &helm)[0], "helm rollback shop 1 -n shops");
        let not_armed = commands_in(&runs, &helm, Some(false), PLACE);
        assert_eq!(
            not_armed[..3],
            [
                "kubectl fairlead rollback shop -n shops --to-revision 1 --undo-at pre-rollback",
                "helm rollback shop 1 -n shops",
                "kubectl fairlead rollback shop -n shops --to-revision 1 --undo-at post-rollback --wait-for workloads,restored",
            ]
        );
    }

    #[test]
    fn hooks_that_cannot_succeed_are_left_out_and_what_others_have_changed_is_decided_by_a_person() {
        let runs = [run(1, Phase::Committed, Some(2))];
        let helm = helm(&["superseded", "deployed"]);
        let by_hand = |at: &str| format!("kubectl fairlead rollback shop -n shops --to-revision 1 --undo-at {at}");
        let in_vain = told(&runs, &helm, Some(true), Hooks::InVain, PLACE);
        let rest = by_hand("post-rollback --wait-for workloads,restored");
        assert_eq!(in_vain[..3], [by_hand("pre-rollback"), "helm rollback shop 1 -n shops --no-hooks".to_owned(), rest]);
        let drifted = told(&runs, &helm, Some(true), Hooks::Drifted, PLACE);
        let decided = by_hand("pre-rollback --on-drift keep");
        assert_eq!(drifted[..2], [decided, "helm rollback shop 1 -n shops".to_owned()]);
    }

    #[test]
    fn what_cannot_be_read_is_not_offered_as_a_way_back() {
        let runs = [run(1, Phase::Committed, None), run(40, Phase::Committed, None)];
        let told = |damage: &str| {
            let (damages, helm) = ([format!("Secret shops/fairlead.v1.shop.{damage} is damaged")], HelmRecords::default());
            let state = helm.state(&runs);
            let known = Known {
                runs: &runs,
                missing: &[],
                damages: &damages,
                helm: &helm,
                state,
                is_armed: None,
                hooks: Hooks::Good,
                told: &[],
                place: PLACE,
            };
            next(&known).into_iter().map(|next| next.command).collect::<Vec<_>>()
        };
        let [import, last, all] =
            ["import shop -n shops FILE", "rollback shop -n shops --last", "rollback shop -n shops --to 0"]
                .map(|command| format!("kubectl fairlead {command}"));
        let give_up = "kubectl -n shops delete secret fairlead.v1.shop.40".to_owned();
        assert_eq!(told("40-0"), [import.clone(), give_up.clone()]);
        assert_eq!(told("40"), [import.clone(), give_up]);
        for mended in ["trigger-replicator 9.0.0 wrote it, and", "it has lost its label fairlead.dev/phase"] {
            assert_eq!(told(&format!("40 is damaged: {mended}")), std::slice::from_ref(&import));
        }
        let give_up = "kubectl -n shops delete secret fairlead.v1.shop.1".to_owned();
        assert_eq!(told("1"), [import.clone(), give_up, last.clone()]);
        // Nor does a number that only begins so, or evidence, keep anybody back.
        for other in ["4", "40-e0123abcd"] {
            assert_eq!(told(other), [import.clone(), last.clone(), all.clone()], "{other}");
        }
    }

    /// In the background, so that Helm knows nothing of it.
    #[test]
    fn a_revision_that_has_lost_its_run_goes_back() {
        let mut failed = run(1, Phase::RolledBack, Some(2));
        let cause = fairlead_migration::progress::Cause { code: None, message: "waited in vain".to_owned() };
        failed.progress = Progress { begun: 3, why_back: Some(WhyBack::Failed(cause)), ..failed.progress };
        let next = |runs: &[RecordedRun], statuses: &[&str]| commands(runs, &helm(statuses));
        let [back, check] = ["helm rollback shop 1 -n shops", "kubectl fairlead check shop -n shops"].map(str::to_owned);
        assert_eq!(next(std::slice::from_ref(&failed), &["superseded", "deployed"]), [back]);
        assert_eq!(next(std::slice::from_ref(&failed), &["deployed", "failed"]), std::slice::from_ref(&check));
        // The next try has done it.
        let again = [failed, run(2, Phase::Committed, Some(2))];
        assert!(!next(&again, &["superseded", "deployed"]).contains(&check));
        assert_eq!(next(&again, &["superseded", "deployed"])[0], "helm rollback shop 1 -n shops");
    }

    #[test]
    fn outside_helm_a_rollback_that_has_come_half_its_way_goes_on_in_two_parts() {
        let mut half = run(3, Phase::RollingBack, None);
        let part = |at: &str| format!("kubectl fairlead rollback shop -n shops --to 2 --undo-at {at}");
        let told = |half: &RecordedRun| commands(&[run(1, Phase::Committed, None), half.clone()], &HelmRecords::default());
        half.progress.why_back = Some(WhyBack::Asked(fairlead_migration::progress::Asked::default()));
        half.progress.first_part = FirstPart::Begun;
        assert_eq!(told(&half)[..2], [part("pre-rollback"), part("post-rollback --wait-for restored")]);
        half.progress.first_part = FirstPart::Undone;
        assert_eq!(told(&half)[0], part("post-rollback --wait-for restored"));
    }

    #[test]
    fn outside_helm_the_way_back_is_ours() {
        let runs = [run(1, Phase::Committed, None), run(2, Phase::Committed, None)];
        let [last, all] = ["--last", "--to 0"].map(|to| format!("kubectl fairlead rollback shop -n shops {to}"));
        assert_eq!(commands(&runs, &HelmRecords::default()), [last, all]);
        assert_eq!(commands(&[], &HelmRecords::default()), ["kubectl fairlead check shop -n shops"]);
        // What the run was told is said again.
        let unfinished = [run(1, Phase::Applying, None)];
        let finish = "trigger-replicator apply --release shop --ledger-namespace shops --strict";
        assert_eq!(commands(&unfinished, &HelmRecords::default())[0], finish);
        let gate = RecordedRun { changes: 0, ..run(2, Phase::Committed, None) };
        assert_eq!(commands(&[gate], &HelmRecords::default()), ["kubectl fairlead check shop -n shops"]);
    }

    #[test]
    fn a_rollback_that_helm_has_not_finished_goes_on_to_the_same_revision() {
        let half = run(1, Phase::RollingBack, Some(2));
        let pending = helm(&["superseded", "deployed", "pending-rollback"]);
        assert_eq!(commands(&[half], &pending)[0], "helm rollback shop 1 -n shops");
        // Everything is taken back, and Helm has not said so: to where it was to go, also when it was told otherwise meanwhile.
        let mut back = run(1, Phase::RolledBack, Some(2));
        back.progress.why_back = Some(asked(3, 1));
        assert_eq!(commands(std::slice::from_ref(&back), &pending), ["helm rollback shop 1 -n shops"]);
        let again = helm(&["superseded", "deployed", "pending-rollback", "pending-rollback"]);
        assert_eq!(commands(std::slice::from_ref(&back), &again), ["helm rollback shop 1 -n shops"]);
        let failed = helm(&["superseded", "superseded", "failed"]);
        assert_eq!(commands(std::slice::from_ref(&back), &failed), ["helm rollback shop 1 -n shops"]);
        // It has come to its end, and another one has not.
        let over = helm(&["superseded", "superseded", "deployed", "pending-rollback"]);
        assert_eq!(commands(&[back], &over), ["helm rollback shop 3 -n shops"]);
    }

    #[test]
    fn a_ticket_that_is_missing_is_imported_or_gone_on_without() {
        let last = |runs: &[RecordedRun], missing: &[u64], helm: &HelmRecords| -> Vec<String> {
            let (state, hooks) = (helm.state(runs), Hooks::Good);
            let known =
                Known { runs, missing, damages: &[], helm, state, is_armed: Some(true), hooks, told: &[], place: PLACE };
            next(&known).into_iter().map(|next| next.command).collect()
        };
        let rollback = |what: &str| format!("kubectl fairlead rollback shop -n shops {what}");
        let import = "kubectl fairlead import shop -n shops FILE".to_owned();
        let outside = HelmRecords::default();
        let newest_is_there = last(&[run(3, Phase::Committed, None)], &[2], &outside);
        assert_eq!(newest_is_there, [import.clone(), rollback("--last")]);
        let newest_is_gone = last(&[run(1, Phase::Committed, None)], &[2], &outside);
        assert_eq!(newest_is_gone, [import.clone(), rollback("--last --without-missing")]);
        let nothing_is_there = last(&[], &[1], &outside);
        assert_eq!(nothing_is_there, [import.clone(), rollback("--to 0 --without-missing")]);
        let first = rollback("--to-revision 1 --undo-at pre-rollback --without-missing");
        let with_helm = last(&[run(1, Phase::Committed, Some(2))], &[2], &helm(&["superseded", "deployed"]));
        assert_eq!(with_helm[..3], [import, first, "helm rollback shop 1 -n shops".to_owned()]);
    }

    #[test]
    fn what_was_met_by_hand_is_decided_by_hand() {
        let runs = [run(1, Phase::Committed, None), run(2, Phase::Dirty, None)];
        let commands = told(&runs, &HelmRecords::default(), None, Hooks::Drifted, PLACE);
        let rollback = |what: &str| format!("kubectl fairlead rollback shop -n shops {what} --on-drift keep");
        let manifests = "kubectl fairlead export shop -n shops FILE --as-manifests".to_owned();
        assert_eq!(commands, [rollback("--last"), rollback("--to 0"), manifests]);
    }

    #[test]
    fn a_release_that_helm_calls_otherwise_is_named() {
        let place = Place { release: "system", ..PLACE };
        let told = "kubectl fairlead check system -n shops --helm-release shop";
        assert_eq!(commands_in(&[], &HelmRecords::default(), None, place)[0], told);
    }
}
