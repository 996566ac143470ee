//! Runs that look, and runs that are to be taken back from the beginning.

use super::*;

/// What a gate has seen.
struct Seen(Result<Verified, Obstacle>);

#[async_trait(?Send)]
impl Proof for Seen {
    async fn verify(&self) -> Result<Verified, Obstacle> {
        match &self.0 {
            Ok(verified) => Ok(verified.clone()),
            Err(obstacle) => Err(Obstacle::Verdict { code: "XX101".into(), message: obstacle.to_string() }),
        }
    }

    fn evidence(&self) -> Option<Value> {
        Some(json!({"left": 0}))
    }
}

fn not_empty() -> Seen {
    Seen(Err(Obstacle::Verdict { code: "XX101".into(), message: "3 are left".into() }))
}

#[test]
fn a_gate_without_changes_looks_and_keeps_what_it_has_seen() {
    let (world, mut phases, plan) = (world(), Phases::default(), plan_of(vec![], &[]));
    let seen = Seen(Ok(Verified::AsPlanned));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&seen, Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
    assert_eq!((&phases.0, &phases.2), (&vec![Phase::Verifying, Phase::Committed], &Some(json!({"left": 0}))));
    assert!(phases.1.expect("recorded").evidence.is_some());
}

#[test]
fn a_verdict_keeps_its_code_also_when_its_process_dies_while_it_takes_back() {
    let (world, mut phases, plan) = (world(), Phases::default(), plan(1));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&not_empty(), Purpose::Lasting));
    assert!(matches!(&outcome, Outcome::Restored(Obstacle::Verdict { code, .. }) if code == "XX101"), "{outcome:?}");
    assert_eq!(phases.2, Some(json!({"left": 0})));
    let (world, mut phases) = (self::world(), Phases::default());
    world.dies_undoing.set(true);
    block_on(of(&world, &mut phases, &endless(), &plan).apply(&not_empty(), Purpose::Lasting));
    world.dies_undoing.set(false);
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(&outcome, Outcome::Restored(Obstacle::Verdict { code, .. }) if code == "XX101"), "{outcome:?}");
}

#[test]
fn a_probe_is_taken_back_and_that_is_success() {
    for died_after in [usize::MAX, 3, 7] {
        let (before, world, mut phases, plan) = (world().objects, world(), Phases::default(), plan(1));
        let patience = Patience(Cell::new(died_after), Stop::Interrupted);
        block_on(of(&world, &mut phases, &patience, &plan).apply(&good(), Purpose::Probe));
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Probe));
        assert!(matches!(outcome, Outcome::Undone { rest: 0, .. }), "{died_after}: {outcome:?}");
        assert_eq!((&world.objects, phases.0.last()), (&before, Some(&Phase::RolledBack)));
        assert_eq!(phases.1.expect("recorded").why_back, Some(WhyBack::Planned));
    }
}

#[test]
fn a_run_goes_on_in_the_background_until_what_follows_from_it_is_there() {
    let (world, mut phases, plan) = (world(), Phases::default(), plan(1));
    let later = Says(|| Ok(Verified::InBackground("17 are not ready".into())));
    for _ in 0..2 {
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&later, Purpose::Lasting));
        assert!(matches!(&outcome, Outcome::Background(left) if left == "17 are not ready"), "{outcome:?}");
        assert_eq!(phases.0.last(), Some(&Phase::Background));
    }
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
}
