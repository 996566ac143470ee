//! The step: what this job brings to what all jobs do.

use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor::World;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_release::observe::Source;
use fairlead_release::session::Session;
use fairlead_release::step::Step;

use crate::address::Addressed;
use crate::args::{ApplyArgs, Args};
use crate::plan::STEP;
use crate::{kinds, verify};

/// Every legacy Subscription gets its Trigger.
pub(crate) struct Replication<'a> {
    pub(crate) args: &'a Args,
    pub(crate) apply: &'a ApplyArgs,
    pub(crate) session: &'a Session<'a>,
}

impl Replication<'_> {
    fn source(&self) -> Source<'_> {
        Source::Cluster(self.session.cluster, &self.session.discovery)
    }
}

impl Step for Replication<'_> {
    const NAME: &'static str = STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        super::make_plan(&self.source(), self.args).await.map_err(Failure::from)
    }

    async fn verify(&self, plan: &Plan) -> Result<(), Obstacle> {
        let (cluster, discovery) = (self.session.cluster, &self.session.discovery);
        verify::verify(self.args, self.apply, cluster, discovery, plan).await
    }

    fn world<'w>(&'w self, objects: &'w Objects<'w>, _plan: &'w Plan) -> impl World + 'w {
        let broker_version = self.source().api_version(&kinds::BROKER).unwrap_or_default();
        Addressed { objects, watch: &self.session.watch, broker_version, timeout: self.apply.ready_timeout }
    }
}
