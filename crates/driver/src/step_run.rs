//! One process at work on a step, whether it applies it or goes on with what another has left.

use fairlead_migration::plan::Plan;
use fairlead_migration::ticket::Told;
use fairlead_release::executors::{Way, Work};
use fairlead_release::session::Session;

use crate::args::StepArgs;
use crate::step::Step;

/// What it works on.
pub(crate) struct StepRun<'a, S> {
    pub(crate) session: &'a Session<'a>,
    pub(crate) args: &'a StepArgs,
    pub(crate) step: &'a S,
}

impl<S> StepRun<'_, S> {
    pub(crate) fn work<'w>(&'w self, plan: &'w Plan, way: Way) -> Work<'w> {
        Work { plan, way, watch: &self.session.watch, patience: Some(self.args.deletion_timeout), without_gone: false }
    }
}

impl<S: Step> StepRun<'_, S> {
    /// What this run was told, for whoever goes on with it.
    pub(crate) fn told(&self) -> Told {
        let mut told = self.step.told();
        told.flags.extend(self.session.common.strict.then(|| "--strict".to_owned()));
        told
    }
}
