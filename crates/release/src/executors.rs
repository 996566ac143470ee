//! What carries changes out. A ticket names its executor; a binary has some of them, and one that lacks it names the image that has it.

use std::cell::RefCell;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor::World;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::store::Lock;
use fairlead_migration::ticket::{KUBERNETES, Ticket};

/// Whether a plan is carried out or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Carried out; and taken back when that fails.
    Forward,
    /// Taken back.
    Back,
}

/// A plan that is about to be carried out or taken back.
#[derive(Clone, Copy)]
pub struct Work<'w> {
    /// The plan.
    pub plan: &'w Plan,
    /// In which direction.
    pub way: Way,
    /// Tells when waiting is to end.
    pub watch: &'w Watch,
    /// How long a deleted object may take until it is gone; the executor's own patience without it.
    pub patience: Option<Duration>,
    /// Whether nothing is waited for that is gone.
    pub without_gone: bool,
}

impl<'w> Work<'w> {
    /// Taking a plan back, patiently.
    #[must_use]
    pub fn back(plan: &'w Plan, watch: &'w Watch) -> Self {
        Self { plan, way: Way::Back, watch, patience: None, without_gone: false }
    }
}

/// Carries changes out, where it has its own kind of world.
#[async_trait(?Send)]
pub trait Executor {
    /// As tickets name it.
    fn name(&self) -> &'static str;

    /// Forgets what it knows of the world: others have changed it meanwhile.
    async fn look_again(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Fails when it may not do all of this.
    async fn require(&self, work: Work<'_>) -> Result<(), Failure>;

    /// The world of a plan, for as long as the lock is held.
    async fn world<'w>(&'w self, work: Work<'w>, lock: &'w dyn Lock) -> Result<Box<dyn World + 'w>, Failure>;
}

/// The executors that a binary was built with.
pub type Executors<'a> = Vec<Box<dyn Executor + 'a>>;

/// The one of this name, or who has it.
pub fn executor<'e>(executors: &'e Executors<'_>, name: &str, ticket: &Ticket) -> Result<&'e dyn Executor, Obstacle> {
    let found = executors.iter().find(|executor| executor.name() == ticket.executor);
    found.map(|executor| &**executor).ok_or_else(|| {
        let tool = &ticket.tool;
        let who =
            tool.image.as_ref().map_or_else(|| format!("{} {}", tool.name, tool.version), |image| format!("image {image}"));
        Obstacle::OtherExecutor { name: name.to_owned(), executor: ticket.executor.clone(), who }
    })
}

/// Changes objects of a cluster.
pub struct Kubernetes<'a> {
    cluster: &'a Cluster,
    /// What the cluster serves, and what newer runs have deleted: older ones may have changed objects of it.
    found: RefCell<Discovery>,
}

impl<'a> Kubernetes<'a> {
    /// On a cluster that serves this.
    #[must_use]
    pub fn new(cluster: &'a Cluster, discovery: Discovery) -> Self {
        Self { cluster, found: RefCell::new(discovery) }
    }

    async fn objects<'w>(&'w self, work: Work<'w>) -> Result<Objects<'w>, Obstacle> {
        let known = self.found.borrow().clone();
        let found = self.cluster.discover_for(work.plan, &known).await?;
        self.found.replace(found.clone());
        let objects = Objects::of_plan(self.cluster, found, work.plan).watched_by(work.watch);
        let objects = if work.without_gone { objects.without_gone() } else { objects };
        Ok(match work.patience {
            Some(patience) => objects.with_patience(patience),
            None => objects,
        })
    }
}

#[async_trait(?Send)]
impl Executor for Kubernetes<'_> {
    fn name(&self) -> &'static str {
        KUBERNETES
    }

    async fn look_again(&self) -> Result<(), Failure> {
        let found = self.cluster.discover().await?;
        self.found.replace(found);
        Ok(())
    }

    async fn require(&self, work: Work<'_>) -> Result<(), Failure> {
        let objects = self.objects(work).await?;
        let needs = match work.way {
            Way::Forward => objects.needs(work.plan)?,
            Way::Back => objects.needs_to_undo(work.plan)?,
        };
        Ok(self.cluster.require(&needs).await?)
    }

    async fn world<'w>(&'w self, work: Work<'w>, lock: &'w dyn Lock) -> Result<Box<dyn World + 'w>, Failure> {
        Ok(Box::new(self.objects(work).await?.under(lock)))
    }
}
