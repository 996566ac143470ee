//! Triggers are created no faster than Knative makes them ready.
//!
//! # Decision: a window of Triggers that are not ready
//!
//! Situation: Knative takes Triggers one after the other, about one per second; a Trigger that somebody else creates behind 2,000 of ours
//! had no status after three minutes (measured). Decision: no more than [`WINDOW`] of ours are not ready at once, so that it waits for a
//! minute. That is given half of the run's time; what is not created by then is created at once, because the rest of the upgrade waits.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fairlead_apis::object;
use fairlead_job::watch::Watch;
use fairlead_mesh::broker::BROKER;
use fairlead_mesh::kinds;
use fairlead_migration::change::{Action, Target};
use fairlead_migration::executor::{Standing, Task, World};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::Swept;
use fairlead_migration::stage::{Stage, UndoWait};
use fairlead_observe::source::Source;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::ready::{self, Awaited, Patience, Wait};

/// At most so many of ours are not ready: what Knative does in a minute.
const WINDOW: usize = 60;

/// The objects of a cluster, whose Triggers are created in time with Knative.
pub(crate) struct Paced<'a> {
    /// Where changes are made.
    pub(crate) world: Box<dyn World + 'a>,
    /// For reading.
    pub(crate) source: Source<'a>,
    /// How long nothing may become ready.
    pub(crate) timeout: Duration,
    pub(crate) watch: &'a Watch,
    /// So much of the run's time is left for what comes after.
    pub(crate) reserve: Duration,
    pub(crate) made: Mutex<Made>,
}

/// What has been created.
#[derive(Default)]
pub(crate) struct Made {
    /// Namespaces with a Broker, when the first Trigger is created. Triggers of others have no status, and keep nobody waiting.
    with_broker: Option<HashSet<String>>,
    awaited: Awaited,
    /// How many of them are not ready, at most.
    unready: usize,
    /// The time for it is over.
    is_over: bool,
}

#[async_trait(?Send)]
impl World for Paced<'_> {
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle> {
        self.world.admit(stage).await
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let is_trigger = task.change.target.kind == kinds::TRIGGER.kind;
        if !task.is_undo && is_trigger && task.change.action() == Action::Create {
            self.watch.guard(self.turn(&task.change.target)).await?;
        }
        self.world.bring(task).await
    }

    async fn sweep(&self, task: &Task<'_>, next: Option<&str>) -> Result<Swept, Obstacle> {
        self.world.sweep(task, next).await
    }

    async fn settle(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        self.world.settle(task).await
    }

    async fn wait(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        self.world.wait(wait, stop).await
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        self.world.look(task).await
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        self.world.lacking()
    }
}

impl Paced<'_> {
    /// Waits until one more may be created.
    async fn turn(&self, target: &Target) -> Result<(), Obstacle> {
        // Whoever comes meanwhile waits here.
        let mut made = self.made.lock().await;
        if made.with_broker.is_none() {
            made.with_broker = Some(self.namespaces_with_broker().await?);
        }
        let is_in = |namespaces: &HashSet<String>| target.namespace.as_ref().is_some_and(|it| namespaces.contains(it));
        if !made.with_broker.as_ref().is_some_and(is_in) {
            return Ok(());
        }
        if made.unready >= WINDOW && !made.is_over {
            let Self { timeout, watch, reserve, .. } = *self;
            let mut patience = Patience { timeout, since: Instant::now(), watch, reserve, enough: WINDOW / 2 };
            match ready::wait(&self.source, &made.awaited, &mut patience).await? {
                Wait::Ready => made.unready = WINDOW / 2,
                // Somebody deletes them as fast: looked at once more when as many have been created again.
                Wait::Gone => made.unready = 0,
                Wait::Behind(left) => {
                    tracing::info!(left, "half of the time is over: the rest is created at once");
                    made.is_over = true;
                }
            }
        }
        made.awaited.add(target);
        made.unready += 1;
        Ok(())
    }

    async fn namespaces_with_broker(&self) -> Result<HashSet<String>, Obstacle> {
        let namespace = |broker: Value| (object::name(&broker) == BROKER).then(|| object::namespace(&broker).to_owned());
        Ok(self.source.list(&kinds::BROKER, namespace).await?.into_iter().collect())
    }
}
