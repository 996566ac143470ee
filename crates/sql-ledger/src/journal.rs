//! Keeps the ticket of the run that is under way. Every write depends on the lease, and on the ticket being as this run has left it.

use std::time::Duration;

use async_trait::async_trait;
use fairlead_migration::evidence;
use fairlead_migration::obstacle::{Damage, Obstacle, Stop, chain};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::store::{Journal, Lock};
use fairlead_migration::ticket::Ticket;
use fairlead_sql::session::Texts;
use serde_json::Value;

use crate::history;
use crate::place::{Fence, Place};
use crate::record::{Record, encoded, evidence_names};
use crate::register;
use crate::tables::{CHUNK, LEASE, TICKET};

/// Keeps one ticket.
pub(crate) struct TicketJournal<'a> {
    place: &'a Place,
    lock: &'a dyn Lock,
    fence: Option<Fence>,
    /// Of the ticket that is open.
    sequence: u64,
    /// The version that this run has written or read last: whoever has written since has not asked us.
    version: u64,
}

impl<'a> TicketJournal<'a> {
    /// No ticket is open yet.
    pub(crate) fn new(place: &'a Place, lock: &'a dyn Lock) -> Self {
        let fence = place.fence.borrow().clone();
        Self { place, lock, fence, sequence: 0, version: 0 }
    }

    fn name(&self) -> String {
        self.place.name(self.sequence)
    }

    /// What the last statement answers.
    ///
    /// # Errors
    ///
    /// [`Stop::LeaseOver`] when the lease is lost: then nothing was written.
    async fn write(&self, what: &str, statements: Vec<String>) -> Result<Vec<Texts>, Obstacle> {
        let over = Obstacle::Stopped(Stop::LeaseOver);
        let Some(fence) = self.fence.as_ref().filter(|_| self.lock.lasts(Duration::ZERO)) else { return Err(over) };
        self.place.write_fenced(fence, what, statements).await?.ok_or(over)
    }

    /// What every write asks for, beside what it writes.
    fn held(&self) -> String {
        self.fence.as_ref().map_or_else(|| "1 = 0".to_owned(), |fence| self.place.held(fence))
    }

    /// Inserts a row, unless it is there.
    fn insert(&self, table: &str, columns: &str, values: &str) -> String {
        let (tables, held) = (&self.place.tables, self.held());
        format!(
            "insert into {} (release_name, sequence, {columns}) select {}, {}, {values} from {} where {held} {}",
            tables.name(table),
            tables.text(&self.place.release),
            self.sequence,
            tables.name(LEASE),
            tables.or_nothing()
        )
    }

    fn given(&self, sequence: u64, is_pruned: bool) -> String {
        register::given(self.place, sequence, is_pruned, Some(&self.held()))
    }

    /// Those rows of the table of tickets, while the lease is held.
    fn run_while_held(&self, sequence: u64) -> String {
        let lease = self.place.tables.name(LEASE);
        format!("{} and exists (select 1 from {lease} where {})", self.place.of_run(sequence), self.held())
    }

    async fn create(&mut self, ticket: &Ticket) -> Result<(), Obstacle> {
        let Place { tables, .. } = self.place;
        let failed = |error: serde_json::Error| Obstacle::Refused {
            operation: self.place.operation("write a ticket"),
            source: error.into(),
        };
        let content = serde_json::to_value(ticket).map_err(failed)?;
        let progress = serde_json::to_string(&Progress::planned()).map_err(failed)?;
        let digest = evidence::digest(&content);
        // The lease is ours, so nobody else takes a sequence. Objects carry the address of their ticket: nobody may ever have it again.
        self.sequence = register::last(self.place).await? + 1;
        let [step, content, progress] = [&ticket.step, &content.to_string(), &progress].map(|text| tables.text(text));
        let created = tables.written(tables.now(), false);
        let values = format!("1, {created}, {step}, {}, {content}, {progress}", tables.text(&digest));
        let insert = self.insert(TICKET, "version, created, step, digest, ticket, progress", &values);
        let of_run = self.place.of_run(self.sequence);
        let select = format!("select version, digest from {} where {of_run}", tables.name(TICKET));
        let statements = vec![insert, self.given(self.sequence, false), select];
        let there = self.write("create a ticket", statements).await?;
        if there != [[Some("1".to_owned()), Some(digest)]] {
            let what = "somebody has written it, though this run has the lease";
            return Err(self.place.damaged(&self.name(), what));
        }
        self.version = 1;
        Ok(())
    }

    async fn create_chunk(&self, name: &str, chunk: &[u8]) -> Result<(), Obstacle> {
        let [name, content] = [name, &encoded(chunk)].map(|text| self.place.tables.text(text));
        let insert = self.insert(CHUNK, "name, content", &format!("{name}, {content}"));
        self.write("store a chunk of a ticket", vec![insert]).await.map(drop)
    }

    /// Deletes a ticket with its chunks. The register is told in the same transaction.
    async fn delete(&self, sequence: u64) -> Result<(), Obstacle> {
        let delete = format!("delete from {} where {}", self.place.tables.name(TICKET), self.run_while_held(sequence));
        self.write("delete a ticket", vec![self.given(sequence, true), delete]).await.map(drop)
    }

    /// Somebody has deleted the ticket while its run was at work. When everything has been taken back nobody need miss it.
    async fn record_of_deleted(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        let name = self.name();
        if progress.phase != Phase::RolledBack {
            return Err(self.place.damaged(&name, "it is not there: somebody has deleted it"));
        }
        tracing::warn!(ticket = name, "somebody has deleted the ticket; what it was for has been taken back");
        self.forget_missing(&[self.sequence]).await
    }

    fn note(&mut self, record: &Record) {
        (self.sequence, self.version) = (record.sequence, record.version);
    }
}

#[async_trait(?Send)]
impl Journal for TicketJournal<'_> {
    async fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> Result<String, Obstacle> {
        self.create(ticket).await?;
        for (index, chunk) in snapshot.chunks().enumerate() {
            if let Err(obstacle) = self.create_chunk(&index.to_string(), &chunk).await {
                // Nothing was changed, and a ticket without its snapshot is of no use.
                if let (false, Err(undeleted)) = (matches!(obstacle, Obstacle::Stopped(_)), self.delete(self.sequence).await)
                {
                    tracing::warn!(
                        error = chain(&undeleted),
                        ticket = self.name(),
                        "a ticket without its snapshot stays behind"
                    );
                }
                return Err(obstacle);
            }
        }
        Ok(self.place.mark(&self.name()))
    }

    async fn reopen(&mut self, name: &str) -> Result<Reopened, Obstacle> {
        let record = history::record(self.place, name).await?;
        let reopened = history::reopen(self.place, &record).await?;
        self.note(&record);
        Ok(reopened)
    }

    async fn abandon(&mut self, name: &str) -> Result<(), Obstacle> {
        let record = history::record(self.place, name).await?;
        // What this phase means to a later version nobody here knows.
        record.ticket(self.place)?;
        let phase = record.progress(self.place)?.phase;
        if phase != Phase::Planned {
            let source = format!("it is in phase {}", phase.as_str()).into();
            return Err(Obstacle::Refused { operation: format!("abandon {}", self.place.in_words(name)), source });
        }
        self.note(&record);
        self.record(&Progress { phase: Phase::RolledBack, ..Progress::planned() }).await
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        let operation = || format!("write {}", self.place.in_words(&self.name()));
        let progress_text = serde_json::to_string(progress)
            .map_err(|source| Obstacle::Refused { operation: operation(), source: source.into() })?;
        let (table, of_run) = (self.place.tables.name(TICKET), self.place.of_run(self.sequence));
        let (before, next) = (self.version, self.version + 1);
        let text = self.place.tables.text(&progress_text);
        let ours = self.run_while_held(self.sequence);
        let update = format!("update {table} set progress = {text}, version = {next} where {ours} and version = {before}");
        let select = format!("select version, progress from {table} where {of_run}");
        let there = self.write("write a ticket", vec![update, select]).await?;
        match there.first().map(Vec::as_slice) {
            None => self.record_of_deleted(progress).await,
            // Also when it was sent a second time, because the answer was lost.
            Some([Some(version), Some(found)]) if *version == next.to_string() && *found == progress_text => {
                self.version = next;
                Ok(())
            }
            Some(_) => {
                let what = "somebody else has written it while its run was at work: the run has not recorded how far it is";
                Err(self.place.damaged_as(Damage::Marks, &self.name(), what))
            }
        }
    }

    async fn attest(&mut self, evidence: &Value, progress: &mut Progress) -> Result<(), Obstacle> {
        let (chunks, manifest) = evidence::pack(evidence)
            .map_err(|source| Obstacle::Refused { operation: "compress the evidence".to_owned(), source: source.into() })?;
        for (name, chunk) in evidence_names(&manifest).iter().zip(&chunks) {
            self.create_chunk(name, chunk).await?;
        }
        progress.evidence = Some(manifest);
        Ok(())
    }

    async fn forget(&mut self, run: &RecordedRun) -> Result<(), Obstacle> {
        let Some(record) = history::find(self.place, &run.name).await? else { return Ok(()) };
        record.ticket(self.place)?;
        self.delete(run.sequence).await
    }

    async fn forget_missing(&mut self, sequences: &[u64]) -> Result<(), Obstacle> {
        if sequences.is_empty() {
            return Ok(());
        }
        let pruned = sequences.iter().map(|sequence| self.given(*sequence, true)).collect();
        self.write("forget tickets that are missing", pruned).await.map(drop)
    }
}
