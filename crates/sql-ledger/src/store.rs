//! The store that a job gets.

use std::cell::RefCell;
use std::collections::BTreeSet;

use async_trait::async_trait;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::run::{Ending, RecordedRun, Reopened};
use fairlead_migration::store::{Holder, Journal, Lock, Purpose, Scope, Store, Terms};
use fairlead_migration::ticket::Ticket;
use fairlead_migration::transfer::{Exported, Imported};
use fairlead_sql::address::{Address, Values};
use serde_json::Value;

use crate::journal::TicketJournal;
use crate::lease::{self, Lease};
use crate::link::Link;
use crate::place::Place;
use crate::tables::Tables;
use crate::{history, register, transfer};

/// The tickets of one release, in tables of a database.
pub struct SqlLedger {
    place: Place,
}

impl SqlLedger {
    /// The tickets of `release` in the schema `place` of a PostgreSQL database, or in the tables `_<place>_…` of a MariaDB database. Nothing
    /// is sent yet: what reads connects, and finds nothing where there are no tables; what writes creates them.
    #[must_use]
    pub fn new(address: Address, values: Values, place: &str, release: &str) -> Self {
        let tables = Tables::new(address.engine, place);
        let (link, fence) = (Link::new(address, values), RefCell::default());
        Self { place: Place { link, tables, release: release.to_owned(), fence } }
    }
}

#[async_trait(?Send)]
impl Store for SqlLedger {
    async fn runs(&self) -> Result<Vec<RecordedRun>, Obstacle> {
        Ok(history::records(&self.place).await?.iter().map(|record| record.run(&self.place)).collect())
    }

    async fn missing(&self) -> Result<Vec<u64>, Obstacle> {
        register::missing(&self.place).await
    }

    async fn damages(&self, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle> {
        history::damages(&self.place, runs).await
    }

    /// Where others have a namespace there is a database here.
    async fn others(&self) -> Result<BTreeSet<(String, String)>, Obstacle> {
        let database = self.place.link.address.to_string();
        Ok(history::releases(&self.place).await?.into_iter().map(|release| (database.clone(), release)).collect())
    }

    fn address(&self, sequence: u64) -> String {
        self.place.in_words(&self.place.name(sequence))
    }

    async fn read(&self, name: &str) -> Result<Reopened, Obstacle> {
        history::reopen(&self.place, &history::record(&self.place, name).await?).await
    }

    async fn ticket(&self, name: &str) -> Result<Ticket, Obstacle> {
        history::record(&self.place, name).await?.ticket(&self.place)
    }

    async fn evidence(&self, run: &RecordedRun) -> Result<Option<Value>, Obstacle> {
        history::evidence(&self.place, run).await
    }

    async fn endings(&self) -> Result<Vec<Ending>, Obstacle> {
        register::endings(&self.place).await
    }

    async fn note(&self, ending: &Ending) -> Result<(), Obstacle> {
        register::note(&self.place, ending, None).await
    }

    async fn export(&self) -> Result<Exported, Obstacle> {
        transfer::export(&self.place).await
    }

    async fn import(&self, documents: &[Value]) -> Result<Vec<Imported>, Obstacle> {
        transfer::import(&self.place, documents).await
    }

    fn read_exported(&self, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle> {
        transfer::read_exported(&self.place, documents)
    }

    /// The first write says which right is missing: it takes the lock, and nothing has been changed before.
    async fn require(&self, _purpose: Purpose, _user: Option<&str>) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn lock<'a>(&'a self, terms: Terms<'a>) -> Result<Box<dyn Lock + 'a>, Obstacle> {
        // Nobody is at a run in the background; and what is only watched nobody may spoil.
        let is_at_work = |run: &RecordedRun| run.is_unfinished() && run.phase() != Phase::Background;
        let is_at_work = async || Ok(self.runs().await?.iter().any(is_at_work));
        Ok(Box::new(Lease::acquire(&self.place, terms, is_at_work).await?))
    }

    async fn holder(&self, scope: Scope) -> Result<Option<Holder>, Obstacle> {
        lease::holder(&self.place, scope).await
    }

    fn journal<'a>(&'a self, lock: &'a dyn Lock) -> Box<dyn Journal + 'a> {
        Box::new(TicketJournal::new(&self.place, lock))
    }
}
