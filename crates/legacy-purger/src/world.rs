//! Makes the changes, and looks at what only this step has to look at: that a held workload has stopped, that the fence is up, that a
//! definition takes nothing along, and who keeps an object from going.

use std::cell::Cell;
use std::time::{Duration, Instant};

use async_trait::async_trait;

use fairlead_kube_client::objects::{Objects, Rehearsal};
use fairlead_migration::change::{Action, Change, Image, Images, Target};
use fairlead_migration::executor::{Standing, Task, Watcher as _, World};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Swept;
use fairlead_migration::stage::{Stage, StageKind, UndoWait};
use fairlead_observe::address::target;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;
use fairlead_release::session::Session;

use crate::earlier::EarlierSteps;
use crate::fence::is_covered;
use crate::finalizers::finalizers;
use crate::findings::{first_refusals, objections};
use crate::observe::{get, observe};
use crate::options::Options;
use crate::stages::{HELM_OBJECTS, OBJECTS};
use crate::workloads::{Running, pods};
use crate::{cascade, kinds, ready};
use fairlead_job::codes::legacy_purger as codes;

/// The interval between two looks at a change that takes a moment.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// A policy acts about one second after it was created (measured with Kubernetes 1.34), on every API server by itself.
const FENCE_TIMEOUT: Duration = Duration::from_secs(20);

/// An API server looks for new policies once a second, each at a moment of its own. So long the fence must deny every try, each over another
/// connection: then it stands on all servers, also on those that a load balancer hides.
const FENCE_STEADY: Duration = Duration::from_secs(1);

/// The objects of a purge.
pub(crate) struct Guarded<'a> {
    /// Where changes are made.
    pub(crate) world: Box<dyn World + 'a>,
    pub(crate) plan: &'a Plan,
    pub(crate) session: &'a Session<'a>,
    pub(crate) options: &'a Options<'a>,
    pub(crate) patience: Duration,
    pub(crate) ready_timeout: Duration,
    /// Whether the guards were looked at again before the first deletion.
    pub(crate) is_checked: Cell<bool>,
}

#[async_trait(?Send)]
impl World for Guarded<'_> {
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle> {
        if stage.kind == StageKind::Contract && !self.is_checked.replace(true) {
            self.expect_no_objections().await?;
        }
        self.world.admit(stage).await
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let (target, action) = (&task.change.target, task.change.action());
        if task.is_undo {
            return self.world.bring(task).await;
        }
        let is = |kind: &Kind| target.kind == kind.kind;
        match &task.change.images {
            Images::Delete(definition) if is(&DEFINITION) => self.expect_no_objects(definition).await?,
            _ => {}
        }
        match self.world.bring(task).await {
            Err(Obstacle::Late { operation, source }) if action == Action::Delete => {
                let source = self.who_keeps(target).await?.map_or(source, Into::into);
                Err(Obstacle::Late { operation, source })
            }
            Ok(()) if action == Action::Create && is(&kinds::BINDING) => self.see_fence_deny(&target.name, task.mark).await,
            Ok(()) if action == Action::Update && pods_of(task.change.before()).is_some() => self.see_stop(target).await,
            other => other,
        }
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

/// How many pods an object has, if it is a workload.
fn pods_of(image: Option<&Image>) -> Option<u64> {
    image.filter(|image| image["spec"].get("replicas").is_some()).map(pods)
}

impl Guarded<'_> {
    /// For reading, also objects of kinds that the plan itself deletes.
    async fn objects(&self) -> Result<Objects<'_>, Obstacle> {
        let discovery = self.session.cluster.discover_for(self.plan, &self.session.discovery).await?;
        Ok(Objects::new(self.session.cluster, discovery))
    }

    /// Waits until the pods of a held workload have ended.
    async fn see_stop(&self, workload: &Target) -> Result<(), Obstacle> {
        let (objects, deadline) = (self.objects().await?, Instant::now() + self.patience);
        loop {
            let left = objects.get(workload).await?.as_ref().map_or(0, pods);
            if left == 0 {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let operation = format!("see the pods of {workload} end within {:?}", self.patience);
                return Err(Obstacle::Late { operation, source: format!("{left} are still there").into() });
            }
            self.pause().await?;
        }
    }

    /// Sleeps a moment, unless the run is to end.
    async fn pause(&self) -> Result<(), Obstacle> {
        if let Some(stop) = self.session.watch.stop() {
            return Err(Obstacle::Stopped(stop));
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        Ok(())
    }

    /// The fence is up when it denies the creation of an object like those that go, for some time and without exception. Where that cannot
    /// be tried, a definition is still deleted only when none of its objects is there.
    async fn see_fence_deny(&self, policy: &str, mark: &str) -> Result<(), Obstacle> {
        let is_sample = |change: &Change| {
            let is_object = change.stage == OBJECTS || change.stage == HELM_OBJECTS;
            is_object && change.before().is_some_and(|image| is_covered(&self.options.purge.kinds, image))
        };
        let Some(sample) = self.plan.changes().find(is_sample) else { return Ok(()) };
        // What else could deny an object of this name was asked when the purge was planned.
        let image = sample.before().cloned().unwrap_or_default();
        let (objects, deadline) = (self.objects().await?, Instant::now() + FENCE_TIMEOUT);
        let mut denies_since: Option<Instant> = None;
        loop {
            match objects.rehearse(&sample.target, &image, None).await? {
                Rehearsal::Denied(why) if why.contains(policy) => {
                    if denies_since.get_or_insert_with(Instant::now).elapsed() >= FENCE_STEADY {
                        return Ok(());
                    }
                    self.pause().await?;
                }
                Rehearsal::NotAllowed => return Ok(()),
                Rehearsal::Denied(why) | Rehearsal::Untried(why) => {
                    // On the way back it carries the mark. If that is denied, too, then only since the plan was made.
                    let back = objects.rehearse(&sample.target, &image, Some(mark)).await?;
                    if let Rehearsal::Denied(why) = back
                        && self.options.rehearses
                    {
                        let message = format!("{} could not be created again: {why}", sample.target);
                        return Err(Obstacle::Verdict { code: codes::NOT_RESTORABLE_TODAY.id.into(), message });
                    }
                    tracing::warn!(policy, why, "the fence cannot be tried");
                    return Ok(());
                }
                Rehearsal::Accepted | Rehearsal::Exists if Instant::now() >= deadline => {
                    let operation = format!("see ValidatingAdmissionPolicy {policy} deny within {FENCE_TIMEOUT:?}");
                    let source = format!("{} could still be created; --fence false goes without it", sample.target.kind);
                    return Err(Obstacle::Late { operation, source: source.into() });
                }
                Rehearsal::Accepted | Rehearsal::Exists => {
                    denies_since = None;
                    self.pause().await?;
                }
            }
        }
    }

    /// Looks at every guard again: much can change until workloads are held and the fence is up.
    async fn expect_no_objections(&self) -> Result<(), Obstacle> {
        let look = async || {
            let discovery = self.session.cluster.discover().await?;
            let source = Source::Cluster(self.session.cluster, &discovery);
            let found = observe(&source, self.options).await?;
            let store = &*self.session.store;
            let steps = EarlierSteps::observe(&source, self.options, store, &store.runs().await?).await?;
            let refusals = objections(self.options, &found, &steps);
            Ok((discovery, found, refusals))
        };
        let look = ready::wait(self.ready_timeout, look, |(_, _, refusals)| refusals);
        let (discovery, found, refusals) = self.session.watch.guard(look).await?;
        if refusals.is_empty() {
            let source = Source::Cluster(self.session.cluster, &discovery);
            return self.session.watch.guard(cascade::check(&source, &found, self.plan)).await;
        }
        let what = first_refusals(&refusals);
        let message = format!("something has come to speak against the purge since it was planned: {what}");
        Err(Obstacle::Verdict { code: codes::NOT_SAFE.id.into(), message })
    }

    /// A definition takes all its objects along; only those of the snapshot come back.
    async fn expect_no_objects(&self, definition: &Image) -> Result<(), Obstacle> {
        let spec = &definition["spec"];
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let kind = Kind::named(&text(&spec["group"]), &text(&spec["names"]["kind"]));
        // Not as it was when this process began: an earlier run may have brought the kind back since.
        let discovery = self.session.cluster.discover_for(self.plan, &self.session.discovery).await?;
        let source = Source::Cluster(self.session.cluster, &discovery);
        match source.first(&kind).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => {
                let what = "it was created while its kind was purged, and would go without a snapshot".to_owned();
                Err(Obstacle::Drift { target: target(&object), what })
            }
            // An earlier process has deleted the definition already.
            Err(obstacle) => match source.get(&DEFINITION, "", &text(&definition["metadata"]["name"])).await? {
                Some(live) if live["metadata"]["deletionTimestamp"].is_null() => Err(obstacle),
                _ => Ok(()),
            },
        }
    }

    /// Which finalizers keep an object, whose they are, and what to do.
    async fn who_keeps(&self, target: &Target) -> Result<Option<String>, Obstacle> {
        let Some(live) = self.objects().await?.get(target).await? else { return Ok(None) };
        let source = Source::Cluster(self.session.cluster, &self.session.discovery);
        let found = self.session.discovery.find_version(&target.api_version, &target.kind);
        let or_let_go = found.map(|resource| {
            format!("; if nobody is left who does its work: {}", self.session.cluster.let_go(resource, target))
        });
        let or_let_go = or_let_go.unwrap_or_default();
        let mut kept = Vec::new();
        for name in finalizers(&live) {
            kept.push(match self.options.purge.finalizer(name) {
                None => format!("finalizer {name}, whose owner is not configured: see that its controller runs{or_let_go}"),
                Some(finalizer) => {
                    let owner = &finalizer.owner;
                    let running = Running::of(get(&source, owner).await?.as_ref());
                    match running.trouble() {
                        Some(trouble) => {
                            let command = running.remedy(owner, name);
                            format!("finalizer {name}, whose owner {owner} {trouble}: {command}")
                        }
                        None => {
                            format!("finalizer {name}, whose owner {owner} runs: see its log, or raise --deletion-timeout")
                        }
                    }
                }
            });
        }
        let what = if kept.is_empty() { "no finalizer; it is about to go".to_owned() } else { kept.join("; ") };
        Ok(Some(format!("it is deleted, and kept by {what}")))
    }
}
