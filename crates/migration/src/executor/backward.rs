//! Backward: everything that was begun, the newest stage first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::SystemTime;

use futures::{StreamExt as _, stream};

use super::kept_with::Kept;
use super::{Part, Rest, Run, Watcher};
use crate::change::{Action, Change, Target, Targets};
use crate::obstacle::{Obstacle, Stop};
use crate::progress::{FirstPart, OnDrift, Phase};
use crate::stage::{Stage, StageKind, UndoWait};

/// What is known while changes are taken back.
struct Way<'a> {
    part: Part,
    /// Whether a deadline may end it in between.
    ends_at_deadline: bool,
    started: &'a [bool],
    on_drift: OnDrift,
    total: usize,
    done: Cell<usize>,
    /// Why no more is tried.
    ended: RefCell<Option<Obstacle>>,
    left: RefCell<Vec<(Target, Obstacle)>>,
    /// By position: what something else has to come before.
    later: RefCell<BTreeMap<usize, (Target, Obstacle)>>,
    kept: RefCell<Vec<(Target, String)>>,
    /// What of them may need others.
    needing: Kept,
}

impl<T: Watcher + ?Sized> Run<'_, T> {
    /// Takes back every change that was started, and returns what could not be taken back. One that was started may have
    /// happened although it failed, and taking back what did not happen is no error.
    ///
    /// # Errors
    ///
    /// When nothing may be written any more, or nothing answers; another run goes on.
    pub(super) async fn restore(
        &mut self,
        started: &[bool],
        on_drift: OnDrift,
        part: Part,
        ends_at_deadline: bool,
    ) -> Result<Rest, Obstacle> {
        let was_under_way = self.progress.phase != Phase::Committed && !self.progress.is_undone_before_helm();
        self.progress.first_part = match (self.progress.first_part, part) {
            (FirstPart::Undone, _) => FirstPart::Undone,
            (_, Part::BeforeHelm) => FirstPart::Begun,
            (_, Part::Rest) => FirstPart::NotBegun,
        };
        if self.progress.phase != Phase::RollingBack {
            self.turn_sweeps();
        }
        match self.enter(Phase::RollingBack).await {
            Err(obstacle @ Obstacle::Stopped(_)) => return Err(obstacle),
            // Restoring matters more than recording it: a ledger that does not answer now must not keep us from it.
            Err(obstacle) if self.progress.cause().is_some() => tracing::warn!(error = %obstacle, "the ledger lags behind"),
            other => other?,
        }
        // What others delete follows from what a run has removed, not from its holds.
        let removes =
            |stage: usize| self.plan.stages()[stage].kind == StageKind::Contract && !self.plan.stages()[stage].cascaded;
        let has_removed = self.plan.changes().zip(started).any(|(change, started)| *started && removes(change.stage));
        let is_cascaded = |stage: &usize| self.plan.stages()[*stage].cascaded;
        let is_due = |stage: &usize| self.plan.positions(*stage).any(|position| self.is_due(*stage, position, part));
        let stages: Vec<usize> = (0..self.plan.stages().len()).rev().filter(is_due).collect();
        let cascaded: Vec<usize> = stages.iter().copied().filter(is_cascaded).filter(|_| has_removed).collect();
        // Twice, whether or not their stage has begun.
        let others: Vec<Range<usize>> = cascaded.iter().map(|stage| self.plan.positions(*stage)).collect();
        let counted: usize = others.iter().map(|positions| super::count(&started[positions.clone()])).sum();
        let due: usize = stages.iter().map(|stage| super::count(&started[self.plan.positions(*stage)])).sum();
        let total = due - counted + 2 * others.iter().map(Range::len).sum::<usize>();
        // Looked at once more where a process before this one has begun: what it has kept is not written down.
        let needing = match on_drift {
            OnDrift::Keep => Kept::of(self.plan, &self.drifted(Part::Rest, |_| false).await?),
            OnDrift::Stop | OnDrift::Merge | OnDrift::Overwrite => Kept::default(),
        };
        let way = Way {
            part,
            ends_at_deadline,
            started,
            on_drift,
            total,
            done: Cell::new(0),
            ended: RefCell::default(),
            left: RefCell::default(),
            later: RefCell::default(),
            kept: RefCell::default(),
            needing,
        };
        if was_under_way && others.iter().any(|positions| !positions.is_empty()) {
            self.settle(started, ends_at_deadline).await;
        }
        for stage in stages.iter().copied().filter(|stage| !is_cascaded(stage) || has_removed) {
            self.wait_before(stage, &way).await;
            if self.has_sweeps(stage) {
                self.sweep_back(stage, &way).await;
            } else {
                self.restore_stage(stage, &way).await;
            }
            self.wait_after(stage, &way).await;
        }
        // Once more: whoever deletes these may have been at it when they were looked at, and one may own another.
        if !way.left.borrow().is_empty() {
            let again = cascaded.iter().flat_map(|stage| self.plan.changes_rev(self.plan.positions(*stage)));
            let mut targets = Targets::default();
            again.for_each(|(_, change)| targets.insert(&change.target));
            way.left.borrow_mut().retain(|(target, _)| !targets.contains(target));
        }
        for stage in cascaded {
            self.restore_stage(stage, &way).await;
        }
        self.restore_later(&way).await;
        if let Some(ended) = way.ended.into_inner() {
            return Err(ended);
        }
        let (mut left, kept) = (way.left.into_inner(), way.kept.into_inner());
        left.sort_by(|a, b| a.0.cmp(&b.0));
        left.dedup_by(|a, b| a.0 == b.0);
        if left.is_empty() && part == Part::BeforeHelm {
            self.progress.first_part = FirstPart::Undone;
        }
        // A part that is gone through again keeps the same ones.
        self.progress.kept = self.progress.kept.max(kept.len());
        let is_left = |stage: usize| {
            let follows = self.plan.stages()[stage].cascaded && has_removed;
            let mut positions = self.plan.positions(stage);
            positions.any(|position| self.is_due(stage, position, Part::Rest) && (started[position] || follows))
        };
        let end = match part {
            _ if !left.is_empty() => Phase::Dirty,
            Part::BeforeHelm if (0..self.plan.stages().len()).any(is_left) => Phase::RollingBack,
            Part::BeforeHelm | Part::Rest => Phase::RolledBack,
        };
        match self.enter(end).await {
            Ok(()) => Ok(Rest { left, kept }),
            Err(obstacle @ Obstacle::Stopped(_)) => Err(obstacle),
            // What failed, and what is left, is told all the same.
            Err(obstacle) if self.progress.cause().is_some() || !left.is_empty() => {
                tracing::warn!(error = %obstacle, "the ledger lags behind");
                Ok(Rest { left, kept })
            }
            // Nobody can go on without it.
            Err(obstacle @ Obstacle::Damaged { .. }) => Err(obstacle),
            // What was asked for is not done before whoever comes next can know that it is: it is to be run again.
            Err(obstacle) => {
                let operation = "record that everything has been taken back".to_owned();
                Err(Obstacle::Unreachable { operation, source: obstacle.into() })
            }
        }
    }

    /// Waits until the last deletions that were begun are over: what others delete with them is then deleted, too. Only those of the
    /// last batch can be under way.
    async fn settle(&self, started: &[bool], ends_at_deadline: bool) {
        let end = started.iter().rposition(|started| *started).map_or(0, |last| last + 1);
        let last = end.saturating_sub(self.watcher.largest_batch())..end;
        for (position, change) in self.plan.changes_rev(last) {
            if self.watcher.stop().is_some_and(|stop| self.may_end(stop, ends_at_deadline)) {
                return;
            }
            if started[position] && !self.plan.stages()[change.stage].cascaded {
                // A part of going back, which a deadline does not end. It is waited for once more when it is taken back, which then tells.
                if let Err(obstacle) = self.world.settle(&self.task(&change, true, OnDrift::Stop)).await {
                    tracing::warn!(target = %change.target, error = %obstacle, "its deletion is not over");
                    return;
                }
            }
        }
    }

    /// Waits for what the stage says must be so before it is undone, if there is anything to undo in it.
    async fn wait_before(&self, stage: usize, way: &Way<'_>) {
        if way.ended.borrow().is_some() || !way.started[self.plan.positions(stage)].contains(&true) {
            return;
        }
        self.wait_for(&self.plan.stages()[stage].undo_waits, way).await;
    }

    /// Waits for what must be so before older runs are taken back. Nobody asks for that when the run takes back its own failure: then
    /// what the older runs have added stays.
    async fn wait_after(&mut self, stage: usize, way: &Way<'_>) {
        let has_begun = way.started[self.plan.positions(stage)].contains(&true);
        let is_undone = has_begun && way.ended.borrow().is_none() && way.left.borrow().is_empty();
        let plan = self.plan;
        let Stage { name, undone_waits, .. } = &plan.stages()[stage];
        if undone_waits.is_empty() || !is_undone {
            return;
        }
        // Whoever comes next waits the rest, also where Helm goes back by itself after a failure.
        if self.progress.drains_until.is_none() {
            self.progress.begin_to_drain(undone_waits, SystemTime::now());
            if let Err(obstacle) = self.journal.record(&self.progress).await {
                tracing::warn!(error = %obstacle, "the ledger lags behind");
            }
        }
        if self.progress.asked().is_none() {
            return;
        }
        tracing::info!(
            stage = name,
            "taken back; what it led to is given time to drain before anything older is taken back"
        );
        let rest = self.progress.drains_for(SystemTime::now()).map(|seconds| UndoWait::Duration { seconds });
        let others = undone_waits.iter().filter(|wait| wait.seconds() == 0).cloned();
        self.wait_for(&rest.into_iter().chain(others).collect::<Vec<UndoWait>>(), way).await;
    }

    async fn wait_for(&self, waits: &[UndoWait], way: &Way<'_>) {
        for wait in waits {
            let stop = || self.watcher.stop().filter(|stop| self.may_end(*stop, way.ends_at_deadline));
            if let Err(obstacle) = self.world.wait(wait, &stop).await {
                way.ended.borrow_mut().get_or_insert(obstacle);
                return;
            }
        }
    }

    fn has_sweeps(&self, stage: usize) -> bool {
        self.plan.changes_rev(self.plan.positions(stage)).any(|(_, change)| change.action() == Action::Sweep)
    }

    /// Takes back a stage of sweeps, one after the other.
    async fn sweep_back(&mut self, stage: usize, way: &Way<'_>) {
        let plan = self.plan;
        for (position, change) in plan.changes_rev(plan.positions(stage)) {
            if !way.started[position] || way.ended.borrow().is_some() {
                continue;
            }
            if change.action() != Action::Sweep {
                self.take_back(position, change, way).await;
                continue;
            }
            let change = change.inverse();
            let cause = self.progress.cause().is_some();
            let may_end = |stop| may_end(stop, cause, way.ends_at_deadline);
            match self.sweep(position, &change, true, &may_end).await {
                Ok(()) => tracing::info!(target = %change.target, "as before"),
                Err(obstacle @ (Obstacle::Unreachable { .. } | Obstacle::Stopped(_))) => {
                    way.ended.borrow_mut().get_or_insert(obstacle);
                }
                Err(obstacle) => way.left.borrow_mut().push((change.target, obstacle)),
            }
            way.done.set(way.done.get() + 1);
            self.watcher.progress(way.done.get(), way.total, true);
        }
    }

    /// As many at once as the stage says, but one after the other where it says so.
    async fn restore_stage(&self, stage: usize, way: &Way<'_>) {
        let concurrency = self.plan.stages()[stage].concurrency.max(1);
        let positions = self.plan.positions(stage);
        if self.plan.stages()[stage].pacing.is_empty() {
            let changes = stream::iter(self.plan.changes_rev(positions));
            changes.for_each_concurrent(concurrency, |(position, change)| self.take_back(position, change, way)).await;
            return;
        }
        let lanes = stream::iter(self.lanes(positions).into_iter().rev());
        let lane = |lane: Range<usize>| async move {
            for (position, change) in self.plan.changes_rev(lane) {
                self.take_back(position, change, way).await;
            }
        };
        lanes.for_each_concurrent(concurrency, lane).await;
    }

    /// What had to wait for something else, which is back by now; it may be what others wait for. Ends when nothing comes any more.
    async fn restore_later(&self, way: &Way<'_>) {
        let concurrency = self.plan.stages().iter().map(|stage| stage.concurrency).max().unwrap_or(1).max(1);
        while way.ended.borrow().is_none() {
            let later = way.later.take();
            let (Some((first, _)), Some((last, _))) = (later.first_key_value(), later.last_key_value()) else { return };
            let changes = self.plan.changes_rev(*first..last + 1).filter(|(position, _)| later.contains_key(position));
            let changes = stream::iter(changes);
            changes.for_each_concurrent(concurrency, |(position, change)| self.take_back(position, change, way)).await;
            if way.later.borrow().len() == later.len() {
                way.later.take();
                return way.left.borrow_mut().extend(later.into_values());
            }
        }
    }

    /// Changes of one kind and namespace, which follow each other in a plan.
    fn lanes(&self, positions: Range<usize>) -> Vec<Range<usize>> {
        let mut lanes: Vec<Range<usize>> = Vec::new();
        let mut last: Option<(String, Option<String>)> = None;
        for (position, change) in self.plan.changes().enumerate().skip(positions.start).take(positions.len()) {
            let key = Some((change.target.kind, change.target.namespace));
            match lanes.last_mut().filter(|_| last == key) {
                Some(lane) => lane.end = position + 1,
                None => lanes.push(position..position + 1),
            }
            last = key;
        }
        lanes
    }

    async fn take_back(&self, position: usize, change: Change, way: &Way<'_>) {
        // What others delete follows from another stage, whether or not its own has begun.
        let may_be_made = way.started[position] || self.plan.stages()[change.stage].cascaded;
        let is_due = self.is_due(change.stage, position, way.part);
        if !may_be_made || !is_due || way.ended.borrow().is_some() {
            return;
        }
        if let Some(stop) = self.watcher.stop().filter(|stop| self.may_end(*stop, way.ends_at_deadline)) {
            way.ended.borrow_mut().get_or_insert(Obstacle::Stopped(stop));
            return;
        }
        let change = change.inverse();
        if way.needing.may_need(&change) {
            let what = "what is kept may need it".to_owned();
            tracing::info!(target = %change.target, what, "kept");
            way.kept.borrow_mut().push((change.target, what));
            way.done.set(way.done.get() + 1);
            return;
        }
        match self.world.bring(&self.task(&change, true, way.on_drift)).await {
            Ok(()) => tracing::info!(target = %change.target, "as before"),
            Err(Obstacle::Drift { target, what }) if way.on_drift == OnDrift::Keep => {
                tracing::info!(%target, what, "kept");
                way.kept.borrow_mut().push((target, what));
            }
            // Asking on would take the whole patience of a request for every object that is left.
            Err(obstacle @ (Obstacle::Unreachable { .. } | Obstacle::Stopped(_))) => {
                way.ended.borrow_mut().get_or_insert(obstacle);
                return;
            }
            Err(obstacle @ Obstacle::NotYet { .. }) => {
                way.later.borrow_mut().insert(position, (change.target, obstacle));
                return;
            }
            Err(obstacle) => way.left.borrow_mut().push((change.target, obstacle)),
        }
        way.done.set(way.done.get() + 1);
        self.watcher.progress(way.done.get(), way.total, true);
    }

    fn may_end(&self, stop: Stop, ends_at_deadline: bool) -> bool {
        may_end(stop, self.progress.cause().is_some(), ends_at_deadline)
    }
}

/// After a failure restoring matters more than a signal or a deadline. One that was asked for may end in between, because another run
/// can go on.
fn may_end(stop: Stop, has_failed: bool, ends_at_deadline: bool) -> bool {
    match stop {
        Stop::LeaseOver | Stop::Cancelled => true,
        Stop::Interrupted => !has_failed,
        Stop::DeadlinePassed => !has_failed && ends_at_deadline,
    }
}
