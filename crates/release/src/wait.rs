//! What a rollback waits for before the new side goes: until the old one is there, which Helm without `--wait` does not look at, and until
//! what a Service has led to has drained.

use std::cell::{OnceCell, RefCell};
use std::time::{Duration, Instant, SystemTime};

use fairlead_apis::object;
use fairlead_apis::readiness::readiness;
use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_kube_client::poll::{Look, Poll};
use fairlead_migration::change::{Action, Change, Target, Targets};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::stage::{StageKind, UndoAt};
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;
use tokio::time::sleep;

use crate::args::{Goal, RollbackArgs, WaitFor};
use crate::helm::HelmRecords;
use crate::session::Session;

/// The annotation by which Helm knows the objects of a release.
const RELEASE_NAME: &str = "meta.helm.sh/release-name";

/// The waiting of one rollback.
pub(crate) struct Waits<'a> {
    session: &'a Session<'a>,
    args: &'a RollbackArgs,
    helm: &'a HelmRecords,
    /// All of it has one limit.
    until: OnceCell<Instant>,
}

impl<'a> Waits<'a> {
    pub(crate) fn new(session: &'a Session<'a>, args: &'a RollbackArgs, helm: &'a HelmRecords) -> Self {
        Self { session, args, helm, until: OnceCell::new() }
    }

    /// Before anything goes that a run has added: until the old side is there, with all that newer runs have brought back.
    pub(crate) async fn for_old_side(&self, plan: &Plan, progress: &Progress) -> Result<(), Failure> {
        let has_added = has_begun(plan, progress, &[StageKind::Expand, StageKind::Switch]);
        if self.args.undo_at != Some(UndoAt::PostRollback) || !has_added {
            return Ok(());
        }
        let deadline = *self.until.get_or_init(|| Instant::now() + self.args.wait_timeout);
        wait(self.session, self.args, self.helm, deadline).await
    }

    /// What a switch has led to drains before anything goes through which it delivers, also where the run has failed and led it back itself.
    pub(crate) async fn for_drained(&self, plan: &Plan, progress: &Progress) -> Result<(), Failure> {
        if self.args.undo_at == Some(UndoAt::PreRollback) || !has_begun(plan, progress, &[StageKind::Expand]) {
            return Ok(());
        }
        let runs = self.session.runs().await?;
        let now = SystemTime::now();
        let Some(left) = runs.iter().filter_map(|run| run.progress.drains_for(now)).max() else { return Ok(()) };
        tracing::info!(seconds = left, "what a Service has led to drains, before anything goes through which it delivers");
        let passed = async {
            sleep(Duration::from_secs(left)).await;
            Ok::<_, Obstacle>(())
        };
        Ok(self.session.watch.guard(passed).await?)
    }
}

/// Whether a change of such a stage may have been made.
fn has_begun(plan: &Plan, progress: &Progress, kinds: &[StageKind]) -> bool {
    let mut stages = plan.stages().iter().enumerate().filter(|(_, stage)| kinds.contains(&stage.kind));
    stages.any(|(index, _)| plan.positions(index).any(|position| position < progress.begun))
}

/// What is waited for.
#[derive(Default)]
struct Awaited {
    /// The workloads of the Helm release.
    workloads: bool,
    /// Objects that were held.
    held: Vec<Target>,
    /// Kinds of objects that have come back and say how they are, and these objects: there may be many.
    kinds: Vec<Kind>,
    restored: Targets,
}

/// Waits as the arguments say, until `deadline`.
async fn wait(session: &Session<'_>, args: &RollbackArgs, helm: &HelmRecords, deadline: Instant) -> Result<(), Failure> {
    let mut awaited = Awaited { workloads: args.wait_for.contains(&WaitFor::Workloads), ..Awaited::default() };
    if args.wait_for.contains(&WaitFor::Restored) {
        awaited.add_restored(session, &args.goal, helm).await?;
    }
    // Asked again: kinds have come back.
    let discovery = session.watch.guard_patiently(session.cluster.discover()).await?;
    let source = Source::Cluster(session.cluster, &discovery);
    // One that came back and is not ready is looked at until it is; only then all of them again, of which there may be many.
    let last: RefCell<Option<(Target, String)>> = RefCell::default();
    let look = async || {
        let again = last.borrow().as_ref().map(|(target, _)| target.clone());
        let again = again.filter(|target| awaited.restored.contains(target));
        let found = if let Some(target) = &again { look_at(&source, target).await? } else { None };
        let found = if found.is_some() { found } else { awaited.first_unready(&source, helm).await? };
        let Some((target, why)) = found else { return Ok(Look::Done(())) };
        let text = format!("{target}: {why}");
        last.replace(Some((target, why)));
        Ok(Look::NotYet(text))
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let poll = Poll::of(left).telling("what was there before to be there again");
    let waited = session.watch.guard_patiently(poll.wait(look)).await?;
    let last = last.into_inner();
    waited.map_err(|text| {
        let patience = humantime::format_duration(args.wait_timeout);
        let message = match last {
            Some((target, why)) => format!("{target} is not ready after {patience}: {why}"),
            None => text,
        };
        Failure::new(&shared::NOT_READY_YET, message)
    })
}

/// Whether a change is undone by bringing something back, not by taking it away.
fn comes_back(change: &Change, plan: &Plan) -> bool {
    match change.action() {
        Action::Update => plan.stages()[change.stage].kind.may_be_ended(),
        action => action == Action::Delete,
    }
}

/// Why one object is not ready, if it is there and is not.
async fn look_at(source: &Source<'_>, target: &Target) -> Result<Option<(Target, String)>, Obstacle> {
    let live = source.get(&Kind::of(target), target.namespace.as_deref().unwrap_or_default(), &target.name).await?;
    Ok(live.as_ref().and_then(unready))
}

fn unready(object: &Value) -> Option<(Target, String)> {
    let silent = || Err("its controller has not looked at it yet".to_owned());
    Some((target(object), readiness(object).unwrap_or_else(silent).err()?))
}

impl Awaited {
    /// Adds what this rollback has brought back so far.
    async fn add_restored(&mut self, session: &Session<'_>, goal: &Goal, helm: &HelmRecords) -> Result<(), Failure> {
        let mut runs = session.runs().await?;
        let newest = runs.last().map(|run| run.sequence);
        runs.retain(|run| match (goal.to_revision, goal.to) {
            (Some(revision), _) => run.helm_revision.is_some_and(|its| its > revision) && helm.is_ours(run),
            (_, to) => run.sequence > to.unwrap_or_default(),
        });
        for run in runs.iter().filter(|run| run.is_of_rollback(newest)) {
            let (is_early_back, is_late_back) = (run.progress.is_undone_before_helm(), run.phase() == Phase::RolledBack);
            if !is_early_back && !is_late_back {
                continue;
            }
            let plan = session.watch.guard_patiently(session.store.read(&run.name)).await?.plan;
            let is_back = |(position, change): &(usize, Change)| {
                is_late_back || plan.undo_at(change.stage, *position) == UndoAt::PreRollback
            };
            for (_, change) in plan.changes().enumerate().filter(is_back) {
                self.add(change, &plan);
            }
        }
        Ok(())
    }

    fn add(&mut self, change: Change, plan: &Plan) {
        // What was not ready before need not be now.
        let was_ready = change.before().is_some_and(|before| readiness(before) == Some(Ok(())));
        if !was_ready || !comes_back(&change, plan) {
            return;
        }
        if change.action() == Action::Update {
            self.held.push(change.target);
            return;
        }
        let kind = Kind::of(&change.target);
        if !self.kinds.contains(&kind) {
            self.kinds.push(kind);
        }
        self.restored.insert(&change.target);
    }

    /// Any one object that is not ready, and why.
    async fn first_unready(&self, source: &Source<'_>, helm: &HelmRecords) -> Result<Option<(Target, String)>, Obstacle> {
        for kind in ["Deployment", "StatefulSet", "DaemonSet"].iter().filter(|_| self.workloads) {
            let kind = Kind::namespaced("apps", kind, &["v1"]);
            let read = |object: Value| is_of(&object, helm).then(|| unready(&object)).flatten();
            if let Some(found) = source.find_in(&kind, Some(&helm.namespace), read).await? {
                return Ok(Some(found));
            }
        }
        for held in &self.held {
            if let Some(found) = look_at(source, held).await? {
                return Ok(Some(found));
            }
        }
        for kind in &self.kinds {
            let read = |object: Value| self.restored.contains(&target(&object)).then(|| unready(&object)).flatten();
            if let Some(found) = source.find(kind, read).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn is_of(object: &Value, helm: &HelmRecords) -> bool {
    object::annotation(object, RELEASE_NAME) == Some(&helm.release)
}
