//! What becomes of a rollback where somebody else has changed something since.

use super::*;

#[test]
fn what_is_kept_is_told_also_when_it_was_changed_after_the_look() {
    let (world, plan) = (Map { stuck: Some("b"), fault: Some((0, Fault::Drift)), ..world() }, plan(1));
    let mut phases = Phases::default();
    // The stuck object looks as we left it, and drifts when it is taken back.
    world.objects.replace(BTreeMap::from_iter(["a", "b", "c", "d"].map(|name| (name.to_owned(), json!({"name": name})))));
    world.objects.borrow_mut().insert("old".into(), json!({"v": 2}));
    phases.1 = Some(Progress { phase: Phase::Committed, begun: 6, ..Progress::planned() });
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Keep), Part::Rest, Part::Rest));
    let kept = match &outcome {
        Outcome::Undone { count: 6, rest: 0, drifted, on_drift: OnDrift::Keep } => {
            drifted.iter().map(|(target, _)| target.name.as_str()).collect()
        }
        _ => Vec::new(),
    };
    assert_eq!(kept, ["b"], "{outcome:?}");
    let asked = phases.1.as_ref().and_then(Progress::asked);
    assert_eq!(asked.map(|asked| asked.on_drift), Some(OnDrift::Keep));
}

#[test]
fn what_others_have_changed_is_kept_where_that_is_asked_for() {
    let (world, plan) = (world(), plan(1));
    let (_, mut phases) = run(&world, &endless(), 1);
    world.objects.borrow_mut().insert("b".into(), json!({"name": "theirs"}));
    // The world of this test overwrites whatever it is told to.
    let outcome =
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Overwrite), Part::Rest, Part::Rest));
    assert!(matches!(&outcome, Outcome::Undone { count: 6, drifted, .. } if drifted.len() == 1), "{outcome:?}");
    assert_eq!(world.objects, self::world().objects);
}

#[test]
fn what_a_kept_object_may_need_stays_and_what_only_others_need_goes() {
    let created = |(stage, kind, namespace, name): (usize, &str, &str, &str)| Change {
        stage,
        target: Target { api_version: "v1".into(), kind: kind.into(), namespace: Some(namespace.into()), name: name.into() },
        images: Images::Create(json!({ "name": name })),
        reason: String::new(),
    };
    let changes = [
        (0, "Broker", "a", "broker-a"),
        (0, "Broker", "b", "broker-b"),
        (0, "Source", "shared", "source"),
        (1, "Trigger", "a", "one"),
        (1, "Trigger", "a", "other"),
        (1, "Trigger", "b", "third"),
    ];
    let stages = ["Brokers", "Triggers"].map(|name| Stage::new(name, StageKind::Expand, UndoAt::PostRollback, 1)).into();
    let plan = plan_of(stages, &changes.map(created));
    let (world, mut phases) = (Map::default(), Phases::default());
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    // As in a real world: what others have changed is not deleted.
    world.objects.borrow_mut().insert("one".into(), json!({"name": "theirs"}));
    let world = Map { objects: world.objects, stuck: Some("one"), fault: Some((0, Fault::Drift)), ..Map::default() };
    phases.1 = Some(Progress { phase: Phase::Committed, begun: 6, ..Progress::planned() });
    let watcher = endless();
    let outcome = block_on(of(&world, &mut phases, &watcher, &plan).undo(asked(OnDrift::Keep), Part::Rest, Part::Rest));
    let Outcome::Undone { drifted, .. } = outcome else { panic!("{outcome:?}") };
    let kept: Vec<&str> = drifted.iter().map(|(target, _)| target.name.as_str()).collect();
    assert_eq!(kept, ["broker-a", "source", "one"]);
    assert_eq!(world.objects.borrow().keys().collect::<Vec<_>>(), ["broker-a", "one", "source"]);
    assert_eq!(phases.1.map(|progress| progress.kept), Some(3));
}
