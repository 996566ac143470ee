//! A run that is taken back in two parts, as `helm rollback` does it.

use super::*;

/// Creations that go after Helm's manifests, deletions that come back before them.
fn plan() -> Plan {
    let stage = |name: &str, undo_at| Stage::new(name, StageKind::Expand, undo_at, 1);
    let change = |(stage, name): (usize, &str)| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: name.into() };
        let image = json!({"v": name});
        let images = if stage == 0 { Images::Create(image) } else { Images::Delete(image) };
        Change { stage, target, images, reason: String::new() }
    };
    let changes = [(0, "new"), (0, "newer"), (1, "old"), (1, "older")].map(change);
    plan_of(vec![stage("new", UndoAt::PostRollback), stage("old", UndoAt::PreRollback)], &changes)
}

fn applied(plan: &Plan) -> (Map, Phases) {
    let objects = ["old", "older"].map(|name| (name.to_owned(), json!({"v": name})));
    let world = Map { objects: RefCell::new(objects.into()), ..Map::default() };
    let mut phases = Phases::default();
    block_on(of(&world, &mut phases, &endless(), plan).apply(&good(), Purpose::Lasting));
    (world, phases)
}

fn names(world: &Map) -> Vec<String> {
    world.objects.borrow().keys().cloned().collect()
}

#[test]
fn the_rest_follows_what_comes_before_helm() {
    let plan = plan();
    let (world, mut phases) = applied(&plan);
    assert_eq!(names(&world), ["new", "newer"]);
    let outcome =
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 2, rest: 2, .. }), "{outcome:?}");
    assert_eq!((names(&world).len(), phases.0.last()), (4, Some(&Phase::RollingBack)));
    // Helm runs the hook again: nothing is left of this part.
    let outcome =
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 0, rest: 2, .. }), "{outcome:?}");
    // Whoever lives with what has come back may change it by now.
    world.objects.borrow_mut().insert("old".into(), json!({"v": "theirs"}));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 2, rest: 0, .. }), "{outcome:?}");
    assert_eq!((names(&world), phases.0.last()), (vec!["old".to_owned(), "older".to_owned()], Some(&Phase::RolledBack)));
    assert_eq!(world.objects.borrow()["old"], json!({"v": "theirs"}));
}

#[test]
fn without_a_first_part_the_second_takes_everything_back() {
    let plan = plan();
    let (world, mut phases) = applied(&plan);
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 4, rest: 0, .. }), "{outcome:?}");
    assert_eq!(names(&world), ["old", "older"]);
}

#[test]
fn the_first_part_alone_can_be_all_there_is() {
    let stage = Stage::new("old", StageKind::Contract, UndoAt::PreRollback, 1);
    let only = plan_of(vec![stage], &[Change { stage: 0, ..plan().changes().last().expect("it has four") }]);
    let (world, mut phases) = applied(&only);
    let outcome =
        block_on(of(&world, &mut phases, &endless(), &only).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 1, rest: 0, .. }), "{outcome:?}");
    assert_eq!(phases.0.last(), Some(&Phase::RolledBack));
}

/// Before the first change everything is looked at, also what only the second part would take back.
#[test]
fn what_somebody_has_changed_in_the_second_part_stops_the_first() {
    let plan = plan();
    let (world, mut phases) = applied(&plan);
    world.objects.borrow_mut().insert("newer".into(), json!({"v": "theirs"}));
    let outcome =
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    assert!(matches!(&outcome, Outcome::Drifted(drifted) if drifted.len() == 1), "{outcome:?}");
    assert_eq!(names(&world), ["new", "newer"]);
}

/// Wherever a process ends: the next one goes on, and nothing of the second part goes before the first is done.
#[test]
fn each_part_may_end_anywhere() {
    let plan = plan();
    for changes in 0..4 {
        let (world, mut phases) = applied(&plan);
        let patience = Patience(Cell::new(4 + changes), Stop::Interrupted);
        block_on(of(&world, &mut phases, &patience, &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
        assert!(names(&world).starts_with(&["new".to_owned(), "newer".to_owned()]));
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
        assert_eq!(names(&world).len(), 4);
        // Two looks, then the changes.
        let patience = Patience(Cell::new(2 + changes.min(1)), Stop::Interrupted);
        block_on(of(&world, &mut phases, &patience, &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
        assert_eq!((names(&world), phases.0.last()), (vec!["old".to_owned(), "older".to_owned()], Some(&Phase::RolledBack)));
    }
}

/// The next `apply` of the step finds it half taken back.
#[test]
fn a_step_that_runs_again_takes_the_rest_back_first() {
    let plan = plan();
    let (world, mut phases) = applied(&plan);
    block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::BeforeHelm, Part::Rest));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Undone { count: 2, rest: 0, .. }), "{outcome:?}");
    assert_eq!((names(&world), phases.0.last()), (vec!["old".to_owned(), "older".to_owned()], Some(&Phase::RolledBack)));
}

#[test]
fn what_was_written_down_ahead_and_never_made_is_not_counted() {
    let (world, plan) = (world(), super::plan(1));
    let (outcome, mut phases) = run(&world, &Patience(Cell::new(1), Stop::Interrupted), 1);
    assert!(matches!(outcome, Outcome::Interrupted(_)), "{outcome:?}");
    assert!(phases.1.as_ref().is_some_and(|progress| progress.begun > 1));
    let watcher = endless();
    let outcome = block_on(of(&world, &mut phases, &watcher, &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 1, .. }), "{outcome:?}");
}

/// What Helm's object owns comes back behind it, and both parts are done at once.
#[test]
fn what_an_owner_of_the_second_part_owns_waits_for_it() {
    let stages = vec![
        Stage { cascaded: true, ..Stage::new("with owners", StageKind::Contract, UndoAt::PreRollback, 2) },
        Stage::new("objects", StageKind::Contract, UndoAt::PreRollback, 2),
        Stage::new("of Helm", StageKind::Contract, UndoAt::PostRollback, 2),
    ];
    let change = |(stage, name, owner): (usize, &str, &str)| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: name.into() };
        let image = json!({"metadata": {"uid": name, "ownerReferences": [{"uid": owner}]}});
        Change { stage, target, images: Images::Delete(image), reason: String::new() }
    };
    let changes = [(0, "child", "part"), (1, "free", "nobody"), (1, "part", "owner"), (2, "owner", "nobody")].map(change);
    let plan = plan_of(stages, &changes);
    let objects = changes.each_ref().map(|it| (it.target.name.clone(), it.before().expect("an image").clone()));
    let owners = BTreeMap::from([("child", "part"), ("part", "owner")]);
    let world = Map { objects: RefCell::new(objects.into()), owners, ..Map::default() };
    let (before, mut phases) = (world.objects.borrow().clone(), Phases::default());
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    // The collector.
    world.objects.borrow_mut().clear();
    for _ in 0..2 {
        let (watcher, asked) = (endless(), asked(OnDrift::Stop));
        let outcome = block_on(of(&world, &mut phases, &watcher, &plan).undo(asked, Part::BeforeHelm, Part::Rest));
        assert!(matches!(outcome, Outcome::Undone { rest: 3, .. }), "{outcome:?}");
        assert_eq!((names(&world), phases.0.last()), (vec!["free".to_owned()], Some(&Phase::RollingBack)));
    }
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 3, rest: 0, .. }), "{outcome:?}");
    assert_eq!((&*world.objects.borrow(), phases.0.last()), (&before, Some(&Phase::RolledBack)));
}
