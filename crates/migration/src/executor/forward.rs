//! Forward: changes, batch by batch.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use futures::{StreamExt as _, stream};

use super::{OnDrift, Part, Run, Watcher, World};
use crate::change::{Action, Change};
use crate::obstacle::Obstacle;
use crate::plan::StageKind;
use crate::ticket::{Journal, Phase};

/// What an earlier process may have done.
struct Earlier<'a> {
    begun: &'a [bool],
    /// By hash of the target of an update: where it is changed last.
    last: &'a HashMap<u64, usize>,
}

impl<W: World, J: Journal, T: Watcher> Run<'_, W, J, T> {
    /// Whether an update that an earlier process has begun is over: its target was deleted after it, or its hold has ended.
    fn is_over(&self, position: usize, change: &Change, earlier: &Earlier<'_>) -> bool {
        let Earlier { begun, last } = earlier;
        let is_deleted_later = last.get(&change.target.short()).is_some_and(|last| *last > position && begun[*last]);
        let is_hold = self.plan.stages[change.stage].kind == StageKind::Hold;
        begun[position] && change.action() == Action::Update && (is_deleted_later || is_hold)
    }

    /// Makes all changes, and notes in `started` which have been begun.
    pub(super) async fn forward(
        &mut self,
        begun: &[bool],
        started: &RefCell<Vec<bool>>,
        verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let done = Cell::new(0);
        let last = if begun.contains(&true) { self.last_of_updated(Part::Rest) } else { HashMap::new() };
        let mut changes = self.plan.changes().enumerate().peekable();
        let mut is_first = true;
        // What has all been made needs no admission to any stage.
        let is_made = self.progress.phase == Phase::Verifying;
        let mut admitted = None;
        while let Some((first, stage)) = changes.peek().map(|(position, change)| (*position, change.stage)) {
            let end = self.plan.len().min(first + self.watcher.batch().max(1));
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
            if admitted.replace(stage) != Some(stage) && !is_made {
                self.world.admit(&self.plan.stages[stage]).await?;
            }
            let batch = std::iter::from_fn(|| changes.next_if(|(position, next)| next.stage == stage && *position < end));
            self.batch(batch, self.plan.stages[stage].concurrency, &Earlier { begun, last: &last }, started, &done).await?;
        }
        self.enter(Phase::Verifying).await?;
        verify().await?;
        self.enter(Phase::Committed).await
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
                started.borrow_mut()[position] = true;
                if self.plan.stages[change.stage].cascaded {
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
