//! A connection to one of the databases.

use futures::{StreamExt as _, TryStreamExt as _};
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow, PgSslMode};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};

use crate::connection::TlsFiles;

/// How long a query may take; less than we wait, so that it ends at the server.
pub(super) const STATEMENT_SECONDS: u32 = 8;

/// Kind of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// PostgreSQL.
    PostgreSql,
    /// MySQL, or MariaDB.
    MySql,
}

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::PostgreSql => "PostgreSQL",
            Self::MySql => "MySQL",
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::PostgreSql => 5432,
            Self::MySql => 3306,
        }
    }
}

/// Where the database is, and who we are there.
pub(super) struct Place {
    pub(super) engine: Engine,
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) username: String,
    pub(super) password: Option<String>,
    pub(super) tls: Option<TlsFiles>,
}

/// Why there is no number.
pub(super) enum Failure {
    /// The server cannot be reached, or refuses.
    Server(sqlx::Error),
    /// The answer is no number.
    Useless(String),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Server(error)
    }
}

pub(super) enum Connection {
    PostgreSql(Box<PgConnection>),
    MySql(Box<MySqlConnection>),
}

impl Place {
    /// Without credentials.
    pub(super) fn address(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }

    pub(super) async fn connect(&self) -> Result<Connection, sqlx::Error> {
        match self.engine {
            Engine::PostgreSql => {
                PgConnection::connect_with(&self.postgresql()).await.map(Box::new).map(Connection::PostgreSql)
            }
            Engine::MySql => MySqlConnection::connect_with(&self.mysql()).await.map(Box::new).map(Connection::MySql),
        }
    }

    fn postgresql(&self) -> PgConnectOptions {
        // Without the file of passwords that a machine may have.
        let mut options = PgConnectOptions::new_without_pgpass()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.username)
            .application_name("fairlead")
            .disable_statement_logging()
            .ssl_mode(if self.tls.is_some() { PgSslMode::VerifyFull } else { PgSslMode::Disable });
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        let Some(TlsFiles { ca, identity, .. }) = &self.tls else { return options };
        if let Some(ca) = ca {
            options = options.ssl_root_cert_from_pem(ca.clone());
        }
        match identity {
            Some((certificate, key)) => options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key),
            None => options,
        }
    }

    fn mysql(&self) -> MySqlConnectOptions {
        let mut options = MySqlConnectOptions::new()
            .disable_statement_logging()
            .host(&self.host)
            .port(self.port)
            .database(&self.database)
            .username(&self.username)
            .ssl_mode(if self.tls.is_some() { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Disabled });
        if let Some(password) = &self.password {
            options = options.password(password);
        }
        let Some(TlsFiles { ca, identity, .. }) = &self.tls else { return options };
        if let Some(ca) = ca {
            options = options.ssl_ca_from_pem(ca.clone());
        }
        match identity {
            Some((certificate, key)) => options.ssl_client_cert_from_pem(certificate).ssl_client_key_from_pem(key),
            None => options,
        }
    }
}

impl Connection {
    /// Begins a transaction that cannot write. Of MySQL and MariaDB the limit of its queries is set before.
    pub(super) async fn begin(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => {
                // Rows that a policy hides from us would not be counted: without row security such a query is an error.
                let begin = format!(
                    "begin read only; set local statement_timeout = '{STATEMENT_SECONDS}s'; set local row_security = off"
                );
                sqlx::raw_sql(AssertSqlSafe(begin)).execute(connection.as_mut()).await.map(drop)
            }
            Self::MySql(connection) => {
                sqlx::raw_sql("start transaction read only").execute(connection.as_mut()).await.map(drop)
            }
        }
    }

    /// Limits the time of each query, and returns what sets that: MariaDB counts seconds, MySQL milliseconds; a server that knows neither is
    /// left to our own clock.
    pub(super) async fn limit(&mut self) -> Option<String> {
        let Self::MySql(connection) = self else { return None };
        let limits =
            [format!("max_statement_time = {STATEMENT_SECONDS}"), format!("max_execution_time = {STATEMENT_SECONDS}000")];
        for limit in limits.map(|limit| format!("set session {limit}")) {
            if sqlx::raw_sql(AssertSqlSafe(limit.clone())).execute(connection.as_mut()).await.is_ok() {
                return Some(limit);
            }
        }
        None
    }

    pub(super) async fn end(&mut self) -> Result<(), sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => sqlx::raw_sql("rollback").execute(connection.as_mut()).await.map(drop),
            Self::MySql(connection) => sqlx::raw_sql("rollback").execute(connection.as_mut()).await.map(drop),
        }
    }

    /// The one number that a query answers. As a prepared statement it is one statement, and its type is known before a row is sent:
    /// a row of another type may be as large as it likes.
    pub(super) async fn number(&mut self, sql: &str) -> Result<u64, Failure> {
        let query = || AssertSqlSafe(sql.to_owned());
        let useless = |what| Failure::Useless(format!("{sql}: {what}"));
        let number = match self {
            Self::PostgreSql(connection) => {
                let statement = connection.prepare(query().into_sql_str()).await?;
                is_one_number(statement.columns()).map_err(useless)?;
                let rows = sqlx::query(query()).fetch(connection.as_mut()).take(2).try_collect::<Vec<_>>().await?;
                // A pooler may give the connection to somebody else.
                connection.clear_cached_statements().await?;
                one(&rows, postgresql_number)
            }
            Self::MySql(connection) => {
                let statement = connection.prepare(query().into_sql_str()).await?;
                is_one_number(statement.columns()).map_err(useless)?;
                let rows = sqlx::query(query()).fetch(connection.as_mut()).take(2).try_collect::<Vec<_>>().await?;
                connection.clear_cached_statements().await?;
                one(&rows, mysql_number)
            }
        };
        number.map_err(useless)
    }
}

/// A number, or what is there instead.
type Number = Result<Option<i128>, sqlx::Error>;

/// Whether a query answers one column, and that is a whole number.
fn is_one_number<C: sqlx::Column>(columns: &[C]) -> Result<(), String> {
    let [column] = columns else {
        return Err(format!("it answers {} columns, and must answer one", columns.len()));
    };
    let kind = column.type_info().name().to_lowercase();
    let is_number = WHOLE.contains(&kind.trim_end_matches(" unsigned"));
    is_number.then_some(()).ok_or_else(|| {
        format!("it answers {kind}, which is no whole number; cast it to bigint (MySQL: signed) if it counts something")
    })
}

/// Types of whole numbers, in both kinds of databases.
const WHOLE: [&str; 9] = ["int2", "int4", "int8", "tinyint", "smallint", "mediumint", "int", "bigint", "boolean"];

pub(super) fn one<R: sqlx::Row>(rows: &[R], number: impl Fn(&R) -> Number) -> Result<u64, String> {
    let [row] = rows else {
        return Err(format!("it answers {} row, and must answer one", if rows.is_empty() { "no" } else { "more than one" }));
    };
    if row.len() != 1 {
        return Err(format!("it answers {} columns, and must answer one", row.len()));
    }
    match number(row) {
        Ok(Some(number)) => u64::try_from(number).map_err(|_| format!("it answers {number}, which is no count")),
        Ok(None) => Err("it answers null, which is no number".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

pub(super) fn postgresql_number(row: &PgRow) -> Number {
    row.try_get::<Option<i64>, _>(0)
        .or_else(|_| row.try_get::<Option<i32>, _>(0).map(|number| number.map(i64::from)))
        .or_else(|_| row.try_get::<Option<i16>, _>(0).map(|number| number.map(i64::from)))
        .map(|number| number.map(i128::from))
}

pub(super) fn mysql_number(row: &MySqlRow) -> Number {
    let signed = row.try_get::<Option<i64>, _>(0).map(|number| number.map(i128::from));
    signed.or_else(|_| row.try_get::<Option<u64>, _>(0).map(|number| number.map(i128::from)))
}
