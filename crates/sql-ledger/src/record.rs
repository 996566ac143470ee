//! A row of the table of tickets, and what it says.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fairlead_migration::evidence;
use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::snapshot::{self, Manifest};
use fairlead_migration::ticket::{Ticket, Unreadable};
use fairlead_sql::session::Texts;
use serde_json::Value;

use crate::place::Place;

/// How much of the digest is in the name of a chunk of evidence.
const SHORT_DIGEST: usize = 8;

/// A ticket as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) sequence: u64,
    /// One more with each write.
    pub(crate) version: u64,
    /// RFC 3339.
    pub(crate) created: String,
    pub(crate) step: String,
    /// Of the ticket: nothing but its progress ever changes.
    pub(crate) digest: String,
    pub(crate) ticket: String,
    pub(crate) progress: String,
}

/// The columns of a [`Record`], in their order.
pub(crate) const COLUMNS: &str = "sequence, version, created, step, digest, ticket, progress";

impl Record {
    /// A row as the server answers it.
    pub(crate) fn read(row: &Texts) -> Option<Self> {
        let texts: Option<Vec<String>> = row.iter().cloned().collect();
        let [sequence, version, created, step, digest, ticket, progress] = texts?.try_into().ok()?;
        let (sequence, version) = (sequence.parse().ok()?, version.parse().ok()?);
        Some(Self { sequence, version, created, step, digest, ticket, progress })
    }

    /// The ticket.
    pub(crate) fn ticket(&self, place: &Place) -> Result<Ticket, Obstacle> {
        let name = place.name(self.sequence);
        let ticket: Value = serde_json::from_str(&self.ticket).map_err(|error| place.damaged(&name, error))?;
        if evidence::digest(&ticket) != self.digest {
            return Err(place.damaged(&name, "somebody has changed its ticket"));
        }
        Ticket::read(ticket).map_err(|error| match error {
            Unreadable::OtherVersion(_) => place.damaged_as(Damage::OtherVersion, &name, error),
            Unreadable::Malformed(_) => place.damaged(&name, error),
        })
    }

    /// How far its run has come. A record that cannot be read is damage: to take it for anything else would undo too much, or too little.
    pub(crate) fn progress(&self, place: &Place) -> Result<Progress, Obstacle> {
        let damaged = |error| {
            let what = format!("its column progress cannot be read: {error}");
            place.damaged_as(Damage::Marks, &place.name(self.sequence), what)
        };
        serde_json::from_str(&self.progress).map_err(damaged)
    }

    /// The run. One that cannot be read counts as unfinished, and all that it may have changed as changed, so that nobody passes over it:
    /// whoever opens it ends there.
    pub(crate) fn run(&self, place: &Place) -> RecordedRun {
        let ticket: Value = serde_json::from_str(&self.ticket).unwrap_or_default();
        // Without changes it would be superfluous, and its ticket the first to go.
        let changes = ticket["changes"].as_u64().and_then(|changes| changes.try_into().ok()).unwrap_or(1);
        let unread = Progress { phase: Phase::Applying, begun: changes, ..Progress::planned() };
        RecordedRun {
            name: place.name(self.sequence),
            sequence: self.sequence,
            step: self.step.clone(),
            helm_revision: ticket["helmRevision"].as_u64().and_then(|revision| revision.try_into().ok()),
            installation: serde_json::from_value(ticket["installation"].clone()).ok(),
            created: self.created.clone(),
            changes,
            holds: ticket["holds"] == true,
            progress: self.progress(place).unwrap_or(unread),
        }
    }

    /// Ticket and plan, out of these chunks. Every digest is checked.
    pub(crate) fn reopen(&self, place: &Place, chunks: &BTreeMap<String, String>) -> Result<Reopened, Obstacle> {
        let (name, ticket) = (place.name(self.sequence), self.ticket(place)?);
        let found = self.bytes(place, chunks, &snapshot_names(&ticket.snapshot))?;
        let plan = snapshot::read(&found, &ticket.snapshot);
        let plan = plan.map_err(|error| self.damaged_chunk(place, &snapshot_names(&ticket.snapshot), error))?;
        let mut progress = self.progress(place)?;
        progress.begun = progress.begun.min(plan.len());
        Ok(Reopened { mark: place.mark(&name), ticket, plan, progress })
    }

    /// The evidence, out of these chunks.
    pub(crate) fn evidence(
        &self,
        place: &Place,
        chunks: &BTreeMap<String, String>,
        manifest: &Manifest,
    ) -> Result<Value, Obstacle> {
        let names = evidence_names(manifest);
        let evidence = evidence::unpack(&self.bytes(place, chunks, &names)?, manifest);
        evidence.map_err(|error| self.damaged_chunk(place, &names, error))
    }

    fn bytes(&self, place: &Place, chunks: &BTreeMap<String, String>, names: &[String]) -> Result<Vec<Vec<u8>>, Obstacle> {
        let chunk = |name: &String| {
            let in_words = self.chunk_name(place, name);
            let content = chunks.get(name).ok_or_else(|| place.damaged(&in_words, "it is not there"))?;
            STANDARD.decode(content).map_err(|error| place.damaged(&in_words, error))
        };
        names.iter().map(chunk).collect()
    }

    fn damaged_chunk(&self, place: &Place, names: &[String], error: snapshot::Error) -> Obstacle {
        let chunk = if let snapshot::Error::Damaged { index, .. } = &error { names.get(*index) } else { None };
        let name = chunk.map_or_else(|| place.name(self.sequence), |chunk| self.chunk_name(place, chunk));
        place.damaged(&name, error)
    }

    /// What people call a chunk: `shop.3-0`.
    pub(crate) fn chunk_name(&self, place: &Place, chunk: &str) -> String {
        format!("{}-{chunk}", place.name(self.sequence))
    }
}

/// A chunk as it is stored.
pub(crate) fn encoded(chunk: &[u8]) -> String {
    STANDARD.encode(chunk)
}

/// Names of the chunks of a snapshot.
pub(crate) fn snapshot_names(manifest: &Manifest) -> Vec<String> {
    (0..manifest.chunks.len()).map(|index| index.to_string()).collect()
}

/// Names of the chunks of evidence: by their content, so that a chunk that was written by a process that died is not taken for one of
/// another look.
pub(crate) fn evidence_names(manifest: &Manifest) -> Vec<String> {
    let name = |digest: &String| {
        let hex = digest.rsplit_once(':').map_or(digest.as_str(), |(_, hex)| hex);
        format!("e{}", hex.get(..SHORT_DIGEST).unwrap_or(hex))
    };
    manifest.chunks.iter().map(name).collect()
}
