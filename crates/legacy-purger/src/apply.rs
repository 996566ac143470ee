//! The step: what this job brings to what all jobs do.

use std::cell::Cell;

use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor::World;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_release::observe::Source;
use fairlead_release::session::Session;
use fairlead_release::step::Step;

use crate::args::ApplyArgs;
use crate::findings::first_refusals;
use crate::plan::{self, Options, STEP};
use crate::world::Guarded;
use crate::{codes, ready, verify};

/// Removes what nothing needs any more.
pub(crate) struct Purging<'a> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) options: Options<'a>,
    pub(crate) args: &'a ApplyArgs,
}

impl Step for Purging<'_> {
    const NAME: &'static str = STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        let look = async || {
            // Asked again: an earlier run that was finished first may have brought kinds back.
            let discovery = self.session.cluster.discover().await?;
            let source = Source::Cluster(self.session.cluster, &discovery);
            let outcomes = self.session.ledger().outcomes(self.session.place.release).await?;
            plan::make(&source, &self.options, Some(&outcomes)).await
        };
        Ok(ready::wait(self.args.ready_timeout, look, |plan| &plan.refusals).await?)
    }

    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        if plan.refusals.is_empty() {
            return Ok(());
        }
        Err(Failure::new(ExitStatus::Refused, &codes::NOT_SAFE, first_refusals(&plan.refusals)))
    }

    async fn verify(&self, plan: &Plan) -> Result<(), Obstacle> {
        verify::verify(self.session.cluster, &self.options, self.args.step.deletion_timeout, plan).await
    }

    fn world<'w>(&'w self, objects: &'w Objects<'w>, plan: &'w Plan) -> impl World + 'w {
        Guarded {
            objects,
            plan,
            session: self.session,
            options: &self.options,
            patience: self.args.step.deletion_timeout,
            ready_timeout: self.args.ready_timeout,
            is_checked: Cell::new(false),
        }
    }
}
