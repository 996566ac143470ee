//! Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.
//!
//! - [`args`]: the command line
//! - [`replicas`]: the Triggers that should be, made of the `records` of Subscriptions
//! - [`existing`]: the Triggers that there are for them
//! - `orphans`: Triggers for which no Subscription asks any more
//! - `channels`: what Triggers that are gone have left behind
//! - `flows`: what has to be done so that Triggers get events
//! - [`plan`]: what has to be done, and `make`: the way from a cluster or files to a plan
//! - `step`: the step, whose changes are made in time with Knative (`pacing`), and with the `address` that a Broker has by then
//! - [`retries`]: how Knative delivers to the subscriber of a Trigger
//! - `carried_out`: whether all of it is to be seen, and ready
//! - `verify`: what is missing where not, and `ready` waits for what is not ready yet
//! - `naming`: the names of what is created
//! - `older`: Subscriptions that are too old to be read
//!
//! What the mesh is made of, and which flows there should be, `fairlead_mesh` reads and decides.
//!
//! # Decision: a second plan is the verification
//!
//! Situation: after the writes the world must be looked at, not the return codes. Decision: everything that was written is read
//! again. Where something of it is not as planned or not ready, everything is observed and planned again; the run has succeeded when none
//! of its targets is in the second plan. Consequence: what a webhook changed and what somebody deleted meanwhile is noticed,
//! by the same rule of equality that the next run and the purge apply, and a run that went well reads each written kind once.

mod address;
pub mod args;
mod carried_out;
mod channels;
mod compared;
pub mod existing;
mod flows;
mod make;
mod naming;
mod older;
mod orphans;
mod pacing;
pub mod plan;
mod ready;
mod records;
pub mod replicas;
pub mod retries;
mod step;
mod verify;

use fairlead_driver::apply;
use fairlead_driver::background::background;
use fairlead_driver::show::show;
use fairlead_job::exit::ExitStatus;
use fairlead_job::log;
use fairlead_observe::kind::Asked;
use fairlead_release::explain::explain;
use fairlead_release::session::{self, Session, connect};

use crate::args::{Args, Command};
use crate::make::make_plan;
use crate::step::Replication;

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output.log)?;
    match &args.command {
        Command::Plan(plan) => {
            show(&args.common, plan, Asked::Only(&older::READ), async |source| Ok(make_plan(source, &args).await?)).await
        }
        Command::Apply(arguments) | Command::Background(arguments) => {
            let cluster = connect(&args.common).await?;
            let is_apply = matches!(args.command, Command::Apply(_));
            let why = if is_apply { session::Command::Apply } else { session::Command::Background };
            let session = Session::begin(&args.common, &cluster, plan::STEP, why, arguments.step.run_timeout).await?;
            let step = Replication { args: &args, apply: arguments, session: &session };
            if is_apply {
                apply::apply(&session, &arguments.step, &step).await
            } else {
                background(&session, &arguments.step, &step).await
            }
        }
        Command::Release(command) => {
            let cluster = connect(&args.common).await?;
            fairlead_release::run(&cluster, &args.common, command, plan::STEP).await
        }
        Command::Explain { code } => explain(code.as_deref(), args.common.output.output),
    }
}
