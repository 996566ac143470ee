//! What the ledger holds: which runs there were, and from what each can be undone.

use std::collections::BTreeMap;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot;
use fairlead_migration::ticket::{FORMAT, Journal as _, Phase, Ticket};
use k8s_openapi::ByteString;
use kube::api::GetParams;
use serde_json::Value;

use super::{Ledger, PHASE_LABEL, RELEASE_LABEL, REVISION_LABEL, STEP_LABEL, ticket_name};

/// A run that is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of its Secret.
    pub name: String,
    /// Its number in the ledger.
    pub sequence: u64,
    /// The step, named like its binary.
    pub step: String,
    /// Where it is.
    pub phase: Phase,
    /// Helm's revision; only when Helm ran the job.
    pub helm_revision: Option<u32>,
    /// When it began; RFC 3339.
    pub created: String,
}

impl Ledger<'_> {
    /// Every run of a release, the oldest first.
    pub async fn entries(&self, release: &str) -> Result<Vec<Entry>, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={release},{PHASE_LABEL}");
        let prefix = ticket_name(release, "");
        let entry = |secret: Value| {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let labels = &secret["metadata"]["labels"];
            let name = text(&secret["metadata"]["name"])?;
            Some(Entry {
                sequence: name.strip_prefix(&prefix)?.parse().ok()?,
                step: text(&labels[STEP_LABEL])?,
                phase: Phase::parse(labels[PHASE_LABEL].as_str()?)?,
                helm_revision: labels[REVISION_LABEL].as_str().and_then(|revision| revision.parse().ok()),
                created: text(&secret["metadata"]["creationTimestamp"])?,
                name,
            })
        };
        let mut entries = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), entry).await?;
        entries.sort_by_key(|entry| entry.sequence);
        Ok(entries)
    }

    /// Opens the ticket of an earlier run again: what is entered from now on is entered there. Returns the ticket, the mark of
    /// its objects, and its plan; every digest has been checked.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Damaged`] names the Secret that is missing, truncated, changed, or written by a later version.
    pub async fn reopen(&mut self, name: &str) -> Result<(Ticket, String, Plan), Obstacle> {
        let live = self.content(name).await?;
        let ticket: Ticket =
            serde_json::from_slice(&bytes(&live, "ticket").ok_or_else(|| self.damaged(name, "it has no ticket"))?)
                .map_err(|error| self.damaged(name, error))?;
        if ticket.min_reader > FORMAT {
            let what = format!(
                "{} wrote it, and this version reads formats up to {FORMAT}, not {}",
                ticket.tool, ticket.min_reader
            );
            return Err(self.damaged(name, what));
        }
        let mut chunks = Vec::new();
        for index in 0..ticket.snapshot.chunks.len() {
            let chunk = format!("{name}-{index}");
            let content = self.content(&chunk).await?;
            chunks.push(bytes(&content, "chunk").ok_or_else(|| self.damaged(&chunk, "it has no chunk"))?);
        }
        let plan = snapshot::read(&chunks, &ticket.snapshot).map_err(|error| match &error {
            snapshot::Error::Damaged { index, .. } if *index < chunks.len() => {
                self.damaged(&format!("{name}-{index}"), error)
            }
            _ => self.damaged(name, error),
        })?;
        self.opened(name.to_owned(), &live);
        Ok((ticket, format!("{}/{name}", self.namespace), plan))
    }

    /// Notes that a run whose ticket says [`Phase::Planned`] came to nothing: its snapshot may not be complete.
    pub async fn abandon(&mut self, name: &str) -> Result<(), Obstacle> {
        let live = self.content(name).await?;
        self.opened(name.to_owned(), &live);
        self.enter(Phase::RolledBack).await
    }

    pub(super) async fn last_sequence(&self, release: &str) -> Result<u64, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={release}");
        let prefix = ticket_name(release, "");
        let sequence = |secret: Value| -> Option<u64> {
            // Chunks count, too: those of a deleted ticket are there until the garbage collector comes.
            let rest = secret["metadata"]["name"].as_str()?.strip_prefix(&prefix)?;
            rest.split_once('-').map_or(rest, |(sequence, _)| sequence).parse().ok()
        };
        let sequences = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), sequence).await?;
        Ok(sequences.into_iter().max().unwrap_or(0))
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Value>, Obstacle> {
        let operation = self.operation("get", Some(name));
        let request = self.requests().get(name, &GetParams::default());
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation.to_string(), source: source.into() })?;
        match self.cluster.send(request).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.cluster.obstacle(operation, error).await),
        }
    }

    async fn content(&self, name: &str) -> Result<Value, Obstacle> {
        self.read(name).await?.ok_or_else(|| self.damaged(name, "it is not there"))
    }

    fn damaged(&self, name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Obstacle {
        Obstacle::Damaged { name: format!("Secret {}/{name}", self.namespace), source: source.into() }
    }
}

/// One value of a Secret, decoded.
fn bytes(secret: &Value, key: &str) -> Option<Vec<u8>> {
    let data: BTreeMap<String, ByteString> = serde_json::from_value(secret["data"].clone()).ok()?;
    Some(data.into_iter().find(|(name, _)| name == key)?.1.0)
}
