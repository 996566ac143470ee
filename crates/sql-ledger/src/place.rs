//! Where the tickets of a release are: the database, the tables in it, and who may write them now.

use std::cell::RefCell;

use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_sql::address::Address;
use fairlead_sql::engine::Engine;
use fairlead_sql::session::Texts;
use fairlead_sql::text::name;

use crate::link::Link;
use crate::tables::{CHUNK, LEASE, TICKET, Tables};

/// How often tables are created that another process creates at the same time.
const ATTEMPTS: usize = 3;

/// The tickets of a release in a database.
pub(crate) struct Place {
    pub(crate) link: Link,
    pub(crate) tables: Tables,
    pub(crate) release: String,
    /// Of the lock that was taken last.
    pub(crate) fence: RefCell<Option<Fence>>,
}

/// What makes a write fail that comes from a process which has lost its lease: the name of the holder, and a number that grows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fence {
    pub(crate) holder: String,
    pub(crate) token: u64,
}

impl Place {
    /// Which rows are of the release.
    pub(crate) fn of_release(&self) -> String {
        format!("release_name = {}", self.tables.text(&self.release))
    }

    /// Which rows are of a run.
    pub(crate) fn of_run(&self, sequence: u64) -> String {
        format!("{} and sequence = {sequence}", self.of_release())
    }

    /// Name of the ticket of a run.
    pub(crate) fn name(&self, sequence: u64) -> String {
        format!("{}.{sequence}", self.release)
    }

    /// The number in the name of a ticket.
    pub(crate) fn sequence_of(&self, name: &str) -> Option<u64> {
        name.strip_prefix(&self.release)?.strip_prefix('.')?.parse().ok()
    }

    /// What objects carry that the run with this ticket created.
    pub(crate) fn mark(&self, name: &str) -> String {
        format!("{}/{name}", self.tables.place())
    }

    /// `row shop.3 of table fairlead.ticket in db.shop:5432/ledger`; a chunk has a hyphen in its name.
    pub(crate) fn in_words(&self, name: &str) -> String {
        let is_chunk = name.strip_prefix(&self.release).is_some_and(|rest| rest.contains('-'));
        let table = self.tables.shown(if is_chunk { CHUNK } else { TICKET });
        format!("row {name} of table {table} in {}", self.link.address)
    }

    /// `read the tickets of release shop in db.shop:5432/ledger`.
    pub(crate) fn operation(&self, what: &str) -> String {
        format!("{what} of release {} in {}", self.release, self.link.address)
    }

    pub(crate) fn damaged(&self, name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Obstacle {
        self.damaged_as(Damage::Lost, name, source)
    }

    pub(crate) fn damaged_as(
        &self,
        damage: Damage,
        name: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Obstacle {
        Obstacle::Damaged { name: self.in_words(name), damage, source: source.into() }
    }

    /// Which lease the writes of a holder depend on.
    pub(crate) fn held(&self, fence: &Fence) -> String {
        let Fence { holder, token } = fence;
        format!("{} and scope = 'release' and holder = {} and token = {token}", self.of_release(), self.tables.text(holder))
    }

    /// What a table has; nothing where there is none.
    pub(crate) async fn read(&self, what: &str, statement: &str) -> Result<Vec<Texts>, Obstacle> {
        Ok(self.link.rows(&self.operation(what), statement).await?.unwrap_or_default())
    }

    /// Writes, and creates the tables before where there are none.
    pub(crate) async fn write(&self, link: &Link, what: &str, statements: &[String]) -> Result<Vec<Texts>, Obstacle> {
        let (operation, statements) = (self.operation(what), self.tables.transaction(statements));
        for _ in 0..ATTEMPTS {
            let rows = link.rows(&operation, &statements).await;
            match rows {
                Ok(Some(rows)) => return Ok(rows),
                Ok(None) => {}
                Err(obstacle) => return Err(self.advised(link, obstacle, false).await),
            }
            self.create(link).await?;
        }
        let source = format!("the tables of {} are not there, though they were created", self.tables.place()).into();
        Err(Obstacle::Refused { operation, source })
    }

    /// Writes while the lease is held; returns what the last statement answers, or none when the lease is lost.
    pub(crate) async fn write_fenced(
        &self,
        fence: &Fence,
        what: &str,
        statements: Vec<String>,
    ) -> Result<Option<Vec<Texts>>, Obstacle> {
        // Locked until the end of the transaction: nobody takes over between the question and the write.
        let lock = format!("select 'held' from {} where {} for update", self.tables.name(LEASE), self.held(fence));
        let statements = [vec![lock], statements].concat();
        let rows = self.link.rows(&self.operation(what), &self.tables.transaction(&statements)).await?;
        let Some(mut rows) = rows.filter(|rows| !rows.is_empty()) else { return Ok(None) };
        let answer = rows.split_off(1);
        Ok((rows[0] == [Some("held".to_owned())]).then_some(answer))
    }

    async fn create(&self, link: &Link) -> Result<(), Obstacle> {
        let operation = format!("create the tables of {} in {}", self.tables.place(), link.address);
        let mut created = Ok(());
        for _ in 0..ATTEMPTS {
            created = self.create_once(link, &operation).await;
            // Another process that creates the same makes it fail, once.
            if !matches!(created, Err(Obstacle::Refused { .. })) {
                break;
            }
        }
        match created {
            Ok(()) => Ok(()),
            Err(obstacle) => Err(self.advised(link, obstacle, true).await),
        }
    }

    /// An obstacle, with the statement that takes it out of the way where a right is missing.
    async fn advised(&self, link: &Link, obstacle: Obstacle, creates: bool) -> Obstacle {
        match obstacle {
            Obstacle::Forbidden { operation, rule, source } => {
                let grant = self.grant(creates, &self.account(link).await);
                let rule = format!("{rule}; whoever owns the database can allow it: {grant}");
                Obstacle::Forbidden { operation, rule, source }
            }
            obstacle => obstacle,
        }
    }

    /// Who we are to the server, as a grant names it. In MariaDB that is a user of a host, and each host's is another one.
    async fn account(&self, link: &Link) -> String {
        let Address { engine, username, .. } = &self.link.address;
        if *engine == Engine::PostgreSql {
            return name(*engine, username);
        }
        // Who cannot even ask is told of the user alone.
        let answer = link.rows(&self.operation("ask for the account"), "select current_user()").await;
        let account = answer.ok().flatten().and_then(|rows| rows.into_iter().flatten().flatten().next());
        match account.as_deref().and_then(|account| account.rsplit_once('@')) {
            Some((user, host)) => format!("{}@{}", self.tables.text(user), self.tables.text(host)),
            None => self.tables.text(username),
        }
    }

    /// What lets this user write the tables, or create them.
    fn grant(&self, creates: bool, user: &str) -> String {
        let Address { engine, database, .. } = &self.link.address;
        let database = name(*engine, database);
        let (rights, schema) = ("select, insert, update, delete", name(*engine, self.tables.place()));
        match engine {
            Engine::PostgreSql if creates => format!("grant create on database {database} to {user};"),
            Engine::PostgreSql => format!(
                "grant usage on schema {schema} to {user}; grant {rights} on all tables in schema {schema} to {user};"
            ),
            Engine::MariaDb => {
                format!("grant create, references, {rights} on {database}.* to {user};")
            }
        }
    }

    async fn create_once(&self, link: &Link, operation: &str) -> Result<(), Obstacle> {
        if let Some(lacks_schema) = self.tables.lacks_schema() {
            let lacks = link.rows(operation, &lacks_schema).await?.unwrap_or_default();
            if lacks.iter().flatten().flatten().any(|answer| answer == "1") {
                link.rows(operation, &self.tables.create_schema()).await?;
            }
        }
        link.rows(operation, &self.tables.create()).await?;
        tracing::info!(place = self.tables.place(), database = %link.address, "created the tables for the tickets");
        Ok(())
    }
}
