//! A connection of our own, with settings that hold for as long as it lasts.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ColumnIndex, ConnectOptions as _, Connection as _, Database, Decode, Row};

use crate::address::{Address, Values};
use crate::engine::Engine;
use crate::error::Error;
use crate::greeting;

/// How long a server may take to let us in.
const CONNECT: Duration = Duration::from_secs(10);

/// What the server is told at the beginning. A pod that dies must not leave a statement behind that nobody waits for, and a backslash is a
/// backslash. Our own limits of statements are those of `lock`: a change may take as long as it does.
const POSTGRESQL: [&str; 6] = [
    // Rows that a policy hides from us would stay as they are: without row security such a statement is an error.
    "set row_security = off",
    "set statement_timeout = 0",
    "set idle_in_transaction_session_timeout = 0",
    "set standard_conforming_strings = on",
    "set client_min_messages = warning",
    // Of PostgreSQL 14 and later.
    "select set_config(name, '1s', false) from pg_settings where name = 'client_connection_check_interval'",
];

/// The same for MariaDB and MySQL. Strict: a value that does not fit is an error, never cut off.
const MARIADB: [&str; 2] = [
    "set session sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
    "set session autocommit = 1",
];

/// One row: a text for each column.
pub type Texts = Vec<Option<String>>;

/// How long a statement waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockWait {
    /// Hardly at all: who comes behind a change that waits for a lock waits, too.
    Brief,
    /// A second: where a moment was not enough for long. Who comes behind it waits as long.
    Second,
    /// As long as it takes: for statements that nobody has to wait for.
    Patient,
}

/// A connection.
pub struct Session {
    /// Its engine.
    pub engine: Engine,
    /// As the server says it.
    pub version: String,
    address: String,
    connection: Connection,
}

enum Connection {
    PostgreSql(Box<PgConnection>),
    MariaDb(Box<MySqlConnection>),
}

impl Session {
    /// Connects to a primary.
    ///
    /// # Errors
    ///
    /// [`Error::Useless`] for a server that is too old, or a replica.
    pub async fn open(address: &Address, values: &Values) -> Result<Self, Error> {
        let mut session = Self::open_any(address, values).await?;
        let is_replica = match session.engine {
            Engine::PostgreSql => "select pg_is_in_recovery()::int",
            Engine::MariaDb => "select @@global.read_only",
        };
        if session.text(is_replica).await?.is_some_and(|answer| answer != "0") {
            let why = "it is a replica; name the primary".to_owned();
            return Err(Error::Useless { address: session.address, why });
        }
        Ok(session)
    }

    /// Connects to a primary, or to a replica.
    ///
    /// # Errors
    ///
    /// [`Error::Useless`] for a server that is too old.
    pub async fn open_any(address: &Address, values: &Values) -> Result<Self, Error> {
        let name = address.to_string();
        if values.ca.as_deref().is_some_and(|ca| !has_certificate(ca)) {
            return Err(Error::Useless { address: name, why: "`tls.ca` has no certificate in PEM".to_owned() });
        }
        let connecting = async {
            Ok(match address.engine {
                Engine::PostgreSql => {
                    Connection::PostgreSql(Box::new(PgConnection::connect_with(&postgresql(address, values)).await?))
                }
                Engine::MariaDb => {
                    Connection::MariaDb(Box::new(MySqlConnection::connect_with(&mariadb(address, values)).await?))
                }
            })
        };
        let connected = tokio::time::timeout(CONNECT, connecting).await;
        let connection = match connected.unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))) {
            Ok(connection) => connection,
            Err(error) => return Err(too_old(address, &error).await.unwrap_or_else(|| Error::of_connection(name, error))),
        };
        let mut session = Self { engine: address.engine, version: String::new(), address: name, connection };
        session.prepare().await?;
        Ok(session)
    }

    async fn prepare(&mut self) -> Result<(), Error> {
        let version = match self.engine {
            Engine::PostgreSql => "select current_setting('server_version')",
            Engine::MariaDb => "select version()",
        };
        self.version = self.text(version).await?.unwrap_or_default();
        if let Some(why) = self.engine.refused(&self.version) {
            return Err(Error::Useless { address: self.address.clone(), why });
        }
        let settings = match self.engine {
            Engine::PostgreSql => POSTGRESQL.as_slice(),
            Engine::MariaDb => MARIADB.as_slice(),
        };
        for setting in settings {
            self.execute(setting).await?;
        }
        self.lock_wait(LockWait::Brief).await
    }

    /// Sets how long the statements that follow wait for locks.
    pub async fn lock_wait(&mut self, wait: LockWait) -> Result<(), Error> {
        let setting = match (self.engine, wait) {
            (Engine::PostgreSql, LockWait::Brief) => "set lock_timeout = '200ms'",
            (Engine::PostgreSql, LockWait::Second) => "set lock_timeout = '1s'",
            (Engine::PostgreSql, LockWait::Patient) => "set lock_timeout = 0",
            // MySQL knows no shorter time than a second.
            (Engine::MariaDb, LockWait::Brief) if self.is_mysql() => {
                "set session lock_wait_timeout = 1, innodb_lock_wait_timeout = 1"
            }
            (Engine::MariaDb, LockWait::Brief) => "set session lock_wait_timeout = 0, innodb_lock_wait_timeout = 1",
            (Engine::MariaDb, LockWait::Second) => "set session lock_wait_timeout = 1, innodb_lock_wait_timeout = 1",
            (Engine::MariaDb, LockWait::Patient) => "set session lock_wait_timeout = 86400, innodb_lock_wait_timeout = 50",
        };
        self.execute(setting).await
    }

    /// From now on the server ends this session, with its locks, when it has not heard of us for so long: a process that is frozen, or whose
    /// node is gone, holds nobody up for ever.
    pub async fn end_in_silence(&mut self, limit: Duration) -> Result<(), Error> {
        match self.engine {
            Engine::PostgreSql => {
                let limit = limit.as_millis();
                self.execute(&format!("set idle_in_transaction_session_timeout = {limit}")).await?;
                // Of PostgreSQL 14 and later.
                let silence =
                    "select set_config(name, '{limit}', false) from pg_settings where name = 'idle_session_timeout'";
                self.execute(&silence.replace("{limit}", &limit.to_string())).await
            }
            Engine::MariaDb => self.execute(&format!("set session wait_timeout = {}", limit.as_secs().max(1))).await,
        }
    }

    /// Whether the server is MySQL itself.
    #[must_use]
    pub fn is_mysql(&self) -> bool {
        self.engine == Engine::MariaDb && !self.version.contains("MariaDB")
    }

    /// Runs statements, and returns how many rows the last one wrote.
    pub async fn written(&mut self, statement: &str) -> Result<u64, Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        let done = match &mut self.connection {
            Connection::PostgreSql(connection) => sql.execute(connection.as_mut()).await.map(|done| done.rows_affected()),
            Connection::MariaDb(connection) => sql.execute(connection.as_mut()).await.map(|done| done.rows_affected()),
        };
        done.map_err(|error| Error::of_statement(&self.address, statement, error))
    }

    /// Runs statements.
    pub async fn execute(&mut self, statement: &str) -> Result<(), Error> {
        self.written(statement).await.map(drop)
    }

    /// What statements answer.
    pub async fn rows(&mut self, statement: &str) -> Result<Vec<Texts>, Error> {
        let sql = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
        let rows = match &mut self.connection {
            Connection::PostgreSql(connection) => {
                let rows = sql.fetch_all(connection.as_mut()).await;
                rows.and_then(|rows| rows.iter().map(texts).collect())
            }
            Connection::MariaDb(connection) => {
                let rows = sql.fetch_all(connection.as_mut()).await;
                rows.and_then(|rows| rows.iter().map(texts).collect())
            }
        };
        rows.map_err(|error| Error::of_statement(&self.address, statement, error))
    }

    /// The first text of the first row that a statement answers.
    pub async fn text(&mut self, statement: &str) -> Result<Option<String>, Error> {
        let rows = self.rows(statement).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
    }

    /// Whether a statement answers something that is true.
    pub async fn is_true(&mut self, statement: &str) -> Result<bool, Error> {
        Ok(self.text(statement).await?.is_some_and(|answer| ["t", "true", "1"].contains(&answer.as_str())))
    }

    /// Number of our session at the server.
    pub async fn id(&mut self) -> Result<String, Error> {
        let statement = match self.engine {
            Engine::PostgreSql => "select pg_backend_pid()",
            Engine::MariaDb => "select connection_id()",
        };
        Ok(self.text(statement).await?.unwrap_or_default())
    }

    /// Where it is connected to, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }
}

/// Says so of a server of MySQL that answers what our client does not understand: the oldest ones do.
async fn too_old(address: &Address, error: &sqlx::Error) -> Option<Error> {
    if address.engine != Engine::MariaDb || matches!(error, sqlx::Error::Io(_)) {
        return None;
    }
    let version = greeting::version(&address.host, address.port()).await?;
    let why = address.engine.refused(&version)?;
    Some(Error::Useless { address: address.to_string(), why })
}

/// Whether there is a certificate in this: a client takes anything else for no authority at all.
fn has_certificate(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
}

/// Every column as text.
fn texts<'r, R: Row>(row: &'r R) -> Result<Texts, sqlx::Error>
where
    Option<String>: Decode<'r, R::Database>,
    usize: ColumnIndex<R>,
    R::Database: Database,
{
    (0..row.len()).map(|column| row.try_get_unchecked::<Option<String>, _>(column)).collect()
}

fn postgresql(address: &Address, values: &Values) -> PgConnectOptions {
    // Without the file of passwords that a machine may have.
    let mut options = PgConnectOptions::new_without_pgpass()
        .host(&address.host)
        .port(address.port())
        .database(&address.database)
        .username(&address.username)
        .application_name("fairlead")
        // A pooler refuses to connect with a setting that it does not know; every server from 12 on writes floating-point numbers in full.
        .extra_float_digits(None)
        .disable_statement_logging()
        .ssl_mode(if address.tls.is_some() { PgSslMode::VerifyFull } else { PgSslMode::Disable });
    if let Some(password) = &values.password {
        options = options.password(password);
    }
    if let Some(ca) = &values.ca {
        options = options.ssl_root_cert_from_pem(ca.clone());
    }
    match &values.identity {
        Some((certificate, key)) => options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key),
        None => options,
    }
}

fn mariadb(address: &Address, values: &Values) -> MySqlConnectOptions {
    let mut options = MySqlConnectOptions::new()
        .disable_statement_logging()
        .host(&address.host)
        .port(address.port())
        .database(&address.database)
        .username(&address.username)
        .ssl_mode(if address.tls.is_some() { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Disabled });
    if let Some(password) = &values.password {
        options = options.password(password);
    }
    if let Some(ca) = &values.ca {
        options = options.ssl_ca_from_pem(ca.clone());
    }
    match &values.identity {
        Some((certificate, key)) => options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key),
        None => options,
    }
}
