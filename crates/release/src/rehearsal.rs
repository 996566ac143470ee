//! `rollback --dry-run`: what would be taken back, in which order, and what others have changed since. Writes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::report;
use fairlead_kube_client::objects::Homeless;
use fairlead_migration::change::Targets;
use fairlead_migration::executor::{Standing, Task};
use fairlead_migration::progress::{OnDrift, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::UndoAt;
use fairlead_migration::store::Lock;
use fairlead_migration::ticket::KUBERNETES;

use crate::args::RollbackArgs;
use crate::executors::Work;
use crate::halves::require_first_half;
use crate::homeless::{commands, homeless};
use crate::session::Session;

/// No lock: nothing may be written.
struct Unlocked;

#[async_trait(?Send)]
impl Lock for Unlocked {
    async fn renew(&self) -> Result<(), fairlead_migration::obstacle::Obstacle> {
        Ok(())
    }

    fn tell(&self, _how_far: &str) {}

    fn lasts(&self, _within: Duration) -> bool {
        false
    }

    async fn is_held(&self) -> Result<bool, fairlead_migration::obstacle::Obstacle> {
        Ok(true)
    }

    async fn keep(&self, _cancelled: &dyn Fn()) {}

    async fn release(self: Box<Self>) {}
}

/// Prints every change that would be taken back of these runs, also what follows later than what was asked for.
pub(crate) async fn show(session: &Session<'_>, runs: &[RecordedRun], args: &RollbackArgs) -> anyhow::Result<ExitStatus> {
    // What a newer run has changed, too, it takes back itself.
    let (mut drifted, mut newer, mut without, mut namespaces) = (0, Targets::default(), Vec::new(), BTreeSet::new());
    for run in runs {
        print(&format!("Run {} ({}), newest change first:", run.sequence, run.step))?;
        let reopened = session.store.read(&run.name).await.map_err(Failure::from)?;
        require_first_half(session.place, args, run, &reopened.plan, &reopened.progress)?;
        let is_early = |at: UndoAt| at == UndoAt::PreRollback;
        let has_early = !reopened.progress.is_undone_before_helm();
        let changed = match args.undo_at {
            Some(UndoAt::PreRollback) => {
                let early = lines(session, &reopened, &newer, |at| is_early(at) && has_early).await?;
                print("  when Helm has applied the old manifests, with `--undo-at post-rollback`:")?;
                early + lines(session, &reopened, &newer, |at| !is_early(at)).await?
            }
            _ => lines(session, &reopened, &newer, |at| !is_early(at) || has_early).await?,
        };
        let decided = args.decided(&reopened.progress);
        if decided == OnDrift::Stop {
            drifted += changed;
        }
        if reopened.ticket.executor == KUBERNETES {
            let homeless = homeless(session, &reopened.plan, &reopened.progress, &mut namespaces).await?;
            without.extend(homeless.into_iter().filter(|_| decided == OnDrift::Overwrite));
        }
        reopened.plan.changes().take(reopened.progress.begun).for_each(|change| newer.insert(&change.target));
    }
    if runs.is_empty() {
        print("Nothing to take back.")?;
    }
    if drifted > 0 {
        print(&format!(
            "{drifted} of them have been changed by others since, so nothing would be taken back, with exit status 6. Decide with \
             --on-drift keep, merge or overwrite."
        ))?;
    }
    if let Some(Homeless { target, namespace }) = without.first() {
        print(&format!(
            "{} of them cannot come back, {target} first: {}. So nothing would be taken back, with exit status 6. For all of them, or leave the \
             objects with --on-drift keep:\n{}",
            without.len(),
            namespace.drift().unwrap_or_default(),
            commands(session.place, &without)
        ))?;
    }
    Ok(ExitStatus::Done)
}

/// Prints the changes of these stages; returns how many of their objects others have changed.
async fn lines(
    session: &Session<'_>,
    reopened: &Reopened,
    newer: &Targets,
    of: impl Fn(UndoAt) -> bool,
) -> anyhow::Result<usize> {
    let Reopened { mark, ticket, plan, progress } = reopened;
    let executor = session.executor(mark, ticket).map_err(Failure::from)?;
    let work = Work::back(plan, &session.watch);
    let world = executor.world(work, &Unlocked).await?;
    let Progress { begun, untouched, ended, .. } = progress;
    let mut drifted = 0;
    for (position, change) in plan.changes_rev(0..*begun) {
        let stage = &plan.stages()[change.stage];
        if !of(plan.undo_at(change.stage, position)) || untouched.contains(&position) || ended.contains(&position) {
            continue;
        }
        let task = Task { change: &change, stage, mark, is_undo: false, on_drift: OnDrift::Stop };
        let remark = match session.watch.guard_patiently(world.look(&task)).await.map_err(Failure::from)? {
            Standing::After => String::new(),
            Standing::Before => "  # it is as it was: nothing to do".to_owned(),
            Standing::Other(_) if newer.contains(&change.target) => String::new(),
            Standing::Other(how) => {
                drifted += 1;
                format!("  # {how}")
            }
        };
        let inverse = change.inverse();
        print(&format!("  {} {}{remark}", inverse.action(), inverse.target))?;
    }
    Ok(drifted)
}

fn print(line: &str) -> Result<(), Failure> {
    report::say(&format!("{line}\n")).map(drop)
}
