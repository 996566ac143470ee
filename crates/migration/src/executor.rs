//! Carries out a plan stage by stage, and takes back what it did when a change fails.

use std::cell::{Cell, RefCell};
use std::ops::Range;

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

    /// Looks how the target stands to its images, and changes nothing.
    fn look(&self, change: &Change, mark: &str) -> impl Future<Output = Result<Standing, Obstacle>>;
}

/// How the target of a change stands to its images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// As it was before, or there is nothing of ours: nothing has to be taken back.
    Before,
    /// As we left it.
    After,
    /// Somebody else has changed it since; how.
    Other(String),
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
    /// Everything that the run had changed has been taken back, as was asked for.
    Undone,
    /// Nothing was taken back, because somebody else has changed these since.
    Drifted(Vec<(Target, String)>),
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
    let started = RefCell::new(vec![false; plan.len()]);
    match forward(world, journal, watcher, plan, mark, &started, verify).await {
        Ok(()) => Outcome::Committed,
        Err(cause) if is_interruption(&cause) => Outcome::Interrupted(cause),
        Err(cause) => match restore(world, journal, watcher, plan, mark, &started.into_inner(), false).await {
            Ok(left) if left.is_empty() => Outcome::Restored(cause),
            Ok(left) => Outcome::Dirty { cause, left },
            Err(interruption) => Outcome::Interrupted(interruption),
        },
    }
}

/// Goes on with a run that ended in the middle, where its ticket, which `journal` has opened again, says that it was. Changes
/// that are made already are recognised.
pub async fn resume<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    phase: Phase,
    verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
) -> Outcome {
    if phase != Phase::RollingBack {
        return apply(world, journal, watcher, plan, mark, verify).await;
    }
    let cause = || Obstacle::Refused {
        operation: "do what the plan says".to_owned(),
        source: "the run had failed, and was being taken back when its process ended".into(),
    };
    match restore(world, journal, watcher, plan, mark, &vec![true; plan.len()], false).await {
        Ok(left) if left.is_empty() => Outcome::Restored(cause()),
        Ok(left) => Outcome::Dirty { cause: cause(), left },
        Err(interruption) => Outcome::Interrupted(interruption),
    }
}

/// Takes back everything that a run has changed, if nobody else has changed it since: that is looked at first, everywhere.
pub async fn undo<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
) -> Outcome {
    let undone = async {
        let drifted = drifted(world, watcher, plan, mark).await?;
        if !drifted.is_empty() {
            return Ok(Outcome::Drifted(drifted));
        }
        let left = restore(world, journal, watcher, plan, mark, &vec![true; plan.len()], true).await?;
        if left.is_empty() {
            return Ok(Outcome::Undone);
        }
        let cause = "somebody else has changed something meanwhile, or the world does not answer";
        let cause = Obstacle::Refused { operation: "take everything back".to_owned(), source: cause.into() };
        Ok(Outcome::Dirty { cause, left })
    };
    match undone.await {
        Ok(outcome) => outcome,
        // Nothing is taken back of what takes back: whether a signal or a deadline ends it, the next one goes on.
        Err(Obstacle::Stopped(Stop::DeadlinePassed)) => Outcome::Interrupted(Obstacle::Stopped(Stop::Interrupted)),
        Err(obstacle) => Outcome::Interrupted(obstacle),
    }
}

/// Whether another process goes on where this one ends.
fn is_interruption(obstacle: &Obstacle) -> bool {
    matches!(obstacle, Obstacle::Unreachable { .. } | Obstacle::Stopped(Stop::Interrupted | Stop::LeaseOver))
}

/// What somebody else has changed since.
async fn drifted<W: World>(
    world: &W,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
) -> Result<Vec<(Target, String)>, Obstacle> {
    let concurrency = plan.stages.iter().map(|stage| stage.concurrency).max().unwrap_or(1).max(1);
    let looks = stream::iter(plan.changes()).map(|change| async move {
        if let Some(stop) = watcher.stop() {
            return Err(Obstacle::Stopped(stop));
        }
        let standing = world.look(&change, mark).await?;
        Ok((change.target, standing))
    });
    let mut drifted = Vec::new();
    let mut looks = looks.buffered(concurrency);
    while let Some(look) = looks.next().await {
        if let (target, Standing::Other(how)) = look? {
            drifted.push((target, how));
        }
    }
    Ok(drifted)
}

async fn forward<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    started: &RefCell<Vec<bool>>,
    verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
) -> Result<(), Obstacle> {
    enter(journal, Phase::Applying).await?;
    let done = Cell::new(0);
    for (index, stage) in plan.stages.iter().enumerate() {
        let failed = Cell::new(false);
        let obstacles: Vec<Obstacle> = stream::iter(plan.changes().enumerate())
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
                    started.borrow_mut()[position] = true;
                    match world.bring(&change, mark).await {
                        Ok(()) => {
                            tracing::info!(action = %change.action(), target = %change.target, "changed");
                            done.set(done.get() + 1);
                            watcher.progress(done.get(), plan.len(), false);
                            None
                        }
                        Err(obstacle) => {
                            failed.set(true);
                            // Drift is found before the write: there is nothing of ours to take back.
                            if matches!(obstacle, Obstacle::Drift { .. }) {
                                started.borrow_mut()[position] = false;
                            }
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

/// Takes back every change that was started, newest stage first, and returns what could not be taken back. One that was started
/// may have happened although it failed, and taking back what did not happen is no error.
///
/// Within a namespace one after the other, because Knative leaves dead subscribers in a Broker's channel when several of its
/// Triggers go at once (knative/eventing#6636); namespaces side by side. `may_stop`: the run may be told to end in between,
/// because another one can go on; after a failure restoring matters more.
///
/// # Errors
///
/// When nothing may be written any more; another run goes on.
async fn restore<W: World, J: Journal>(
    world: &W,
    journal: &mut J,
    watcher: &impl Watcher,
    plan: &Plan,
    mark: &str,
    started: &[bool],
    may_stop: bool,
) -> Result<Vec<(Target, Obstacle)>, Obstacle> {
    if may_stop {
        enter(journal, Phase::RollingBack).await?;
    } else {
        // Restoring matters more than recording it: a ledger that does not answer now must not keep us from it.
        note(journal, Phase::RollingBack).await;
    }
    let stop = || watcher.stop().filter(|stop| may_stop || *stop == Stop::LeaseOver);
    let (stop, stopped) = (&stop, &Cell::new(None));
    let total = started.iter().filter(|started| **started).count();
    let (done, is_unreachable) = (&Cell::new(0), &Cell::new(false));
    let mut left = Vec::new();
    let groups = groups(plan, started);
    for (index, stage) in plan.stages.iter().enumerate().rev() {
        let groups = groups.iter().rev().filter(|group| group.stage == index);
        let failed: Vec<Vec<(Target, Obstacle)>> = stream::iter(groups)
            .map(|group| async move {
                let mut left = Vec::new();
                for (position, change) in plan.changes_rev(group.positions.clone()) {
                    stopped.set(stopped.get().or_else(stop));
                    if !started[position] || stopped.get().is_some() {
                        continue;
                    }
                    let change = change.inverse();
                    // Asking on would take the whole patience of a request for every object that is left.
                    let result =
                        if is_unreachable.get() { Err(not_tried(&change)) } else { world.bring(&change, mark).await };
                    match result {
                        Ok(()) => tracing::info!(action = %change.action(), target = %change.target, "restored"),
                        Err(obstacle) => {
                            is_unreachable.set(is_unreachable.get() || matches!(obstacle, Obstacle::Unreachable { .. }));
                            left.push((change.target, obstacle));
                        }
                    }
                    done.set(done.get() + 1);
                    watcher.progress(done.get(), total, true);
                }
                left
            })
            .buffer_unordered(stage.concurrency.max(1))
            .collect()
            .await;
        left.extend(failed.into_iter().flatten());
    }
    if let Some(stop) = stopped.get() {
        return Err(Obstacle::Stopped(stop));
    }
    left.sort_by(|a, b| a.0.cmp(&b.0));
    note(journal, if left.is_empty() { Phase::RolledBack } else { Phase::Dirty }).await;
    Ok(left)
}

/// Changes that are taken back one after the other: those of one stage, kind and namespace, which follow each other in a plan.
struct Group {
    stage: usize,
    positions: Range<usize>,
}

fn groups(plan: &Plan, started: &[bool]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut last: Option<(String, Option<String>)> = None;
    for (position, change) in plan.changes().enumerate().filter(|(position, _)| started[*position]) {
        let key = Some((change.target.kind, change.target.namespace));
        match groups.last_mut().filter(|group| group.stage == change.stage && last == key) {
            Some(group) => group.positions.end = position + 1,
            None => groups.push(Group { stage: change.stage, positions: position..position + 1 }),
        }
        last = key;
    }
    groups
}

fn not_tried(change: &Change) -> Obstacle {
    let operation = format!("{} {}", change.action(), change.target);
    Obstacle::Unreachable { operation, source: "not tried, because there was no answer before".into() }
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
