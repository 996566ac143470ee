//! Goes back: takes back runs, the newest first, each from its own ticket.

use std::collections::HashSet;
use std::io::Write as _;

use anyhow::Context as _;
use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::lease;
use fairlead_kube_client::ledger::{Entry, Ledger, Reopened};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::executor::Run;
use fairlead_migration::plan::Plan;

use crate::args::{Goal, OnDrift, RollbackArgs};
use crate::exclusive::{Exclusive, Waiting};
use crate::session::Session;
use crate::status::{Place, may_be_undone};

/// Takes back what the arguments ask for.
pub async fn run(session: &Session<'_>, args: &RollbackArgs) -> anyhow::Result<ExitStatus> {
    let (watch, place) = (&session.watch, session.place);
    // A deadline never keeps a rollback from what it has to read: it ends between two changes, and is run again.
    let runs = watch.guard_patiently(chosen(&session.ledger(), place, &args.goal)).await?;
    if args.dry_run {
        return show(session.ledger(), &runs).await;
    }
    let needs = [session.ledger().needs(), lease::needs(place.namespace)].concat();
    watch.guard_patiently(session.cluster.require(&needs)).await.map_err(Failure::from)?;
    let work = async |exclusive: &Exclusive<'_>| {
        // Chosen again: another run may have ended, or been taken back, while this one waited for it.
        let runs = watch.guard_patiently(chosen(&session.ledger(), place, &args.goal)).await?;
        // With several runs all of them are looked at before the first is touched.
        let looks: &[bool] = if runs.len() > 1 && args.on_drift == OnDrift::Stop { &[true, false] } else { &[false] };
        for only_look in looks {
            let mut newer = HashSet::new();
            // Kinds that a newer run has deleted are those of older ones, too.
            let mut found = watch.guard_patiently(session.cluster.discover()).await.map_err(Failure::from)?;
            for run in &runs {
                let newer = only_look.then_some(&mut newer);
                let ended = match take_back(session, exclusive, run, args.on_drift, newer, &mut found).await {
                    Ok(ended) => ended,
                    Err(failure) => return Err(session.fail(&run.step, failure).await.into()),
                };
                if let Some((plan, ended)) = ended {
                    session.conclude(&run.step, &plan, ended).await?;
                }
            }
        }
        Ok(ExitStatus::Done)
    };
    session.exclusively(Waiting::Insisting, work).await?
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
        let Reopened { plan, progress, .. } = ledger.reopen(&run.name).await.map_err(Failure::from)?;
        let mut out = anstream::stdout().lock();
        writeln!(out, "Run {} ({}), newest change first:", run.sequence, run.step).context("failed to write to stdout")?;
        for (_, change) in plan.changes_rev(0..progress.begun) {
            let inverse = change.inverse();
            writeln!(out, "  {} {}", inverse.action(), inverse.target).context("failed to write to stdout")?;
        }
    }
    Ok(ExitStatus::Done)
}

/// Takes a run back. With the targets of `newer` runs, which are to be taken back before it, it is only looked at whether that
/// can be done, and ends only when not.
async fn take_back(
    session: &Session<'_>,
    exclusive: &Exclusive<'_>,
    run: &Entry,
    on_drift: OnDrift,
    newer: Option<&mut HashSet<Target>>,
    found: &mut Discovery,
) -> Result<Option<(Plan, Ended)>, Failure> {
    let mut ledger = session.ledger();
    let Reopened { mark, plan, progress } = session.watch.guard_patiently(ledger.reopen(&run.name)).await?;
    *found = session.watch.guard_patiently(session.cluster.discover_for(&plan, found)).await?;
    let objects = Objects::of_plan(session.cluster, found, &plan);
    session.watch.guard_patiently(session.cluster.require(&objects.needs(&plan)?)).await?;
    if let Some(newer) = newer {
        let run = Run { world: &objects, journal: &mut ledger, watcher: exclusive, plan: &plan, mark: &mark, progress };
        let outcome = run.look(|target| newer.contains(target)).await;
        newer.extend(plan.changes().map(|change| change.target));
        return Ok(outcome.map(|outcome| {
            let ended = Ended::of(outcome, &plan, &mark);
            (plan, ended)
        }));
    }
    tracing::info!(ticket = mark, step = run.step, changes = progress.begun, "taking back");
    let run = Run { world: &objects, journal: &mut ledger, watcher: exclusive, plan: &plan, mark: &mark, progress };
    let outcome = run.undo(on_drift.into()).await;
    let ended = Ended::of(outcome, &plan, &mark);
    Ok(Some((plan, ended)))
}
