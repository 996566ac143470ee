//! A query on PostgreSQL, MySQL or MariaDB that counts what is left.
//!
//! Each reading is a transaction of its own that can write nothing, on the primary: a replica lies behind, and a transaction that stays
//! open sees what was true when it began. The answer is one row with one whole number, and nothing else is. What others have written and
//! not committed yet is not in that answer: where the server tells of it, nothing is known until it is done.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::connection::{Tls, TlsFiles, text};
use crate::http::TIMEOUT;
use crate::reading::{Left, Reading};
use crate::source::{Credentials, OpenError, SecretKey, Source};

mod batch;
mod connection;
mod explain;
mod guard;
mod plan;

pub use connection::Engine;
use connection::{Connection, Failure, Place};
use guard::{Shown, Tables};

/// How often a zero is asked for again that somebody's open transaction speaks against, and how long after.
const ATTEMPTS: u32 = 10;
const PAUSE: Duration = Duration::from_millis(300);

/// A query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Host name or address of the primary.
    pub host: String,
    /// Its port; that of the kind of database when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Name of the database.
    pub database: String,
    /// Who we are.
    pub username: String,
    /// Our password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretKey>,
    /// How the server is recognized; without this field nothing is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Answers one row with one whole number: `select count(*) from jobs where not done`.
    pub query: String,
    /// Answers one row with one whole number that grows with every row that comes in: `select max(id) from jobs`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<String>,
}

/// A connection to a database.
pub struct Sql {
    place: Place,
    configuration: Configuration,
    /// None after an error: the next reading connects again.
    connection: Option<Connection>,
    /// The tables that the query has read.
    tables: Tables,
    /// What the server shows; none until everything was asked one by one.
    shown: Option<Shown>,
}

/// What a reading has found.
struct Answer {
    version: String,
    is_replica: bool,
    left: u64,
    end: Option<u64>,
    /// What speaks against an answer of zero.
    doubt: Option<String>,
}

/// Connects and reads once.
pub async fn open(engine: Engine, configuration: &Configuration, credentials: &dyn Credentials) -> Result<Sql, OpenError> {
    let Configuration { host, database, username, password, tls, query, end, .. } = configuration;
    for (field, query) in [("query", Some(query)), ("end", end.as_ref())] {
        if query.is_some_and(|query| query.trim().is_empty()) {
            return Err(OpenError::Invalid(format!("{field} is empty; write what counts the rows that are left")));
        }
    }
    let password = match password {
        Some(key) => Some(text(key, credentials).await?),
        None => None,
    };
    let files = TlsFiles::read(tls.as_ref(), credentials).await?;
    // What is of no use in them is said before anything is sent.
    files.client_config()?;
    let tls = tls.as_ref().map(|_| files);
    let port = configuration.port.unwrap_or(engine.port());
    let (host, database, username) = (host.clone(), database.clone(), username.clone());
    let place = Place { engine, host, port, database, username, password, tls };
    let mut source =
        Sql { place, configuration: configuration.clone(), connection: None, tables: Tables::new(), shown: None };
    // Only now it is known which tables are read.
    source.ask().await?;
    Ok(source)
}

#[async_trait(?Send)]
impl Source for Sql {
    async fn read(&mut self) -> Reading {
        match self.ask().await {
            Ok(reading) => reading,
            Err(error) => error.into(),
        }
    }
}

impl Sql {
    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let connection = self.connection.take();
        let is_connected = connection.is_some();
        let place = &self.place;
        let asked = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => place.connect().await?,
            };
            let mut reader = Asking { configuration: &self.configuration, tables: &mut self.tables, shown: &mut self.shown };
            let reading = reader.read(&mut connection).await?;
            Ok((connection, reading))
        };
        let error = match tokio::time::timeout(TIMEOUT, asked).await {
            Ok(Ok((connection, reading))) => {
                self.connection = Some(connection);
                return Ok(reading);
            }
            Ok(Err(Failure::Useless(what))) => OpenError::Invalid(format!("{}: {what}", place.address())),
            Ok(Err(Failure::Server(error))) => place.explain(error),
            Err(_) => place.silent(is_connected),
        };
        // Another server may answer next.
        self.shown = None;
        Err(error)
    }
}

/// A reading under way.
struct Asking<'a> {
    configuration: &'a Configuration,
    tables: &'a mut Tables,
    shown: &'a mut Option<Shown>,
}

impl Asking<'_> {
    async fn read(&mut self, connection: &mut Connection) -> Result<Reading, Failure> {
        let mut attempts: u32 = 0;
        let answer = loop {
            let answer = match self.shown.clone() {
                Some(shown) => self.at_once(connection, &shown).await?,
                None => None,
            };
            let answer = match answer {
                Some(answer) => answer,
                None => self.one_by_one(connection).await?,
            };
            if answer.is_replica {
                return Err(Failure::Useless("it is a replica, which lies behind; name the primary".to_owned()));
            }
            attempts += 1;
            // Most transactions are done in a moment: also those of workers that look for rows, and find none.
            if answer.left > 0 || answer.doubt.is_none() || attempts == ATTEMPTS {
                break answer;
            }
            tokio::time::sleep(PAUSE).await;
        };
        let left = match (answer.left, answer.doubt) {
            (0, Some(doubt)) => Left::Unknown(doubt),
            (0, None) => Left::Empty,
            (left, _) => Left::Some(left),
        };
        let Configuration { database, query, .. } = self.configuration;
        Ok(Reading {
            ends: answer.end.map(|end| (database.clone(), end)).into_iter().collect::<BTreeMap<_, _>>(),
            server: Some(answer.version),
            seen: json!({"query": query, "answer": answer.left}),
            requests: attempts,
            ..Reading::new(left)
        })
    }

    /// In one message; none where the query has read a table of which nobody has asked yet who writes there.
    async fn at_once(&mut self, connection: &mut Connection, shown: &Shown) -> Result<Option<Answer>, Failure> {
        let (answer, read) = connection.all(self.configuration, shown, self.tables).await?;
        if read.is_subset(self.tables) {
            return Ok(Some(answer));
        }
        self.tables.extend(read);
        Ok(None)
    }

    /// Each statement alone: what is wrong with one is told of that one.
    async fn one_by_one(&mut self, connection: &mut Connection) -> Result<Answer, Failure> {
        let (version, is_replica, shown) = connection.server().await?;
        if is_replica {
            return Ok(Answer { version, is_replica, left: 0, end: None, doubt: None });
        }
        connection.begin().await?;
        let counted = self.count(connection, &shown).await;
        connection.end().await?;
        let (left, end, doubt) = counted?;
        *self.shown = Some(shown);
        Ok(Answer { version, is_replica, left, end, doubt })
    }

    /// How much is left, the end, and what speaks against an answer of zero.
    async fn count(
        &mut self,
        connection: &mut Connection,
        shown: &Shown,
    ) -> Result<(u64, Option<u64>, Option<String>), Failure> {
        // First who writes: what has been committed by then is in the answer.
        let doubt = connection.doubt(self.tables).await?;
        let left = connection.number(&self.configuration.query).await?;
        let read = connection.tables().await?;
        let query = &self.configuration.query;
        if read.is_empty() && connection.reads_nothing(query).await? {
            return Err(Failure::Useless(format!("{query}: it reads no table, so its answer proves nothing")));
        }
        self.tables.extend(read);
        let end = match &self.configuration.end {
            Some(query) => Some(connection.number(query).await?),
            None => None,
        };
        match connection.filled_from_elsewhere(self.tables, shown).await? {
            Some(what) => Err(Failure::Useless(what)),
            None => Ok((left, end, doubt)),
        }
    }
}
