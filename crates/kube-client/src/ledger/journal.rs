//! Keeps the ticket of the run that is under way.

use std::collections::BTreeMap;

use async_trait::async_trait;
use fairlead_migration::evidence;
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::store::{Journal, Lock};
use fairlead_migration::ticket::Ticket;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::history::began;
use super::{
    BEGAN_ANNOTATION, CHANGES_ANNOTATION, INSTALLATION_ANNOTATION, Ledger, PHASE_LABEL, PROGRESS_ANNOTATION, RELEASE_LABEL,
    STEP_LABEL, evidence_name, is_taken, labels, ticket_name,
};

/// How many sequences may be taken by what is not in the list of tickets: Secrets whose labels somebody took away.
const SEQUENCE_ATTEMPTS: u64 = 10;

/// How often others may write to a ticket while it is written.
const CONFLICT_ATTEMPTS: u32 = 10;

/// Keeps one ticket.
pub(super) struct TicketJournal<'a> {
    ledger: &'a Ledger<'a>,
    lock: &'a dyn Lock,
    /// Name of the ticket that is open.
    name: String,
    uid: String,
    step: String,
    began: String,
    /// How far the run had come when the ticket was read or written last.
    recorded: Value,
    /// Of the ticket that is open: whoever has written to it since has taken over.
    resource_version: String,
}

impl<'a> TicketJournal<'a> {
    /// No ticket is open yet.
    pub(super) fn new(ledger: &'a Ledger<'a>, lock: &'a dyn Lock) -> Self {
        let [name, uid, step, began, resource_version] = std::array::from_fn(|_| String::new());
        Self { ledger, lock, name, uid, step, began, recorded: Value::Null, resource_version }
    }

    /// Creates the ticket under the first free sequence.
    async fn create(&mut self, ticket: &Ticket) -> Result<(), Obstacle> {
        let ledger = self.ledger;
        let content = serde_json::to_vec(ticket)
            .map_err(|source| Obstacle::Refused { operation: "write the ticket".to_owned(), source: source.into() })?;
        // The lease is ours, so nobody else takes a sequence; what is there under the next one is our own, or nobody's.
        let register = ledger.register().await?;
        let mut sequence = ledger.last_sequence().await?.max(register.sequence).max(ledger.sequence.get()) + 1;
        let last = sequence + SEQUENCE_ATTEMPTS;
        loop {
            let name = ticket_name(ledger.release, &sequence.to_string());
            let mut secret =
                ledger.secret(name.clone(), labels(ticket, Some(Phase::Planned)), "ticket", content.clone(), None);
            let installation = ticket.installation.as_ref().map(|installation| json!(installation).to_string());
            let annotations =
                [(CHANGES_ANNOTATION, Some(ticket.changes.to_string())), (INSTALLATION_ANNOTATION, installation)];
            let annotations = annotations.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
            secret.metadata.annotations = Some(annotations.collect());
            match ledger.create(&secret, Some(self.lock)).await? {
                Ok(created) => {
                    self.note(name, &created);
                    break;
                }
                Err(error) if is_taken(&error) && sequence < last => {
                    // The answer to an earlier try may have been lost.
                    match ledger.get(&name).await? {
                        Some(live) if live["data"] == json!(secret.data) => {
                            self.note(name, &live);
                            break;
                        }
                        _ => sequence += 1,
                    }
                }
                Err(error) => {
                    return Err(ledger.cluster.refused(ledger.operation("create", Some(&name)), error).await);
                }
            }
        }
        // Objects carry the address of their ticket: nobody may ever have it again, also when the whole ledger is gone. No object has
        // been written yet.
        ledger.sequence.set(sequence);
        self.lock.renew().await?;
        ledger.register_sequence(sequence, self.lock).await
    }

    /// Takes note of the ticket.
    fn note(&mut self, name: String, live: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.name = name;
        self.uid = text(&live["metadata"]["uid"]);
        self.step = text(&live["metadata"]["labels"][STEP_LABEL]);
        self.began = began(live);
        self.recorded = recorded(live);
        self.resource_version = text(&live["metadata"]["resourceVersion"]);
    }

    /// Creates a chunk that belongs to the ticket. One that is there is ours: the answer to an earlier try was lost.
    async fn create_chunk(&self, name: &str, labels: BTreeMap<String, String>, chunk: Vec<u8>) -> Result<(), Obstacle> {
        let ledger = self.ledger;
        let owner = OwnerReference {
            api_version: "v1".to_owned(),
            kind: "Secret".to_owned(),
            name: self.name.clone(),
            uid: self.uid.clone(),
            ..OwnerReference::default()
        };
        let secret = ledger.secret(name.to_owned(), labels, "chunk", chunk, Some(owner));
        match ledger.create(&secret, Some(self.lock)).await? {
            Err(error) if !is_taken(&error) => {
                Err(ledger.cluster.refused(ledger.operation("create", Some(name)), error).await)
            }
            _ => Ok(()),
        }
    }

    /// Somebody has deleted the ticket while its run was at work. When everything has been taken back nobody need miss it.
    async fn record_of_deleted(&self, progress: &Progress) -> Result<(), Obstacle> {
        let gone = || self.ledger.damaged(&self.name, "it is not there: somebody has deleted it");
        let sequence =
            self.ledger.sequence_of(&self.name).filter(|_| progress.phase == Phase::RolledBack).ok_or_else(gone)?;
        tracing::warn!(ticket = self.name, "somebody has deleted the ticket; what it was for has been taken back");
        self.ledger.register_forgotten(&[sequence], self.lock).await.map_err(|_| gone())
    }

    /// Deletes a ticket; the garbage collector deletes its chunks. The register is told before.
    async fn delete(&self, name: &str) -> Result<(), Obstacle> {
        let ledger = self.ledger;
        if let Some(sequence) = ledger.sequence_of(name) {
            ledger.register_pruned(sequence, self.lock).await?;
        }
        let request = ledger.requests().delete(name, &DeleteParams::background());
        let request = request.map_err(|error| ledger.cannot_ask("delete", name, error))?;
        match ledger.cluster.write(request, self.lock).await {
            Err(error) if !error.status().is_some_and(kube::core::Status::is_not_found) => {
                Err(ledger.cluster.obstacle(ledger.operation("delete", Some(name)), error).await)
            }
            _ => Ok(()),
        }
    }
}

/// What a ticket says of how far its run has come.
fn recorded(ticket: &Value) -> Value {
    let metadata = &ticket["metadata"];
    json!([metadata["labels"][PHASE_LABEL], metadata["annotations"][PROGRESS_ANNOTATION]])
}

#[async_trait(?Send)]
impl Journal for TicketJournal<'_> {
    async fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> Result<String, Obstacle> {
        self.create(ticket).await?;
        for (index, chunk) in snapshot.chunks().enumerate() {
            let name = format!("{}-{index}", self.name);
            if let Err(obstacle) = self.create_chunk(&name, labels(ticket, None), chunk).await {
                // Nothing was changed, and a ticket without its snapshot is of no use.
                if let (false, Err(undeleted)) = (matches!(obstacle, Obstacle::Stopped(_)), self.delete(&self.name).await) {
                    tracing::warn!(error = %undeleted, ticket = self.name, "a ticket without its snapshot stays behind");
                }
                return Err(obstacle);
            }
        }
        Ok(self.ledger.mark(&self.name))
    }

    async fn reopen(&mut self, name: &str) -> Result<Reopened, Obstacle> {
        let (reopened, live) = self.ledger.reopen(name).await?;
        self.note(name.to_owned(), &live);
        Ok(reopened)
    }

    async fn abandon(&mut self, name: &str) -> Result<(), Obstacle> {
        let live = self.ledger.content(name).await?;
        // What this phase means to a later version nobody here knows.
        self.ledger.ticket_in(name, &live)?;
        let phase = self.ledger.progress(name, &live)?.phase;
        if phase != Phase::Planned {
            let source = format!("it is in phase {}", phase.as_str()).into();
            return Err(Obstacle::Refused { operation: format!("abandon {name}"), source });
        }
        self.note(name.to_owned(), &live);
        self.record(&Progress { phase: Phase::RolledBack, ..Progress::planned() }).await
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        let (ledger, name) = (self.ledger, self.name.clone());
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| Obstacle::Refused {
            operation: ledger.operation("patch", Some(&name)).to_string(),
            source,
        };
        let text = serde_json::to_string(progress).map_err(|error| failed(error.into()))?;
        for _ in 0..CONFLICT_ATTEMPTS {
            let patch = json!({"metadata": {"resourceVersion": self.resource_version,
                "labels": {PHASE_LABEL: progress.phase.as_str()},
                "annotations": {PROGRESS_ANNOTATION: text, BEGAN_ANNOTATION: self.began}}});
            let request = ledger.requests().patch(&name, &PatchParams::default(), &Patch::Merge(&patch));
            let request = request.map_err(|error| failed(error.into()))?;
            let error = match ledger.cluster.write(request, self.lock).await {
                Ok(live) => {
                    self.note(name, &live);
                    return Ok(());
                }
                Err(error) => error,
            };
            if error.status().is_some_and(kube::core::Status::is_not_found) {
                return self.record_of_deleted(progress).await;
            }
            if !error.status().is_some_and(kube::core::Status::is_conflict) {
                return Err(ledger.cluster.obstacle(ledger.operation("patch", Some(&name)), error).await);
            }
            let Some(live) = ledger.get(&name).await? else { return self.record_of_deleted(progress).await };
            // Our own write, whose answer was lost.
            if live["metadata"]["annotations"][PROGRESS_ANNOTATION] == text {
                self.note(name, &live);
                return Ok(());
            }
            // Who only labels Secrets has not taken over. Asked after the ticket was read: a successor writes to it again.
            if recorded(&live) != self.recorded || !self.lock.is_held().await? {
                break;
            }
            self.note(name.clone(), &live);
        }
        Err(Obstacle::Stopped(Stop::LeaseOver))
    }

    async fn attest(&mut self, evidence: &Value, progress: &mut Progress) -> Result<(), Obstacle> {
        let (chunks, manifest) = evidence::pack(evidence)
            .map_err(|source| Obstacle::Refused { operation: "compress the evidence".to_owned(), source: source.into() })?;
        let labels = BTreeMap::from(
            [(RELEASE_LABEL, self.ledger.release), (STEP_LABEL, &self.step)]
                .map(|(key, value)| (key.to_owned(), value.to_owned())),
        );
        for (chunk, digest) in chunks.into_iter().zip(&manifest.chunks) {
            self.create_chunk(&evidence_name(&self.name, digest), labels.clone(), chunk).await?;
        }
        progress.evidence = Some(manifest);
        Ok(())
    }

    async fn forget(&mut self, run: &RecordedRun) -> Result<(), Obstacle> {
        match self.ledger.get(&run.name).await? {
            Some(live) => drop(self.ledger.ticket_in(&run.name, &live)?),
            None => return Ok(()),
        }
        self.delete(&run.name).await
    }

    async fn forget_missing(&mut self, sequences: &[u64]) -> Result<(), Obstacle> {
        self.ledger.register_forgotten(sequences, self.lock).await
    }
}
