//! What is waited for when a stage has been undone.

use super::*;

/// A switch that takes time after its undo.
fn plan(wait: UndoWait) -> Plan {
    let stage = Stage { undone_waits: vec![wait], ..Stage::new("switch", StageKind::Switch, UndoAt::PostRollback, 1) };
    let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: "old".into() };
    let images = Images::Update(json!({"v": 1}), json!({"v": 2}));
    plan_of(vec![stage], &[Change { stage: 0, target, images, reason: String::new() }])
}

const MINUTE: UndoWait = UndoWait::Duration { seconds: 60 };

#[test]
fn a_rollback_that_was_asked_for_waits_when_the_switch_has_been_undone() {
    let (world, mut phases, plan) = (world(), Phases::default(), plan(MINUTE));
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    // Before Helm's manifests nothing of it is undone.
    block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    assert_eq!(*world.waited.borrow(), []);
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 1, .. }), "{outcome:?}");
    assert_eq!((&*world.waited.borrow(), &world.seen.borrow()["old"]), (&vec![MINUTE], &json!({"v": 1})));
}

/// The Triggers of the same upgrade stay, so nothing hurries.
#[test]
fn a_run_that_takes_back_its_own_failure_does_not_wait() {
    let (world, plan) = (world(), plan(MINUTE));
    let refused = Says(|| Err(Obstacle::Refused { operation: "look".into(), source: "no".into() }));
    let outcome = block_on(of(&world, &mut Phases::default(), &endless(), &plan).apply(&refused, Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Restored(_)), "{outcome:?}");
    assert_eq!((&*world.waited.borrow(), &world.objects.borrow()["old"]), (&vec![], &json!({"v": 1})));
}

#[test]
fn a_rollback_that_goes_on_waits_again() {
    let (world, mut phases) = (world(), Phases::default());
    let plan = plan(UndoWait::Answer { url: "http://new/".into(), status: 200, timeout_seconds: 1 });
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    for count in 1..=2 {
        let outcome =
            block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
        assert!(matches!(outcome, Outcome::Interrupted(Obstacle::Late { .. })), "{outcome:?}");
        assert_eq!((world.waited.borrow().len(), phases.0.last()), (count, Some(&Phase::RollingBack)));
        assert_eq!(world.objects.borrow()["old"], json!({"v": 1}));
    }
}
