//! Forward: changes, batch by batch.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use futures::{StreamExt as _, stream};

use super::{Part, Proof, Run, Verified, Watcher};
use crate::change::{Action, Change};
use crate::obstacle::{Obstacle, Stop};
use crate::progress::{OnDrift, Phase};

/// What an earlier process may have done.
struct Earlier<'a> {
    begun: &'a [bool],
    /// By hash of the target of an update: where it is changed last.
    last: &'a HashMap<u64, usize>,
}

impl<T: Watcher + ?Sized> Run<'_, T> {
    /// Whether an update that an earlier process has begun is over: its target was deleted after it, or its hold has ended.
    fn is_over(&self, position: usize, change: &Change, earlier: &Earlier<'_>) -> bool {
        let Earlier { begun, last, .. } = earlier;
        let is_deleted_later = last.get(&change.target.short()).is_some_and(|last| *last > position && begun[*last]);
        let may_be_ended = self.plan.stages()[change.stage].kind.may_be_ended();
        begun[position] && change.action() == Action::Update && (is_deleted_later || may_be_ended)
    }

    /// Makes all changes, notes in `started` which have been begun, and looks whether the world is as planned. Changes that an earlier
    /// process has made to the end are not looked at one by one: what somebody has edited since is for the proof to judge.
    pub(super) async fn forward(
        &mut self,
        begun: &[bool],
        started: &RefCell<Vec<bool>>,
        proof: &dyn Proof,
    ) -> Result<Verified, Obstacle> {
        let phase = self.progress.phase;
        if matches!(phase, Phase::Verifying | Phase::Background) {
            match self.watcher.stop() {
                // It is in force: that its time is over takes nothing back, and whoever looks at it leaves it so.
                None | Some(Stop::DeadlinePassed) if phase == Phase::Background => return proof.verify().await,
                None => {}
                Some(stop) => return Err(Obstacle::Stopped(stop)),
            }
        } else {
            self.make(begun, started).await?;
        }
        self.enter(Phase::Verifying).await?;
        proof.verify().await
    }

    async fn make(&mut self, begun: &[bool], started: &RefCell<Vec<bool>>) -> Result<(), Obstacle> {
        let (plan, done) = (self.plan, Cell::new(0));
        let last = if begun.contains(&true) { self.last_of_updated(Part::Rest) } else { HashMap::new() };
        let mut changes = plan.changes().enumerate().peekable();
        let (mut is_first, mut admitted) = (true, None);
        while let Some((first, stage)) = changes.peek().map(|(position, change)| (*position, change.stage)) {
            let end = plan.len().min(first + self.watcher.batch().max(1));
            if is_first || end > self.progress.begun {
                // Ahead of the batch: whoever takes this run back need not look at what was never begun.
                self.progress.begun = self.progress.begun.max(end);
                if is_first {
                    self.enter(Phase::Applying).await?;
                } else {
                    self.journal.record(&self.progress).await?;
                }
                is_first = false;
            }
            if admitted.replace(stage) != Some(stage) {
                self.world.admit(&plan.stages()[stage]).await?;
            }
            if let Some((position, sweep)) = changes.next_if(|(_, next)| next.action() == Action::Sweep) {
                started.borrow_mut()[position] = true;
                self.sweep(position, &sweep, false, &|_| true).await?;
                continue;
            }
            let batch = std::iter::from_fn(|| {
                changes.next_if(|(position, next)| next.stage == stage && *position < end && next.action() != Action::Sweep)
            });
            self.batch(batch, plan.stages()[stage].concurrency, &Earlier { begun, last: &last }, started, &done).await?;
        }
        Ok(())
    }

    async fn batch(
        &self,
        changes: impl Iterator<Item = (usize, Change)>,
        concurrency: usize,
        earlier: &Earlier<'_>,
        started: &RefCell<Vec<bool>>,
        done: &Cell<usize>,
    ) -> Result<(), Obstacle> {
        let failed = &Cell::new(false);
        let obstacles: Vec<Obstacle> = stream::iter(changes)
            // What is in flight is finished even when another change has failed: a request cannot be called back.
            .take_while(|_| std::future::ready(!failed.get()))
            .map(|(position, change)| async move {
                // Asked once more: this change may have been queued before another one failed.
                if failed.get() {
                    return None;
                }
                if let Some(stop) = self.watcher.stop() {
                    failed.set(true);
                    return Some(Obstacle::Stopped(stop));
                }
                // What was held and has ended since is somebody else's now: to hold it again would be for ever.
                if self.progress.ended.contains(&position) {
                    done.set(done.get() + 1);
                    return None;
                }
                started.borrow_mut()[position] = true;
                if self.plan.stages()[change.stage].cascaded {
                    done.set(done.get() + 1);
                    return None;
                }
                match self.world.bring(&self.task(&change, false, OnDrift::Stop)).await {
                    Ok(()) => {
                        tracing::info!(action = %change.action(), target = %change.target, "changed");
                        done.set(done.get() + 1);
                        self.watcher.progress(done.get(), self.plan.len(), false);
                        None
                    }
                    Err(Obstacle::Drift { target, what }) if self.is_over(position, &change, earlier) => {
                        tracing::info!(%target, what, "left as it is now");
                        done.set(done.get() + 1);
                        None
                    }
                    Err(obstacle) => {
                        failed.set(true);
                        // Drift is found before the write: this process has nothing to take back. What an earlier one has
                        // written there nobody knows.
                        if matches!(obstacle, Obstacle::Drift { .. }) {
                            started.borrow_mut()[position] = earlier.begun[position];
                        }
                        Some(obstacle)
                    }
                }
            })
            .buffer_unordered(concurrency.max(1))
            .filter_map(std::future::ready)
            .collect()
            .await;
        obstacles.into_iter().next().map_or(Ok(()), Err)
    }
}
