//! Snapshot, changes, verification, report.

use std::collections::HashSet;

use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_job::{code, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::ledger::Ledger;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::executor::{self, Outcome};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::ticket::{FORMAT, Journal as _, Ticket};
use serde_json::{Value, json};

use crate::args::{ApplyArgs, Args};
use crate::desired::Desired;
use crate::observe::Source;
use crate::plan::STEP;

/// What `apply` has to tell, beside the plan.
struct Report {
    outcome: &'static str,
    /// Namespace and name of the ticket; none when nothing was to be done.
    ticket: Option<String>,
    /// One sentence.
    summary: String,
    /// Objects that could not be taken back.
    left: Vec<(Target, String)>,
}

/// Applies the plan that is right now.
pub(crate) async fn run(args: &Args, apply: &ApplyArgs) -> anyhow::Result<ExitStatus> {
    let watch = Watch::start(apply.run_timeout)?;
    let cluster = super::connect(&args.cluster).await?;
    let (discovery, plan) = watch
        .guard(async {
            let discovery = cluster.discover().await?;
            let plan = super::make_plan(&Source::Cluster(&cluster, &discovery), args).await?;
            Ok::<_, Failure>((discovery, plan))
        })
        .await?;
    // Before the first change, because the pod may not live to print it afterwards.
    if args.output.output == Output::Text {
        report::print(Output::Text, &Value::Null, &plan.text())?;
    }
    let (report, result) = if plan.changes.is_empty() {
        (Report::new("Unchanged", None, "Nothing to do.".to_owned()), Ok(ExitStatus::Done))
    } else {
        carry_out(args, apply, &watch, &cluster, &discovery, &plan).await?
    };
    // For people a failure is told once, at the end and with its cause, by whoever prints the error.
    if args.output.output != Output::Text || result.is_ok() {
        report::print(args.output.output, &report.document(&plan, apply, &result)?, &report.text())?;
    }
    report::terminate(&report.text());
    result.map_err(|failure| failure.with_aftermath(report.text()).into())
}

async fn carry_out(
    args: &Args,
    apply: &ApplyArgs,
    watch: &Watch,
    cluster: &Cluster,
    discovery: &Discovery,
    plan: &Plan,
) -> Result<(Report, Result<ExitStatus, Failure>), anyhow::Error> {
    let namespace = apply.release.ledger_namespace.as_deref().unwrap_or(cluster.default_namespace());
    let mut ledger = Ledger::new(cluster, namespace);
    let snapshot = Snapshot::of(plan)?;
    let ticket = Ticket {
        format: FORMAT,
        min_reader: FORMAT,
        tool: format!("{STEP} {}", env!("CARGO_PKG_VERSION")),
        step: STEP.to_owned(),
        executor: "kubernetes".to_owned(),
        release: apply.release.release.clone(),
        helm_revision: apply.release.helm_revision,
        plan_digest: plan.digest(),
        changes: plan.changes.len(),
        snapshot: snapshot.manifest.clone(),
    };
    let mark = watch.guard(ledger.open(&ticket, &snapshot)).await.map_err(Failure::from)?;
    tracing::info!(ticket = mark, changes = plan.changes.len(), "snapshot stored");
    let verify = async || verify(args, cluster, discovery, plan).await;
    let outcome = executor::apply(&Objects::new(cluster, discovery), &mut ledger, watch, plan, &mark, verify).await;
    Ok(conclude(outcome, plan, &mark))
}

/// Plans again: what is planned again has not been done. See the documentation of this crate.
async fn verify(args: &Args, cluster: &Cluster, discovery: &Discovery, plan: &Plan) -> Result<(), Obstacle> {
    let source = Source::Cluster(cluster, discovery);
    let desired = Desired::of(source.legacies().await?, &args.exclude_namespace);
    let triggers = source.triggers(|namespace, name| desired.replicated_from(namespace, name)).await?;
    let again = crate::plan::plan(desired, &triggers, 1);
    let ours: HashSet<&Target> = plan.changes.iter().map(|change| &change.target).collect();
    let open = again.changes.iter().map(|change| &change.target).chain(again.refusals.iter().map(|refusal| &refusal.target));
    match open.into_iter().find(|target| ours.contains(target)) {
        Some(target) => {
            let what = "was written, but is not as planned now: something changed or deleted it".to_owned();
            Err(Obstacle::Drift { target: target.clone(), what })
        }
        None => Ok(()),
    }
}

fn conclude(outcome: Outcome, plan: &Plan, mark: &str) -> (Report, Result<ExitStatus, Failure>) {
    let ticket = Some(mark.to_owned());
    match outcome {
        Outcome::Committed => {
            let summary = format!("Done: {} changes, verified. Ticket {mark}.", plan.changes.len());
            (Report::new("Committed", ticket, summary), Ok(ExitStatus::Done))
        }
        Outcome::Restored(cause) => {
            let summary = format!("Failed, and everything is as before. Ticket {mark}.");
            (Report::new("RolledBack", ticket, summary), Err(Failure::from(cause)))
        }
        Outcome::Interrupted(cause) => {
            let summary = format!("Ended before it was done; run it again, it goes on from here. Ticket {mark}.");
            (Report::new("Interrupted", ticket, summary), Err(Failure::from(cause)))
        }
        Outcome::Dirty { cause, left } => {
            let left: Vec<(Target, String)> =
                left.into_iter().map(|(target, obstacle)| (target, chain(&obstacle))).collect();
            let summary = format!("Failed, and {} objects are NOT as before. Ticket {mark}.", left.len());
            let failure = Failure::new(ExitStatus::Dirty, &code::DIRTY, chain(&cause));
            (Report { left, ..Report::new("Dirty", ticket, summary) }, Err(failure))
        }
    }
}

impl Report {
    fn new(outcome: &'static str, ticket: Option<String>, summary: String) -> Self {
        Self { outcome, ticket, summary, left: Vec::new() }
    }

    fn text(&self) -> String {
        let left = self.left.iter().map(|(target, what)| format!("! {target}: {what}"));
        left.chain([self.summary.clone()]).collect::<Vec<_>>().join("\n") + "\n"
    }

    fn document(&self, plan: &Plan, apply: &ApplyArgs, result: &Result<ExitStatus, Failure>) -> anyhow::Result<Value> {
        let status = result.as_ref().map_or_else(|failure| failure.status, |status| *status);
        let error = result.as_ref().err().map(|failure| json!({"code": failure.code.id, "message": chain(failure)}));
        let left: Vec<Value> = self.left.iter().map(|(target, what)| json!({"target": target, "message": what})).collect();
        Ok(json!({
            "apiVersion": "fairlead.dev/v1",
            "kind": "Report",
            "step": STEP,
            "release": apply.release.release,
            "outcome": self.outcome,
            "exitStatus": status.code(),
            "ticket": self.ticket,
            "error": error,
            "left": left,
            "plan": plan.document()?,
        }))
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |cause| cause.source())
        .fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
