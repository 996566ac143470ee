//! Carries out a plan stage by stage, and takes back what it did when a change fails.

use std::cell::{Cell, RefCell};

use futures::{StreamExt as _, stream};

use crate::change::{Change, Target};
use crate::obstacle::{Obstacle, Stop};
use crate::plan::Plan;
use crate::ticket::{Journal, Phase};

/// Where changes are made: a cluster, a database.
pub trait World {
    /// Brings the target of `change` from its before-image to its after-image. What has been done is recognised and is no
    /// error. Objects it creates carry `mark`; of created objects it deletes only those that do.
    fn bring(&self, change: &Change, mark: &str) -> impl Future<Output = Result<(), Obstacle>>;
}

/// How a run ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything is as planned.
    Committed,
    /// Something failed; everything is as before.
    Restored(Obstacle),
    /// Something failed, and what it had changed could not be taken back everywhere.
    Dirty {
        /// What failed first.
        cause: Obstacle,
        /// What could not be taken back.
        left: Vec<(Target, Obstacle)>,
    },
    /// Ended in the middle; the next run goes on.
    Interrupted(Obstacle),
}

/// What the executor is told and tells while it works.
pub trait Watcher {
    /// Asked before each change; `Some` ends the run.
    fn stop(&self) -> Option<Stop>;

    /// `done` of `total` changes are made (or, when `undoing`, taken back).
    fn progress(&self, done: usize, total: usize, undoing: bool);
}

/// Carries out `plan`, whose ticket has been opened by `journal` and whose created objects carry `mark`; `verify` then looks
/// whether the world really is as planned.
pub async fn apply<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
) -> Outcome {
    let started = RefCell::new(Vec::new());
    match forward(world, journal, watcher, plan, mark, &started, verify).await {
        Ok(()) => Outcome::Committed,
        Err(cause @ (Obstacle::Unreachable { .. } | Obstacle::Stopped(Stop::Interrupted))) => Outcome::Interrupted(cause),
        Err(cause) => restore(world, journal, watcher, plan, mark, started.into_inner(), cause).await,
    }
}

async fn forward<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    started: &RefCell<Vec<usize>>,
    verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
) -> Result<(), Obstacle> {
    enter(journal, Phase::Applying).await?;
    let done = Cell::new(0);
    for (index, stage) in plan.stages.iter().enumerate() {
        let failed = Cell::new(false);
        let obstacles: Vec<Obstacle> = stream::iter(plan.changes.iter().enumerate())
            .filter(|(_, change)| std::future::ready(change.stage == index))
            // What is in flight is finished even when another change has failed: a request cannot be called back.
            .take_while(|_| std::future::ready(!failed.get()))
            .map(|(position, change)| {
                let failed = &failed;
                let done = &done;
                async move {
                    // Asked once more: this change may have been queued before another one failed.
                    if failed.get() {
                        return None;
                    }
                    if let Some(stop) = watcher.stop() {
                        failed.set(true);
                        return Some(Obstacle::Stopped(stop));
                    }
                    started.borrow_mut().push(position);
                    match world.bring(change, mark).await {
                        Ok(()) => {
                            tracing::info!(action = %change.action(), target = %change.target, "changed");
                            done.set(done.get() + 1);
                            watcher.progress(done.get(), plan.changes.len(), false);
                            None
                        }
                        Err(obstacle) => {
                            failed.set(true);
                            Some(obstacle)
                        }
                    }
                }
            })
            .buffer_unordered(stage.concurrency.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        if let Some(first) = obstacles.into_iter().next() {
            return Err(first);
        }
    }
    enter(journal, Phase::Verifying).await?;
    verify().await?;
    enter(journal, Phase::Committed).await
}

/// Takes back every change that was started, newest first. One that was started may have happened although it failed, and
/// taking back what did not happen is no error.
async fn restore<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    started: Vec<usize>,
    cause: Obstacle,
) -> Outcome {
    // Restoring matters more than recording it: a ledger that does not answer now must not keep us from it.
    note(journal, Phase::RollingBack).await;
    let total = started.len();
    let mut left = Vec::new();
    for (done, position) in started.into_iter().rev().enumerate() {
        let change = plan.changes[position].inverse();
        match world.bring(&change, mark).await {
            Ok(()) => tracing::info!(action = %change.action(), target = %change.target, "restored"),
            Err(obstacle) => left.push((change.target, obstacle)),
        }
        watcher.progress(done + 1, total, true);
    }
    if left.is_empty() {
        note(journal, Phase::RolledBack).await;
        return Outcome::Restored(cause);
    }
    note(journal, Phase::Dirty).await;
    Outcome::Dirty { cause, left }
}

async fn enter<J: Journal>(journal: &mut J, phase: Phase) -> Result<(), Obstacle> {
    tracing::info!(phase = phase.as_str(), "phase");
    journal.enter(phase).await
}

async fn note<J: Journal>(journal: &mut J, phase: Phase) {
    if let Err(error) = enter(journal, phase).await {
        tracing::warn!(error = %error, "the ledger lags behind");
    }
}

#[cfg(test)]
mod tests;
