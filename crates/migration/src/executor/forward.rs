//! Forward: changes, batch by batch.

use std::cell::{Cell, RefCell};

use futures::{StreamExt as _, stream};

use super::{OnDrift, Run, Watcher, World};
use crate::change::Change;
use crate::obstacle::Obstacle;
use crate::ticket::{Journal, Phase};

impl<W: World, J: Journal, T: Watcher> Run<'_, W, J, T> {
    /// Makes all changes, and notes in `started` which have been begun.
    pub(super) async fn forward(
        &mut self,
        begun: &[bool],
        started: &RefCell<Vec<bool>>,
        verify: impl AsyncFnOnce() -> Result<(), Obstacle>,
    ) -> Result<(), Obstacle> {
        let done = Cell::new(0);
        let mut changes = self.plan.changes().enumerate().peekable();
        let mut is_first = true;
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
            let batch = std::iter::from_fn(|| changes.next_if(|(position, next)| next.stage == stage && *position < end));
            self.batch(batch, self.plan.stages[stage].concurrency, begun, started, &done).await?;
        }
        self.enter(Phase::Verifying).await?;
        verify().await?;
        self.enter(Phase::Committed).await
    }

    async fn batch(
        &self,
        changes: impl Iterator<Item = (usize, Change)>,
        concurrency: usize,
        begun: &[bool],
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
                    Err(obstacle) => {
                        failed.set(true);
                        // Drift is found before the write: this process has nothing to take back. What an earlier one has
                        // written there nobody knows.
                        if matches!(obstacle, Obstacle::Drift { .. }) {
                            started.borrow_mut()[position] = begun[position];
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
