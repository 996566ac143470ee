//! Finishes what an earlier run has left, then: snapshot, changes, report.

use std::path::Path;

use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::watch::Watch;
use fairlead_job::{code, manifests, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::lease;
use fairlead_kube_client::ledger::{Entry, Ledger};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor::{self, Outcome};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::ticket::{FORMAT, Journal as _, Phase, Ticket};
use fairlead_release::exclusive::{Exclusive, exclusively};

use crate::address::Addressed;
use crate::args::{ApplyArgs, Args};
use crate::observe::Source;
use crate::plan::STEP;
use crate::{kinds, verify};

/// One run, and what it works on.
struct Run<'a> {
    args: &'a Args,
    apply: &'a ApplyArgs,
    watch: &'a Watch,
    cluster: &'a Cluster,
    discovery: &'a Discovery,
    objects: Objects<'a>,
    namespace: &'a str,
}

/// Applies the plan that is right now.
pub(crate) async fn run(args: &Args, apply: &ApplyArgs) -> anyhow::Result<ExitStatus> {
    let approved = apply.plan.as_deref().map(read_digest).transpose()?;
    let watch = Watch::start(apply.run_timeout)?;
    let cluster = super::connect(args).await?;
    let discovery = watch.guard(cluster.discover()).await.map_err(Failure::from)?;
    let namespace = args.release.ledger_namespace.as_deref().unwrap_or(cluster.default_namespace());
    let objects = Objects::new(&cluster, &discovery);
    let run = Run { args, apply, watch: &watch, cluster: &cluster, discovery: &discovery, objects, namespace };
    if let Some((plan, ended)) = run.finish().await? {
        return conclude(args, &plan, ended);
    }
    let plan = run.plan().await?;
    if args.output.output == Output::Text {
        report::print_plan(Output::Text, &plan)?;
    }
    let checked = super::check_strict(args, &plan).and_then(|()| check_approved(approved.as_deref(), &plan));
    let ended = match checked {
        Err(failure) => Ended::refused(failure),
        Ok(()) if plan.is_empty() => Ended::unchanged(&plan),
        Ok(()) => run.carry_out(&plan).await.unwrap_or_else(Ended::refused),
    };
    conclude(args, &plan, ended)
}

fn conclude(args: &Args, plan: &Plan, ended: Ended) -> anyhow::Result<ExitStatus> {
    report::terminate(&ended.text());
    // What was done is done, whether or not anybody can read of it.
    if let Err(error) = report::print_end(args.output.output, plan, &ended, &args.release.release) {
        tracing::warn!(error = format!("{error:#}"), "the report is lost");
    }
    Ok(ended.result()?)
}

impl Run<'_> {
    async fn plan(&self) -> Result<Plan, Failure> {
        let source = Source::Cluster(self.cluster, self.discovery);
        self.watch.guard(async { super::make_plan(&source, self.args).await.map_err(Failure::from) }).await
    }

    /// What an earlier run of this step has left: nothing, or it is finished now. Returns how, if that is the end of this run.
    async fn finish(&self) -> Result<Option<(Plan, Ended)>, Failure> {
        if self.unfinished().await?.is_none() {
            return Ok(None);
        }
        let ledger = Ledger::new(self.cluster, self.namespace);
        self.watch.guard(self.cluster.require(&[ledger.needs(), lease::needs(self.namespace)].concat())).await?;
        self.exclusively(async |exclusive| {
            // Looked at again: whoever was at it may have finished it while we waited.
            while let Some(entry) = self.unfinished().await? {
                let mut ledger = Ledger::new(self.cluster, self.namespace);
                if entry.phase == Phase::Planned {
                    tracing::info!(ticket = entry.name, "an earlier run ended before its first change");
                    ledger.abandon(&entry.name).await?;
                    continue;
                }
                let (_, mark, plan) = ledger.reopen(&entry.name).await?;
                self.watch.guard(self.cluster.require(&self.objects.needs(plan.changes())?)).await?;
                tracing::info!(
                    ticket = mark,
                    phase = entry.phase.as_str(),
                    changes = plan.len(),
                    "going on with an earlier run"
                );
                let verify = async || self.watch.guard(self.verify(&plan)).await;
                let outcome =
                    executor::resume(&self.world(), &mut ledger, exclusive, &plan, &mark, entry.phase, verify).await;
                if !matches!(outcome, Outcome::Committed) {
                    let ended = Ended::of(outcome, &plan, &mark);
                    return Ok(Some((plan, ended)));
                }
            }
            Ok(None)
        })
        .await?
    }

    async fn unfinished(&self) -> Result<Option<Entry>, Obstacle> {
        let ledger = Ledger::new(self.cluster, self.namespace);
        let entries = self.watch.guard(ledger.entries(&self.args.release.release)).await?;
        Ok(entries.into_iter().find(|entry| entry.step == STEP && entry.phase.is_unfinished()))
    }

    async fn carry_out(&self, plan: &Plan) -> Result<Ended, Failure> {
        let mut ledger = Ledger::new(self.cluster, self.namespace);
        let needs = [ledger.needs(), lease::needs(self.namespace), self.objects.needs(plan.changes())?].concat();
        self.watch.guard(self.cluster.require(&needs)).await?;
        self.exclusively(async |exclusive| {
            let again = if exclusive.has_waited { Some(self.plan().await?) } else { None };
            let plan = match &again {
                Some(again) if again.digest() != plan.digest() => {
                    let message = "another run has changed what there was to do, while this one waited for it";
                    return Err(Failure::new(ExitStatus::Interrupted, &code::HELD, message));
                }
                _ => plan,
            };
            let (ticket, snapshot) = self.ticket(plan)?;
            let mark = ledger.open(&ticket, &snapshot).await?;
            tracing::info!(ticket = mark, changes = plan.len(), "snapshot stored");
            let verify = async || self.watch.guard(self.verify(plan)).await;
            let outcome = executor::apply(&self.world(), &mut ledger, exclusive, plan, &mark, verify).await;
            Ok(Ended::of(outcome, plan, &mark))
        })
        .await?
    }

    async fn exclusively<T>(&self, work: impl AsyncFnOnce(&Exclusive<'_>) -> T) -> Result<T, Failure> {
        let release = &self.args.release.release;
        exclusively(self.cluster, self.namespace, release, &self.args.lease, self.watch, work).await
    }

    async fn verify(&self, plan: &Plan) -> Result<(), Obstacle> {
        verify::verify(self.args, self.apply, self.cluster, self.discovery, plan).await
    }

    fn world(&self) -> Addressed<'_> {
        let broker_version = Source::Cluster(self.cluster, self.discovery).api_version(&kinds::BROKER).unwrap_or_default();
        Addressed { objects: &self.objects, watch: self.watch, broker_version, timeout: self.apply.ready_timeout }
    }

    fn ticket<'p>(&self, plan: &'p Plan) -> Result<(Ticket, Snapshot<'p>), Failure> {
        let snapshot = Snapshot::of(plan)
            .map_err(|error| Failure::caused(ExitStatus::Failed, &code::SNAPSHOT, "failed to make the snapshot", error))?;
        let ticket = Ticket {
            format: FORMAT,
            min_reader: FORMAT,
            tool: format!("{STEP} {}", env!("CARGO_PKG_VERSION")),
            step: STEP.to_owned(),
            executor: "kubernetes".to_owned(),
            release: self.args.release.release.clone(),
            helm_revision: self.args.release.helm_revision,
            plan_digest: plan.digest(),
            changes: plan.len(),
            snapshot: snapshot.manifest.clone(),
        };
        Ok((ticket, snapshot))
    }
}

/// The digest of the plan that was approved.
fn read_digest(path: &Path) -> Result<String, Failure> {
    let documents = manifests::read(path).map_err(Failure::input)?;
    let plan = documents.iter().find(|document| document["kind"] == "Plan" && document["step"] == STEP);
    let digest = plan.and_then(|plan| plan["digest"].as_str());
    digest.map(str::to_owned).ok_or_else(|| {
        let message = format!("{} holds no plan of {STEP}; `{STEP} plan -o json` writes one", path.display());
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
