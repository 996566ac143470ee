//! Keeps tickets in Secrets.
//!
//! A ticket is the Secret `fairlead.v1.<release>.<sequence>` in the release's namespace; its snapshot lies beside it in
//! immutable Secrets `…-<chunk>` that belong to it (deleting the ticket deletes them). The ticket itself never changes; only
//! its label `fairlead.dev/phase` and its annotation `fairlead.dev/progress` do. Not owned by Helm, so it survives rollback and
//! uninstall.
//!
//! - `history`: which runs there were, and from what each can be undone
//! - `outcomes`: how the last runs ended, also those that changed nothing
//! - `transfer`: tickets as files, and back

mod history;
mod outcomes;
mod transfer;

use std::collections::{BTreeMap, BTreeSet};

use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::ticket::{Journal, Phase, Progress, Ticket};
use http::Request;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::discovery::Resource;
use crate::permission::Need;
use crate::request::{Error, Operation};

pub use self::history::{Entry, Reopened};
pub use self::outcomes::Outcome;
pub use self::transfer::Imported;

/// Type of the Secrets.
pub const SECRET_TYPE: &str = "fairlead.dev/ticket";

const RELEASE_LABEL: &str = "fairlead.dev/release";
const STEP_LABEL: &str = "fairlead.dev/step";
const PHASE_LABEL: &str = "fairlead.dev/phase";
const REVISION_LABEL: &str = "fairlead.dev/helm-revision";
const PROGRESS_ANNOTATION: &str = "fairlead.dev/progress";
const CHANGES_ANNOTATION: &str = "fairlead.dev/changes";

/// How many sequences may be taken by what is not in the list of tickets: Secrets whose labels somebody took away.
const SEQUENCE_ATTEMPTS: u64 = 10;

/// The ledger of one release.
pub struct Ledger<'a> {
    cluster: &'a Cluster,
    namespace: &'a str,
    secrets: Resource,
    /// Name of the ticket that is open.
    ticket: String,
    /// Of the ticket that is open: whoever has written to it since has taken over.
    resource_version: String,
}

impl<'a> Ledger<'a> {
    /// The ledger in `namespace`; nothing is read or written yet.
    #[must_use]
    pub fn new(cluster: &'a Cluster, namespace: &'a str) -> Self {
        Self {
            cluster,
            namespace,
            secrets: Resource::core("Secret", "secrets", true),
            ticket: String::new(),
            resource_version: String::new(),
        }
    }

    /// What keeping a ticket takes, and forgetting old ones.
    #[must_use]
    pub fn needs(&self) -> Vec<Need> {
        [self.needs_to_undo(), self.need(&["delete"])].concat()
    }

    /// What taking back a run takes.
    #[must_use]
    pub fn needs_to_undo(&self) -> Vec<Need> {
        self.need(&["get", "list", "create", "patch"])
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

    async fn create(&self, secret: &Secret) -> Result<Result<Value, Error>, Obstacle> {
        let name = secret.metadata.name.as_deref().unwrap_or_default();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Obstacle::Refused {
            operation: self.operation("create", Some(name)).to_string(),
            source,
        };
        let body = serde_json::to_vec(secret).map_err(|error| failed(error.into()))?;
        let request: Request<Vec<u8>> =
            self.requests().create(&PostParams::default(), body).map_err(|error| failed(error.into()))?;
        Ok(self.cluster.write(request).await)
    }

    /// Creates the ticket under the first free sequence and returns its uid.
    async fn create_ticket(&mut self, ticket: &Ticket) -> Result<String, Obstacle> {
        let content = serde_json::to_vec(ticket)
            .map_err(|source| Obstacle::Refused { operation: "write the ticket".to_owned(), source: source.into() })?;
        // The lease is ours, so nobody else takes a sequence; what is there under the next one is our own, or nobody's.
        let mut sequence = self.last_sequence(&ticket.release).await? + 1;
        let last = sequence + SEQUENCE_ATTEMPTS;
        loop {
            let name = ticket_name(&ticket.release, &sequence.to_string());
            let mut secret =
                self.secret(name.clone(), labels(ticket, Some(Phase::Planned)), "ticket", content.clone(), None);
            let changes = (CHANGES_ANNOTATION.to_owned(), ticket.changes.to_string());
            secret.metadata.annotations = Some(BTreeMap::from([changes]));
            match self.create(&secret).await? {
                Ok(created) => return Ok(self.opened(name, &created)),
                Err(error) if is_taken(&error) && sequence < last => {
                    // The answer to an earlier try may have been lost.
                    match self.read(&name).await? {
                        Some(live) if live["data"] == json!(secret.data) => return Ok(self.opened(name, &live)),
                        _ => sequence += 1,
                    }
                }
                Err(error) => return Err(self.cluster.refused(self.operation("create", Some(&name)), error).await),
            }
        }
    }

    /// Deletes a ticket; the garbage collector deletes its chunks.
    async fn delete(&self, name: &str) -> Result<(), Obstacle> {
        let request = self.requests().delete(name, &DeleteParams::background());
        match self.cluster.write(request.map_err(|error| self.cannot_ask("delete", name, error))?).await {
            Err(error) if !error.status().is_some_and(kube::core::Status::is_not_found) => {
                Err(self.cluster.obstacle(self.operation("delete", Some(name)), error).await)
            }
            _ => Ok(()),
        }
    }

    /// Takes note of the ticket, and returns its uid.
    fn opened(&mut self, name: String, live: &Value) -> String {
        self.ticket = name;
        live["metadata"]["resourceVersion"].as_str().unwrap_or_default().clone_into(&mut self.resource_version);
        live["metadata"]["uid"].as_str().unwrap_or_default().to_owned()
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

impl Journal for Ledger<'_> {
    async fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> Result<String, Obstacle> {
        let uid = self.create_ticket(ticket).await?;
        for (index, chunk) in snapshot.chunks().enumerate() {
            let owner = OwnerReference {
                api_version: "v1".to_owned(),
                kind: "Secret".to_owned(),
                name: self.ticket.clone(),
                uid: uid.clone(),
                ..OwnerReference::default()
            };
            let name = format!("{}-{index}", self.ticket);
            let secret = self.secret(name.clone(), labels(ticket, None), "chunk", chunk, Some(owner));
            match self.create(&secret).await? {
                Ok(_) => {}
                // The ticket is ours alone, so its chunk is ours, too: the answer to an earlier try was lost.
                Err(error) if is_taken(&error) => {}
                Err(error) => {
                    // Nothing was changed, and what is stored of it is of no use.
                    let obstacle = self.cluster.refused(self.operation("create", Some(&name)), error).await;
                    let ticket = self.ticket.clone();
                    if let Err(undeleted) = self.delete(&ticket).await {
                        tracing::warn!(error = %undeleted, ticket, "a ticket without its snapshot stays behind");
                    }
                    return Err(obstacle);
                }
            }
        }
        Ok(format!("{}/{}", self.namespace, self.ticket))
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        let name = self.ticket.clone();
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Obstacle::Refused {
            operation: self.operation("patch", Some(&name)).to_string(),
            source,
        };
        let text = serde_json::to_string(progress).map_err(|error| failed(error.into()))?;
        let patch = json!({"metadata": {"resourceVersion": self.resource_version,
            "labels": {PHASE_LABEL: progress.phase.as_str()}, "annotations": {PROGRESS_ANNOTATION: text}}});
        let request = self.requests().patch(&name, &PatchParams::default(), &Patch::Merge(&patch));
        let request = request.map_err(|error| failed(error.into()))?;
        match self.cluster.write(request).await {
            Ok(live) => drop(self.opened(name, &live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => {
                // Our own write, whose answer was lost, or somebody else's.
                match self.read(&name).await? {
                    Some(live) if live["metadata"]["annotations"][PROGRESS_ANNOTATION] == text => {
                        drop(self.opened(name, &live));
                    }
                    _ => return Err(Obstacle::Stopped(Stop::LeaseOver)),
                }
            }
            Err(error) => return Err(self.cluster.obstacle(self.operation("patch", Some(&name)), error).await),
        }
        Ok(())
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

fn ticket_name(release: &str, sequence: &str) -> String {
    format!("fairlead.v1.{release}.{sequence}")
}

fn labels(ticket: &Ticket, phase: Option<Phase>) -> BTreeMap<String, String> {
    let revision = ticket.helm_revision.map(|revision| (REVISION_LABEL, revision.to_string()));
    let phase = phase.map(|phase| (PHASE_LABEL, phase.as_str().to_owned()));
    [(RELEASE_LABEL, ticket.release.clone()), (STEP_LABEL, ticket.step.clone())]
        .into_iter()
        .chain(revision)
        .chain(phase)
        .map(|(key, value)| (key.to_owned(), value))
        .collect()
}
