use std::fmt::Write as _;

use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_migration::progress::{FirstPart, Progress, WhyBack};

use super::*;
use crate::testing::{self, PLACE, asked, revision};

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

fn told(runs: &[RecordedRun], helm: &HelmRecords, is_armed: Option<bool>, hooks: Hooks, place: Place<'_>) -> Vec<String> {
    let told = &["--strict".to_owned()];
    let known = Known {
        runs,
        missing: &[],
        damages: &[],
        helm,
        state: helm.state(runs),
        is_armed,
        hooks,
        under_way: None,
        told,
        place,
    };
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

/// Whether a person reads before the first command that breaks into an operation of Helm's, or with it, that helm must not be at work.
fn is_cautious(next: &[Next]) -> bool {
    let first =
        next.iter().position(|next| ["helm ", "kubectl fairlead rollback "].iter().any(|it| next.command.starts_with(it)));
    first.is_none_or(|first| next[..=first].iter().any(|next| next.what.contains("if no helm is at work any more: ")))
}

#[test]
fn however_the_way_back_leads_nobody_is_told_to_break_into_what_helm_may_be_at() {
    let runs = [run(1, Phase::Committed, Some(2))];
    let all = [
        &["deployed", "pending-upgrade"][..],
        &["superseded", "deployed", "pending-rollback"],
        &["superseded", "uninstalling"],
    ];
    for statuses in all {
        let helm = helm(statuses);
        for (hooks, is_armed, missing) in [
            (Hooks::Good, Some(false), &[][..]),
            (Hooks::Good, None, &[]),
            (Hooks::InVain, Some(true), &[]),
            (Hooks::Drifted, Some(true), &[]),
            (Hooks::Good, Some(true), &[2]),
        ] {
            let (state, told) = (helm.state(&runs), &[][..]);
            let known = Known {
                runs: &runs,
                missing,
                damages: &[],
                helm: &helm,
                state,
                is_armed,
                hooks,
                under_way: None,
                told,
                place: PLACE,
            };
            let next = next(&known);
            assert!(
                is_cautious(&next) && next.iter().any(|next| next.command.starts_with("helm ")),
                "{statuses:?} {hooks:?} {next:?}"
            );
        }
    }
}

/// What a person reads first, in every state that Helm leaves a release in, with a run in every state, and with somebody at work or not.
#[test]
fn nobody_is_told_to_break_into_what_is_under_way_or_to_wait_for_what_has_died() {
    let states: [&[&str]; 9] = [
        &["pending-install"],
        &["deployed", "pending-upgrade"],
        &["deployed", "failed"],
        &["superseded", "deployed"],
        &["superseded", "deployed", "pending-rollback"],
        &["superseded", "superseded", "failed"],
        &["superseded", "superseded", "deployed"],
        &["superseded", "uninstalling"],
        &[],
    ];
    let phases = [
        None,
        Some(Phase::Planned),
        Some(Phase::Applying),
        Some(Phase::Committed),
        Some(Phase::RollingBack),
        Some(Phase::RolledBack),
        Some(Phase::Dirty),
    ];
    let mut table = String::new();
    for statuses in states {
        let helm = helm(statuses);
        for phase in phases {
            let runs: Vec<RecordedRun> = phase.map(|phase| run(1, phase, Some(2))).into_iter().collect();
            let is_unfinished = helm.is_unfinished();
            for under_way in [None, Some("Job shop-legacy-purger works for it: wait")] {
                if under_way.is_some() && !is_unfinished {
                    continue;
                }
                let (state, is_armed) = (helm.state(&runs), Some(true));
                let hooks = Hooks::Good;
                let known = Known {
                    runs: &runs,
                    missing: &[],
                    damages: &[],
                    helm: &helm,
                    state,
                    is_armed,
                    hooks,
                    under_way,
                    told: &[],
                    place: PLACE,
                };
                let next = next(&known);
                let phase = phase.map_or("no run", |phase| phase.as_str());
                let works = if under_way.is_some() { "at work" } else { "nobody" };
                writeln!(table, "{} | {phase} | {works}", statuses.join(" ")).expect("a string");
                for Next { command, what } in &next {
                    writeln!(table, "    {command}\n        {what}").expect("a string");
                }
                let first = next.first().map(|next| next.command.as_str());
                let watch = "kubectl fairlead status shop -n shops --watch";
                assert_eq!(first == Some(watch), under_way.is_some(), "{table}");
                assert!(!is_unfinished || is_cautious(&next), "{table}");
            }
        }
    }
    insta::assert_snapshot!(table);
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
    let told_of = |name: &str, damage: Damage| {
        let name = format!("Secret shops/fairlead.v1.shop.{name}");
        let damages = [Obstacle::Damaged { name, damage, source: "fairlead.v1.shop.1 is not it".into() }];
        let helm = HelmRecords::default();
        let state = helm.state(&runs);
        let known = Known {
            runs: &runs,
            missing: &[],
            damages: &damages,
            helm: &helm,
            state,
            is_armed: None,
            hooks: Hooks::Good,
            under_way: None,
            told: &[],
            place: PLACE,
        };
        next(&known).into_iter().map(|next| next.command).collect::<Vec<_>>()
    };
    let told = |name: &str| told_of(name, Damage::Lost);
    let [import, last, all] =
        ["import shop -n shops FILE", "rollback shop -n shops --last", "rollback shop -n shops --to 0"]
            .map(|command| format!("kubectl fairlead {command}"));
    let give_up = "kubectl -n shops delete secret fairlead.v1.shop.40".to_owned();
    assert_eq!(told("40-0"), [import.clone(), give_up.clone()]);
    assert_eq!(told("40"), [import.clone(), give_up]);
    for mended in [Damage::Marks, Damage::OtherVersion] {
        assert_eq!(told_of("40", mended), std::slice::from_ref(&import));
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
        let known = Known {
            runs,
            missing,
            damages: &[],
            helm,
            state,
            is_armed: Some(true),
            hooks,
            under_way: None,
            told: &[],
            place: PLACE,
        };
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
