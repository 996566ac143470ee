//! Snapshot, changes, report.

use std::path::Path;

use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::watch::Watch;
use fairlead_job::{code, manifests, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::ledger::Ledger;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::executor;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::ticket::{FORMAT, Journal as _, Ticket};

use crate::address::Addressed;
use crate::args::{ApplyArgs, Args};
use crate::observe::Source;
use crate::plan::STEP;
use crate::{kinds, verify};

/// Applies the plan that is right now.
pub(crate) async fn run(args: &Args, apply: &ApplyArgs) -> anyhow::Result<ExitStatus> {
    let approved = apply.plan.as_deref().map(read_digest).transpose()?;
    let watch = Watch::start(apply.run_timeout)?;
    let cluster = super::connect(args).await?;
    let (discovery, plan) = watch
        .guard(async {
            let discovery = cluster.discover().await?;
            let plan = super::make_plan(&Source::Cluster(&cluster, &discovery), args).await?;
            Ok::<_, Failure>((discovery, plan))
        })
        .await?;
    if args.output.output == Output::Text {
        report::print_plan(Output::Text, &plan)?;
    }
    let checked = super::check_strict(args, &plan).and_then(|()| check_approved(approved.as_deref(), &plan));
    let ended = match checked {
        Err(failure) => Ended::refused(failure),
        Ok(()) if plan.is_empty() => Ended::unchanged(&plan),
        Ok(()) => carry_out(args, apply, &watch, &cluster, &discovery, &plan).await.unwrap_or_else(Ended::refused),
    };
    report::terminate(&ended.text());
    // What was done is done, whether or not anybody can read of it.
    if let Err(error) = report::print_end(args.output.output, &plan, &ended, &args.release.release) {
        tracing::warn!(error = format!("{error:#}"), "the report is lost");
    }
    Ok(ended.result()?)
}

async fn carry_out(
    args: &Args,
    apply: &ApplyArgs,
    watch: &Watch,
    cluster: &Cluster,
    discovery: &Discovery,
    plan: &Plan,
) -> Result<Ended, Failure> {
    let namespace = args.release.ledger_namespace.as_deref().unwrap_or(cluster.default_namespace());
    let objects = Objects::new(cluster, discovery);
    let mut ledger = Ledger::new(cluster, namespace);
    let snapshot = Snapshot::of(plan)
        .map_err(|error| Failure::caused(ExitStatus::Failed, &code::SNAPSHOT, "failed to make the snapshot", error))?;
    let ticket = Ticket {
        format: FORMAT,
        min_reader: FORMAT,
        tool: format!("{STEP} {}", env!("CARGO_PKG_VERSION")),
        step: STEP.to_owned(),
        executor: "kubernetes".to_owned(),
        release: args.release.release.clone(),
        helm_revision: args.release.helm_revision,
        plan_digest: plan.digest(),
        changes: plan.len(),
        snapshot: snapshot.manifest.clone(),
    };
    let needs = [ledger.needs(), objects.needs(plan.changes())?].concat();
    watch.guard(cluster.require(&needs)).await?;
    let mark = ledger.open(&ticket, &snapshot).await?;
    tracing::info!(ticket = mark, changes = plan.len(), "snapshot stored");
    let verify = async || watch.guard(verify::verify(args, apply, cluster, discovery, plan)).await;
    let broker_version = Source::Cluster(cluster, discovery).api_version(&kinds::BROKER).unwrap_or_default();
    let world = Addressed { objects: &objects, watch, broker_version, timeout: apply.ready_timeout };
    let outcome = executor::apply(&world, &mut ledger, watch, plan, &mark, verify).await;
    Ok(Ended::of(outcome, plan, &mark))
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
