//! One process at work on a release: the cluster, the ledger's place, the watch over it, and its last word.

use std::time::Duration;

use fairlead_job::args::ClusterArgs;
use fairlead_job::code;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::report;
use fairlead_job::watch::Watch;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::events::Job;
use fairlead_kube_client::ledger::{Ledger, Outcome};
use fairlead_migration::executor;
use fairlead_migration::obstacle::chain;
use fairlead_migration::plan::Plan;

use crate::args::CommonArgs;
use crate::status::Place;

/// A process that writes.
pub struct Session<'a> {
    /// Its arguments.
    pub common: &'a CommonArgs,
    /// The cluster.
    pub cluster: &'a Cluster,
    /// What it serves.
    pub discovery: Discovery,
    /// Signals, deadline, progress.
    pub watch: Watch,
    /// Where the ledger is.
    pub place: Place<'a>,
    pub(crate) job: Option<Job>,
    command: &'static str,
}

/// Prepares a connection; nothing is sent yet.
pub async fn connect(common: &CommonArgs) -> Result<Cluster, Failure> {
    let ClusterArgs { kubeconfig, context, request_timeout } = &common.cluster;
    let cluster = Cluster::connect(kubeconfig.as_deref(), context.as_deref(), *request_timeout).await;
    cluster
        .map(|cluster| cluster.with_concurrency(common.concurrency))
        .map_err(|error| Failure::caused(ExitStatus::Usage, &code::CONFIGURATION, "failed to connect to the cluster", error))
}

/// Where the ledger is, for a binary of this name.
#[must_use]
pub fn place<'a>(common: &'a CommonArgs, cluster: &'a Cluster, binary: &'a str) -> Place<'a> {
    let namespace = common.release.ledger_namespace.as_deref().unwrap_or(cluster.default_namespace());
    Place { namespace, release: &common.release.release, binary, helm_release: common.release.helm_name() }
}

impl<'a> Session<'a> {
    /// Begins to count `run_timeout`, and asks what the cluster serves.
    pub async fn begin(
        common: &'a CommonArgs,
        cluster: &'a Cluster,
        binary: &'a str,
        command: &'static str,
        run_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let watch = Watch::start(run_timeout)?;
        let place = place(common, cluster, binary);
        let job = match &common.release.job {
            Some(name) => Some(watch.guard_patiently(cluster.job(place.namespace, name)).await.map_err(Failure::from)?),
            None => None,
        };
        // What goes back may be run again for as long as it takes.
        if let Some(job) = job.as_ref().filter(|_| command == "apply") {
            watch.began_before(job.elapsed);
        }
        let mut session = Self { common, cluster, discovery: Discovery::default(), watch, place, job, command };
        match session.watch.guard_patiently(cluster.discover()).await.map_err(Failure::from) {
            Ok(discovery) => session.discovery = discovery,
            Err(failure) => return Err(session.fail(binary, failure).await.into()),
        }
        Ok(session)
    }

    /// The ledger; nothing is read or written yet.
    #[must_use]
    pub fn ledger(&self) -> Ledger<'_> {
        Ledger::new(self.cluster, self.place.namespace)
    }

    /// How a run of a step ended.
    pub(crate) fn ended(&self, outcome: executor::Outcome, plan: &Plan, ticket: &str) -> Ended {
        let next = matches!(outcome, executor::Outcome::Dirty { .. }).then(|| self.place.command("rollback --last"));
        Ended { next, ..Ended::of(outcome, plan, ticket) }
    }

    /// Tells how a run ended: on stdout, in the termination log, in the ledger, and as an Event.
    pub async fn conclude(&self, step: &str, plan: &Plan, ended: Ended) -> Result<ExitStatus, Failure> {
        report::terminate(&ended.text());
        // What was done is done, whether or not anybody can read of it.
        if let Err(error) = report::print_end(self.common.output.output, plan, &ended, self.place.release) {
            tracing::warn!(error = format!("{error:#}"), "the report is lost");
        }
        self.note(step, ended.outcome, &ended.summary, ended.failure.as_ref()).await;
        ended.result()
    }

    /// Tells of a failure before anything could be planned.
    pub async fn fail(&self, step: &str, failure: Failure) -> Failure {
        self.note(step, "Refused", "", Some(&failure)).await;
        failure
    }

    /// Remembers how an earlier run ended that this one has finished.
    pub(crate) async fn remember(&self, step: &str, ended: &Ended) {
        self.note(step, ended.outcome, &ended.summary, ended.failure.as_ref()).await;
    }

    async fn note(&self, step: &str, outcome: &str, summary: &str, failure: Option<&Failure>) {
        let is_unreachable =
            failure.is_some_and(|failure| *failure.code == code::UNREACHABLE || *failure.code == code::LEASE_OVER);
        if is_unreachable {
            // Nobody would hear it, and it would take as long again to find that out.
            return;
        }
        let exit = failure.map_or(ExitStatus::Done, |failure| failure.status).code();
        let code = failure.map(|failure| failure.code.id.to_owned());
        let [step, command, name] = [step, self.command, outcome].map(str::to_owned);
        let summary = failure.map_or_else(|| summary.to_owned(), |failure| chain(failure));
        let helm_revision = self.common.release.helm_revision;
        let time = fairlead_kube_client::ledger::now();
        let outcome = Outcome { time, step, command, outcome: name, exit, code, summary, helm_revision };
        if let Err(error) = self.ledger().note(self.place.release, &outcome).await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "how the run ended is not in the ledger");
        }
        let Some(job) = &self.job else { return };
        let published = self.cluster.publish(job, &outcome.outcome, &outcome.summary, failure.is_some()).await;
        if let Err(error) = published {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "there is no Event of how the run ended");
        }
    }
}
