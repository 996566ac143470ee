//! Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.
//!
//! - [`args`]: the command line
//! - [`observe`]: reads what there is, from a cluster or from files
//! - [`desired`]: what should be
//! - [`plan`]: what has to be done
//! - `apply`: does it, and takes it back when it fails
//! - `verify`: looks whether it has been done, and whether it works
//! - [`codes`]: what can be the matter
//!
//! # Decision: a second plan is the verification
//!
//! Situation: after the writes the world must be looked at, not the return codes. Decision: everything is observed and planned
//! again; the run has succeeded when none of its targets is in the second plan. Consequence: what a webhook changed and what
//! somebody deleted meanwhile is noticed, by the same rule of equality that the next run and the purge apply.

mod apply;
pub mod args;
pub mod codes;
pub mod desired;
pub mod observe;
pub mod plan;
mod verify;

use std::io::stdout;

use anyhow::Context as _;
use fairlead_job::args::ClusterArgs;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{code, log, manifests, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;

use crate::args::{Args, Command, PlanArgs};
use crate::desired::Desired;
use crate::observe::Source;
use crate::plan::Limits;

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.output)?;
    match &args.command {
        Command::Plan(plan) => show(&args, plan).await,
        Command::Apply(apply) => apply::run(&args, apply).await,
        Command::Explain { code } => explain(code),
    }
}

async fn show(args: &Args, PlanArgs { from, knative_version: _, exit_code }: &PlanArgs) -> anyhow::Result<ExitStatus> {
    let plan = if let Some(path) = from {
        let objects = observe::normal(manifests::read(path).map_err(Failure::input)?);
        make_plan(&Source::Manifests(&objects), args).await?
    } else {
        let cluster = connect(&args.cluster).await?;
        let discovery = cluster.discover().await.map_err(Failure::from)?;
        make_plan(&Source::Cluster(&cluster, &discovery), args).await?
    };
    report::print_plan(args.output.output, &plan)?;
    check_strict(args, &plan)?;
    Ok(if *exit_code && !plan.changes.is_empty() { ExitStatus::Changes } else { ExitStatus::Done })
}

async fn connect(args: &ClusterArgs) -> Result<Cluster, Failure> {
    let ClusterArgs { kubeconfig, context, request_timeout } = args;
    Cluster::connect(kubeconfig.as_deref(), context.as_deref(), *request_timeout, plan::STEP)
        .await
        .map_err(|error| Failure::caused(ExitStatus::Usage, &code::CONFIGURATION, "failed to connect to the cluster", error))
}

/// Observes and decides; the same for a cluster and for files.
async fn make_plan(source: &Source<'_>, args: &Args) -> Result<Plan, Failure> {
    let desired = desire(source, args).await?;
    if desired.replicas().len() > 0 && !source.serves_triggers() {
        let message = format!("{} is not served, and {} are to be created", plan::trigger_kind(), desired.replicas().len());
        return Err(Failure::new(ExitStatus::Refused, &codes::NO_TRIGGER_KIND, message));
    }
    Ok(compare(source, desired, args).await?)
}

/// What should be.
async fn desire(source: &Source<'_>, args: &Args) -> Result<Desired, Obstacle> {
    Ok(Desired::of(source.legacies().await?, &args.exclude_namespace))
}

/// What has to be done for it.
async fn compare(source: &Source<'_>, desired: Desired, args: &Args) -> Result<Plan, Obstacle> {
    let triggers = source.triggers(|namespace, name| desired.replicated_from(namespace, name)).await?;
    let limits = Limits { release: &args.release.release, concurrency: args.concurrency.into() };
    Ok(plan::plan(desired, &triggers, &source.brokers().await?, &limits))
}

fn check_strict(args: &Args, plan: &Plan) -> Result<(), Failure> {
    if args.strict && !plan.refusals.is_empty() {
        let message = format!("{} objects cannot be replicated", plan.refusals.len());
        return Err(Failure::new(ExitStatus::Refused, &code::STRICT, message));
    }
    Ok(())
}

fn explain(id: &str) -> anyhow::Result<ExitStatus> {
    use std::io::Write as _;
    let unknown = || Failure::new(ExitStatus::Usage, &code::UNKNOWN_CODE, format!("{id} is not a code of {}", plan::STEP));
    let text = code::explain(codes::CODES, id).ok_or_else(unknown)?;
    stdout().write_all(text.as_bytes()).context("failed to write to stdout")?;
    Ok(ExitStatus::Done)
}
