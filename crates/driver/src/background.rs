//! Goes on with a run that was left to the background: watches until everything is there, and then ends it as `apply` would have.
//!
//! # Decision: to watch and to write are two locks
//!
//! Situation: what a controller makes of a run's changes can take hours. Decision: this process watches under a lock of its own, and takes
//! that of the release only when there is something to write: that the run is committed, or that it is taken back. Consequence: others work
//! on the release meanwhile, a rollback above all; whoever has ended the run before this process could is right. Which revision Helm is at
//! does not count: the Job of a revision that somebody goes back to watches what is in force there.

use std::time::Duration;

use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_migration::executor::{Outcome, Proof as _, Verified};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::progress::Phase;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Lock;
use fairlead_release::exclusive::Waiting;
use fairlead_release::executors::Way;
use fairlead_release::helm::HelmRecords;
use fairlead_release::session::Session;
use fairlead_release::status::require_known;

use crate::after_jobs;
use crate::apply::conclude;
use crate::args::StepArgs;
use crate::finish::GoneOn;
use crate::step::{Look, Step};
use crate::step_run::StepRun;

/// How often it is said how far it is.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// How often that is an Event, at most.
const EVENT_INTERVAL: Duration = Duration::from_mins(1);

/// Goes on with the run of a step that was left to the background; with none there is nothing to do.
pub async fn background<S: Step>(session: &Session<'_>, args: &StepArgs, step: &S) -> anyhow::Result<ExitStatus> {
    conclude(session, S::NAME, (StepRun { session, args, step }).background().await).await
}

impl<S: Step> StepRun<'_, S> {
    async fn background(&self) -> Result<(Plan, Ended), Failure> {
        let session = self.session;
        after_jobs::wait(session, &self.args.after_job, self.args.run_timeout).await?;
        let Some(run) = session.runs().await?.into_iter().find(is_open::<S>) else {
            let Session { cluster, store, place, .. } = session;
            let helm = session.watch.guard_patiently(HelmRecords::of(cluster, *place)).await?;
            session.watch.guard_patiently(require_known(cluster, &**store, *place, &helm)).await?;
            tracing::info!("nothing goes on in the background");
            return Ok(nothing(S::NAME));
        };
        session.in_background(async |exclusive| self.watch(&run.name, exclusive.lock()).await).await?
    }

    async fn watch(&self, name: &str, lock: &dyn Lock) -> Result<(Plan, Ended), Failure> {
        let session = self.session;
        loop {
            // Again: others work on the release.
            let Some(run) = session.runs().await?.into_iter().find(|run| run.name == name && is_open::<S>(run)) else {
                tracing::info!(ticket = name, "somebody else has ended the run meanwhile");
                return Ok(nothing(S::NAME));
            };
            // What is being taken back is not looked at.
            let seen = if run.phase() == Phase::RollingBack { None } else { Some(self.look(name, lock).await?) };
            if let Some(end) = self.end(name, seen).await? {
                return Ok(end);
            }
        }
    }

    /// Looks until everything is there, or something has failed: that is returned as it is.
    async fn look(&self, name: &str, lock: &dyn Lock) -> Result<Result<(), Obstacle>, Failure> {
        let session = self.session;
        let plan = session.watch.guard_patiently(session.store.read(name)).await?.plan;
        let proof = Look { step: self.step, plan: &plan, watch: &session.watch };
        match self.telling(lock, proof.verify()).await.unwrap_or(Err(Obstacle::Stopped(Stop::LeaseOver))) {
            Ok(Verified::AsPlanned) => Ok(Ok(())),
            Ok(Verified::InBackground(left)) | Err(Obstacle::OutOfTime { message: left, .. }) => {
                let again = session.place.job_command(S::NAME, "background", &self.told().flags);
                Err(Failure::new(&shared::IN_BACKGROUND, left).with_aftermath(format!("Next: {again}\n")))
            }
            Err(obstacle) if obstacle.says_nothing() => Err(obstacle.into()),
            Err(failed) => Ok(Err(failed)),
        }
    }

    /// Waits for a look, and says meanwhile how far it is. None when the lock is lost: another process may watch as well.
    async fn telling<T>(&self, lock: &dyn Lock, seen: impl Future<Output = T>) -> Option<T> {
        let tell = async {
            let (mut told, mut published) = (None, tokio::time::Instant::now());
            loop {
                tokio::time::sleep(REPORT_INTERVAL).await;
                // It writes nothing under this lock: as long as nobody else has it, it goes on.
                if !lock.lasts(Duration::ZERO) && matches!(lock.is_held().await, Ok(false)) {
                    return;
                }
                let Some(how_far) = self.session.watch.waits_for().filter(|how_far| told.as_ref() != Some(how_far)) else {
                    continue;
                };
                lock.tell(&how_far);
                if published.elapsed() >= EVENT_INTERVAL {
                    self.session.publish(Phase::Background.as_str(), &how_far, false).await;
                    published = tokio::time::Instant::now();
                }
                told = Some(how_far);
            }
        };
        tokio::select! {
            seen = seen => Some(seen),
            () = tell => None,
        }
    }

    /// Commits the run, or takes it back. None when it goes on in the background all the same.
    async fn end(&self, name: &str, seen: Option<Result<(), Obstacle>>) -> Result<Option<(Plan, Ended)>, Failure> {
        let session = self.session;
        session
            .exclusively(Waiting::Patient, async |exclusive| {
                let Some(run) = session.runs().await?.into_iter().find(|run| run.name == name && is_open::<S>(run)) else {
                    tracing::info!(ticket = name, "somebody else has ended the run meanwhile");
                    return Ok(Some(nothing(S::NAME)));
                };
                let GoneOn { outcome, plan, mark, lacking, .. } = self.go_on(&run, None, Way::Back, seen, exclusive).await?;
                if matches!(outcome, Outcome::Background(_)) {
                    return Ok(None);
                }
                let ended = session.ended(outcome, &plan, &mark).lacking(lacking);
                Ok(Some((plan, ended)))
            })
            .await?
    }
}

/// Whether a run is in the background; or a process has died in its look, or when it took it back because it failed. What somebody has
/// asked back is theirs.
fn is_open<S: Step>(run: &RecordedRun) -> bool {
    let is_ours = match run.phase() {
        Phase::Background | Phase::Verifying => true,
        Phase::RollingBack => run.progress.asked().is_none(),
        _ => false,
    };
    run.step == S::NAME && is_ours
}

fn nothing(step: &'static str) -> (Plan, Ended) {
    let plan = PlanBuilder::new(step, Vec::new()).build();
    let ended = Ended::unchanged(&plan);
    (plan, ended)
}
