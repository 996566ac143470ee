//! Finishes what an earlier run of a step has left, forward or back, as its ticket says.

use std::cell::RefCell;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::watch::Watch;
use fairlead_migration::change::Target;
use fairlead_migration::executor::{Outcome, Proof, Run, Verified};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::store::Purpose;
use fairlead_migration::ticket::Ticket;
use fairlead_release::cancelled::{self, cancelled_by_rollback};
use fairlead_release::exclusive::{Exclusive, Waiting};
use fairlead_release::executors::Way;
use fairlead_release::helm::HelmRecords;
use serde_json::Value;

use crate::approved::Approved;
use crate::step::{Look, Step, StepKind};
use crate::step_run::StepRun;

/// An earlier run that was gone on with, and how that ended.
pub(crate) struct GoneOn {
    pub(crate) outcome: Outcome,
    pub(crate) plan: Plan,
    pub(crate) mark: String,
    ticket: Ticket,
    pub(crate) lacking: Vec<(Target, String)>,
}

impl<S: Step> StepRun<'_, S> {
    /// Finishes what an earlier run of this step has left. Returns how, if that is the end of this run.
    pub(crate) async fn finish(&self, approved: Option<&Approved>) -> Result<Option<(Plan, Ended)>, Failure> {
        let session = self.session;
        session.watch.guard_patiently(session.store.require(Purpose::Keep, None)).await?;
        session
            .exclusively(Waiting::Patient, async |exclusive| {
                let mut last: Option<(String, Progress)> = None;
                // Looked at again: whoever was at it may have finished it while we waited.
                while let Some(run) = unfinished::<S>(&session.runs().await?) {
                    // Or a rollback may have come half its way with it, which only another part of that may finish.
                    cancelled::check(session, S::NAME).await?;
                    let before = last.replace((run.name.clone(), run.progress.clone()));
                    if before == last {
                        let source = "its ticket is as it was before, although it was worked on".into();
                        return Err(Obstacle::Refused { operation: format!("finish {}", run.name), source }.into());
                    }
                    if let Some(end) = self.finish_one(run, approved, exclusive).await? {
                        return Ok(Some(end));
                    }
                }
                Ok(None)
            })
            .await?
    }

    async fn finish_one(
        &self,
        run: &RecordedRun,
        approved: Option<&Approved>,
        exclusive: &Exclusive<'_>,
    ) -> Result<Option<(Plan, Ended)>, Failure> {
        let session = self.session;
        if run.phase() == Phase::Planned {
            tracing::info!(ticket = run.name, "an earlier run ended before its first change");
            // Its snapshot may not be complete.
            session.store.journal(exclusive.lock()).abandon(&run.name).await?;
            return Ok(None);
        }
        // Before it: whatever comes of it must be told.
        let helm = session.watch.guard_patiently(HelmRecords::of(session.cluster, session.place)).await?;
        let is_other_upgrade = !helm.is_of_upgrade(run, session.common.release.helm_revision);
        let GoneOn { outcome, plan, mark, ticket, lacking } =
            self.go_on(run, approved, Way::Forward, None, exclusive).await?;
        // Another upgrade's failure is over when it is taken back; this one's is the end of this one.
        if let Outcome::Background(left) = &outcome
            && is_other_upgrade
        {
            let message = format!("run {} of an earlier upgrade goes on in the background: {left}", run.sequence);
            let next = session.place.job_command(S::NAME, "background", &ticket.told.flags);
            let failure = Failure::new(&shared::HELD, message);
            return Err(failure.with_aftermath(format!("If nobody watches it any more: {next}\n")));
        }
        // A gate has just looked, as it was told to: it need not look again.
        let has_passed = S::KIND == StepKind::Gate && !is_other_upgrade && ticket.told == self.told();
        let goes_on = match &outcome {
            Outcome::Committed => !has_passed,
            Outcome::Undone { .. } => true,
            Outcome::Restored(_) => is_other_upgrade,
            _ => false,
        };
        let ended = session.ended(outcome, &plan, &mark).lacking(lacking);
        if goes_on {
            tracing::info!(ticket = mark, summary = ended.summary, "finished the earlier run");
            session.remember(S::NAME, &ended).await;
            return Ok(None);
        }
        Ok(Some((plan, ended)))
    }

    /// Goes on with a run where its ticket says that it is. `way` says what has to be allowed for that; `seen` is what a look at it without the
    /// lock of the release has shown, if there was one.
    pub(crate) async fn go_on(
        &self,
        run: &RecordedRun,
        approved: Option<&Approved>,
        way: Way,
        seen: Option<Result<(), Obstacle>>,
        exclusive: &Exclusive<'_>,
    ) -> Result<GoneOn, Failure> {
        let session = self.session;
        let mut journal = session.store.journal(exclusive.lock());
        let Reopened { mark, ticket, plan, progress } = journal.reopen(&run.name).await?;
        // Going back needs nobody's approval.
        if let Some(approved) = approved.filter(|_| progress.phase != Phase::RollingBack) {
            approved.check_begun(&ticket.plan_digest, run.sequence, session.place)?;
        }
        let (phase, changes) = (progress.phase.as_str(), plan.len());
        tracing::info!(ticket = mark, phase, changes, "going on with an earlier run");
        let executor = session.executor(&run.name, &ticket)?;
        let work = self.work(&plan, way);
        session.watch.guard_patiently(executor.require(work)).await?;
        let world = self.step.world(executor.world(work, exclusive.lock()).await?, &plan);
        let look = Look { step: self.step, plan: &plan, watch: &session.watch };
        let look: Box<dyn Proof> = match seen {
            None => Box::new(look),
            Some(seen) => Box::new(SecondLook { look, watch: &session.watch, failed: RefCell::new(seen.err()) }),
        };
        if progress.phase == Phase::Background {
            self.require_last(run, &*look).await?;
        }
        let working = Run { world: &*world, journal: &mut *journal, watcher: exclusive, plan: &plan, mark: &mark, progress };
        let outcome = working.apply(&*look, S::KIND.purpose()).await;
        let lacking = world.lacking();
        drop((world, look));
        let outcome = cancelled_by_rollback(outcome, &session.watch);
        Ok(GoneOn { outcome, plan, mark, ticket, lacking })
    }

    /// Fails where a run that is left to the background would have to be taken back, and a newer one is in force, which may rest on it.
    async fn require_last(&self, run: &RecordedRun, look: &dyn Proof) -> Result<(), Failure> {
        let session = self.session;
        let runs = session.runs().await?;
        let Some(newer) = runs.iter().find(|it| it.sequence > run.sequence && it.is_in_force()) else { return Ok(()) };
        match look.verify().await {
            Ok(_) | Err(Obstacle::OutOfTime { .. }) => Ok(()),
            Err(cause) if cause.says_nothing() => Err(cause.into()),
            Err(cause) => {
                let message = format!(
                    "run {} ({}) has not come to its end, and run {} ({}) came after it and is in force",
                    run.sequence, run.step, newer.sequence, newer.step
                );
                let back = session.place.command(&format!("rollback --to {}", run.sequence - 1));
                let next = format!("Once the cause is mended, the same command again. To take both back: {back}\n");
                Err(Failure::caused(&shared::RESTED_UPON, &message, cause).with_aftermath(next))
            }
        }
    }
}

/// A look at what somebody has just looked at: nobody is kept waiting by it.
struct SecondLook<'a, S> {
    look: Look<'a, S>,
    watch: &'a Watch,
    /// What the first look has found.
    failed: RefCell<Option<Obstacle>>,
}

#[async_trait(?Send)]
impl<S: Step> Proof for SecondLook<'_, S> {
    async fn verify(&self) -> Result<Verified, Obstacle> {
        let left = self.watch.time_left();
        self.watch.begin_again(Duration::ZERO, Duration::ZERO);
        let seen = self.look.verify().await;
        self.watch.begin_again(left, Duration::ZERO);
        match seen {
            // It has come after all.
            Ok(Verified::AsPlanned) => seen,
            Err(cause) if cause.says_nothing() => Err(cause),
            other => self.failed.take().map_or(other, Err),
        }
    }

    fn evidence(&self) -> Option<Value> {
        self.look.evidence()
    }
}

/// What a process of this step has left that has died.
pub(crate) fn unfinished<S: Step>(runs: &[RecordedRun]) -> Option<&RecordedRun> {
    runs.iter().find(|run| run.step == S::NAME && run.is_unfinished())
}
