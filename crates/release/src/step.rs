//! What makes a job of a step: finishes what an earlier run has left, then plan, snapshot, changes, verification, report.

use std::path::Path;

use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::{code, manifests, report};
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::lease;
use fairlead_kube_client::ledger::{Entry, Ledger, Reopened};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor::{Outcome, Run, World};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::ticket::{self, FORMAT, Journal as _, Phase, Progress, Ticket};

use crate::args::StepArgs;
use crate::cancelled;
use crate::exclusive::{Exclusive, Waiting};
use crate::helm::Helm;
use crate::session::Session;

/// What a job brings with it. Everything else is the same for all.
pub trait Step {
    /// Named like its binary.
    const NAME: &'static str;

    /// Its version.
    const VERSION: &'static str;

    /// Observes the world and decides what is to be done.
    fn plan(&self) -> impl Future<Output = Result<Plan, Failure>>;

    /// Whether the plan may be carried out at all; by default every plan may, and what it refuses is left alone.
    fn check(&self, _plan: &Plan) -> Result<(), Failure> {
        Ok(())
    }

    /// Looks whether the plan has really been carried out.
    fn verify(&self, plan: &Plan) -> impl Future<Output = Result<(), Obstacle>>;

    /// Where the changes of `plan` are made; `objects`, unless the step knows better.
    fn world<'w>(&'w self, objects: &'w Objects<'w>, plan: &'w Plan) -> impl World + 'w;
}

/// Applies the plan of a step that is right now.
pub async fn apply<S: Step>(session: &Session<'_>, args: &StepArgs, step: &S) -> anyhow::Result<ExitStatus> {
    match (Apply { session, args, step }).run().await {
        Ok((plan, ended)) => Ok(session.conclude(S::NAME, &plan, ended).await?),
        Err(failure) => Err(session.fail(S::NAME, failure).await.into()),
    }
}

/// One run, and what it works on.
struct Apply<'a, S> {
    session: &'a Session<'a>,
    args: &'a StepArgs,
    step: &'a S,
}

impl<S: Step> Apply<'_, S> {
    async fn run(&self) -> Result<(Plan, Ended), Failure> {
        let approved = self.args.plan.as_deref().map(|path| read_digest(path, S::NAME)).transpose()?;
        cancelled::check(self.session, S::NAME).await?;
        let mut seen = self.runs().await?;
        if unfinished::<S>(&seen).is_some() {
            if let Some(finished) = self.finish().await? {
                return Ok(finished);
            }
            // What was waited for may have been the rollback.
            cancelled::check(self.session, S::NAME).await?;
            seen = self.runs().await?;
        }
        let plan = self.session.watch.guard(self.step.plan()).await?;
        if self.session.common.output.output == Output::Text
            && let Err(error) = report::print_plan(Output::Text, &plan)
        {
            tracing::warn!(error = format!("{error:#}"), "the plan cannot be shown");
        }
        let checked = self.check(&plan).and_then(|()| check_approved(approved.as_deref(), &plan));
        let ended = match checked {
            Err(failure) => Ended::refused(failure),
            Ok(()) if plan.is_empty() => Ended::unchanged(&plan),
            Ok(()) => self.carry_out(&plan, &seen).await.unwrap_or_else(Ended::refused),
        };
        Ok((plan, ended))
    }

    /// Finishes what an earlier run of this step has left. Returns how, if that is the end of this run.
    async fn finish(&self) -> Result<Option<(Plan, Ended)>, Failure> {
        let session = self.session;
        let needs = [session.ledger().needs(), lease::needs(session.place.namespace)].concat();
        session.watch.guard_patiently(session.cluster.require(&needs)).await?;
        session
            .exclusively(Waiting::Patient, async |exclusive| {
                // Looked at again: whoever was at it may have finished it while we waited.
                while let Some(entry) = unfinished::<S>(&self.runs().await?) {
                    // Or a rollback may have come half its way with it, which only another part of that may finish.
                    cancelled::check(session, S::NAME).await?;
                    if let Some(end) = self.finish_one(entry, exclusive).await? {
                        return Ok(Some(end));
                    }
                }
                Ok(None)
            })
            .await?
    }

    async fn finish_one(&self, entry: &Entry, exclusive: &Exclusive<'_>) -> Result<Option<(Plan, Ended)>, Failure> {
        let session = self.session;
        let mut ledger = session.ledger();
        if entry.phase == Phase::Planned {
            tracing::info!(ticket = entry.name, "an earlier run ended before its first change");
            ledger.abandon(&entry.name).await?;
            return Ok(None);
        }
        let Reopened { mark, plan, progress } = ledger.reopen(&entry.name).await?;
        let (phase, changes) = (progress.phase.as_str(), plan.len());
        tracing::info!(ticket = mark, phase, changes, "going on with an earlier run");
        let discovery = session.cluster.discover_for(&plan, &session.discovery).await?;
        let objects = self.objects(&discovery, &plan);
        session.watch.guard_patiently(session.cluster.require(&objects.needs(&plan)?)).await?;
        let world = self.step.world(&objects, &plan);
        let run = Run { world: &world, journal: &mut ledger, watcher: exclusive, plan: &plan, mark: &mark, progress };
        let outcome = run.apply(async || session.watch.guard(self.step.verify(&plan)).await).await;
        drop(world);
        let outcome = cancelled::told(outcome, &session.watch);
        // Another upgrade's failure is over when it is taken back; this one's is the end of this one.
        let is_other_upgrade = entry.helm_revision != session.common.release.helm_revision;
        let goes_on = match &outcome {
            Outcome::Committed | Outcome::Undone { .. } => true,
            Outcome::Restored(_) => is_other_upgrade,
            _ => false,
        };
        let ended = session.ended(outcome, &plan, &mark);
        if goes_on {
            tracing::info!(ticket = mark, summary = ended.summary, "finished the earlier run");
            session.remember(S::NAME, &ended).await;
            return Ok(None);
        }
        Ok(Some((plan, ended)))
    }

    /// Whether a plan may be carried out.
    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        check_strict(self.session.common.strict, plan).and_then(|()| self.step.check(plan))
    }

    fn objects<'o>(&'o self, discovery: &'o Discovery, plan: &Plan) -> Objects<'o> {
        let objects = Objects::of_plan(self.session.cluster, discovery, plan);
        objects.with_patience(self.args.deletion_timeout).watched_by(&self.session.watch)
    }

    /// The runs of the release, and how far each is: whoever works on it changes that.
    async fn runs(&self) -> Result<Vec<Entry>, Obstacle> {
        let ledger = self.session.ledger();
        self.session.watch.guard_patiently(ledger.entries(self.session.place.release)).await
    }

    /// Carries out a plan that was made when the runs of the release were those that were `seen`.
    async fn carry_out(&self, plan: &Plan, seen: &[Entry]) -> Result<Ended, Failure> {
        let session = self.session;
        let discovery = session.watch.guard(session.cluster.discover_for(plan, &session.discovery)).await?;
        let objects = self.objects(&discovery, plan);
        let needs = [session.ledger().needs(), lease::needs(session.place.namespace), objects.needs(plan)?].concat();
        session.watch.guard(session.cluster.require(&needs)).await?;
        session
            .exclusively(Waiting::UntilDeadline, async |exclusive| {
                let runs = self.runs().await?;
                let again = if runs == seen { None } else { Some(session.watch.guard(self.step.plan()).await?) };
                let is_different = again.as_ref().is_some_and(|again| again.digest() != plan.digest());
                if is_different || unfinished::<S>(&runs).is_some() {
                    let message = "another run has changed what there was to do, while this one waited for it";
                    return Err(Failure::new(ExitStatus::Interrupted, &code::HELD, message));
                }
                if let Some(again) = &again {
                    self.check(again)?;
                }
                // The same changes, of objects as they are now.
                let fresh = again.as_ref().map(|again| (again, self.objects(&discovery, again)));
                let (plan, objects) = fresh.as_ref().map_or((plan, &objects), |(plan, objects)| (*plan, objects));
                cancelled::check(self.session, S::NAME).await?;
                let (ticket, snapshot) = self.ticket(plan)?;
                let mut ledger = session.ledger();
                let mark = ledger.open(&ticket, &snapshot).await?;
                tracing::info!(ticket = mark, changes = plan.len(), "snapshot stored");
                let world = self.step.world(objects, plan);
                let progress = Progress::planned();
                let run = Run { world: &world, journal: &mut ledger, watcher: exclusive, plan, mark: &mark, progress };
                let outcome = run.apply(async || session.watch.guard(self.step.verify(plan)).await).await;
                let outcome = cancelled::told(outcome, &session.watch);
                if let Err(error) = self.prune(&ledger).await {
                    tracing::warn!(error = %error, "old tickets are not pruned");
                }
                Ok(session.ended(outcome, plan, &mark))
            })
            .await?
    }

    /// What Helm may still be told to go back to stays: without the ticket of what has been taken back since, that could not be refused.
    async fn prune(&self, ledger: &Ledger<'_>) -> Result<(), Obstacle> {
        let place = self.session.place;
        let oldest = Helm::of(self.session.cluster, place).await?.oldest();
        let may_be_asked_for = |entry: &Entry| {
            let progress = &entry.progress;
            let was_asked_for = progress.begun > 0 && progress.cause.is_none();
            was_asked_for && oldest.is_some_and(|oldest| progress.undone_in.is_some_and(|undone_in| undone_in > oldest))
        };
        ledger.prune(place.release, self.args.history_max, may_be_asked_for).await
    }

    fn ticket<'p>(&self, plan: &'p Plan) -> Result<(Ticket, Snapshot<'p>), Failure> {
        let snapshot = Snapshot::of(plan)
            .map_err(|error| Failure::caused(ExitStatus::Failed, &code::SNAPSHOT, "failed to make the snapshot", error))?;
        let ticket = Ticket {
            format: FORMAT,
            min_reader: FORMAT,
            tool: format!("{} {}", S::NAME, S::VERSION),
            step: S::NAME.to_owned(),
            executor: ticket::KUBERNETES.to_owned(),
            release: self.session.place.release.to_owned(),
            helm_revision: self.session.common.release.helm_revision,
            plan_digest: plan.digest(),
            changes: plan.len(),
            snapshot: snapshot.manifest.clone(),
        };
        Ok((ticket, snapshot))
    }
}

/// What a process of this step has left that has died.
fn unfinished<S: Step>(runs: &[Entry]) -> Option<&Entry> {
    runs.iter().find(|entry| entry.step == S::NAME && entry.phase.is_unfinished())
}

/// The digest of the plan that was approved.
fn read_digest(path: &Path, step: &str) -> Result<String, Failure> {
    let documents = manifests::read(path).map_err(Failure::input)?;
    let plan = documents.iter().find(|document| document["kind"] == "Plan" && document["step"] == step);
    let digest = plan.and_then(|plan| plan["digest"].as_str());
    digest.map(str::to_owned).ok_or_else(|| {
        let message = format!("{} holds no plan of {step}; `{step} plan -o json` writes one", path.display());
        Failure::new(ExitStatus::Usage, &code::INPUT, message)
    })
}

fn check_approved(approved: Option<&str>, plan: &Plan) -> Result<(), Failure> {
    let now = plan.digest();
    match approved {
        Some(approved) if approved != now => {
            let message = format!("approved was {approved}, now it is {now}");
            Err(Failure::new(ExitStatus::Refused, &code::NOT_APPROVED, message))
        }
        _ => Ok(()),
    }
}

/// Fails where something is refused and `--strict` is set.
pub fn check_strict(strict: bool, plan: &Plan) -> Result<(), Failure> {
    if strict && !plan.refusals.is_empty() {
        let message = format!("{} objects are refused", plan.refusals.len());
        return Err(Failure::new(ExitStatus::Refused, &code::STRICT, message));
    }
    Ok(())
}
