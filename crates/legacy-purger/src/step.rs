//! The step: what this job brings to what all jobs do.

use std::cell::Cell;

use async_trait::async_trait;

use fairlead_driver::step::Step;
use fairlead_job::failure::Failure;
use fairlead_migration::executor::{Verified, World};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::ticket::Told;
use fairlead_observe::source::Source;
use fairlead_release::session::Session;
use serde_json::Value;

use crate::args::ApplyArgs;
use crate::findings::first_refusals;
use crate::options::{Options, STEP};
use crate::world::Guarded;
use crate::{plan, ready, verify};
use fairlead_job::codes::legacy_purger as codes;

/// Removes what nothing needs any more.
pub(crate) struct Purging<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) options: Options<'a>,
    pub(crate) args: &'a ApplyArgs,
    /// The section of the configuration file, if there is one.
    pub(crate) configuration: Option<Value>,
    /// Words of the command line that change the plan.
    pub(crate) flags: Vec<String>,
}

#[async_trait(?Send)]
impl Step for Purging<'_> {
    const NAME: &'static str = STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        let look = async || {
            // Asked again: an earlier run that was finished first may have brought kinds back.
            let discovery = self.session.cluster.discover().await?;
            let source = Source::Cluster(self.session.cluster, &discovery);
            plan::make(&source, &self.options, Some(&*self.session.store)).await
        };
        Ok(ready::wait(self.args.ready_timeout, look, |plan| plan.refusals()).await?)
    }

    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        if plan.refusals().is_empty() {
            return Ok(());
        }
        Err(Failure::new(&codes::NOT_SAFE, first_refusals(plan.refusals())))
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        verify::verify(self.session.cluster, &self.options, self.args.step.deletion_timeout, plan).await?;
        Ok(Verified::AsPlanned)
    }

    fn told(&self) -> Told {
        Told { configuration: self.configuration.clone(), flags: self.flags.clone() }
    }

    fn world<'w>(&'w self, world: Box<dyn World + 'w>, plan: &'w Plan) -> Box<dyn World + 'w> {
        Box::new(Guarded {
            world,
            plan,
            session: self.session,
            options: &self.options,
            patience: self.args.step.deletion_timeout,
            ready_timeout: self.args.ready_timeout,
            is_checked: Cell::new(false),
        })
    }
}
