//! Runs whose changes have all been made, and whose process ended before the end.

use super::*;
use crate::change::Target;

#[test]
fn what_has_all_been_made_is_not_admitted_again() {
    let (world, mut phases, plan) = (world(), Phases::default(), plan(1));
    let unanswered = Says(|| Err(Obstacle::Unreachable { operation: "look".into(), source: "no answer".into() }));
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&unanswered, Purpose::Lasting));
    assert_eq!(phases.0.last(), Some(&Phase::Verifying));
    let world = Map { closed: Some("two"), ..world };
    // The next process dies before the stage is over; the one after it verifies all the same.
    let outcome = block_on(
        of(&world, &mut phases, &Patience(Cell::new(0), Stop::Interrupted), &plan).apply(&good(), Purpose::Lasting),
    );
    assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
}

/// An update of two objects, and a sweep of another kind.
fn updates() -> Plan {
    let stage = |name: &str| Stage::new(name, StageKind::Expand, UndoAt::PostRollback, 1);
    let change = |stage, name: &str, images| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: name.into() };
        Change { stage, target, images, reason: String::new() }
    };
    let update = |name: &str| change(0, name, Images::Update(json!({"v": 1}), json!({"v": 2})));
    let sweep = change(1, "all", Images::Sweep("v1".into(), "v2".into()));
    plan_of(vec![stage("one"), stage("two")], &[update("x"), update("y"), sweep])
}

/// Whether its process died, or the run goes on in the background.
#[test]
fn what_somebody_edits_after_all_changes_were_made_is_for_the_proof_to_judge() {
    let unanswered = Says(|| Err(Obstacle::Unreachable { operation: "look".into(), source: "no answer".into() }));
    let later = Says(|| Ok(Verified::InBackground("17 are not ready".into())));
    let proofs: [(&dyn Proof, Phase); 2] = [(&unanswered, Phase::Verifying), (&later, Phase::Background)];
    for (first, phase) in proofs {
        let objects = ["x", "y"].map(|name| (name.to_owned(), json!({"v": 1}))).into();
        let (world, mut phases) = (Map { objects: RefCell::new(objects), ..Map::default() }, Phases::default());
        let plan = updates();
        block_on(of(&world, &mut phases, &endless(), &plan).apply(first, Purpose::Lasting));
        assert_eq!(phases.0.last(), Some(&phase));
        let edited = json!({"v": 3, "storedAs": "v1"});
        world.objects.borrow_mut().insert("y".into(), edited.clone());
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
        assert_eq!(world.objects.borrow()["y"], edited);
    }
}

/// What is in force is taken back for what was seen.
#[test]
fn what_goes_on_in_the_background_is_not_taken_back_because_nobody_could_look_long_enough() {
    let out_of_time = || Err(Obstacle::OutOfTime { code: "FL007".into(), message: "3 are not ready".into() });
    let forbidden = || Err(Obstacle::Forbidden { operation: "list".into(), rule: "a role".into(), source: "no".into() });
    let late = || Err(Obstacle::Late { operation: "see it ready".into(), source: "it is not".into() });
    let looks: [(&dyn Proof, Stop, Phase); 4] = [
        (&Says(out_of_time), Stop::DeadlinePassed, Phase::Background),
        (&Says(forbidden), Stop::DeadlinePassed, Phase::Background),
        (&good(), Stop::DeadlinePassed, Phase::Committed),
        (&Says(late), Stop::DeadlinePassed, Phase::RolledBack),
    ];
    for (look, stop, expected) in looks {
        let (world, mut phases, plan) = (world(), Phases::default(), plan(1));
        let later = Says(|| Ok(Verified::InBackground("17 are not ready".into())));
        block_on(of(&world, &mut phases, &endless(), &plan).apply(&later, Purpose::Lasting));
        block_on(of(&world, &mut phases, &Patience(Cell::new(0), stop), &plan).apply(look, Purpose::Lasting));
        assert_eq!(phases.0.last(), Some(&expected));
    }
}
