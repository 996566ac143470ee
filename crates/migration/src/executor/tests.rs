//! Runs against a world that is a map, with every failure there is at every change.

mod drift;
mod gates;
mod holds;
mod made;
mod owners;
mod parts;
mod sweeps;
mod waits;

use std::collections::BTreeMap;

use futures::executor::block_on;
use serde_json::{Value, json};

use super::*;
use crate::change::{Image, Images};
use crate::plan::tests::plan_of;
use crate::run::{RecordedRun, Reopened};
use crate::snapshot::{Manifest, Snapshot};
use crate::stage::StageKind;
use crate::ticket::Ticket;
use std::cell::Cell;

/// What a change meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Refused,
    /// The change is made, and the answer says otherwise.
    RefusedAfterwards,
    Unreachable,
    Drift,
}

#[derive(Default)]
struct Map {
    objects: RefCell<BTreeMap<String, Image>>,
    /// At the n-th change that is brought, from 1.
    fault: Option<(usize, Fault)>,
    /// Undoing this object fails.
    stuck: Option<&'static str>,
    brought: Cell<usize>,
    /// The stage that may not begin.
    closed: Option<&'static str>,
    /// No change that is taken back is answered.
    dies_undoing: Cell<bool>,
    /// Objects that cannot come back before others.
    owners: BTreeMap<&'static str, &'static str>,
    /// What an undo has waited for.
    waited: RefCell<Vec<UndoWait>>,
    /// The objects at the last of these waits.
    seen: RefCell<BTreeMap<String, Image>>,
}

#[async_trait(?Send)]
impl World for Map {
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle> {
        let is_closed = self.closed == Some(stage.name.as_str());
        if is_closed { Err(Obstacle::Refused { operation: "begin".into(), source: "no".into() }) } else { Ok(()) }
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let change = task.change;
        if task.is_undo && self.dies_undoing.get() {
            return Err(Obstacle::Unreachable { operation: "undo".into(), source: "no answer".into() });
        }
        self.brought.set(self.brought.get() + 1);
        let is_undo = self.fault.is_some_and(|(at, _)| self.brought.get() > at);
        if is_undo && self.stuck == Some(change.target.name.as_str()) {
            return Err(Obstacle::Drift { target: change.target.clone(), what: "somebody else changed it".into() });
        }
        let owner = self.owners.get(change.target.name.as_str()).filter(|_| task.is_undo);
        if let Some(owner) = owner.filter(|owner| !self.objects.borrow().contains_key(**owner)) {
            return Err(Obstacle::NotYet { operation: "undo".into(), what: format!("its owner {owner}") });
        }
        let fault = self.fault.filter(|(at, _)| *at == self.brought.get()).map(|(_, fault)| fault);
        let operation = || format!("{} {}", change.action(), change.target);
        match fault {
            Some(Fault::Refused) => return Err(Obstacle::Refused { operation: operation(), source: "no".into() }),
            Some(Fault::Unreachable) => {
                return Err(Obstacle::Unreachable { operation: operation(), source: "no answer".into() });
            }
            Some(Fault::Drift) => return Err(Obstacle::Drift { target: change.target.clone(), what: "changed".into() }),
            Some(Fault::RefusedAfterwards) | None => {}
        }
        let mut objects = self.objects.borrow_mut();
        match change.after() {
            Some(after) => drop(objects.insert(change.target.name.clone(), after.clone())),
            None => drop(objects.remove(&change.target.name)),
        }
        match fault {
            Some(_) => Err(Obstacle::Refused { operation: operation(), source: "no".into() }),
            None => Ok(()),
        }
    }

    /// Two objects a page.
    async fn sweep(&self, task: &Task<'_>, next: Option<&str>) -> Result<Swept, Obstacle> {
        let Images::Sweep(_, to) = &task.change.images else { panic!("no sweep") };
        let mut objects = self.objects.borrow_mut();
        let mut page = objects.iter_mut().filter(|(name, _)| next.is_none_or(|next| name.as_str() > next));
        let (mut count, mut last) = (0, None);
        for (name, image) in page.by_ref().take(2) {
            image["storedAs"] = to.as_str().into();
            (count, last) = (count + 1, Some(name.clone()));
        }
        Ok(Swept { count, next: last.filter(|_| page.next().is_some()) })
    }

    async fn settle(&self, _task: &Task<'_>) -> Result<(), Obstacle> {
        Ok(())
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        Vec::new()
    }

    async fn wait(&self, wait: &UndoWait, _stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        self.waited.borrow_mut().push(wait.clone());
        self.seen.replace(self.objects.borrow().clone());
        match wait {
            UndoWait::Duration { .. } => Ok(()),
            _ => Err(Obstacle::Late { operation: "see it".into(), source: "it is not so".into() }),
        }
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        let change = task.change;
        let objects = self.objects.borrow();
        let live = objects.get(&change.target.name);
        Ok(match (live == change.after(), live == change.before()) {
            (true, _) => Standing::After,
            (_, true) => Standing::Before,
            _ => Standing::Other("somebody else changed it".into()),
        })
    }
}

/// The phases, the last progress, and the evidence.
#[derive(Default)]
struct Phases(Vec<Phase>, Option<Progress>, Option<Value>);

#[async_trait(?Send)]
impl Journal for Phases {
    async fn open(&mut self, _ticket: &Ticket, _snapshot: &Snapshot<'_>) -> Result<String, Obstacle> {
        Ok("ticket".into())
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        if self.0.last() != Some(&progress.phase) {
            self.0.push(progress.phase);
        }
        self.1 = Some(progress.clone());
        Ok(())
    }

    async fn reopen(&mut self, _name: &str) -> Result<Reopened, Obstacle> {
        panic!("these tests open nothing again")
    }

    async fn abandon(&mut self, _name: &str) -> Result<(), Obstacle> {
        panic!("these tests abandon nothing")
    }

    async fn attest(&mut self, evidence: &Value, progress: &mut Progress) -> Result<(), Obstacle> {
        progress.evidence = Some(Manifest { chunks: Vec::new(), whole: String::new() });
        self.2 = Some(evidence.clone());
        Ok(())
    }

    async fn forget(&mut self, _run: &RecordedRun) -> Result<(), Obstacle> {
        panic!("these tests forget nothing")
    }

    async fn forget_missing(&mut self, _sequences: &[u64]) -> Result<(), Obstacle> {
        panic!("these tests forget nothing")
    }
}

/// A proof that always says the same.
struct Says<F>(F);

#[async_trait(?Send)]
impl<F: Fn() -> Result<Verified, Obstacle>> Proof for Says<F> {
    async fn verify(&self) -> Result<Verified, Obstacle> {
        (self.0)()
    }
}

/// Everything is as planned.
fn good() -> Says<fn() -> Result<Verified, Obstacle>> {
    Says(|| Ok(Verified::AsPlanned))
}

/// That is why a run is taken back.
fn asked(on_drift: OnDrift) -> Asked {
    Asked { on_drift, ..Asked::default() }
}

/// Ends the run after so many changes.
struct Patience(Cell<usize>, Stop);

impl Watcher for Patience {
    fn stop(&self) -> Option<Stop> {
        let left = self.0.get();
        self.0.set(left.saturating_sub(1));
        (left == 0).then_some(self.1)
    }

    fn progress(&self, done: usize, total: usize, _undoing: bool) {
        assert!(done <= total);
    }

    fn batch(&self) -> usize {
        2
    }
}

fn endless() -> Patience {
    Patience(Cell::new(usize::MAX), Stop::Interrupted)
}

/// Creations in a first stage, an update and a deletion in a second.
fn plan(concurrency: usize) -> Plan {
    let stage = |name: &str| Stage::new(name, StageKind::Expand, UndoAt::PostRollback, concurrency);
    let change = |stage, name: &str, images| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: name.into() };
        Change { stage, target, images, reason: String::new() }
    };
    let mut changes: Vec<Change> =
        ["a", "b", "c", "d"].map(|name| change(0, name, Images::Create(json!({"name": name})))).into();
    changes.push(change(1, "old", Images::Update(json!({"v": 1}), json!({"v": 2}))));
    changes.push(change(1, "older", Images::Delete(json!({"v": 0}))));
    plan_of(vec![stage("one"), stage("two")], &changes)
}

fn world() -> Map {
    let objects: [(&str, Value); 2] = [("old", json!({"v": 1})), ("older", json!({"v": 0}))];
    Map { objects: RefCell::new(objects.map(|(name, image)| (name.to_owned(), image)).into()), ..Map::default() }
}

/// A run of a plan from where its ticket says that it is.
fn of<'a>(world: &'a Map, journal: &'a mut Phases, watcher: &'a Patience, plan: &'a Plan) -> Run<'a, Patience> {
    let progress = journal.1.clone().unwrap_or_else(Progress::planned);
    Run { world, journal, watcher, plan, mark: "mark", progress }
}

fn run(world: &Map, watcher: &Patience, concurrency: usize) -> (Outcome, Phases) {
    let mut phases = Phases::default();
    let plan = plan(concurrency);
    let outcome = block_on(of(world, &mut phases, watcher, &plan).apply(&good(), Purpose::Lasting));
    (outcome, phases)
}

#[test]
fn a_run_without_failures_is_committed() {
    for concurrency in [1, 3] {
        let world = world();
        let (outcome, phases) = run(&world, &endless(), concurrency);
        assert!(matches!(outcome, Outcome::Committed));
        assert_eq!(phases.0, [Phase::Applying, Phase::Verifying, Phase::Committed]);
        assert_eq!(world.objects.into_inner().into_keys().collect::<Vec<_>>(), ["a", "b", "c", "d", "old"]);
    }
}

#[test]
fn a_failure_at_any_change_leaves_everything_as_it_was() {
    for fault in [Fault::Refused, Fault::RefusedAfterwards, Fault::Drift] {
        for at in 1..=6 {
            for concurrency in [1, 3] {
                let (before, world) = (world().objects, Map { fault: Some((at, fault)), ..world() });
                let (outcome, phases) = run(&world, &endless(), concurrency);
                assert!(matches!(outcome, Outcome::Restored(_)), "{fault:?} at {at}");
                assert_eq!(phases.0.last(), Some(&Phase::RolledBack));
                assert_eq!(world.objects, before, "{fault:?} at {at}");
            }
        }
    }
}

#[test]
fn a_stage_that_may_not_begin_changes_nothing_and_what_came_before_is_taken_back() {
    for (stage, made) in [("one", 0), ("two", 4)] {
        let (before, world) = (world().objects, Map { closed: Some(stage), ..world() });
        let (outcome, phases) = run(&world, &endless(), 3);
        assert!(matches!(outcome, Outcome::Restored(Obstacle::Refused { .. })), "{stage}: {outcome:?}");
        assert_eq!((world.brought.get(), phases.0.last()), (2 * made, Some(&Phase::RolledBack)), "{stage}");
        assert_eq!(world.objects, before);
    }
}

/// A deletion, and one that others make when that is done.
fn cascading_plan() -> Plan {
    let stage = |name: &str| Stage::new(name, StageKind::Contract, UndoAt::PreRollback, 1);
    let stages = vec![stage("objects"), Stage { cascaded: true, ..stage("what goes with them") }, stage("last")];
    let deletion = |(stage, name): (usize, &&str)| {
        let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: (*name).into() };
        Change { stage, target, images: Images::Delete(json!({"v": name})), reason: String::new() }
    };
    let changes: Vec<Change> = ["old", "others", "older"].iter().enumerate().map(deletion).collect();
    plan_of(stages, &changes)
}

#[test]
fn what_others_delete_is_left_to_them_and_comes_back_also_when_its_stage_had_not_begun() {
    let objects = || -> BTreeMap<String, Image> {
        ["old", "others", "older"].map(|name| (name.to_owned(), json!({"v": name}))).into()
    };
    let (plan, mut phases) = (cascading_plan(), Phases::default());
    let world = Map { objects: RefCell::new(objects()), ..Map::default() };
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Committed));
    assert_eq!(world.objects.borrow().keys().collect::<Vec<_>>(), ["others"], "it is not ours to delete");
    world.objects.borrow_mut().clear();
    assert!(matches!(
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest)),
        Outcome::Undone { .. }
    ));
    assert_eq!(*world.objects.borrow(), objects());

    // The first deletion fails, and others have acted on it.
    let world = Map { objects: RefCell::new(objects()), fault: Some((1, Fault::RefusedAfterwards)), ..Map::default() };
    world.objects.borrow_mut().remove("others");
    let outcome = block_on(of(&world, &mut Phases::default(), &endless(), &plan).apply(&good(), Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Restored(_)));
    assert_eq!(*world.objects.borrow(), objects());
}

#[test]
fn an_object_that_is_updated_and_then_deleted_is_looked_at_once() {
    let stage = |name: &str| Stage::new(name, StageKind::Contract, UndoAt::PreRollback, 1);
    let target = Target { api_version: "v1".into(), kind: "Thing".into(), namespace: None, name: "old".into() };
    let update = Images::Update(json!({"v": 1}), json!({"v": 2}));
    let update = Change { stage: 0, target: target.clone(), images: update, reason: String::new() };
    let deletion = Change { stage: 1, target, images: Images::Delete(json!({"v": 2})), reason: String::new() };
    let plan = plan_of(vec![stage("finalizers"), stage("objects")], &[update, deletion]);
    let (world, mut phases) = (world(), Phases::default());
    assert!(matches!(
        block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting)),
        Outcome::Committed
    ));
    assert!(matches!(
        block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest)),
        Outcome::Undone { .. }
    ));
    assert_eq!(world.objects.borrow()["old"], json!({"v": 1}));
}

#[test]
fn what_cannot_be_verified_is_taken_back() {
    let (before, world, mut phases) = (world().objects, world(), Phases::default());
    let target = plan(1).changes().next().expect("it has six").target;
    let gone = Says(|| Err(Obstacle::Drift { target: target.clone(), what: "gone".into() }));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan(1)).apply(&gone, Purpose::Lasting));
    assert!(matches!(outcome, Outcome::Restored(Obstacle::Drift { .. })));
    assert_eq!(world.objects, before);
}

#[test]
fn a_deadline_restores_and_an_interruption_leaves_things_to_the_next_run() {
    for changes in 0..6 {
        let world = world();
        let (outcome, phases) = run(&world, &Patience(Cell::new(changes), Stop::DeadlinePassed), 1);
        assert!(matches!(outcome, Outcome::Restored(Obstacle::Stopped(Stop::DeadlinePassed))), "{outcome:?}");
        assert_eq!((&world.objects, phases.0.last()), (&self::world().objects, Some(&Phase::RolledBack)));

        let world = self::world();
        let (outcome, phases) = run(&world, &Patience(Cell::new(changes), Stop::Interrupted), 1);
        assert!(matches!(outcome, Outcome::Interrupted(Obstacle::Stopped(Stop::Interrupted))), "{outcome:?}");
        assert_eq!((world.brought.get(), phases.0), (changes, vec![Phase::Applying]));
    }
}

#[test]
fn a_world_that_does_not_answer_is_left_as_it_is() {
    let world = Map { fault: Some((3, Fault::Unreachable)), ..world() };
    let (outcome, phases) = run(&world, &endless(), 1);
    assert!(matches!(outcome, Outcome::Interrupted(Obstacle::Unreachable { .. })), "{outcome:?}");
    assert_eq!((phases.0, world.brought.get()), (vec![Phase::Applying], 3));
}

#[test]
fn a_change_that_met_drift_is_not_taken_back() {
    // Taking it back would meet the same drift, and call a world dirty that nobody of us has touched.
    let world = Map { fault: Some((5, Fault::Drift)), stuck: Some("old"), ..world() };
    let (outcome, _) = run(&world, &endless(), 1);
    assert!(matches!(outcome, Outcome::Restored(Obstacle::Drift { .. })), "{outcome:?}");
    assert_eq!(world.objects, self::world().objects);
}

#[test]
fn what_cannot_be_taken_back_is_named_and_everything_else_is_taken_back() {
    let world = Map { fault: Some((5, Fault::Refused)), stuck: Some("b"), ..world() };
    let (outcome, phases) = run(&world, &endless(), 1);
    let names: Vec<String> = match outcome {
        Outcome::Dirty { left, .. } => left.into_iter().map(|(target, _)| target.name).collect(),
        _ => Vec::new(),
    };
    assert_eq!((names, phases.0.last()), (vec!["b".to_owned()], Some(&Phase::Dirty)));
    assert_eq!(world.objects.into_inner().into_keys().collect::<Vec<_>>(), ["b", "old", "older"]);
}

#[test]
fn what_was_committed_can_be_undone() {
    let (world, mut phases) = (world(), Phases::default());
    let before = world.objects.clone();
    block_on(of(&world, &mut phases, &endless(), &plan(2)).apply(&good(), Purpose::Lasting));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan(2)).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { .. }), "{outcome:?}");
    assert_eq!((world.objects, phases.0.last()), (before, Some(&Phase::RolledBack)));
}

#[test]
fn nothing_is_undone_where_somebody_else_has_changed_something() {
    let (world, mut phases) = (world(), Phases::default());
    block_on(of(&world, &mut phases, &endless(), &plan(1)).apply(&good(), Purpose::Lasting));
    world.objects.borrow_mut().insert("b".into(), json!({"name": "theirs"}));
    let before = world.objects.clone();
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan(1)).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    let names = |drifted: Vec<(Target, String)>| drifted.into_iter().map(|(target, _)| target.name).collect::<Vec<_>>();
    assert!(matches!(outcome, Outcome::Drifted(drifted) if names(drifted.clone()) == ["b"]));
    assert_eq!((world.objects, phases.0.last()), (before, Some(&Phase::Committed)));
}

/// Wherever a run, or its undo, ends: the next one makes it whole.
#[test]
fn a_run_that_ended_anywhere_is_finished_and_so_is_its_undo() {
    let done = {
        let world = world();
        run(&world, &endless(), 1);
        world.objects
    };
    for changes in 0..6 {
        let world = world();
        let (_, mut phases) = run(&world, &Patience(Cell::new(changes), Stop::Interrupted), 1);
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan(1)).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Committed), "{changes}: {outcome:?}");
        assert_eq!(world.objects, done);

        // Looking at six targets comes before undoing them. A deadline is to an undo what a signal is.
        let stop = if changes % 2 == 0 { Stop::Interrupted } else { Stop::DeadlinePassed };
        let patience = Patience(Cell::new((6 + changes).min(11)), stop);
        let outcome =
            block_on(of(&world, &mut phases, &patience, &plan(1)).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
        let is_interrupted = matches!(outcome, Outcome::Interrupted(Obstacle::Stopped(why)) if why == stop);
        assert!(is_interrupted, "{changes}: {outcome:?}");
        let outcome = block_on(of(&world, &mut phases, &endless(), &plan(1)).apply(&good(), Purpose::Lasting));
        assert!(matches!(outcome, Outcome::Undone { .. }), "{changes}: {outcome:?}");
        assert_eq!(world.objects, self::world().objects);
    }
}

#[test]
fn what_was_not_begun_is_not_even_looked_at() {
    let (world, plan) = (world(), plan(1));
    let (_, mut phases) = run(&world, &Patience(Cell::new(1), Stop::Interrupted), 1);
    assert_eq!(phases.1.as_ref().map(|progress| progress.begun), Some(2));
    // Somebody else's, of a change that this run never came to.
    world.objects.borrow_mut().insert("old".into(), json!({"v": "theirs"}));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { .. }), "{outcome:?}");
    assert_eq!(world.objects.borrow()["old"], json!({"v": "theirs"}));
}

#[test]
fn a_failed_run_that_died_while_it_took_back_still_knows_why_and_what_it_had_not_touched() {
    let (world, plan) = (Map { fault: Some((5, Fault::Drift)), stuck: Some("old"), ..world() }, plan(1));
    // Dies as soon as it may: when the world does not answer any more.
    world.dies_undoing.set(true);
    let (outcome, mut phases) = run(&world, &endless(), 1);
    assert!(matches!(outcome, Outcome::Interrupted(Obstacle::Unreachable { .. })), "{outcome:?}");
    world.dies_undoing.set(false);
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).apply(&good(), Purpose::Lasting));
    let why = match &outcome {
        Outcome::Restored(Obstacle::Refused { source, .. }) => source.to_string(),
        other => format!("{other:?}"),
    };
    assert!(why.starts_with("Thing old: changed"), "{why}");
    assert_eq!(world.objects, self::world().objects);
}

#[test]
fn what_was_not_touched_is_nobodys_drift_for_us() {
    let (world, plan) = (Map { fault: Some((5, Fault::Drift)), ..world() }, plan(1));
    world.dies_undoing.set(true);
    let (_, mut phases) = run(&world, &endless(), 1);
    world.dies_undoing.set(false);
    world.objects.borrow_mut().insert("old".into(), json!({"v": "theirs"}));
    let outcome = block_on(of(&world, &mut phases, &endless(), &plan).undo(asked(OnDrift::Stop), Part::Rest, Part::Rest));
    assert!(matches!(outcome, Outcome::Undone { count: 4, .. }), "{outcome:?}");
}
