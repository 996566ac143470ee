//! Carries out a plan stage by stage, and takes back what it did when a change fails.

mod backward;
mod forward;
mod kept_with;
mod sweep;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use serde_json::Value;

use crate::change::{Action, Change, Target};
use crate::obstacle::{LONGEST, Obstacle, Stop, chain, cut};
use crate::plan::Plan;
use crate::progress::{Asked, Cause, OnDrift, Phase, Progress, Swept, WhyBack};
use crate::stage::{Stage, UndoAt, UndoWait};
use crate::store::Journal;

/// Where changes are made: a cluster, a database. Nothing here has a default, so that a world around another one forgets nothing.
#[async_trait(?Send)]
pub trait World {
    /// Looks whether a stage may begin, before this process makes any of its changes.
    async fn admit(&self, stage: &Stage) -> Result<(), Obstacle>;

    /// Brings the target of a change from its before-image to its after-image. What has been done is recognised and is no
    /// error. Objects it creates carry the mark; of created objects it deletes only those that do.
    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle>;

    /// Goes on with a sweep, page by page, and says where to go on next. An object that is stored as it should be is no error.
    async fn sweep(&self, task: &Task<'_>, next: Option<&str>) -> Result<Swept, Obstacle>;

    /// Waits until what a change has begun is over, as far as that is to be seen; before what follows from it is looked at. The change
    /// is the one that was made, also on the way back.
    async fn settle(&self, task: &Task<'_>) -> Result<(), Obstacle>;

    /// Looks how the target of a change stands to its images, and changes nothing.
    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle>;

    /// Waits until a stage may be undone. `stop` says when waiting is to end.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Late`] after the timeout of the wait.
    async fn wait(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle>;

    /// Objects that are back and lack something that nobody can give them any more: an owner, say.
    fn lacking(&self) -> Vec<(Target, String)>;
}

/// What the changes of a run are to have brought about.
#[async_trait(?Send)]
pub trait Proof {
    /// Looks at the world, not at the return codes.
    async fn verify(&self) -> Result<Verified, Obstacle>;

    /// What was seen: it is kept with the ticket, whether the run is committed or taken back.
    fn evidence(&self) -> Option<Value> {
        None
    }
}

/// What a look at the world has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Everything is as planned.
    AsPlanned,
    /// All changes are made, and what follows from them takes longer than a hook may: how much is left, in words.
    InBackground(String),
}

/// What becomes of the changes of a run when they have been verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// They stay.
    #[default]
    Lasting,
    /// They are taken back at once: a heartbeat.
    Probe,
}

/// One change, and how it is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The change; when it is taken back, its inverse.
    pub change: &'a Change,
    /// The stage it belongs to.
    pub stage: &'a Stage,
    /// What created objects carry.
    pub mark: &'a str,
    /// Whether something is taken back: then everything of the object becomes as it was, also who owns which field.
    pub is_undo: bool,
    /// What to do about an object that somebody else has changed.
    pub on_drift: OnDrift,
}

/// How much of a run is taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The stages that are undone before Helm applies the old manifests.
    BeforeHelm,
    /// Everything that has not been taken back yet.
    Rest,
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
    /// All changes are made; what is left goes on without this process.
    Background(String),
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
    /// What the run had changed has been taken back, as was asked for.
    Undone {
        /// How many changes.
        count: usize,
        /// How many wait until Helm has applied the old manifests.
        rest: usize,
        /// Those of them that somebody else had changed since, and how.
        drifted: Vec<(Target, String)>,
        /// What has become of these.
        on_drift: OnDrift,
    },
    /// Nothing was taken back, because somebody else has changed these since.
    Drifted(Vec<(Target, String)>),
}

/// What the executor is told and tells while it works.
pub trait Watcher {
    /// Asked before each change; `Some` ends the run.
    fn stop(&self) -> Option<Stop>;

    /// `done` of `total` changes are made (or, when `undoing`, taken back).
    fn progress(&self, done: usize, total: usize, undoing: bool);

    /// How many changes are begun before that is written down again.
    fn batch(&self) -> usize;

    /// The most that [`Self::batch`] ever says, of any version: so many changes may be under way when a process dies.
    fn largest_batch(&self) -> usize {
        500
    }
}

/// One run: a plan whose ticket the journal has opened.
pub struct Run<'a, T: ?Sized> {
    /// Where changes are made.
    pub world: &'a dyn World,
    /// Keeps the ticket.
    pub journal: &'a mut dyn Journal,
    /// Tells when to stop.
    pub watcher: &'a T,
    /// What is to be done, or taken back.
    pub plan: &'a Plan,
    /// What created objects carry: the address of the ticket.
    pub mark: &'a str,
    /// Where the run is.
    pub progress: Progress,
}

impl<T: Watcher + ?Sized> Run<'_, T> {
    /// Carries out the plan from where its ticket says that it is; `proof` then looks whether the world really is as planned.
    /// Changes that are made already are recognised. A run that was being taken back when its process died is taken back to
    /// the end.
    pub async fn apply(mut self, proof: &dyn Proof, purpose: Purpose) -> Outcome {
        if self.progress.phase == Phase::RollingBack {
            return self.finish_undo().await;
        }
        // Of what an earlier process has begun nobody knows what it has done.
        let begun = self.begun();
        let is_behind = self.progress.phase == Phase::Background;
        let started = RefCell::new(begun.clone());
        let result = self.forward(&begun, &started, proof).await;
        let why_back = match result {
            Ok(Verified::InBackground(left)) => return self.leave_to_background(proof, left).await,
            Ok(Verified::AsPlanned) if purpose == Purpose::Lasting => match self.commit(proof).await {
                Ok(()) => return Outcome::Committed,
                Err(cause) if is_interruption(&cause) => return Outcome::Interrupted(cause),
                Err(cause) => return self.fail(cause, started.into_inner(), proof).await,
            },
            Ok(Verified::AsPlanned) => WhyBack::Planned,
            Err(cause) if is_interruption(&cause) => return Outcome::Interrupted(cause),
            // What is in force is taken back for what was seen, and not because nobody could look long enough, or at all.
            Err(cause @ (Obstacle::OutOfTime { .. } | Obstacle::Stopped(Stop::DeadlinePassed))) if is_behind => {
                return Outcome::Background(chain(&cause));
            }
            Err(cause @ Obstacle::Forbidden { .. }) if is_behind => return Outcome::Interrupted(cause),
            Err(cause) => return self.fail(cause, started.into_inner(), proof).await,
        };
        self.attest(proof).await;
        self.progress.why_back = Some(why_back);
        self.finish_undo().await
    }

    /// A gate whose evidence is lost has proved nothing.
    async fn commit(&mut self, proof: &dyn Proof) -> Result<(), Obstacle> {
        if let Some(evidence) = proof.evidence() {
            self.journal.attest(&evidence, &mut self.progress).await?;
        }
        self.enter(Phase::Committed).await
    }

    async fn leave_to_background(&mut self, proof: &dyn Proof, left: String) -> Outcome {
        self.attest(proof).await;
        match self.enter(Phase::Background).await {
            Ok(()) => Outcome::Background(left),
            Err(obstacle) => Outcome::Interrupted(obstacle),
        }
    }

    async fn fail(&mut self, cause: Obstacle, started: Vec<bool>, proof: &dyn Proof) -> Outcome {
        self.attest(proof).await;
        let code = if let Obstacle::Verdict { code, .. } | Obstacle::OutOfTime { code, .. } = &cause {
            Some(code.clone().into_owned())
        } else {
            None
        };
        self.progress.why_back = Some(WhyBack::Failed(Cause { code, message: cut(&chain(&cause), LONGEST).into_owned() }));
        self.progress.begun = started.iter().rposition(|started| *started).map_or(0, |last| last + 1);
        self.progress.untouched = (0..self.progress.begun).filter(|position| !started[*position]).collect();
        match self.restore(&started, OnDrift::Stop, Part::Rest, false).await {
            Ok(Rest { left, .. }) if left.is_empty() => Outcome::Restored(cause),
            Ok(Rest { left, .. }) => Outcome::Dirty { cause, left },
            Err(Obstacle::Late { operation, source }) => {
                let source = format!("{source}; the run had failed: {}", chain(&cause)).into();
                Outcome::Interrupted(Obstacle::Late { operation, source })
            }
            Err(interruption) => Outcome::Interrupted(interruption),
        }
    }

    /// Keeps what was seen where losing it costs nothing but that.
    async fn attest(&mut self, proof: &dyn Proof) {
        let Some(evidence) = proof.evidence() else { return };
        if let Err(obstacle) = self.journal.attest(&evidence, &mut self.progress).await {
            tracing::warn!(error = %chain(&obstacle), "what was seen is not kept with the ticket");
        }
    }

    /// Takes back what the run has changed, or a part of it. Whether somebody else has changed it since is looked at first, in
    /// everything of the part `look`: also in what is taken back only later, unless it has been looked at already.
    pub async fn undo(mut self, asked: Asked, part: Part, look: Part) -> Outcome {
        let Looked { drifted, as_before } = match self.looked(look, |_| false).await {
            Ok(looked) => looked,
            Err(obstacle) => return Outcome::Interrupted(obstacle),
        };
        let on_drift = asked.on_drift;
        if !drifted.is_empty() && on_drift == OnDrift::Stop {
            return Outcome::Drifted(drifted);
        }
        self.progress.why_back = Some(WhyBack::Asked(asked));
        let (started, due) = (self.begun(), self.due(part));
        let rest = count(&self.due(Part::Rest)) - count(&due);
        match self.restore(&started, on_drift, part, true).await {
            Ok(Rest { left, kept }) if left.is_empty() => {
                let mut drifted: BTreeMap<Target, String> = drifted.into_iter().collect();
                drifted.extend(kept);
                // What was written down ahead, and never made, is as it was.
                let count = if part == look { count(&due).saturating_sub(as_before) } else { count(&due) };
                Outcome::Undone { count, rest, drifted: drifted.into_iter().collect(), on_drift }
            }
            Ok(Rest { left, .. }) => Outcome::Dirty { cause: not_everything(), left },
            Err(obstacle) => Outcome::Interrupted(obstacle),
        }
    }

    /// Looks whether somebody else has changed something since, but for targets that are `excepted`. None when nobody has.
    pub async fn look(self, excepted: impl Fn(&Target) -> bool) -> Option<Outcome> {
        match self.drifted(Part::Rest, excepted).await {
            Ok(drifted) if drifted.is_empty() => None,
            Ok(drifted) => Some(Outcome::Drifted(drifted)),
            Err(obstacle) => Some(Outcome::Interrupted(obstacle)),
        }
    }

    /// Goes on with taking back.
    async fn finish_undo(mut self) -> Outcome {
        let cause = self.progress.cause().cloned().map(earlier);
        let on_drift = self.progress.asked().map(|asked| asked.on_drift).unwrap_or_default();
        let (started, count) = (self.begun(), count(&self.due(Part::Rest)));
        // The deadline is that of a step, which this is no more.
        match (self.restore(&started, on_drift, Part::Rest, false).await, cause) {
            (Ok(Rest { left, .. }), Some(cause)) if left.is_empty() => Outcome::Restored(cause),
            (Ok(Rest { left, kept }), None) if left.is_empty() => {
                Outcome::Undone { count, rest: 0, drifted: kept, on_drift }
            }
            (Ok(Rest { left, .. }), cause) => Outcome::Dirty { cause: cause.unwrap_or_else(not_everything), left },
            (Err(obstacle), _) => Outcome::Interrupted(obstacle),
        }
    }

    /// The changes that may have been made.
    fn begun(&self) -> Vec<bool> {
        let Progress { begun, untouched, ended, .. } = &self.progress;
        // A hold that has ended is somebody else's business since.
        let is_left = |position: &usize| untouched.contains(position) || ended.contains(position);
        (0..self.plan.len()).map(|position| position < *begun && !is_left(&position)).collect()
    }

    /// Whether a change of this stage is to be taken back with this part.
    fn is_due(&self, stage: usize, position: usize, part: Part) -> bool {
        let is_early = self.plan.undo_at(stage, position) == UndoAt::PreRollback;
        match part {
            Part::BeforeHelm => is_early && !self.progress.is_undone_before_helm(),
            Part::Rest => !(is_early && self.progress.is_undone_before_helm()),
        }
    }

    /// The changes that may have been made, and are to be taken back with this part.
    fn due(&self, part: Part) -> Vec<bool> {
        let mut due = self.begun();
        for stage in 0..self.plan.stages().len() {
            for position in self.plan.positions(stage) {
                due[position] &= self.is_due(stage, position, part);
            }
        }
        due
    }

    /// What somebody else has changed since.
    async fn drifted(&self, part: Part, excepted: impl Fn(&Target) -> bool) -> Result<Vec<(Target, String)>, Obstacle> {
        Ok(self.looked(part, excepted).await?.drifted)
    }

    async fn looked(&self, part: Part, excepted: impl Fn(&Target) -> bool) -> Result<Looked, Obstacle> {
        let concurrency = self.plan.stages().iter().map(|stage| stage.concurrency).max().unwrap_or(1).max(1);
        let last = self.last_of_updated(part);
        let is_last = |position, change: &Change| last.get(&change.target.short()).is_none_or(|last| *last == position);
        let due = self
            .plan
            .changes()
            .enumerate()
            .zip(self.due(part))
            .filter(|((position, change), due)| *due && is_last(*position, change) && !excepted(&change.target));
        let due = due.map(|((_, change), _)| change);
        let looks = stream::iter(due).map(|change| async move {
            if let Some(stop) = self.watcher.stop() {
                return Err(Obstacle::Stopped(stop));
            }
            let standing = self.world.look(&self.task(&change, false, OnDrift::Stop)).await?;
            Ok((change.target, standing))
        });
        let mut looked = Looked::default();
        let mut looks = looks.buffered(concurrency);
        while let Some(look) = looks.next().await {
            match look? {
                (target, Standing::Other(how)) => looked.drifted.push((target, how)),
                (_, Standing::Before) => looked.as_before += 1,
                (_, Standing::After) => {}
            }
        }
        Ok(looked)
    }

    /// Where a target is changed last, of those that are updated: an object that is updated and then deleted is not there.
    fn last_of_updated(&self, part: Part) -> HashMap<u64, usize> {
        let updated = self.plan.changes().filter(|change| change.action() == Action::Update);
        let mut last: HashMap<u64, usize> = updated.map(|change| (change.target.short(), 0)).collect();
        if !last.is_empty() {
            let due = self.plan.changes().enumerate().zip(self.due(part)).filter(|(_, due)| *due);
            for ((position, change), _) in due {
                last.entry(change.target.short()).and_modify(|last| *last = position);
            }
        }
        last
    }

    fn task<'t>(&'t self, change: &'t Change, is_undo: bool, on_drift: OnDrift) -> Task<'t> {
        Task { change, stage: &self.plan.stages()[change.stage], mark: self.mark, is_undo, on_drift }
    }

    async fn enter(&mut self, phase: Phase) -> Result<(), Obstacle> {
        tracing::info!(phase = phase.as_str(), "phase");
        self.progress.phase = phase;
        self.journal.record(&self.progress).await
    }
}

/// How the targets of a part stand.
#[derive(Default)]
struct Looked {
    /// What somebody else has changed since, and how.
    drifted: Vec<(Target, String)>,
    /// How many are as they were before the run.
    as_before: usize,
}

/// What is left when everything was to be taken back.
struct Rest {
    /// What could not be taken back.
    left: Vec<(Target, Obstacle)>,
    /// What others have changed, and was to be kept.
    kept: Vec<(Target, String)>,
}

/// Why a run failed whose process ended while everything was being taken back.
fn earlier(cause: Cause) -> Obstacle {
    let message = format!("{} (its process ended while everything was being taken back)", cause.message);
    match cause.code {
        Some(code) => Obstacle::Verdict { code: code.into(), message },
        None => Obstacle::Refused { operation: "do what the plan says".to_owned(), source: message.into() },
    }
}

/// Why a rollback that was asked for is not done.
fn not_everything() -> Obstacle {
    let source = "each object that is left is listed with its reason".into();
    Obstacle::Refused { operation: "take everything back".to_owned(), source }
}

fn count(started: &[bool]) -> usize {
    started.iter().filter(|started| **started).count()
}

/// Whether another process goes on where this one ends.
fn is_interruption(obstacle: &Obstacle) -> bool {
    matches!(
        obstacle,
        Obstacle::Unreachable { .. } | Obstacle::Stopped(Stop::Interrupted | Stop::LeaseOver | Stop::Cancelled)
    )
}
