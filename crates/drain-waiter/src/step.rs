//! The step: what this job brings to what all jobs do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fairlead_driver::step::{Step, StepKind};
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::evidence::{Claim, Condition};
use fairlead_migration::executor::{Standing, Task, Verified, World};
use fairlead_migration::fields;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::{OnDrift, Swept};
use fairlead_migration::run::RecordedRun;
use fairlead_migration::stage::{Stage, StageKind, UndoWait};
use fairlead_migration::ticket::Told;
use fairlead_observe::claim_broken::broken;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use fairlead_release::session::Session;
use serde_json::Value;
use tokio::time::sleep;

use crate::certificate::Evidence;
use crate::closed::expect_closed;
use crate::configuration::Drain;
use crate::each::Entry;
use crate::entry::Intake;
use crate::event::{self, Reached};
use crate::intake::Closing;
use crate::options::{Options, STEP};
use crate::plan;
use crate::readers::readers;
use crate::sources::Place;
use crate::stages::is_old_intake;
use crate::surroundings::new_side;
use crate::wait::Wait;

/// Closes the intake, and waits until nothing is in flight.
pub(crate) struct Draining<'a> {
    pub(crate) session: &'a Session<'a>,
    /// With an entry for each object of a kind.
    pub(crate) written: &'a Drain<Entry>,
    pub(crate) options: Options<'a>,
    /// The section of the configuration file, if there is one.
    pub(crate) configuration: Option<Value>,
    /// Words of the command line that change the run.
    pub(crate) flags: Vec<String>,
    pub(crate) evidence: RefCell<Option<Evidence>>,
    /// When this process led the last Service to the new side.
    pub(crate) redirected: Cell<Option<Instant>>,
    /// What has shown where new connections lead, once it was looked for.
    pub(crate) reached: RefCell<Option<Vec<Reached>>>,
}

/// kube-proxy follows a Service within two seconds; until then a new connection may still lead to the old pods.
const PROPAGATION: Duration = Duration::from_secs(5);

impl Draining<'_> {
    fn place(&self) -> Place<'_> {
        let Session { cluster, discovery, place, .. } = self.session;
        Place { cluster, discovery, namespace: place.namespace }
    }

    /// Fails when the intake is open: what the configuration names, and what an earlier process has closed that was told otherwise.
    async fn expect_closed(&self, plan: &Plan) -> Result<(), Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        expect_closed(&Source::Cluster(cluster, discovery), self.options.drain, self.options.release).await?;
        let objects = Objects::new(cluster, discovery);
        for change in plan.changes() {
            let stage = &plan.stages()[change.stage];
            let task = Task { change: &change, stage, mark: "", is_undo: false, on_drift: OnDrift::Stop };
            if objects.look(&task).await? != Standing::After {
                // Opened between the two looks: the first one says who has done that.
                expect_closed(&Source::Cluster(cluster, discovery), self.options.drain, self.options.release).await?;
                let message = format!("{} is not as the run left it", change.target);
                return Err(Obstacle::Verdict { code: codes::CAME_BACK.id.into(), message });
            }
        }
        Ok(())
    }

    /// What the proof rests on: every object of the intake that is there, with the values that close it.
    async fn rests_on(&self, plan: &Plan) -> Result<Vec<Condition>, Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        let (source, mut all) = (Source::Cluster(cluster, discovery), BTreeMap::new());
        for intake in &self.options.drain.intake {
            all.insert(intake.target(), intake.fields());
        }
        for Change { target, images, .. } in plan.changes() {
            let Images::Update(before, after) = images else { continue };
            overlay(all.entry(target).or_default(), fields::diff(&before, &after).unwrap_or_default());
        }
        let mut conditions = Vec::new();
        for (target, fields) in all {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            if let Some(live) = source.get(&Kind::of(&target), namespace, &target.name).await? {
                conditions.push(Condition::of(target, fields, &live));
            }
        }
        Ok(conditions)
    }

    /// Fails when an object of the intake was made after the run, whose plan does not close it: an earlier process made that plan.
    async fn expect_nothing_new(&self, plan: &Plan) -> Result<(), Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        let (source, run) = (Source::Cluster(cluster, discovery), self.run().await?);
        let planned: BTreeSet<Target> = plan.changes().map(|change| change.target).collect();
        for intake in &self.options.drain.intake {
            let target = intake.target();
            if planned.contains(&target) {
                continue;
            }
            let namespace = target.namespace.as_deref().unwrap_or_default();
            let Some(live) = source.get(&Kind::of(&target), namespace, &target.name).await? else { continue };
            let is_open = matches!(intake.close(&live, true, self.options.release), Closing::After(_));
            // Both times are the API server's, in seconds.
            if is_open && live["metadata"]["creationTimestamp"].as_str().is_some_and(|created| *created >= *run.created) {
                return Err(self.is_new(&target));
            }
        }
        Ok(())
    }

    /// Nobody has opened it: the next run closes it, too.
    fn is_new(&self, target: &Target) -> Obstacle {
        let Session { place, common, .. } = self.session;
        let again = match common.release.helm_revision {
            Some(_) => "with the same `helm upgrade`".to_owned(),
            None => format!("with `{}`", place.job_command(STEP, "apply", &self.flags)),
        };
        let message = format!("{target} is new since the run began, and is open: run again, {again}");
        Obstacle::Verdict { code: codes::NEW_OBJECT.id.into(), message }
    }

    /// The command that shows what the plan of the same configuration refuses by then.
    fn look_again(&self) -> String {
        let Session { place, common, job, .. } = self.session;
        match (common.release.helm_revision, job) {
            (Some(revision), _) => place.check_of_hooks(revision),
            // It was made from manifests, and its configuration lies where only its pod is.
            (None, Some(_)) => place.command("check --upgrade FILE"),
            (None, None) => place.job_command(STEP, "plan", &self.flags),
        }
    }

    /// Fails when an entry of the intake means an object that did not exist when this process began: nobody has closed it.
    async fn expect_no_more(&self) -> Result<(), Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        let source = Source::Cluster(cluster, discovery);
        let again = self.written.expand(&source).await.map_err(|failure| Obstacle::Refused {
            operation: "look for what the intake means by now".to_owned(),
            source: failure.into(),
        })?;
        let known: BTreeSet<Target> = self.options.drain.intake.iter().map(Intake::target).collect();
        for target in again.intake.iter().map(Intake::target).filter(|target| !known.contains(target)) {
            let namespace = target.namespace.as_deref().unwrap_or_default();
            if source.get(&Kind::of(&target), namespace, &target.name).await?.is_some() {
                return Err(self.is_new(&target));
            }
        }
        Ok(())
    }

    /// This run, as the ledger knows it.
    async fn run(&self) -> Result<RecordedRun, Obstacle> {
        let runs = self.session.runs().await?;
        runs.into_iter().rfind(|run| run.step == STEP && run.is_unfinished()).ok_or_else(|| Obstacle::Refused {
            operation: "find this run in the ledger".to_owned(),
            source: "its ticket is gone".into(),
        })
    }

    /// Id of the run, the same when it is resumed; a ledger that begins anew gives no id twice.
    async fn id(&self) -> Result<String, Obstacle> {
        let RecordedRun { name, created, .. } = self.run().await?;
        Ok(format!("{}/{name}/{created}", self.session.place.namespace))
    }

    /// Shows where new connections lead; once in a process.
    async fn reach(&self, plan: &Plan) -> Result<Vec<Reached>, Obstacle> {
        if let Some(reached) = self.reached.borrow().clone() {
            return Ok(reached);
        }
        // Before an event goes through a Service that the plan does not know.
        self.expect_nothing_new(plan).await?;
        let reached = event::reach(self.options.drain, self.place(), &self.id().await?, &self.session.watch).await?;
        self.reached.replace(Some(reached.clone()));
        Ok(reached)
    }

    /// Waits until no new connection leads to the old side any more, before its pods end.
    async fn new_connections_lead_elsewhere(&self, plan: &Plan) -> Result<(), Obstacle> {
        self.reach(plan).await?;
        // An earlier process has redirected them, maybe a moment ago.
        let since = self.redirected.get().map(|redirected| redirected.elapsed()).unwrap_or_default();
        let rest = PROPAGATION.saturating_sub(since);
        tracing::info!("new connections lead to the new side; the old intake stops {PROPAGATION:?} after the redirect");
        let pass = async {
            sleep(rest).await;
            Ok::<_, Obstacle>(())
        };
        self.session.watch.guard(pass).await
    }

    /// Fails when the new side of a redirect is not ready.
    async fn expect_new_sides(&self) -> Result<(), Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        let source = Source::Cluster(cluster, discovery);
        for intake in &self.options.drain.intake {
            let Intake::Redirect(redirect) = intake else { continue };
            let service = intake.target();
            let namespace = service.namespace.as_deref().unwrap_or_default();
            let image = source.get(&Kind::of(&service), namespace, &service.name).await?;
            let Some(image) = image.or_else(|| (!intake.may_be_absent()).then(Value::default)) else { continue };
            if let Some(Finding { target, message, .. }) = new_side(&source, &service, &image, redirect).await? {
                return Err(Obstacle::Verdict { code: codes::NEW_SIDE.id.into(), message: format!("{target}: {message}") });
            }
        }
        Ok(())
    }

    /// Fails when an object of the intake was written since: it may have been open in between.
    async fn expect_untouched(&self, claim: &Claim) -> Result<(), Obstacle> {
        let Session { cluster, discovery, .. } = self.session;
        match broken(&Source::Cluster(cluster, discovery), claim).await?.first() {
            Some(message) => Err(Obstacle::Verdict { code: codes::CAME_BACK.id.into(), message: message.clone() }),
            None => Ok(()),
        }
    }
}

#[async_trait(?Send)]
impl Step for Draining<'_> {
    const NAME: &'static str = STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const KIND: StepKind = StepKind::Gate;

    async fn plan(&self) -> Result<Plan, Failure> {
        let source = Source::Cluster(self.session.cluster, &self.session.discovery);
        Ok(plan::make(&source, &self.options, Some(self.place()), Some(self.session.watch.time_left())).await?)
    }

    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        if plan.refusals().is_empty() {
            return Ok(());
        }
        Err(Failure::new(&codes::NOT_BEGUN, first(plan.refusals())).with_aftermath(self.look_again()))
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        let rests_on = self.rests_on(plan).await?;
        let claim = Claim { rests_on: rests_on.clone(), ..Claim::default() };
        let (id, watch, reached) = (self.id().await?, &self.session.watch, self.reach(plan).await?);
        let readers = readers(self.options.drain, self.place());
        let wait = Wait { options: &self.options, watch, readers, rests_on, reached, id };
        let intact = async || {
            self.expect_closed(plan).await?;
            let Err(written) = self.expect_untouched(&claim).await else { return Ok(()) };
            // Opened between the two looks: the first one says who has done that.
            self.expect_closed(plan).await?;
            Err(written)
        };
        wait.run(&self.evidence, intact).await?;
        self.expect_no_more().await?;
        Ok(Verified::AsPlanned)
    }

    fn evidence(&self) -> Option<Value> {
        serde_json::to_value(self.evidence.borrow().as_ref()?).ok()
    }

    fn told(&self) -> Told {
        Told { configuration: self.configuration.clone(), flags: self.flags.clone() }
    }

    fn world<'w>(&'w self, world: Box<dyn World + 'w>, plan: &'w Plan) -> Box<dyn World + 'w> {
        Box::new(Guarded { world, plan, step: self })
    }
}

/// Adds fields to others. Unlike a merge patch it keeps nulls: what a redirect takes out of a selector must stay out of it.
fn overlay(fields: &mut Value, more: Value) {
    match (fields, more) {
        (Value::Object(fields), Value::Object(more)) => {
            more.into_iter().for_each(|(name, value)| overlay(fields.entry(name).or_insert(Value::Null), value));
        }
        (fields, more) => *fields = more,
    }
}

/// The first refusals, for messages outside the report.
fn first(refusals: &[Finding]) -> String {
    let shown: Vec<String> =
        refusals.iter().take(3).map(|it| format!("{} {}: {}", it.code, it.target, it.message)).collect();
    let more = refusals.len().saturating_sub(shown.len());
    shown.join("; ") + &if more == 0 { String::new() } else { format!("; and {more} more") }
}

/// The world, and two looks: whether the new side is ready when a Service is redirected, and whether new connections lead there when the
/// old side stops.
struct Guarded<'w, 'a> {
    world: Box<dyn World + 'w>,
    plan: &'w Plan,
    step: &'w Draining<'a>,
}

#[async_trait(?Send)]
impl World for Guarded<'_, '_> {
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle> {
        if stage.kind == StageKind::Switch {
            self.step.expect_new_sides().await?;
        } else if is_old_intake(stage) {
            self.step.new_connections_lead_elsewhere(self.plan).await?;
        }
        self.world.admit(stage).await
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        self.world.bring(task).await?;
        if task.stage.kind == StageKind::Switch && !task.is_undo {
            self.step.redirected.set(Some(Instant::now()));
        }
        Ok(())
    }

    async fn sweep(&self, task: &Task<'_>, next: Option<&str>) -> Result<Swept, Obstacle> {
        self.world.sweep(task, next).await
    }

    async fn settle(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        self.world.settle(task).await
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        self.world.look(task).await
    }

    async fn wait(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        self.world.wait(wait, stop).await
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        self.world.lacking()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_redirect_takes_out_of_a_selector_must_stay_out() {
        let mut fields = json!({"spec": {"selector": {"app": "new"}}});
        overlay(&mut fields, json!({"spec": {"selector": {"app": "new", "tier": null}}}));
        assert_eq!(fields, json!({"spec": {"selector": {"app": "new", "tier": null}}}));
    }
}
