//! Goes back: takes back runs, the newest first, each from its own ticket.

use std::io::Write as _;

use anyhow::Context as _;
use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::watch::Watch;
use fairlead_job::{code, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::lease;
use fairlead_kube_client::ledger::{Entry, Ledger};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor;
use fairlead_migration::plan::Plan;

use crate::args::{Goal, LeaseArgs, RollbackArgs};
use crate::exclusive::{Exclusive, exclusively};
use crate::status::{Place, may_be_undone};

/// Takes back what the arguments ask for.
pub async fn run(
    cluster: &Cluster,
    place: Place<'_>,
    args: &RollbackArgs,
    lease: &LeaseArgs,
    output: Output,
) -> anyhow::Result<ExitStatus> {
    let watch = Watch::start(args.run_timeout)?;
    let discovery = watch.guard(cluster.discover()).await.map_err(Failure::from)?;
    let ledger = Ledger::new(cluster, place.namespace);
    let runs = chosen(&ledger, place, &args.goal).await?;
    if args.dry_run {
        return show(ledger, &runs).await;
    }
    let needs = [ledger.needs(), lease::needs(place.namespace)].concat();
    watch.guard(cluster.require(&needs)).await.map_err(Failure::from)?;
    let work = async |exclusive: &Exclusive<'_>| {
        // Chosen again: another run may have ended, or been taken back, while this one waited for it.
        for run in &chosen(&ledger, place, &args.goal).await? {
            let (plan, ended) = take_back(cluster, &discovery, place, exclusive, run).await?;
            report::terminate(&ended.text());
            report::print_end(output, &plan, &ended, place.release)?;
            ended.result()?;
        }
        Ok(ExitStatus::Done)
    };
    exclusively(cluster, place.namespace, place.release, lease, &watch, work).await?
}

/// The runs to take back, the newest first.
async fn chosen(ledger: &Ledger<'_>, place: Place<'_>, goal: &Goal) -> Result<Vec<Entry>, Failure> {
    let mut runs: Vec<Entry> = ledger.entries(place.release).await?.into_iter().filter(may_be_undone).collect();
    runs.reverse();
    if let Some(sequence) = goal.to {
        runs.retain(|run| run.sequence > sequence);
    } else if let Some(revision) = goal.to_revision {
        runs.retain(|run| run.helm_revision.is_some_and(|its| its > revision));
    } else {
        runs.truncate(1);
    }
    if runs.is_empty() {
        let message = format!("release {} has no run in namespace {} to take back", place.release, place.namespace);
        return Err(Failure::new(ExitStatus::Refused, &code::NOTHING_IN_FORCE, message));
    }
    Ok(runs)
}

async fn show(mut ledger: Ledger<'_>, runs: &[Entry]) -> anyhow::Result<ExitStatus> {
    for run in runs {
        let (_, _, plan) = ledger.reopen(&run.name).await.map_err(Failure::from)?;
        let mut out = anstream::stdout().lock();
        writeln!(out, "Run {} ({}), newest change first:", run.sequence, run.step).context("failed to write to stdout")?;
        for (_, change) in plan.changes_rev(0..plan.len()) {
            let inverse = change.inverse();
            writeln!(out, "  {} {}", inverse.action(), inverse.target).context("failed to write to stdout")?;
        }
    }
    Ok(ExitStatus::Done)
}

async fn take_back(
    cluster: &Cluster,
    discovery: &Discovery,
    place: Place<'_>,
    exclusive: &Exclusive<'_>,
    run: &Entry,
) -> Result<(Plan, Ended), Failure> {
    let mut ledger = Ledger::new(cluster, place.namespace);
    let objects = Objects::new(cluster, discovery);
    let (_, mark, plan) = ledger.reopen(&run.name).await?;
    cluster.require(&objects.needs(plan.changes())?).await?;
    tracing::info!(ticket = mark, step = run.step, changes = plan.len(), "taking back");
    let outcome = executor::undo(&objects, &mut ledger, exclusive, &plan, &mark).await;
    let ended = Ended::of(outcome, &plan, &mark);
    Ok((plan, ended))
}
