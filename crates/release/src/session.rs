//! One process at work on a release: the cluster, the store of its runs, the executors, the watch over it, and its last word.

use std::time::Duration;

use fairlead_job::code::Code;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::outcome::Ended;
use fairlead_job::redact;
use fairlead_job::report;
use fairlead_job::watch::Watch;
use fairlead_kube_client::access::ConnectError;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::jobs::Job;
use fairlead_kube_client::ledger::now;
use fairlead_migration::executor;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::plan::Plan;
use fairlead_migration::run::{Ending, RecordedRun};
use fairlead_migration::store::Store;
use fairlead_migration::ticket::Ticket;

use crate::args::CommonArgs;
use crate::binary::{Binary, opened};
use crate::executors::{Executor, Executors, Kubernetes, executor};
use crate::one_store;
pub use crate::place::place;
use crate::place::{Place, access};

/// What a process that writes was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// To carry out a step.
    Apply,
    /// To go on with what a step has left to the background.
    Background,
    /// To go back.
    Rollback,
    /// To end holds.
    Unhold,
}

impl Command {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "apply",
            Self::Background => "background",
            Self::Rollback => "rollback",
            Self::Unhold => "unhold",
        }
    }
}

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
    /// The recorded runs.
    pub store: Box<dyn Store + 'a>,
    /// The Job that this process is a pod of.
    pub job: Option<Job>,
    /// What people call the store, where it is not the cluster's ledger.
    pub(crate) other_store: Option<&'a str>,
    executors: Executors<'a>,
    command: Command,
}

/// How long a process that is told to end tries to say so: its pod is killed after 30 seconds.
const LAST_WORD: Duration = Duration::from_secs(10);

/// So many objects are named with how a run ended: fifty endings have to fit into one Secret.
const LEFT_NAMED: usize = 10;

/// What is not as before, for whoever asks later.
fn left(ended: &Ended) -> String {
    let named: Vec<String> = ended.left.iter().take(LEFT_NAMED).map(|(target, what)| format!("{target}: {what}")).collect();
    if named.is_empty() || ended.failure.as_ref().is_none_or(|failure| *failure.code != shared::DIRTY) {
        return String::new();
    }
    let more = ended.left.len() - named.len();
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!(". Not as before: {}{more}", named.join("; "))
}

/// Prepares a connection; nothing is sent yet.
pub async fn connect(common: &CommonArgs) -> Result<Cluster, Failure> {
    let cluster = Cluster::connect(&access(&common.cluster), common.cluster.request_timeout).await;
    cluster.map(|cluster| cluster.with_concurrency(common.concurrency)).map_err(|error| {
        let code = match &error {
            ConnectError::Credential { .. } => &shared::NO_CREDENTIAL,
            _ => &shared::CONFIGURATION,
        };
        Failure::new(code, chain(&error))
    })
}

impl<'a> Session<'a> {
    /// Begins to count `run_timeout`, and asks what the cluster serves.
    pub async fn begin(
        common: &'a CommonArgs,
        cluster: &'a Cluster,
        binary: impl Into<Binary<'a>>,
        command: Command,
        run_timeout: Duration,
    ) -> anyhow::Result<Self> {
        let watch = Watch::start(run_timeout)?;
        let binary = binary.into();
        let place = binary.place(common, cluster);
        let job = match &common.release.job {
            Some(name) => Some(watch.guard_patiently(cluster.job(place.namespace, name)).await.map_err(Failure::from)?),
            None => None,
        };
        // Only a step has a deadline over the pods of its Job: what goes back may be run again for as long as it takes.
        if let Some(job) = job.as_ref().filter(|_| matches!(command, Command::Apply | Command::Background)) {
            watch.began_before(job.elapsed);
        }
        let Binary { executors, store, name } = binary;
        let other_store = store.as_ref().map(|other| other.name);
        let (discovery, store) = (Discovery::default(), opened(store, cluster, place));
        let mut session = Self { common, cluster, discovery, watch, place, store, job, other_store, executors, command };
        match session.watch.guard_patiently(session.discovered()).await {
            Ok(discovery) => session.discovery = discovery,
            Err(failure) => return Err(session.fail(name, failure).await.into()),
        }
        session.executors.push(Box::new(Kubernetes::new(cluster, session.discovery.clone())));
        Ok(session)
    }

    /// What the cluster serves; nobody asks where the release keeps its runs in another store.
    async fn discovered(&self) -> Result<Discovery, Failure> {
        if let Some(other) = self.other_store {
            one_store::require(self.cluster, self.place, other, &*self.store).await?;
        }
        Ok(self.cluster.discover().await?)
    }

    /// The executor that a ticket names.
    ///
    /// # Errors
    ///
    /// [`Obstacle::OtherExecutor`] where this binary does not have it.
    pub fn executor(&self, name: &str, ticket: &Ticket) -> Result<&dyn Executor, Obstacle> {
        executor(&self.executors, name, ticket)
    }

    /// Has every executor forget what it knows of the world.
    pub(crate) async fn look_again(&self) -> Result<(), Failure> {
        for executor in &self.executors {
            self.watch.guard_patiently(executor.look_again()).await?;
        }
        Ok(())
    }

    /// The runs of the release.
    pub async fn runs(&self) -> Result<Vec<RecordedRun>, Obstacle> {
        self.watch.guard_patiently(self.store.runs()).await
    }

    /// How a run of a step ended.
    #[must_use]
    pub fn ended(&self, outcome: executor::Outcome, plan: &Plan, ticket: &str) -> Ended {
        let next = matches!(outcome, executor::Outcome::Dirty { .. }).then(|| {
            let last = self.place.command("rollback --last");
            self.place.or_by_hand(&last)
        });
        Ended { next, ..Ended::of(outcome, plan, ticket) }
    }

    /// Tells how a run ended: on stdout, in the termination log, in the ledger, and as an Event.
    pub async fn conclude(&self, step: &str, plan: &Plan, ended: Ended) -> Result<ExitStatus, Failure> {
        report::terminate(&redact::text(&ended.text()));
        // What was done is done, whether or not anybody can read of it.
        if let Err(error) = report::print_end(self.common.output.output, plan, &ended, self.place.release) {
            tracing::warn!(error = format!("{error:#}"), "the report is lost");
        }
        self.remember(step, &ended).await;
        ended.result()
    }

    /// Tells of a failure before anything could be planned.
    pub async fn fail(&self, step: &str, failure: Failure) -> Failure {
        self.note(step, "Refused", "", Some(&failure), "").await;
        failure
    }

    /// Remembers how a run ended, without telling it.
    pub async fn remember(&self, step: &str, ended: &Ended) {
        self.note(step, ended.outcome, &ended.summary, ended.failure.as_ref(), &left(ended)).await;
    }

    async fn note(&self, step: &str, outcome: &str, summary: &str, failure: Option<&Failure>, left: &str) {
        let is_unreachable =
            failure.is_some_and(|failure| *failure.code == shared::UNREACHABLE || *failure.code == shared::LEASE_OVER);
        let is_of = |code: &Code| failure.is_some_and(|failure| failure.code == code);
        if is_unreachable || is_of(&shared::ELSEWHERE) || is_of(&shared::UNKNOWN_RELEASE) {
            // Nobody would hear it, and it would take as long again to find that out; or the runs are recorded elsewhere; or there is no
            // such release, and there would be one from now on.
            return;
        }
        let exit = failure.map_or(ExitStatus::Done, Failure::status).code();
        let code = failure.map(|failure| failure.code.id.to_owned());
        let [step, command, name] = [step, self.command.as_str(), outcome].map(str::to_owned);
        // Endings and Events are read by more people than the ledger.
        let summary = redact::text(&failure.map_or_else(|| summary.to_owned(), |failure| chain(failure) + left));
        let helm_revision = self.common.release.helm_revision;
        let ending = Ending { time: now(), step, command, outcome: name, exit, code, summary, helm_revision };
        let is_told_to_end =
            failure.is_some_and(|failure| *failure.code == shared::INTERRUPTED || *failure.code == shared::CANCELLED);
        let patience = if is_told_to_end { LAST_WORD } else { Duration::MAX };
        if tokio::time::timeout(patience, self.tell(&ending, failure.is_some())).await.is_err() {
            tracing::warn!("how the run ended is neither in the ledger nor an Event: there was no time for it");
        }
    }

    async fn tell(&self, ending: &Ending, is_failure: bool) {
        if let Err(error) = self.store.note(ending).await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "how the run ended is not in the ledger");
        }
        self.publish(&ending.outcome, &ending.summary, is_failure).await;
    }

    /// Tells how far a run is, as an Event on the Job.
    pub async fn publish(&self, outcome: &str, summary: &str, is_failure: bool) {
        let Some(job) = &self.job else { return };
        if let Err(error) = self.cluster.publish(job, outcome, summary, is_failure).await {
            tracing::warn!(error = format!("{:#}", anyhow::Error::from(error)), "there is no Event of it");
        }
    }
}
