//! What a job brings with it. Everything else is the same for all.

use async_trait::async_trait;
use fairlead_job::failure::Failure;
use fairlead_migration::executor::{Proof, Purpose, Verified, World};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::ticket::{KUBERNETES, SecretReference, Told};
use serde_json::Value;

/// What a run is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StepKind {
    /// It makes changes that stay. With nothing to change it does nothing, and writes no ticket.
    #[default]
    Change,
    /// It lets the upgrade pass or not: it always opens a ticket and always verifies, also with nothing to change.
    Gate,
    /// Its changes are taken back when they have been verified, and that is success.
    Probe,
}

impl StepKind {
    pub(crate) fn purpose(self) -> Purpose {
        match self {
            Self::Change | Self::Gate => Purpose::Lasting,
            Self::Probe => Purpose::Probe,
        }
    }
}

/// A step of a migration.
#[async_trait(?Send)]
pub trait Step {
    /// Its name, in tickets and commands; that of its binary where the binary has one step.
    const NAME: &'static str;

    /// Version of the binary.
    const VERSION: &'static str;

    /// What its runs are for.
    const KIND: StepKind = StepKind::Change;

    /// What carries its changes out.
    const EXECUTOR: &'static str = KUBERNETES;

    /// Observes the world and decides what is to be done.
    async fn plan(&self) -> Result<Plan, Failure>;

    /// What it was told that changes its plan.
    fn told(&self) -> Told {
        Told::default()
    }

    /// Secrets that carrying out and taking back its runs reads.
    fn credentials(&self) -> Vec<SecretReference> {
        Vec::new()
    }

    /// Whether the plan may be carried out at all; by default every plan may, and what it refuses is left alone.
    fn check(&self, _plan: &Plan) -> Result<(), Failure> {
        Ok(())
    }

    /// Looks whether the plan has really been carried out.
    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle>;

    /// What the last look has seen, to be kept with the ticket.
    fn evidence(&self) -> Option<Value> {
        None
    }

    /// The world of its executor, with what only this step has to look at on the way.
    fn world<'w>(&'w self, world: Box<dyn World + 'w>, _plan: &'w Plan) -> Box<dyn World + 'w> {
        world
    }
}

/// The look of a step at what its plan has brought about.
pub(crate) struct Look<'a, S> {
    pub(crate) step: &'a S,
    pub(crate) plan: &'a Plan,
    pub(crate) watch: &'a fairlead_job::watch::Watch,
}

#[async_trait(?Send)]
impl<S: Step> Proof for Look<'_, S> {
    async fn verify(&self) -> Result<Verified, Obstacle> {
        // A look that is nearly done is not thrown away, with all that was made, because the time is over: whoever waits in it ends in
        // time itself, and knows for what.
        self.watch.guard_patiently(self.step.verify(self.plan)).await
    }

    fn evidence(&self) -> Option<Value> {
        self.step.evidence()
    }
}
