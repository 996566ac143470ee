//! Sweeps: changes of a whole kind, page by page. How far one has come is in the ticket, so that the next process goes on there.

use super::{Run, Task, Watcher};
use crate::change::{Action, Change};
use crate::obstacle::{Obstacle, Stop};
use crate::progress::{OnDrift, Swept};

impl<T: Watcher + ?Sized> Run<'_, T> {
    /// Sweeps to the end, from where an earlier process has come to. `stop` is asked before each page.
    pub(super) async fn sweep(
        &mut self,
        position: usize,
        change: &Change,
        is_undo: bool,
        stop: &dyn Fn(Stop) -> bool,
    ) -> Result<(), Obstacle> {
        loop {
            if let Some(stop) = self.watcher.stop().filter(|reason| stop(*reason)) {
                return Err(Obstacle::Stopped(stop));
            }
            let before = self.progress.swept.get(&position).cloned().unwrap_or_default();
            let stage = &self.plan.stages()[change.stage];
            let task = Task { change, stage, mark: self.mark, is_undo, on_drift: OnDrift::Stop };
            let page = match self.world.sweep(&task, before.next.as_deref()).await {
                Err(Obstacle::NotYet { .. }) if self.comes_again(position, change) => return Ok(()),
                Err(Obstacle::NotYet { operation, what }) => {
                    let source =
                        format!("{what} is not as it must be: nothing of this run is due to change that any more").into();
                    return Err(Obstacle::Refused { operation, source });
                }
                page => page?,
            };
            let is_done = page.next.is_none();
            let swept = Swept { count: before.count + page.count, next: page.next };
            tracing::info!(kind = change.target.kind, count = swept.count, "swept");
            if is_done {
                self.progress.swept.remove(&position);
                return Ok(());
            }
            self.progress.swept.insert(position, swept);
            self.journal.record(&self.progress).await?;
        }
    }

    /// Whether the same kind is swept once more: of such twins one acts.
    fn comes_again(&self, position: usize, change: &Change) -> bool {
        let is_twin = |other: Change| other.target == change.target && other.action() == Action::Sweep;
        self.plan.changes().skip(position + 1).any(is_twin)
    }

    /// Forgets how far sweeps have come in the other direction.
    pub(super) fn turn_sweeps(&mut self) {
        self.progress.swept.clear();
    }
}
