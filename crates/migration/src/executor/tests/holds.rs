//! Holds that have ended, and what stands beside a sweep.

use super::*;
use crate::change::Target;

fn change(stage: usize, name: &str, images: Images) -> Change {
    let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: name.into() };
    Change { stage, target, images, reason: String::new() }
}

fn plan(kind: StageKind, changes: &[Change]) -> Plan {
    plan_of(vec![Stage::new("one", kind, UndoAt::PostRollback, 1)], changes)
}

#[test]
fn what_was_held_and_is_given_back_is_not_held_again() {
    let plan = plan(StageKind::Hold, &[change(0, "old", Images::Update(json!({"v": 1}), json!({"v": 0})))]);
    let (world, mut phases) = (world(), Phases::default());
    let unanswered = Says(|| Err(Obstacle::Unreachable { operation: "look".into(), source: "no answer".into() }));
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&unanswered, Purpose::Lasting));
    assert_eq!((phases.0.last(), &world.objects.borrow()["old"]), (Some(&Phase::Verifying), &json!({"v": 0})));
    world.objects.borrow_mut().insert("old".into(), json!({"v": 1}));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
    assert_eq!(world.objects.borrow()["old"], json!({"v": 1}));
}

#[test]
fn what_stands_beside_a_sweep_is_taken_back() {
    let created = change(0, "a", Images::Create(json!({"name": "a"})));
    let plan = plan(StageKind::Expand, &[created, change(0, "all", Images::Sweep("v1".into(), "v2".into()))]);
    let (world, mut phases) = (world(), Phases::default());
    let refused = Says(|| Err(Obstacle::Refused { operation: "look".into(), source: "no".into() }));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&refused, Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Restored(_)), "{outcome:?}");
    assert!(!world.objects.borrow().contains_key("a"), "{:?}", world.objects);
}
