//! What owns others comes back before them.

use super::*;

/// Deletions of these, all in one stage but the last.
fn deletions(names: &[&str]) -> Plan {
    let stages = ["one", "other"].map(|name| Stage::new(name, StageKind::Contract, UndoAt::PreRollback, 2)).into();
    let deletion = |(position, name): (usize, &&str)| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: (*name).into() };
        let stage = usize::from(position + 1 == names.len());
        Change { stage, target, images: Images::Delete(json!({"v": name})), reason: String::new() }
    };
    plan_of(stages, &names.iter().enumerate().map(deletion).collect::<Vec<_>>())
}

fn world_of(names: &[&str], owners: &[(&'static str, &'static str)]) -> Map {
    let objects = names.iter().map(|name| ((*name).to_owned(), json!({"v": name}))).collect();
    Map { objects: RefCell::new(objects), owners: owners.iter().copied().collect(), ..Map::default() }
}

#[test]
fn a_chain_comes_back_at_once_whatever_the_order_of_the_plan() {
    for owners in
        [[("a", "b"), ("b", "c"), ("c", "d")], [("d", "c"), ("c", "b"), ("b", "a")], [("b", "d"), ("d", "a"), ("a", "c")]]
    {
        let names = ["a", "b", "c", "d"];
        let (plan, world, mut phases) = (deletions(&names), world_of(&names, &owners), Phases::default());
        let before = world.objects.borrow().clone();
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Committed) && world.objects.borrow().is_empty(), "{outcome:?}");
        let watcher = endless();
        let undo = of(&world, &mut phases, &watcher, &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest);
        let outcome = block_on(undo);
        assert!(matches!(outcome, Outcome::Undone { count: 4, .. }), "{outcome:?}");
        assert_eq!(*world.objects.borrow(), before);
    }
}

#[test]
fn it_comes_back_at_once_also_when_the_run_fails() {
    let names = ["a", "b", "c", "d"];
    let (plan, mut phases) = (deletions(&names), Phases::default());
    let world = world_of(&names, &[("a", "b"), ("b", "c")]);
    let world = Map { fault: Some((4, Fault::Refused)), ..world };
    let before = world.objects.borrow().clone();
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Restored(_)), "{outcome:?}");
    assert_eq!(*world.objects.borrow(), before);
}

#[test]
fn what_waits_for_one_that_does_not_come_is_named() {
    let names = ["a", "b", "c"];
    let (plan, mut phases) = (deletions(&names), Phases::default());
    let world = world_of(&names, &[("a", "b"), ("b", "nobody")]);
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    let watcher = endless();
    let undo = of(&world, &mut phases, &watcher, &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest);
    let outcome = block_on(undo);
    let Outcome::Dirty { left, .. } = outcome else { panic!("{outcome:?}") };
    let left: Vec<String> = left.iter().map(|(target, obstacle)| format!("{}: {obstacle}", target.name)).collect();
    let awaited = |owner: &str| format!("failed to undo: its owner {owner} is not back yet");
    assert_eq!(left, [format!("a: {}", awaited("b")), format!("b: {}", awaited("nobody"))]);
}
