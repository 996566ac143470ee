//! Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.
//!
//! - [`args`]: the command line
//! - [`namespaces`]: which of them take part
//! - [`replicas`]: the Triggers that should be
//! - [`existing`]: the Triggers that there are for them
//! - `channels`: what Triggers that are gone have left behind
//! - [`flows`]: what Triggers need to get events
//! - [`plan`]: what has to be done
//! - `step`: the step, whose changes are made with the `address` that a Broker has by then
//! - `verify`: looks whether it has been done, and `ready` whether it works
//! - [`kinds`], `naming`: what is read and written, and what it is called
//!
//! # Decision: a second plan is the verification
//!
//! Situation: after the writes the world must be looked at, not the return codes. Decision: everything is observed and planned
//! again; the run has succeeded when none of its targets is in the second plan. Consequence: what a webhook changed and what
//! somebody deleted meanwhile is noticed, by the same rule of equality that the next run and the purge apply.

mod address;
pub mod args;
mod channels;
pub mod existing;
pub mod flows;
pub mod kinds;
pub mod namespaces;
mod naming;
pub mod plan;
mod ready;
pub mod replicas;
mod step;
mod verify;

use fairlead_driver::apply;
use fairlead_driver::show::{explain, show};
use fairlead_job::codes::trigger_replicator as codes;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::log;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::source::Source;
use fairlead_release::session::{self, Session, connect};

use crate::args::{Args, Command};
use crate::existing::Existing;
use crate::namespaces::Namespaces;
use crate::plan::{Desired, Limits, Observed};
use crate::replicas::Replicas;
use crate::step::Replication;

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output)?;
    match &args.command {
        Command::Plan(plan) => {
            show(&args.common, plan, &kinds::ALL, async |source| Ok(make_plan(source, &args).await?)).await
        }
        Command::Apply(arguments) => {
            let cluster = connect(&args.common).await?;
            let session =
                Session::begin(&args.common, &cluster, plan::STEP, session::Command::Apply, arguments.step.run_timeout)
                    .await?;
            apply::apply(&session, &arguments.step, &Replication { args: &args, apply: arguments, session: &session }).await
        }
        Command::Release(command) => {
            let cluster = connect(&args.common).await?;
            fairlead_release::run(&cluster, &args.common, command, plan::STEP, |session| session).await
        }
        Command::Explain { code } => explain(code),
    }
}

/// Why there is no plan.
#[derive(Debug)]
enum Unplannable {
    /// The cluster could not be read.
    Obstacle(Obstacle),
    /// A kind is needed that is not there.
    NotServed(Failure),
}

impl From<Obstacle> for Unplannable {
    fn from(obstacle: Obstacle) -> Self {
        Self::Obstacle(obstacle)
    }
}

impl From<Unplannable> for Failure {
    fn from(error: Unplannable) -> Self {
        match error {
            Unplannable::Obstacle(obstacle) => obstacle.into(),
            Unplannable::NotServed(failure) => failure,
        }
    }
}

/// Observes and decides; the same for a cluster and for files.
async fn make_plan(source: &Source<'_>, args: &Args) -> Result<Plan, Unplannable> {
    let namespaces = Namespaces::of(source, &args.exclude_namespace).await?;
    let observed = flows::Observed::of(source).await?;
    let flows = observed.desired(&namespaces);
    let replicas = Replicas::of(source, &namespaces).await?;
    let trigger_version = source.api_version(&kinds::TRIGGER);
    if trigger_version.is_none() && !replicas.is_empty() {
        let message = format!("Trigger is not served in a version that can be written, and {} are needed", replicas.len());
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_TRIGGER_KIND, message)));
    }
    if let Some(kind) = observed.missing_kind().filter(|_| !flows.is_empty()) {
        let message = format!("{} of {} is not served, and {} flows need it", kind.kind, kind.group, flows.len());
        return Err(Unplannable::NotServed(Failure::new(&codes::NO_FLOW_KIND, message)));
    }
    let observed = Observed { namespaces, flows: observed, triggers: Existing::of(source, &replicas).await? };
    let desired = Desired { replicas, flows, trigger_version: trigger_version.unwrap_or_default() };
    let limits = Limits { release: &args.common.release.release, concurrency: args.common.concurrency.into() };
    Ok(plan::plan(desired, &observed, &limits))
}
