//! One process at work on a step, whether it applies it or goes on with what another has left.

use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_release::executors::{Way, Work};
use fairlead_release::session::Session;

use crate::args::StepArgs;

/// What it works on.
pub(crate) struct StepRun<'a, S> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) args: &'a StepArgs,
    pub(crate) step: &'a S,
}

impl<S> StepRun<'_, S> {
    pub(crate) fn work<'w>(&'w self, plan: &'w Plan, way: Way) -> Work<'w> {
        Work { plan, way, watch: &self.session.watch, patience: Some(self.args.deletion_timeout) }
    }

    pub(crate) async fn require_ledger(&self) -> Result<(), Obstacle> {
        let place = self.session.place;
        let ledger = Ledger::new(self.session.cluster, place.namespace, place.release);
        self.session.cluster.require(&ledger.needs()).await
    }
}
