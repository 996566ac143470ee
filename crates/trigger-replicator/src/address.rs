//! Where a Subscription carries events to, when the Broker is made by the same run.
//!
//! # Decision: the address of a new Broker is asked for when it is needed
//!
//! Situation: a Subscription needs the address of its Broker (Kyma wrote the address, too; a reference into the Broker's
//! namespace was not tried), and a Broker gets its address when its controller has made it; which one depends on the class of
//! Broker. The plan is made before. Decision: the plan shows the address that is usual; what is written is what the Broker's
//! status says by then. Consequence: the one field in which a created object may differ from its image; its undo goes by our
//! mark all the same.

use std::time::Duration;

use async_trait::async_trait;

use fairlead_apis::messaging::BROKER_NAMESPACE_LABEL;
use fairlead_apis::status::Status;
use fairlead_job::codes::shared;
use fairlead_job::watch::Watch;
use fairlead_kube_client::objects::Objects;
use fairlead_kube_client::poll::{Look, Poll};
use fairlead_mesh::broker::broker;
use fairlead_mesh::kinds;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{Standing, Task, World};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::Swept;
use fairlead_migration::stage::{Stage, UndoWait};

/// The objects of a cluster, where Subscriptions are created with the address that their Broker has by then.
pub(crate) struct Addressed<'a> {
    /// Where changes are made.
    pub(crate) world: Box<dyn World + 'a>,
    /// For reading.
    pub(crate) objects: Objects<'a>,
    pub(crate) watch: &'a Watch,
    /// Group and version of Brokers.
    pub(crate) broker_version: String,
    /// How long a Broker may take to get its address.
    pub(crate) timeout: Duration,
}

#[async_trait(?Send)]
impl World for Addressed<'_> {
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle> {
        self.world.admit(stage).await
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let change = task.change;
        let is_subscription = change.target.kind == kinds::SUBSCRIPTION.kind;
        let namespace = change.after().and_then(|after| after["metadata"]["labels"][BROKER_NAMESPACE_LABEL].as_str());
        let (Images::Create(image), true, Some(namespace)) = (&change.images, is_subscription, namespace) else {
            return self.world.bring(task).await;
        };
        let broker = broker(&self.broker_version, namespace);
        let url = match self.watch.guard(self.address(&broker)).await {
            Err(Obstacle::Stopped(Stop::DeadlinePassed)) => {
                let message = format!("the deadline of the run has passed while {broker} had no address");
                return Err(Obstacle::OutOfTime { code: shared::DEADLINE.id.into(), message });
            }
            url => url?,
        };
        let mut image = image.clone();
        if image["spec"]["subscriber"]["uri"] != url.as_str() {
            tracing::info!(target = %change.target, address = url, "the Broker has another address than planned");
            image["spec"]["subscriber"]["uri"] = url.into();
        }
        let change = Change { images: Images::Create(image), ..change.clone() };
        self.world.bring(&Task { change: &change, ..*task }).await
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

impl Addressed<'_> {
    async fn address(&self, target: &Target) -> Result<String, Obstacle> {
        let look = async || {
            let found = self.objects.get(target).await?;
            if let Some(url) = found.as_ref().and_then(|broker| broker["status"]["address"]["url"].as_str()) {
                return Ok(Look::Done(url.to_owned()));
            }
            Ok(Look::NotYet(match found.as_ref().map(Status::of) {
                None => "there is no such Broker".to_owned(),
                Some(Status::InProgress(cause) | Status::Failed(cause)) => cause.to_string(),
                Some(Status::Current | Status::Terminating) => "its status has none".to_owned(),
            }))
        };
        let what = format!("{target} to get an address");
        Poll::of(self.timeout).telling(&what).wait(look).await?.map_err(|cause| Obstacle::Late {
            operation: format!("see {target} get an address within {:?}", self.timeout),
            source: cause.into(),
        })
    }
}
