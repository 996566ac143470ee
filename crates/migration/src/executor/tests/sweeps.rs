//! Changes of a whole kind, and what an undo waits for.

use super::*;

fn objects() -> BTreeMap<String, Image> {
    ["a", "b", "c", "d", "e"].map(|name| (name.to_owned(), json!({"storedAs": "v1"}))).into()
}

fn sweeping_plan() -> Plan {
    let stage = Stage {
        undo_waits: vec![UndoWait::Duration { seconds: 1 }],
        ..Stage::new("stored form", StageKind::Expand, UndoAt::PostRollback, 1)
    };
    let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: "*".into() };
    let images = Images::Sweep("v1".into(), "v2".into());
    plan_of(vec![stage], &[Change { stage: 0, target, images, reason: String::new() }])
}

fn stored(world: &Map) -> Vec<Value> {
    world.objects.borrow().values().map(|image| image["storedAs"].clone()).collect()
}

/// Wherever a process ends: the next one goes on with the page that it had come to.
#[test]
fn a_sweep_goes_on_where_it_was_and_back_over_what_has_been_made_since() {
    for pages in 0..3 {
        let world = Map { objects: RefCell::new(objects()), ..Map::default() };
        let (mut phases, plan) = (Phases::default(), sweeping_plan());
        let patience = Patience(Cell::new(pages), Stop::Interrupted);
        block_on(of(&world, &mut phases, &patience, &plan).apply(&good(), Purpose::Lasting));
        assert_eq!(stored(&world).iter().filter(|stored| **stored == "v2").count(), pages * 2);
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
        assert_eq!(stored(&world), ["v2"; 5]);
        world.objects.borrow_mut().insert("f".into(), json!({"storedAs": "v2"}));
        let patience = Patience(Cell::new(pages + 1), Stop::Interrupted);
        block_on(of(&world, &mut phases, &patience, &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Undone { .. }), "{outcome:?}");
        assert_eq!(stored(&world), ["v1"; 6]);
        assert!(world.waited.borrow().contains(&UndoWait::Duration { seconds: 1 }));
    }
}

#[test]
fn what_must_be_so_before_an_undo_is_waited_for_and_nothing_is_undone_without_it() {
    let (world, mut phases) = (world(), Phases::default());
    let answer = UndoWait::Answer { url: "http://old/".into(), status: 200, timeout_seconds: 1 };
    let stages = plan(1).stages().iter().map(|stage| Stage { undo_waits: vec![answer.clone()], ..stage.clone() }).collect();
    let plan = plan_of(stages, &plan(1).changes().collect::<Vec<_>>());
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    let before = world.objects.clone();
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Interrupted(Obstacle::Late { .. })), "{outcome:?}");
    assert_eq!((&world.objects, phases.0.last()), (&before, Some(&Phase::RollingBack)));
    assert_eq!(*world.waited.borrow(), [answer]);
}
