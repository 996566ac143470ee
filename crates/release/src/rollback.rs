//! Goes back: takes back runs, the newest first, each from its own ticket; all of a run, or the part that is due before or after
//! Helm applies the old manifests.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::io::Write as _;
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::lease;
use fairlead_kube_client::ledger::{Entry, Ledger, Reopened};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::executor::{self, Outcome, Part, Run};
use fairlead_migration::plan::{Plan, StageKind};
use fairlead_migration::ticket::{Phase, Progress};

use crate::args::{OnDrift, RollbackArgs, UndoAt};
use crate::crossed::Late;
use crate::exclusive::{Exclusive, Waiting};
use crate::goal::{Chosen, choose};
use crate::helm::Helm;
use crate::session::Session;
use crate::wait::wait;

/// Takes back what the arguments ask for.
pub async fn run(session: &Session<'_>, args: &RollbackArgs) -> anyhow::Result<ExitStatus> {
    let (watch, place) = (&session.watch, session.place);
    // A deadline never keeps a rollback from what it has to read: it ends between two changes, and is run again.
    let helm = watch.guard_patiently(Helm::of(session.cluster, place)).await.map_err(Failure::from)?;
    let chosen = watch.guard_patiently(choose(&session.ledger(), place, &helm, args)).await;
    let chosen = match chosen {
        Ok(chosen) => chosen,
        Err(failure) => return Err(session.fail(place.binary, failure).await.into()),
    };
    if args.dry_run {
        return show(session.ledger(), &chosen.runs, args).await;
    }
    let needs = [session.ledger().needs_to_undo(), lease::needs(place.namespace)].concat();
    watch.guard_patiently(session.cluster.require(&needs)).await.map_err(Failure::from)?;
    // Also when there is nothing to take back: one that is about to begin must end.
    session
        .exclusively(Waiting::Insisting, async |exclusive| Back::of(session, args, exclusive, &helm).go().await)
        .await??;
    Ok(ExitStatus::Done)
}

async fn show(mut ledger: Ledger<'_>, runs: &[Entry], args: &RollbackArgs) -> anyhow::Result<ExitStatus> {
    for run in runs {
        let Reopened { plan, progress, .. } = ledger.reopen(&run.name).await.map_err(Failure::from)?;
        let mut out = anstream::stdout().lock();
        writeln!(out, "Run {} ({}), newest change first:", run.sequence, run.step).context("failed to write to stdout")?;
        for (_, change) in plan.changes_rev(0..progress.begun) {
            let is_early = plan.stages[change.stage].undo_at == fairlead_migration::plan::UndoAt::PreRollback;
            let is_later = args.undo_at == Some(UndoAt::PreRollback) && !is_early;
            if is_later || is_early && progress.is_undone_before_helm() {
                continue;
            }
            let inverse = change.inverse();
            writeln!(out, "  {} {}", inverse.action(), inverse.target).context("failed to write to stdout")?;
        }
    }
    if runs.is_empty() {
        writeln!(anstream::stdout(), "Nothing to take back.").context("failed to write to stdout")?;
    }
    Ok(ExitStatus::Done)
}

/// One rollback, while nobody else works on the release.
struct Back<'a> {
    session: &'a Session<'a>,
    args: &'a RollbackArgs,
    exclusive: &'a Exclusive<'a>,
    helm: &'a Helm,
    /// All waiting of one rollback has one limit.
    waits_until: OnceCell<Instant>,
}

/// What is known of the runs that were looked at, which are newer than those that follow.
#[derive(Default)]
struct Newer {
    /// Hashes of what they have changed.
    targets: HashSet<u64>,
    late: Late,
}

/// A run that was looked at.
struct Looked {
    plan: Plan,
    mark: String,
}

impl<'a> Back<'a> {
    fn of(session: &'a Session<'a>, args: &'a RollbackArgs, exclusive: &'a Exclusive<'a>, helm: &'a Helm) -> Self {
        Self { session, args, exclusive, helm, waits_until: OnceCell::new() }
    }

    async fn go(&self) -> Result<(), Failure> {
        let (session, args) = (self.session, self.args);
        let binary = session.place.binary;
        // Chosen again: another run may have ended, or been taken back, while this one waited for it.
        let Chosen { runs, stay, newest } = self.told(binary, self.choose().await).await?;
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
            return session.conclude(binary, &Plan::new(binary, Vec::new()), ended).await.map(drop);
        }
        // Kinds that a newer run has deleted are those of older ones, too.
        let found = session.watch.guard_patiently(session.cluster.discover()).await.map_err(Failure::from);
        let mut found = self.told(binary, found).await?;
        if runs.len() > 1 || args.undo_at == Some(UndoAt::PreRollback) {
            self.look_at_all(&runs, &mut found).await?;
        }
        for run in &runs {
            let taken = self.take_back(run, runs.len() > 1, newest, &mut found).await;
            let (plan, ended) = self.told(&run.step, taken).await?;
            session.conclude(&run.step, &plan, ended).await?;
        }
        Ok(())
    }

    /// Before anything goes that a run has added: until the old side is there, with all that newer runs have brought back.
    async fn wait_before(&self, plan: &Plan, progress: &Progress) -> Result<(), Failure> {
        let has_added = plan.stages.iter().enumerate().any(|(index, stage)| {
            stage.kind == StageKind::Expand && plan.positions(index).any(|position| position < progress.begun)
        });
        if self.args.undo_at != Some(UndoAt::PostRollback) || !has_added {
            return Ok(());
        }
        let deadline = *self.waits_until.get_or_init(|| Instant::now() + self.args.wait_timeout);
        wait(self.session, self.args, self.helm, deadline).await.map_err(|failure| self.with_next(failure))
    }

    /// Looks at all of them before the first is touched; what others have changed is told of all at once, because one answer is
    /// given for all.
    async fn look_at_all(&self, runs: &[Entry], found: &mut Discovery) -> Result<(), Failure> {
        let mut newer = Newer::default();
        let mut drifted: Option<(&Entry, Looked)> = None;
        let mut all: Vec<(Target, String)> = Vec::new();
        for run in runs {
            let looked = self.told(&run.step, self.look(run, runs.len() > 1, &mut newer, found).await).await?;
            match looked {
                None => {}
                Some((Outcome::Drifted(more), looked)) => {
                    all.extend(more);
                    drifted.get_or_insert((run, looked));
                }
                Some((outcome, Looked { plan, mark })) => {
                    let ended = self.ended(outcome, &plan, &mark);
                    self.session.conclude(&run.step, &plan, ended).await?;
                }
            }
        }
        let Some((run, Looked { plan, mark })) = drifted else { return Ok(()) };
        let ended = self.ended(Outcome::Drifted(all), &plan, &mark);
        self.session.conclude(&run.step, &plan, ended).await.map(drop)
    }

    async fn choose(&self) -> Result<Chosen, Failure> {
        let ledger = self.session.ledger();
        let chosen = choose(&ledger, self.session.place, self.helm, self.args);
        self.session.watch.guard_patiently(chosen).await
    }

    /// Whoever asks later is told of a failure, too.
    async fn told<T>(&self, step: &str, result: Result<T, Failure>) -> Result<T, Failure> {
        match result {
            Err(failure) => Err(self.session.fail(step, failure).await),
            result => result,
        }
    }

    fn goal(&self) -> String {
        let revision = self.args.goal.to_revision;
        revision.map_or_else(String::new, |revision| format!(": no run of a revision after {revision} is in force"))
    }

    /// Looks whether a run can be taken back, once those before it have been. Returns how it ends when it cannot. A single one
    /// looks itself.
    async fn look(
        &self,
        run: &Entry,
        is_one_of_several: bool,
        newer: &mut Newer,
        found: &mut Discovery,
    ) -> Result<Option<(Outcome, Looked)>, Failure> {
        let mut ledger = self.session.ledger();
        let Reopened { mark, plan, progress } = self.session.watch.guard_patiently(ledger.reopen(&run.name)).await?;
        if self.args.undo_at == Some(UndoAt::PreRollback)
            && let Some(target) = newer.late.first_crossed(&plan, &progress)
        {
            let message =
                format!("run {} ({}) has changed {target}, and a newer change of it is due later", run.sequence, run.step);
            let failure = Failure::new(ExitStatus::Refused, &code::CROSSED, message);
            return Err(failure.with_aftermath(format!("By hand, in their order: {}\n", self.by_hand(""))));
        }
        if !is_one_of_several {
            return Ok(None);
        }
        let stops = self.on_drift(&progress) == executor::OnDrift::Stop;
        let objects = self.objects(&plan, found).await?;
        let run = Run { world: &objects, journal: &mut ledger, watcher: self.exclusive, plan: &plan, mark: &mark, progress };
        let outcome = if stops { run.look(|target| newer.targets.contains(&target.short())).await } else { None };
        newer.targets.extend(plan.changes().map(|change| change.target.short()));
        Ok(outcome.map(|outcome| (outcome, Looked { plan, mark })))
    }

    async fn take_back(
        &self,
        run: &Entry,
        is_one_of_several: bool,
        newest: Option<u64>,
        found: &mut Discovery,
    ) -> Result<(Plan, Ended), Failure> {
        let mut ledger = self.session.ledger();
        let Reopened { mark, plan, mut progress } = self.session.watch.guard_patiently(ledger.reopen(&run.name)).await?;
        self.wait_before(&plan, &progress).await?;
        let objects = self.objects(&plan, found).await?;
        let part = if self.args.undo_at == Some(UndoAt::PreRollback) { Part::BeforeHelm } else { Part::Rest };
        tracing::info!(ticket = mark, step = run.step, changes = progress.begun, "taking back");
        let on_drift = self.on_drift(&progress);
        (progress.undone_in, progress.undone_after) = (self.helm.newest(), newest);
        // Where Helm was going is where it is to go on to, also when the rest is done by hand.
        progress.undone_to = self.args.goal.to_revision.or(progress.undone_to);
        // Of several, all have been looked at: what a newer one has changed, too, it takes back itself, and maybe only later.
        let look = if is_one_of_several { part } else { Part::Rest };
        let run = Run { world: &objects, journal: &mut ledger, watcher: self.exclusive, plan: &plan, mark: &mark, progress };
        let outcome = run.undo(on_drift, part, look).await;
        let ended = self.ended(outcome, &plan, &mark);
        Ok((plan, ended))
    }

    async fn objects<'o>(&'o self, plan: &Plan, found: &'o mut Discovery) -> Result<Objects<'o>, Failure> {
        let (watch, cluster) = (&self.session.watch, self.session.cluster);
        *found = watch.guard_patiently(cluster.discover_for(plan, found)).await?;
        let objects = Objects::of_plan(cluster, found, plan);
        watch.guard_patiently(cluster.require(&objects.needs_to_undo(plan)?)).await?;
        Ok(objects)
    }

    /// What was said to the first part of a rollback holds for the rest: a hook cannot be told anything.
    fn on_drift(&self, progress: &Progress) -> executor::OnDrift {
        match self.args.on_drift {
            OnDrift::Stop if progress.phase == Phase::RollingBack && progress.cause.is_none() => progress.on_drift,
            on_drift => on_drift.into(),
        }
    }

    fn ended(&self, outcome: Outcome, plan: &Plan, mark: &str) -> Ended {
        let (has_drifted, is_dirty) = (matches!(outcome, Outcome::Drifted(_)), matches!(outcome, Outcome::Dirty { .. }));
        let mut ended = Ended::of(outcome, plan, mark);
        if is_dirty {
            ended.next = Some(self.helms().unwrap_or_else(|| self.again("")));
        }
        if has_drifted && self.args.undo_at.is_some() {
            let decided = self.again(" --on-drift keep");
            ended.next = Some(match self.helms() {
                Some(helms) => format!("{decided}\nand then: {helms}"),
                None => decided,
            });
        }
        ended
    }

    fn with_next(&self, failure: Failure) -> Failure {
        if *failure.code != code::NOT_READY_YET {
            return failure;
        }
        let next = self.helms().unwrap_or_else(|| self.again(""));
        failure.with_aftermath(format!("Nothing was taken back yet of what is left. Next: {next}\n"))
    }

    /// What makes Helm go on, where Helm has run this. Always with its number: without one it would go to the revision that was to
    /// be left.
    fn helms(&self) -> Option<String> {
        let revision = self.args.goal.to_revision.filter(|_| self.session.job.is_some())?;
        self.helm.goes_on(revision)
    }

    /// The same once more, by hand.
    fn again(&self, more: &str) -> String {
        let at = self.args.undo_at.map(|at| name(&at)).map(|at| format!(" --undo-at {at}")).unwrap_or_default();
        let names: Vec<String> = self.args.wait_for.iter().map(name).collect();
        let waiting = if names.is_empty() { String::new() } else { format!(" --wait-for {}", names.join(",")) };
        self.by_hand(&format!("{at}{waiting}{more}"))
    }

    fn by_hand(&self, more: &str) -> String {
        let goal = match (self.args.goal.to_revision, self.args.goal.to) {
            (Some(revision), _) => format!("--to-revision {revision}"),
            (_, Some(sequence)) => format!("--to {sequence}"),
            _ => "--last".to_owned(),
        };
        self.session.place.command(&format!("rollback {goal}{more}"))
    }
}

/// As it is written in an argument.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
