//! `rollback`: takes back runs, the newest first, each from its own ticket; all of a run, or the part that is due before or after
//! Helm applies the old manifests.

use std::collections::BTreeSet;

use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_kube_client::objects::{GONE_FOR_GOOD, Homeless, namespaces_back};
use fairlead_migration::change::{Change, Target, Targets};
use fairlead_migration::executor::{Outcome, Part, Run};
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::progress::{Asked, OnDrift, Phase};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::stage::UndoAt;
use fairlead_migration::store::Purpose;
use fairlead_migration::ticket::KUBERNETES;

use crate::args::RollbackArgs;
use crate::between;
use crate::exclusive::{Exclusive, Waiting};
use crate::executors::Work;
use crate::halves::{require_first_half, require_helm_back};
use crate::helm::HelmRecords;
use crate::homeless::{commands, drifted, homeless};
use crate::order::LateTargets;
use crate::rehearsal::show;
use crate::runs_to_undo::{Chosen, choose};
use crate::session::Session;
use crate::status::{require_known, require_text};
use crate::wait::Waits;

/// Takes back what the arguments ask for.
pub async fn run(session: &Session<'_>, args: &RollbackArgs) -> anyhow::Result<ExitStatus> {
    let place = session.place;
    if args.dry_run {
        require_text(session.common.output.output)?;
    }
    match prepare(session, args).await {
        // Nothing is written when nothing is to be changed, nor for a release that nobody knows.
        Err(failure) if *failure.code == shared::NOTHING_IN_FORCE => {
            let watch = &session.watch;
            let helm = watch.guard_patiently(HelmRecords::of(session.cluster, place)).await.map_err(Failure::from)?;
            // There is nothing to take back either way; where there is, is worth knowing.
            let unknown = watch.guard_patiently(require_known(session.cluster, &*session.store, place, &helm)).await.err();
            let unknown = unknown.filter(|unknown| *unknown.code == shared::UNKNOWN_RELEASE);
            let nothing = |unknown: Failure| {
                Failure::new(&shared::NOTHING_IN_FORCE, unknown.to_string()).with_aftermath(unknown.aftermath())
            };
            Err(unknown.map_or(failure, nothing).into())
        }
        Err(failure) if args.dry_run => Err(failure.into()),
        Err(failure) => Err(session.fail(place.binary, failure).await.into()),
        Ok((_, chosen)) if args.dry_run => show(session, &chosen.runs, args).await,
        Ok((_, chosen)) => {
            // Who asks for the last run means the one that is the last now, and not the one before it when somebody else takes that back.
            let last = chosen.runs.first().filter(|_| args.goal.last).map(|run| run.sequence);
            // Also when there is nothing to take back: one that is about to begin must end.
            let go = async |exclusive: &Exclusive<'_>| {
                // Again: Helm may have gone on while another run was waited for.
                let helm = session.watch.guard_patiently(HelmRecords::of(session.cluster, place)).await?;
                Rollback { session, args, exclusive, helm: &helm, last, waits: Waits::new(session, args, &helm) }.go().await
            };
            // A run that is not meant is not stopped half way: nobody would take it back.
            let is_at_another = |run: &RecordedRun| {
                let is_meant = chosen.runs.iter().chain(&chosen.planned).any(|it| it.sequence == run.sequence);
                run.is_unfinished() && run.phase() != Phase::Background && !is_meant
            };
            let runs = session.runs().await?;
            let waiting = if runs.iter().any(is_at_another) { Waiting::Patient } else { Waiting::Insisting };
            session.exclusively(waiting, go).await??;
            Ok(ExitStatus::Done)
        }
    }
}

/// What must be known, and allowed, before another run is asked to end.
async fn prepare(session: &Session<'_>, args: &RollbackArgs) -> Result<(HelmRecords, Chosen), Failure> {
    let (watch, place) = (&session.watch, session.place);
    // A deadline never keeps a rollback from what it has to read: it ends between two changes, and is run again.
    let helm = watch.guard_patiently(HelmRecords::of(session.cluster, place)).await?;
    let chosen = watch.guard_patiently(choose(&*session.store, place, &helm, args)).await?;
    for run in &chosen.missing {
        tracing::warn!(run, "somebody has deleted its ticket, so what it changed stays");
    }
    if !chosen.runs.is_empty() {
        require_helm_back(session, args, &helm, &chosen.runs).await?;
    }
    if !args.dry_run {
        watch.guard_patiently(session.store.require(Purpose::Undo, None)).await?;
    }
    Ok((helm, chosen))
}

/// One rollback, while nobody else works on the release.
struct Rollback<'a> {
    session: &'a Session<'a>,
    args: &'a RollbackArgs,
    exclusive: &'a Exclusive<'a>,
    helm: &'a HelmRecords,
    /// The run that was the last one before this rollback had the release for itself, where that one was asked for.
    last: Option<u64>,
    waits: Waits<'a>,
}

/// What is known of the runs that were looked at, which are newer than those that follow.
#[derive(Default)]
struct Newer {
    /// Their tickets, the newest first.
    names: Vec<String>,
    targets: Targets,
    late: LateTargets,
    /// What of them was to be overwritten and has no namespace any more.
    homeless: Vec<Homeless>,
    /// The namespaces that they bring back.
    namespaces: BTreeSet<String>,
}

impl Rollback<'_> {
    async fn go(&self) -> Result<(), Failure> {
        let (session, args) = (self.session, self.args);
        let binary = session.place.binary;
        // Chosen again: another run may have ended, or been taken back, while this one waited for it.
        let Chosen { mut runs, planned, stay, missing, newest } = self.recorded(binary, self.choose().await).await?;
        runs.retain(|run| self.last.is_none_or(|last| run.sequence >= last));
        for run in planned {
            match session.store.journal(self.exclusive.lock()).abandon(&run.name).await {
                Ok(()) => {
                    tracing::info!(run = run.sequence, step = run.step, "ended before its first change: it will not go on");
                }
                // Of a later version, say.
                Err(error @ Obstacle::Damaged { .. }) => {
                    tracing::warn!(run = run.sequence, error = chain(&error), "it stays as it is");
                }
                Err(error) => return Err(error.into()),
            }
        }
        for run in stay {
            let why = match run.helm_revision {
                None => "it was not started by Helm",
                Some(_) => "it is of an earlier installation of the release",
            };
            tracing::warn!(
                run = run.sequence,
                step = run.step,
                "{why}, so it stays in force; `rollback --to` takes it back"
            );
        }
        if runs.is_empty() {
            let ended = Ended::nothing_to_undo(format!("Nothing to take back{}.", self.goal()));
            session.conclude(binary, &PlanBuilder::new(binary, Vec::new()).build(), ended).await?;
            return self.forget(&missing).await;
        }
        self.recorded(binary, session.look_again().await).await?;
        let is_decided = |run: &RecordedRun| self.args.decided(&run.progress) != OnDrift::Stop;
        if runs.len() > 1 || args.undo_at.is_some() || runs.iter().any(is_decided) {
            self.look_at_all(&runs).await?;
        }
        for run in &runs {
            let taken = self.take_back(run, runs.len() > 1, newest).await;
            let (plan, ended) = self.recorded(&run.step, taken).await?;
            session.conclude(&run.step, &plan, ended).await?;
        }
        self.forget(&missing).await
    }

    /// Has nobody ask again for tickets that this was told to go on without.
    async fn forget(&self, missing: &[u64]) -> Result<(), Failure> {
        let mut journal = self.session.store.journal(self.exclusive.lock());
        Ok(self.session.watch.guard_patiently(journal.forget_missing(missing)).await?)
    }

    /// Looks at all of them before the first is touched; what others have changed is told of all at once, because one answer is
    /// given for all.
    async fn look_at_all(&self, runs: &[RecordedRun]) -> Result<(), Failure> {
        let mut newer = Newer::default();
        let mut first: Option<(&RecordedRun, Reopened)> = None;
        let mut all: Vec<(Target, String)> = Vec::new();
        for run in runs {
            let looked = self.recorded(&run.step, self.look(run, runs.len() > 1, &mut newer).await).await?;
            match looked {
                None => {}
                Some((Outcome::Drifted(more), reopened)) => {
                    all.extend(more);
                    first.get_or_insert((run, reopened));
                }
                Some((outcome, Reopened { plan, mark, .. })) => {
                    let ended = self.ended(outcome, &plan, &mark);
                    self.session.conclude(&run.step, &plan, ended).await?;
                }
            }
        }
        let Some((run, Reopened { plan, mark, .. })) = first else { return Ok(()) };
        let ended = if all.is_empty() {
            self.without_namespaces(newer.homeless, &plan, &mark)
        } else {
            all.extend(drifted(newer.homeless));
            self.ended(Outcome::Drifted(all), &plan, &mark)
        };
        self.session.conclude(&run.step, &plan, ended).await.map(drop)
    }

    async fn choose(&self) -> Result<Chosen, Failure> {
        let chosen = choose(&*self.session.store, self.session.place, self.helm, self.args);
        match self.session.watch.guard_patiently(chosen).await {
            // It was there, and somebody else has taken it back meanwhile.
            Err(failure) if self.last.is_some() && *failure.code == shared::NOTHING_IN_FORCE => Ok(Chosen::default()),
            chosen => chosen,
        }
    }

    /// Records a failure, so that whoever asks later is told of it, too.
    async fn recorded<T>(&self, step: &str, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Err(failure) => Err(self.session.fail(step, failure).await),
            result => result,
        }
    }

    fn goal(&self) -> String {
        match (self.args.goal.to_revision, self.last) {
            (Some(revision), _) => format!(": no run of a revision after {revision} is in force"),
            (None, Some(last)) => format!(": run {last} has been taken back meanwhile"),
            (None, None) => String::new(),
        }
    }

    /// Looks whether a run can be taken back, once those before it have been. Returns how it ends when it cannot. A single one
    /// looks itself.
    async fn look(
        &self,
        run: &RecordedRun,
        is_one_of_several: bool,
        newer: &mut Newer,
    ) -> Result<Option<(Outcome, Reopened)>, Failure> {
        let (session, watch) = (self.session, &self.session.watch);
        let mut journal = session.store.journal(self.exclusive.lock());
        let reopened = watch.guard_patiently(journal.reopen(&run.name)).await?;
        let Reopened { mark, ticket, plan, progress } = &reopened;
        let executor = session.executor(&run.name, ticket)?;
        if self.args.undo_at == Some(UndoAt::PreRollback)
            && let Some(target) = newer.late.first_crossed(plan, progress)
        {
            let message =
                format!("run {} ({}) has changed {target}, and a newer change of it is due later", run.sequence, run.step);
            let failure = Failure::new(&shared::CROSSED, message);
            let by_hand = session.place.command(&format!("rollback {}", self.args.goal.written()));
            return Err(failure.with_aftermath(format!("By hand, in their order: {by_hand}\n")));
        }
        require_first_half(session.place, self.args, run, plan, progress)?;
        let on_drift = self.args.decided(progress);
        if ticket.executor == KUBERNETES && on_drift == OnDrift::Stop {
            newer.namespaces.extend(namespaces_back(plan, progress));
        } else if ticket.executor == KUBERNETES {
            let homeless = homeless(session, plan, progress, &mut newer.namespaces).await?;
            if on_drift == OnDrift::Overwrite && !homeless.is_empty() {
                // All of them are told of together.
                newer.homeless.extend(homeless);
                return Ok(Some((Outcome::Drifted(Vec::new()), reopened)));
            }
            for (target, what) in drifted(homeless) {
                tracing::warn!(run = run.sequence, %target, what, "it will not come back");
            }
        }
        if !is_one_of_several {
            return Ok(None);
        }
        let stops = on_drift == OnDrift::Stop;
        let work = Work::back(plan, watch);
        watch.guard_patiently(executor.require(work)).await?;
        let world = watch.guard_patiently(executor.world(work, self.exclusive.lock())).await?;
        let working =
            Run { world: &*world, journal: &mut *journal, watcher: self.exclusive, plan, mark, progress: progress.clone() };
        let mut outcome = if stops { working.look(|target| newer.targets.contains(target)).await } else { None };
        drop(world);
        let is_of_both = |change: Change| newer.targets.contains(&change.target);
        if stops && ticket.executor == KUBERNETES && plan.changes().take(progress.begun).any(is_of_both) {
            let between = between::drifted(&*session.store, &newer.names, plan, progress);
            let between = watch.guard_patiently(between).await?;
            match &mut outcome {
                Some(Outcome::Drifted(drifted)) => drifted.extend(between),
                None if !between.is_empty() => outcome = Some(Outcome::Drifted(between)),
                _ => {}
            }
        }
        newer.names.push(run.name.clone());
        // A change that was never begun says nothing of the objects of older runs.
        plan.changes().take(progress.begun).for_each(|change| newer.targets.insert(&change.target));
        Ok(outcome.map(|outcome| (outcome, reopened)))
    }

    async fn take_back(
        &self,
        run: &RecordedRun,
        is_one_of_several: bool,
        newest: Option<u64>,
    ) -> Result<(Plan, Ended), Failure> {
        let (session, watch) = (self.session, &self.session.watch);
        let mut journal = session.store.journal(self.exclusive.lock());
        let Reopened { mark, ticket, plan, progress } = watch.guard_patiently(journal.reopen(&run.name)).await?;
        let executor = session.executor(&run.name, &ticket)?;
        self.waits.for_old_side(&plan, &progress).await.map_err(|failure| self.with_next(failure))?;
        self.waits.for_drained(&plan, &progress).await?;
        let without_gone = self.args.without_missing;
        let work = Work { without_gone, ..Work::back(&plan, watch) };
        watch.guard_patiently(executor.require(work)).await?;
        let world = watch.guard_patiently(executor.world(work, self.exclusive.lock())).await?;
        let part = if self.args.undo_at == Some(UndoAt::PreRollback) { Part::BeforeHelm } else { Part::Rest };
        tracing::info!(ticket = mark, step = run.step, changes = progress.begun, "taking back");
        let asked = Asked {
            on_drift: self.args.decided(&progress),
            revision: self.helm.newest(),
            after: newest,
            // Where Helm was going is where it is to go on to, also when the rest is done by hand.
            to: self.args.goal.to_revision.or(progress.asked().and_then(|asked| asked.to)),
        };
        // Of several, all have been looked at: what a newer one has changed, too, it takes back itself, and maybe only later.
        let look = if is_one_of_several { part } else { Part::Rest };
        let run =
            Run { world: &*world, journal: &mut *journal, watcher: self.exclusive, plan: &plan, mark: &mark, progress };
        let before = watch.taken_back();
        let outcome = run.undo(asked, part, look).await;
        let lacking = world.lacking();
        drop(world);
        let is_interrupted = matches!(outcome, Outcome::Interrupted(_));
        let mut ended = self.ended(outcome, &plan, &mark).lacking(lacking);
        // Whoever asks `status` later cannot see it otherwise: what has been taken back is not written down one by one.
        if is_interrupted && let Some((done, total)) = watch.taken_back().filter(|now| before != Some(*now)) {
            let how_far = format!("{done} of {total} changes had been taken back");
            ended.failure = ended.failure.map(|failure| failure.adding(&how_far));
        }
        Ok((plan, ended))
    }

    /// Refuses what was to be overwritten, and cannot be: only its namespaces are missing.
    fn without_namespaces(&self, homeless: Vec<Homeless>, plan: &Plan, mark: &str) -> Ended {
        let (keep, overwrite) = (self.again(" --on-drift keep"), self.again(" --on-drift overwrite"));
        let commands = commands(self.session.place, &homeless);
        let mut ended = self.ended(Outcome::Drifted(drifted(homeless)), plan, mark);
        let resume = self.resume_of_helm().map(|resume| format!("\nand then: {resume}{}", self.why_two_numbers()));
        let resume = resume.unwrap_or_default();
        ended.next = Some(format!("{commands}\nand then: {overwrite}\nor, without these objects: {keep}{resume}"));
        ended
    }

    fn ended(&self, outcome: Outcome, plan: &Plan, mark: &str) -> Ended {
        let (has_drifted, is_dirty) = (matches!(outcome, Outcome::Drifted(_)), matches!(outcome, Outcome::Dirty { .. }));
        let has_waited = |cause: &Obstacle| matches!(cause, Obstacle::Late { .. }) && chain(cause).ends_with(GONE_FOR_GOOD);
        let is_in_vain = matches!(&outcome, Outcome::Interrupted(cause) if has_waited(cause));
        let mut ended = Ended::of(outcome, plan, mark);
        if is_dirty {
            let next = self.resume_of_helm().unwrap_or_else(|| self.again(""));
            ended.next = Some(self.session.place.or_by_hand(&next));
        }
        if is_in_vain {
            let next = self.resume_of_helm().unwrap_or_else(|| self.again(""));
            let without = RollbackArgs { without_missing: true, ..self.args.clone() };
            let without = self.session.place.command(&without.written());
            ended.next = Some(format!("bring it back, and then: {next}\nor without it: {without}"));
        }
        if has_drifted {
            let decided = self.again(" --on-drift keep");
            ended.next = Some(match self.resume_of_helm() {
                Some(resume) => format!("{decided}\nand then: {resume}{}", self.why_two_numbers()),
                None => decided,
            });
        }
        ended
    }

    fn with_next(&self, failure: Failure) -> Failure {
        if *failure.code != shared::NOT_READY_YET {
            return failure;
        }
        let next = self.resume_of_helm().unwrap_or_else(|| self.again(""));
        let at_once = RollbackArgs { wait_for: Vec::new(), ..self.args.clone() };
        let (place, pods) = (self.session.place, self.session.place.kubectl("get pods"));
        failure.with_aftermath(format!(
            "Nothing was taken back yet of what is left. What runs: {pods}\nNext: {next}\nOr without waiting for the old side: {}\n",
            place.command(&at_once.written())
        ))
    }

    /// The command that makes Helm go on, where Helm has run this. Always with its number: without one Helm would go to the revision
    /// that was to be left.
    fn resume_of_helm(&self) -> Option<String> {
        let revision = self.args.goal.to_revision.filter(|_| self.session.job.is_some())?;
        self.helm.resume(revision).map(|revision| self.session.place.helm_rollback(revision))
    }

    fn why_two_numbers(&self) -> String {
        let why = self.args.goal.to_revision.and_then(|revision| self.helm.why_two_numbers(revision));
        why.map(|why| format!("\n{why}")).unwrap_or_default()
    }

    /// The same once more, by hand.
    fn again(&self, more: &str) -> String {
        self.session.place.command(&format!("{}{more}", self.args.written()))
    }
}
