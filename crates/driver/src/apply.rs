//! Applies a step: finishes what an earlier run has left, then plan, snapshot, changes, verification, report.

use fairlead_job::args::Output;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::report;
use fairlead_migration::executor::{Run, Watcher as _};
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::RecordedRun;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::store::{Journal, Purpose, prune};
use fairlead_migration::ticket::{FORMAT, Ticket, Tool};
use fairlead_release::cancelled::{self, cancelled_by_rollback};
use fairlead_release::exclusive::Waiting;
use fairlead_release::executors::Way;
use fairlead_release::helm::HelmRecords;
use fairlead_release::session::Session;
use fairlead_release::unhold;

use crate::after_jobs;
use crate::approved::Approved;
use crate::args::StepArgs;
use crate::finish::unfinished;
use crate::step::{Look, Step, StepKind};
use crate::step_run::StepRun;
use crate::strict;

/// Applies the plan of a step that is right now.
pub async fn apply<S: Step>(session: &Session<'_>, args: &StepArgs, step: &S) -> anyhow::Result<ExitStatus> {
    conclude(session, S::NAME, (StepRun { session, args, step }).run().await).await
}

/// Tells how a run of `step` ended. What earlier steps of its upgrade hold does not outlive its failure.
pub(crate) async fn conclude(
    session: &Session<'_>,
    step: &str,
    result: Result<(Plan, Ended), Failure>,
) -> anyhow::Result<ExitStatus> {
    match result {
        Ok((plan, mut ended)) => {
            let lines = open_again(session, ended.failure.as_ref()).await;
            ended.summary.extend(lines.iter().map(|line| format!(" {line}")));
            Ok(session.conclude(step, &plan, ended).await?)
        }
        Err(failure) => {
            let failure = session.fail(step, failure).await;
            let lines = open_again(session, Some(&failure)).await;
            Err(if lines.is_empty() { failure } else { failure.with_aftermath(lines.join("\n") + "\n") }.into())
        }
    }
}

/// The end of a step that has nothing to do by its configuration: in its turn, and unless an earlier run of it has not come to its end, which
/// only the step itself could finish.
pub async fn nothing(session: &Session<'_>, args: &StepArgs, step: &str, plan: &Plan) -> anyhow::Result<ExitStatus> {
    match ended_with_nothing(session, args, step, plan).await {
        Ok(ended) => Ok(session.conclude(step, plan, ended).await?),
        Err(failure) => Err(session.fail(step, failure).await.into()),
    }
}

async fn ended_with_nothing(session: &Session<'_>, args: &StepArgs, step: &str, plan: &Plan) -> Result<Ended, Failure> {
    after_jobs::wait(session, &args.after_job, args.run_timeout).await?;
    cancelled::check(session, step).await?;
    let runs = session.runs().await?;
    if let Some(run) = runs.iter().find(|run| run.step == step && run.is_unfinished() && run.phase() != Phase::Planned) {
        let message = format!(
            "run {} ({step}) is in phase {}, and there is nothing to do here that could finish it",
            run.sequence,
            run.phase().as_str()
        );
        let back = session.place.command(&format!("rollback --to {}", run.sequence - 1));
        let next = format!("Give the configuration that it had, or take it back, and what came after it: {back}\n");
        return Err(Failure::new(&shared::UNFINISHED, message).with_aftermath(next));
    }
    Ok(Ended::unchanged(plan))
}

/// Ends what earlier steps of the same upgrade hold, when this one has failed for good: a line for each.
async fn open_again(session: &Session<'_>, failure: Option<&Failure>) -> Vec<String> {
    let Some(failure) = failure else { return Vec::new() };
    // A rollback that has asked for the end does it; after an interruption the next pod goes on; what is dirty is for a person.
    let is_final = match failure.status() {
        // Its runs are not here; or they stay in force as they are.
        ExitStatus::Refused if [shared::ELSEWHERE.id, shared::RESTED_UPON.id].contains(&failure.code.id) => false,
        ExitStatus::Failed => *failure.code != shared::CANCELLED,
        ExitStatus::Usage | ExitStatus::Refused | ExitStatus::Drift | ExitStatus::Deadline => true,
        _ => false,
    };
    if !is_final {
        return Vec::new();
    }
    if session.common.release.helm_revision.is_none() {
        return unhold::still_held(session).await;
    }
    match unhold::end_of_failed_upgrade(session).await {
        Ok(lines) => lines,
        Err(error) => {
            let next = session.place.command("rollback --last");
            tracing::warn!(error = chain(&error), next, "what earlier steps of this upgrade hold stays held");
            Vec::new()
        }
    }
}

impl<S: Step> StepRun<'_, S> {
    async fn run(&self) -> Result<(Plan, Ended), Failure> {
        let approved = self.args.plan.as_deref().map(|path| Approved::read(path, S::NAME)).transpose()?;
        after_jobs::wait(self.session, &self.args.after_job, self.args.run_timeout).await?;
        cancelled::check(self.session, S::NAME).await?;
        let mut seen = self.session.runs().await?;
        if unfinished::<S>(&seen).is_some() {
            if let Some(finished) = self.finish(approved.as_ref()).await? {
                return Ok(finished);
            }
            // What was waited for may have been the rollback.
            cancelled::check(self.session, S::NAME).await?;
            seen = self.session.runs().await?;
        }
        self.warn_of_others(&seen);
        let plan = self.plan().await?;
        if self.session.common.output.output == Output::Text
            && let Err(error) = report::print_plan(Output::Text, &plan)
        {
            tracing::warn!(%error, "the plan cannot be shown");
        }
        let checked = match (self.check(&plan), &approved) {
            (Ok(()), Some(approved)) => self.check_approved(approved, &plan, &seen).await,
            (checked, _) => checked,
        };
        let ended = match checked {
            Err(failure) => Ended::refused(failure),
            Ok(()) if plan.is_empty() && S::KIND != StepKind::Gate => Ended::unchanged(&plan),
            Ok(()) => self.carry_out(&plan, &seen).await.unwrap_or_else(Ended::refused),
        };
        Ok((plan, ended))
    }

    async fn plan(&self) -> Result<Plan, Failure> {
        let plan = self.session.watch.guard(self.step.plan()).await?;
        Ok(strict::blocked(self.session.common.strict, plan))
    }

    /// Whether a plan may be carried out.
    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        strict::check(self.session.common.strict, plan).and_then(|()| self.step.check(plan))
    }

    /// A plan that is in force, and leaves nothing to do, was carried out: somebody has asked twice.
    async fn check_approved(&self, approved: &Approved, plan: &Plan, runs: &[RecordedRun]) -> Result<(), Failure> {
        let Err(failure) = approved.check(plan) else { return Ok(()) };
        for run in runs.iter().rev().filter(|run| plan.is_empty() && run.step == S::NAME && run.is_in_force()) {
            let ticket = self.session.watch.guard(self.session.store.ticket(&run.name)).await?;
            if approved.check_begun(&ticket.plan_digest, run.sequence, self.session.place).is_ok() {
                return Ok(());
            }
        }
        Err(failure)
    }

    /// Carries out a plan that was made when the runs of the release were those that were `seen`.
    async fn carry_out(&self, plan: &Plan, seen: &[RecordedRun]) -> Result<Ended, Failure> {
        let session = self.session;
        let helm = session.watch.guard(HelmRecords::of(session.cluster, session.place)).await?;
        let draft = self.ticket(plan, &helm)?.0;
        let executor = session.executor("the new run", &draft)?;
        session.watch.guard(session.store.require(Purpose::Keep, None)).await?;
        session.watch.guard(executor.require(self.work(plan, Way::Forward))).await?;
        self.warn_unless_armed(&helm).await;
        let missing = session.watch.guard(session.store.missing()).await?;
        if !missing.is_empty() {
            let runs = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            tracing::warn!(runs, next = session.place.command("status"), "somebody has deleted the tickets of these runs");
        }
        session
            .exclusively(Waiting::UntilDeadline, async |exclusive| {
                let runs = session.runs().await?;
                // The same changes, of objects as they are now.
                let again = if runs == seen { None } else { Some(self.plan().await?) };
                let is_different = again.as_ref().is_some_and(|again| again.digest() != plan.digest());
                if is_different || unfinished::<S>(&runs).is_some() {
                    let message = "another run has changed what there was to do, while this one waited for it";
                    return Err(Failure::new(&shared::PLAN_CHANGED, message));
                }
                if let Some(again) = &again {
                    self.check(again)?;
                }
                let plan = again.as_ref().unwrap_or(plan);
                cancelled::check(session, S::NAME).await?;
                let (ticket, snapshot) = self.ticket(plan, &helm)?;
                let mut journal = session.store.journal(exclusive.lock());
                let world = self.step.world(executor.world(self.work(plan, Way::Forward), exclusive.lock()).await?, plan);
                // What was waited for may have taken as long as it took somebody to end this.
                if let Some(stop) = session.watch.stop() {
                    return Err(Obstacle::Stopped(stop).into());
                }
                session.claim_store(&ticket.tool).await?;
                let mark = journal.open(&ticket, &snapshot).await?;
                tracing::info!(ticket = mark, changes = plan.len(), "snapshot stored");
                let look = Look { step: self.step, plan, watch: &session.watch };
                let progress = Progress::planned();
                let run = Run { world: &*world, journal: &mut *journal, watcher: exclusive, plan, mark: &mark, progress };
                let outcome = run.apply(&look, S::KIND.purpose()).await;
                let outcome = cancelled_by_rollback(outcome, &session.watch);
                if let Err(error) = self.prune(&mut *journal, &helm).await {
                    tracing::warn!(error = %error, "old tickets are not pruned");
                }
                Ok(session.ended(outcome, plan, &mark).lacking(world.lacking()))
            })
            .await?
    }

    /// What another step has begun, and not ended, this one may build upon.
    fn warn_of_others(&self, runs: &[RecordedRun]) {
        for run in runs.iter().filter(|run| run.step != S::NAME && run.is_cut_off()) {
            let next = self.session.place.command("status");
            let (phase, run, step) = (run.phase().as_str(), run.sequence, &run.step);
            tracing::warn!(run, step, phase, next, "a run of another step is unfinished, and its process may have died");
        }
    }

    /// A way back that is not there is better known before the way there is gone.
    async fn warn_unless_armed(&self, helm: &HelmRecords) {
        let Session { cluster, place, common, .. } = self.session;
        if common.release.helm_revision.is_none() {
            return;
        }
        match helm.unarmed(cluster).await {
            Ok(None) => {}
            Ok(Some(revision)) => {
                let next = place.command("status");
                tracing::warn!(
                    revision,
                    next,
                    "not armed: it has no rollback hooks, so `helm rollback` alone takes nothing back"
                );
            }
            Err(error) => tracing::warn!(%error, "whether there is a way back is not known"),
        }
    }

    /// What Helm may still be told to go back to stays: without the ticket of what has been taken back since, that could not be refused.
    async fn prune(&self, journal: &mut dyn Journal, helm: &HelmRecords) -> Result<(), Obstacle> {
        let oldest = helm.oldest();
        // What a gate has just seen is what later steps ask for.
        let newest = self.session.store.runs().await?.into_iter().rfind(|run| run.step == S::NAME).map(|run| run.sequence);
        let may_be_asked_for = |run: &RecordedRun| {
            let since = run.progress.asked().and_then(|asked| asked.revision);
            let is_back = run.was_asked_back() && oldest.is_some_and(|oldest| since.is_some_and(|since| since > oldest));
            is_back || run.phase() == Phase::Committed && newest == Some(run.sequence)
        };
        prune(&*self.session.store, journal, S::NAME, self.args.history_max, may_be_asked_for).await
    }

    fn ticket<'p>(&self, plan: &'p Plan, helm: &HelmRecords) -> Result<(Ticket, Snapshot<'p>), Failure> {
        let snapshot =
            Snapshot::of(plan).map_err(|error| Failure::caused(&shared::SNAPSHOT, "failed to make the snapshot", error))?;
        let release = &self.session.common.release;
        let [name, version] = [self.session.place.binary, S::VERSION].map(str::to_owned);
        let ticket = Ticket {
            format: FORMAT,
            min_reader: FORMAT,
            tool: Tool { name, version, image: release.image.clone() },
            step: S::NAME.to_owned(),
            executor: S::EXECUTOR.to_owned(),
            release: self.session.place.release.to_owned(),
            helm_revision: release.helm_revision,
            installation: helm.installation().filter(|_| release.helm_revision.is_some()).cloned(),
            told: self.told(),
            credentials: self.step.credentials(),
            plan_digest: plan.digest(),
            changes: plan.len(),
            holds: plan.has_holds(),
            snapshot: snapshot.manifest.clone(),
        };
        Ok((ticket, snapshot))
    }
}
