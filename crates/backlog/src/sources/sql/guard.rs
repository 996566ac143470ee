//! What speaks against an answer: it is a replica's, or somebody has written what is not committed yet.

use std::collections::BTreeSet;

use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, Row as _};

use super::connection::Connection;

/// Tables of PostgreSQL, by their number. Of the others nobody can ask who writes there.
pub(super) type Tables = BTreeSet<u32>;

/// The tables that our transaction has read, with the partitions.
const READ: &str = "select distinct relation from pg_locks where pid = pg_backend_pid() and locktype = 'relation' \
    and database = (select oid from pg_database where datname = current_database()) and relation >= 16384";

/// A table that others write to in a transaction that is not done, prepared ones included: those have no process.
const WRITTEN: &str = "select relation::regclass::text from pg_locks where pid is distinct from pg_backend_pid() and granted \
    and database = (select oid from pg_database where datname = current_database()) and relation = any($1) \
    and mode in ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock') limit 1";

/// A table that a subscription fills from another server.
const FILLED: &str = "select subname::text from pg_subscription_rel join pg_subscription s on s.oid = srsubid \
    where srrelid = any($1) or exists (select from unnest($1) t where srrelid in (select relid from pg_partition_ancestors(t))) limit 1";

/// From this version on everybody may read which subscriptions there are.
const OPEN_SUBSCRIPTIONS: i32 = 140_000;

/// Version of a server of MySQL or MariaDB, and whether it takes writes of others.
pub(super) const SERVER: &str = "select cast(version() as char), cast(@@global.read_only as signed)";

const PREPARED: &str = "xa recover";

/// What the server shows of itself. Asked once: a statement that is refused would end all that come with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Shown {
    /// What limits the time of a query, where a session of MySQL or MariaDB must be told.
    pub(super) limit: Option<String>,
    /// Statements that show whether MySQL or MariaDB follows another server, and whether a number says so, or any row.
    pub(super) replica: Vec<(&'static str, bool)>,
    /// Whether MySQL or MariaDB shows prepared transactions.
    pub(super) prepared: bool,
    /// Whether PostgreSQL shows which subscriptions there are.
    subscriptions: bool,
}

impl Shown {
    /// The statements for MySQL and MariaDB.
    pub(super) fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.replica.iter().map(|(statement, _)| *statement).chain(self.prepared.then_some(PREPARED))
    }
}

/// Version of a server of PostgreSQL, whether it is a replica, and a table that others are writing to.
pub(super) fn before(tables: &Tables) -> String {
    let written = WRITTEN.replace("$1", &array(tables));
    format!("select current_setting('server_version'), pg_is_in_recovery(), ({written})")
}

/// The tables that were read, and a subscription that fills one that was read before.
pub(super) fn after(tables: &Tables, shown: &Shown) -> String {
    let filled = if shown.subscriptions { FILLED.replace("$1", &array(tables)) } else { "select null::text".to_owned() };
    format!("select (select string_agg(relation::text, ',') from ({READ}) r), ({filled})")
}

fn array(tables: &Tables) -> String {
    let numbers: Vec<String> = tables.iter().map(ToString::to_string).collect();
    format!("'{{{}}}'::oid[]", numbers.join(","))
}

pub(super) fn written(table: &str) -> String {
    format!("a transaction that is open, or prepared, has written to {table}: what it did is not counted")
}

pub(super) fn prepared(count: usize) -> Option<String> {
    let (many, they) = if count == 1 {
        ("1 prepared transaction (xa recover) is", "it")
    } else {
        ("several prepared transactions (xa recover) are", "they")
    };
    (count > 0).then(|| format!("{many} not done: what {they} did is not counted"))
}

pub(super) fn filled(subscription: &str) -> String {
    format!("it is a replica: subscription {subscription} fills what the query reads; name the primary")
}

impl Connection {
    /// The server's version, whether it is a replica, and what it shows.
    pub(super) async fn server(&mut self) -> Result<(String, bool, Shown), sqlx::Error> {
        let limit = self.limit().await;
        match self {
            Self::PostgreSql(connection) => {
                let sql = "select current_setting('server_version'), pg_is_in_recovery(), current_setting('server_version_num')::int4";
                let row = sqlx::query(sql).persistent(false).fetch_one(connection.as_mut()).await?;
                let version: String = row.try_get(0)?;
                let subscriptions = row.try_get::<i32, _>(2)? >= OPEN_SUBSCRIPTIONS;
                Ok((format!("postgresql {version}"), row.try_get(1)?, Shown { subscriptions, ..Shown::default() }))
            }
            Self::MySql(connection) => {
                let row = sqlx::query(SERVER).persistent(false).fetch_one(connection.as_mut()).await?;
                let version: String = row.try_get(0)?;
                let (name, is_read_only) = (name(&version), row.try_get::<i64, _>(1)? != 0);
                let (replica, follows) = self.follows_another(name).await?;
                let prepared = self.rows(PREPARED).await?.is_some();
                Ok((
                    format!("{name} {version}"),
                    is_read_only || follows,
                    Shown { limit, replica, prepared, subscriptions: false },
                ))
            }
        }
    }

    /// What shows whether a server of MySQL or MariaDB gets its data from another one, as far as we may see it, and whether it does.
    async fn follows_another(&mut self, name: &str) -> Result<(Vec<(&'static str, bool)>, bool), sqlx::Error> {
        let (status, others): (_, &[&str]) = match name {
            "mysql" => {
                ("show replica status", &["select count(*) from performance_schema.replication_connection_configuration"])
            }
            // Everybody may see these. What was written here since is not in the second position.
            _ => (
                "show all slaves status",
                &[
                    "select cast(@@global.gtid_slave_pos <> '' and @@global.gtid_slave_pos = @@global.gtid_current_pos as signed)",
                    "select cast(variable_value as signed) from information_schema.global_status where variable_name = 'SLAVES_RUNNING'",
                ],
            ),
        };
        if let Some(count) = self.rows(status).await? {
            return Ok((vec![(status, false)], count > 0));
        }
        let (mut shown, mut follows) = (Vec::new(), false);
        for other in others {
            if let Some(number) = self.one_number(other).await? {
                shown.push((*other, true));
                follows |= number > 0;
            }
        }
        Ok((shown, follows))
    }

    /// Why a count of zero may not be the truth: others have written, and are not done.
    pub(super) async fn doubt(&mut self, tables: &Tables) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => {
                let query = sqlx::query(WRITTEN).bind(oids(tables)).persistent(false);
                let row = query.fetch_optional(connection.as_mut()).await?;
                row.map(|row| row.try_get::<String, _>(0).map(|table| written(&table))).transpose()
            }
            Self::MySql(_) => Ok(prepared(self.rows(PREPARED).await?.unwrap_or_default())),
        }
    }

    /// The tables that this transaction has read.
    pub(super) async fn tables(&mut self) -> Result<Tables, sqlx::Error> {
        let Self::PostgreSql(connection) = self else { return Ok(Tables::new()) };
        let rows = sqlx::query(READ).persistent(false).fetch_all(connection.as_mut()).await?;
        rows.iter().map(|row| Ok(row.try_get::<Oid, _>(0)?.0)).collect()
    }

    /// A subscription that fills one of the tables: they lie behind another server.
    pub(super) async fn filled_from_elsewhere(
        &mut self,
        tables: &Tables,
        shown: &Shown,
    ) -> Result<Option<String>, sqlx::Error> {
        let Self::PostgreSql(connection) = self else { return Ok(None) };
        if !shown.subscriptions {
            return Ok(None);
        }
        let row = sqlx::query(FILLED).bind(oids(tables)).persistent(false).fetch_optional(connection.as_mut()).await?;
        row.map(|row| row.try_get::<String, _>(0).map(|name| filled(&name))).transpose()
    }

    /// How many rows a statement of MySQL shows; none if we may not see them, or the server does not know it.
    async fn rows(&mut self, statement: &str) -> Result<Option<usize>, sqlx::Error> {
        let Self::MySql(connection) = self else { return Ok(None) };
        let shown = sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).fetch_all(connection.as_mut()).await;
        shown.map(|rows| Some(rows.len())).or_else(is_not_shown)
    }

    async fn one_number(&mut self, query: &str) -> Result<Option<i64>, sqlx::Error> {
        let Self::MySql(connection) = self else { return Ok(None) };
        let query = sqlx::query(AssertSqlSafe(query.to_owned())).persistent(false);
        let row = match query.fetch_optional(connection.as_mut()).await {
            Ok(row) => row,
            Err(error) => return is_not_shown(error),
        };
        row.map(|row| row.try_get(0)).transpose()
    }
}

/// An answer that we may not see is none; everything else is an error.
pub(super) fn is_not_shown<T>(error: sqlx::Error) -> Result<Option<T>, sqlx::Error> {
    if matches!(error, sqlx::Error::Database(_)) { Ok(None) } else { Err(error) }
}

pub(super) fn name(version: &str) -> &'static str {
    if version.contains("MariaDB") { "mariadb" } else { "mysql" }
}

fn oids(tables: &Tables) -> Vec<Oid> {
    tables.iter().copied().map(Oid).collect()
}
