//! What the ledger holds: which runs there were, and from what each can be undone.

use std::collections::BTreeMap;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::snapshot;
use fairlead_migration::ticket::{FORMAT, Journal as _, KUBERNETES, Phase, Progress, Ticket};
use k8s_openapi::ByteString;
use kube::api::GetParams;
use serde_json::Value;

use super::{
    CHANGES_ANNOTATION, Ledger, PHASE_LABEL, PROGRESS_ANNOTATION, RELEASE_LABEL, REVISION_LABEL, STEP_LABEL, ticket_name,
};

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
    /// How many changes its plan has.
    pub changes: usize,
    /// How far it has come.
    pub progress: Progress,
}

/// The ticket of an earlier run, opened again.
#[derive(Debug)]
pub struct Reopened {
    /// What the objects carry that it created.
    pub mark: String,
    /// What it was to do.
    pub plan: Plan,
    /// How far it has come.
    pub progress: Progress,
}

/// How far a run has come, as its ticket says.
fn progress(secret: &Value, phase: Phase) -> Progress {
    let text = secret["metadata"]["annotations"][PROGRESS_ANNOTATION].as_str();
    let read = text.and_then(|text| serde_json::from_str(text).ok());
    // Without it nothing had been begun, or somebody has taken it away: then everything may have been.
    let begun = if phase == Phase::Planned { 0 } else { usize::MAX };
    let unknown = Progress { begun, ..Progress::planned() };
    Progress { phase, ..read.unwrap_or(unknown) }
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
            let phase = Phase::parse(labels[PHASE_LABEL].as_str()?)?;
            let changes = secret["metadata"]["annotations"][CHANGES_ANNOTATION].as_str();
            Some(Entry {
                sequence: name.strip_prefix(&prefix)?.parse().ok()?,
                step: text(&labels[STEP_LABEL])?,
                phase,
                changes: changes.and_then(|changes| changes.parse().ok()).unwrap_or_default(),
                progress: progress(&secret, phase),
                helm_revision: labels[REVISION_LABEL].as_str().and_then(|revision| revision.parse().ok()),
                created: text(&secret["metadata"]["creationTimestamp"])?,
                name,
            })
        };
        let mut entries = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), entry).await?;
        entries.sort_by_key(|entry| entry.sequence);
        Ok(entries)
    }

    /// Opens the ticket of an earlier run again: what is recorded from now on is recorded there. Every digest has been checked.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Damaged`] names the Secret that is missing, truncated, changed, or written by a later version.
    pub async fn reopen(&mut self, name: &str) -> Result<Reopened, Obstacle> {
        let live = self.content(name).await?;
        let ticket = self.ticket_in(name, &live)?;
        if ticket.min_reader > FORMAT {
            let what = format!(
                "{} wrote it, and this version reads formats up to {FORMAT}, not {}",
                ticket.tool, ticket.min_reader
            );
            return Err(self.damaged(name, what));
        }
        if ticket.executor != KUBERNETES {
            let what = format!("it is of {}; only `{} rollback` takes it back", ticket.executor, ticket.step);
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
        let phase = live["metadata"]["labels"][PHASE_LABEL].as_str().and_then(Phase::parse);
        let phase =
            phase.ok_or_else(|| self.damaged(name, format!("its label {PHASE_LABEL} is not there or says no phase")))?;
        let mut progress = progress(&live, phase);
        progress.begun = progress.begun.min(plan.len());
        Ok(Reopened { mark: format!("{}/{name}", self.namespace), plan, progress })
    }

    /// The digest of the plan of a run: two with the same have done the same.
    pub async fn plan_digest(&self, name: &str) -> Result<String, Obstacle> {
        Ok(self.ticket_in(name, &self.content(name).await?)?.plan_digest)
    }

    /// Notes that a run whose ticket says [`Phase::Planned`] came to nothing: its snapshot may not be complete.
    pub async fn abandon(&mut self, name: &str) -> Result<(), Obstacle> {
        let live = self.content(name).await?;
        self.opened(name.to_owned(), &live);
        self.record(&Progress { phase: Phase::RolledBack, ..Progress::planned() }).await
    }

    /// Deletes the tickets of runs that have been taken back, but for the newest `keep` of them and those that are `needed`. Those
    /// in force, unfinished or dirty stay for ever.
    pub async fn prune(&self, release: &str, keep: usize, needed: impl Fn(&Entry) -> bool) -> Result<(), Obstacle> {
        let mut entries = self.entries(release).await?;
        entries.retain(|entry| entry.phase == Phase::RolledBack && !needed(entry));
        let superfluous = entries.len().saturating_sub(keep);
        for entry in &entries[..superfluous] {
            self.delete(&entry.name).await?;
            tracing::info!(ticket = entry.name, "pruned");
        }
        Ok(())
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
        let request = self.requests().get(name, &GetParams::default());
        match self.cluster.send(request.map_err(|error| self.cannot_ask("get", name, error))?).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.cluster.obstacle(self.operation("get", Some(name)), error).await),
        }
    }

    pub(super) fn ticket_in(&self, name: &str, secret: &Value) -> Result<Ticket, Obstacle> {
        let content = bytes(secret, "ticket").ok_or_else(|| self.damaged(name, "it has no ticket"))?;
        serde_json::from_slice(&content).map_err(|error| self.damaged(name, error))
    }

    async fn content(&self, name: &str) -> Result<Value, Obstacle> {
        self.read(name).await?.ok_or_else(|| self.damaged(name, "it is not there"))
    }

    pub(super) fn damaged(&self, name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Obstacle {
        Obstacle::Damaged { name: format!("Secret {}/{name}", self.namespace), source: source.into() }
    }
}

/// One value of a Secret, decoded.
pub(super) fn bytes(secret: &Value, key: &str) -> Option<Vec<u8>> {
    let data: BTreeMap<String, ByteString> = serde_json::from_value(secret["data"].clone()).ok()?;
    Some(data.into_iter().find(|(name, _)| name == key)?.1.0)
}
