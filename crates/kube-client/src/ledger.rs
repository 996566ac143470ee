//! Keeps tickets in Secrets.
//!
//! A ticket is the Secret `fairlead.v1.<release>.<sequence>` in the release's namespace; its snapshot lies beside it in
//! immutable Secrets `…-<chunk>` that belong to it (deleting the ticket deletes them), and so does the evidence of a gate. The ticket
//! itself never changes; only its label `fairlead.dev/phase` and its annotation `fairlead.dev/progress` do. Not owned by Helm, so it
//! survives rollback and uninstall.
//!
//! - `journal`: keeps the ticket of the run that is under way
//! - `history`: which runs there were, and from what each can be undone
//! - `endings`: how the last runs ended, also those that changed nothing
//! - `register`: which sequences there have been
//! - `transfer`: tickets as files, and back
//! - `marker`: says in which other store the release keeps its runs

mod endings;
mod history;
mod journal;
mod marker;
mod register;
mod transfer;

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::{Ending, RecordedRun, Reopened};
use fairlead_migration::store::{Holder, Journal, Lock, Purpose, Scope, Store, Terms};
use fairlead_migration::ticket::Ticket;
use fairlead_migration::transfer::{Exported, Imported};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::PostParams;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::lease::{self, Lease};
use crate::operation::Operation;
use crate::permission::Need;
use crate::request::Error;
use crate::resource::Resource;

use self::journal::TicketJournal;

/// Type of the Secrets.
pub const SECRET_TYPE: &str = "fairlead.dev/ticket";

const RELEASE_LABEL: &str = "fairlead.dev/release";
const STEP_LABEL: &str = "fairlead.dev/step";
const PHASE_LABEL: &str = "fairlead.dev/phase";
const REVISION_LABEL: &str = "fairlead.dev/helm-revision";
const HOLDS_LABEL: &str = "fairlead.dev/holds";
const PROGRESS_ANNOTATION: &str = "fairlead.dev/progress";
const CHANGES_ANNOTATION: &str = "fairlead.dev/changes";
/// [`fairlead_migration::ticket::Ticket::installation`], as JSON.
const INSTALLATION_ANNOTATION: &str = "fairlead.dev/installation";
/// When the ticket was created first: one that is restored from a backup is created again.
const BEGAN_ANNOTATION: &str = "fairlead.dev/began";

/// The ledger of one release.
pub struct Ledger<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    release: &'a str,
    secrets: Resource,
    /// The last sequence that is known, also from the lease: it is there when somebody has deleted every Secret.
    sequence: Cell<u64>,
}

impl<'a> Ledger<'a> {
    /// The ledger of `release` in `namespace`; nothing is read or written yet.
    #[must_use]
    pub fn new(cluster: &'a Cluster, namespace: &'a str, release: &'a str) -> Self {
        let secrets = Resource::core("Secret", "secrets", true);
        Self { cluster, namespace, release, secrets, sequence: Cell::default() }
    }

    /// What keeping a ticket takes, and forgetting old ones, and the lock of the release.
    fn needs(&self) -> Vec<Need> {
        [self.needs_to_undo(), self.need(&["delete"])].concat()
    }

    /// What taking back a run takes.
    fn needs_to_undo(&self) -> Vec<Need> {
        [self.need(&["get", "list", "create", "patch"]), lease::needs(self.namespace)].concat()
    }

    fn need(&self, verbs: &[&'static str]) -> Vec<Need> {
        let namespaces: BTreeSet<String> = [self.namespace.to_owned()].into();
        let need = |verb: &&'static str| Need {
            resource: self.secrets.clone(),
            verb,
            subresource: None,
            namespaces: namespaces.clone(),
        };
        verbs.iter().map(need).collect()
    }

    fn operation<'b>(&'b self, verb: &'static str, name: Option<&'b str>) -> Operation<'b> {
        Operation { namespace: Some(self.namespace), name, ..Operation::new(verb, &self.secrets) }
    }

    fn cannot_ask(&self, verb: &'static str, name: &str, source: kube::core::request::Error) -> Obstacle {
        Obstacle::Refused { operation: self.operation(verb, Some(name)).to_string(), source: source.into() }
    }

    fn requests(&self) -> kube::core::Request {
        kube::core::Request::new(self.secrets.path(Some(self.namespace)))
    }

    async fn create(&self, secret: &Secret, lock: Option<&dyn Lock>) -> Result<Result<Value, Error>, Obstacle> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Obstacle::Refused {
            operation: self.operation("create", Some(name)).to_string(),
            source,
        };
        let body = serde_json::to_vec(secret).map_err(|error| failed(error.into()))?;
        let request = self.requests().create(&PostParams::default(), body).map_err(|error| failed(error.into()))?;
        Ok(match lock {
            Some(lock) => self.cluster.write(request, lock).await,
            None => self.cluster.send(request).await,
        })
    }

    fn secret(
        &self,
        name: String,
        labels: BTreeMap<String, String>,
        key: &str,
        content: Vec<u8>,
        owner: Option<OwnerReference>,
    ) -> Secret {
        Secret {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(self.namespace.to_owned()),
                labels: Some(labels),
                owner_references: owner.map(|owner| vec![owner]),
                ..ObjectMeta::default()
            },
            type_: Some(SECRET_TYPE.to_owned()),
            immutable: Some(true),
            data: Some(BTreeMap::from([(key.to_owned(), ByteString(content))])),
            ..Secret::default()
        }
    }
}

#[async_trait(?Send)]
impl Store for Ledger<'_> {
    async fn runs(&self) -> Result<Vec<RecordedRun>, Obstacle> {
        self.list_runs().await
    }

    async fn missing(&self) -> Result<Vec<u64>, Obstacle> {
        // First, so that what begins meanwhile is not missed; and again, for what is pruned meanwhile.
        let register = self.register().await?;
        let there = self.sequences().await?;
        let missing = register.missing(&there);
        if missing.is_empty() {
            return Ok(missing);
        }
        let still = self.register().await?.missing(&there);
        Ok(missing.into_iter().filter(|sequence| still.contains(sequence)).collect())
    }

    async fn damages(&self, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle> {
        self.find_damages(runs).await
    }

    async fn others(&self) -> Result<BTreeSet<(String, String)>, Obstacle> {
        self.list_others().await
    }

    fn address(&self, sequence: u64) -> String {
        self.in_words(&ticket_name(self.release, &sequence.to_string()))
    }

    async fn read(&self, name: &str) -> Result<Reopened, Obstacle> {
        Ok(self.reopen(name).await?.0)
    }

    async fn ticket(&self, name: &str) -> Result<Ticket, Obstacle> {
        self.ticket_in(name, &self.content(name).await?)
    }

    async fn evidence(&self, run: &RecordedRun) -> Result<Option<Value>, Obstacle> {
        self.read_evidence(run).await
    }

    async fn endings(&self) -> Result<Vec<Ending>, Obstacle> {
        self.list_endings().await
    }

    async fn note(&self, ending: &Ending) -> Result<(), Obstacle> {
        self.add_ending(ending).await
    }

    async fn export(&self) -> Result<Exported, Obstacle> {
        self.export_all().await
    }

    async fn import(&self, documents: &[Value]) -> Result<Vec<Imported>, Obstacle> {
        self.import_all(documents).await
    }

    fn read_exported(&self, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle> {
        self.read_all(documents)
    }

    async fn require(&self, purpose: Purpose, user: Option<&str>) -> Result<(), Obstacle> {
        let needs = match purpose {
            Purpose::Keep => self.needs(),
            Purpose::Undo => self.needs_to_undo(),
        };
        match user {
            None => self.cluster.require(&needs).await,
            Some(user) => self.cluster.require_for(user, &needs).await,
        }
    }

    async fn lock<'l>(&'l self, terms: Terms<'l>) -> Result<Box<dyn Lock + 'l>, Obstacle> {
        // Nobody is at a run in the background.
        let is_at_work = |run: &RecordedRun| run.is_unfinished() && run.phase() != Phase::Background;
        // What is only watched nobody may spoil.
        let writes = terms.scope == Scope::Release;
        let is_at_work = async || Ok(writes && self.list_runs().await?.iter().any(is_at_work));
        let (cluster, namespace, sequence) = (self.cluster, self.namespace, &self.sequence);
        Ok(Box::new(Lease::acquire(cluster, namespace, self.release, terms, sequence, is_at_work).await?))
    }

    async fn holder(&self, scope: Scope) -> Result<Option<Holder>, Obstacle> {
        lease::holder(self.cluster, self.namespace, self.release, scope).await
    }

    fn journal<'l>(&'l self, lock: &'l dyn Lock) -> Box<dyn Journal + 'l> {
        Box::new(TicketJournal::new(self, lock))
    }
}

/// The time by this machine's clock; RFC 3339, in seconds.
#[must_use]
pub fn now() -> String {
    let now = k8s_openapi::jiff::Timestamp::now();
    k8s_openapi::jiff::Timestamp::from_second(now.as_second()).unwrap_or(now).to_string()
}

fn is_taken(error: &Error) -> bool {
    error.status().is_some_and(kube::core::Status::is_already_exists)
}

/// The name of the Secret that is the ticket of a run.
#[must_use]
pub fn ticket_name(release: &str, sequence: &str) -> String {
    format!("fairlead.v1.{release}.{sequence}")
}

/// How much of the digest is in the name of a chunk of evidence.
const SHORT_DIGEST: usize = 8;

/// Named by its content, so that a chunk that was written by a process that died is not taken for one of another look.
fn evidence_name(ticket: &str, digest: &str) -> String {
    let hex = digest.rsplit_once(':').map_or(digest, |(_, hex)| hex);
    format!("{ticket}-e{}", &hex[..hex.len().min(SHORT_DIGEST)])
}

fn labels(ticket: &Ticket, phase: Option<Phase>) -> BTreeMap<String, String> {
    let revision = ticket.helm_revision.map(|revision| (REVISION_LABEL, revision.to_string()));
    let holds = (phase.is_some() && ticket.holds).then(|| (HOLDS_LABEL, "true".to_owned()));
    let phase = phase.map(|phase| (PHASE_LABEL, phase.as_str().to_owned()));
    [(RELEASE_LABEL, ticket.release.clone()), (STEP_LABEL, ticket.step.clone())]
        .into_iter()
        .chain(revision)
        .chain(holds)
        .chain(phase)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
