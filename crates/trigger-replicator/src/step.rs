//! The step: what this job brings to what all jobs do.

use std::time::Instant;

use async_trait::async_trait;
use fairlead_driver::step::Step;
use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_mesh::kinds;
use fairlead_migration::executor::{Verified, World};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::ticket::Told;
use fairlead_observe::source::Source;
use fairlead_release::session::Session;
use tokio::sync::Mutex;

use crate::address::Addressed;
use crate::args::{ApplyArgs, Args};
use crate::make::make_plan;
use crate::pacing::Paced;
use crate::plan::STEP;
use crate::ready::{BEFORE_DEADLINE, Patience};
use crate::verify;

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

#[async_trait(?Send)]
impl Step for Replication<'_> {
    const NAME: &'static str = STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        make_plan(&self.source(), self.args).await.map_err(Failure::from)
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        let (timeout, watch) = (self.apply.ready_timeout, &self.session.watch);
        let mut patience = Patience { timeout, since: Instant::now(), watch, reserve: BEFORE_DEADLINE, enough: 0 };
        verify::verify(&self.source(), self.args, &mut patience, plan).await
    }

    fn told(&self) -> Told {
        let namespaces = self.args.exclude_namespace.iter();
        let flags = namespaces.flat_map(|namespace| ["--exclude-namespace".to_owned(), namespace.clone()]);
        let delivery = self.args.delivery.iter();
        let delivery = delivery.flat_map(|delivery| ["--delivery".to_owned(), delivery.document().to_string()]);
        Told { configuration: None, flags: flags.chain(delivery).collect() }
    }

    fn world<'w>(&'w self, world: Box<dyn World + 'w>, _plan: &'w Plan) -> Box<dyn World + 'w> {
        let broker_version = self.source().api_version(&kinds::BROKER).unwrap_or_default();
        let objects = Objects::new(self.session.cluster, &self.session.discovery);
        let (watch, timeout) = (&self.session.watch, self.apply.ready_timeout);
        let world = Box::new(Addressed { world, objects, watch, broker_version, timeout });
        let (reserve, made) = (watch.time_left() / 2, Mutex::default());
        Box::new(Paced { world, source: self.source(), timeout, watch, reserve, made })
    }
}
