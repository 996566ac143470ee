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

impl Connection {
    /// The server's version, and whether it is a replica.
    pub(super) async fn server(&mut self) -> Result<(String, bool), sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => {
                let query = sqlx::query("select current_setting('server_version'), pg_is_in_recovery()").persistent(false);
                let row = query.fetch_one(connection.as_mut()).await?;
                let version: String = row.try_get(0)?;
                Ok((format!("postgresql {version}"), row.try_get(1)?))
            }
            Self::MySql(connection) => {
                let query =
                    sqlx::query("select cast(version() as char), cast(@@global.read_only as signed)").persistent(false);
                let row = query.fetch_one(connection.as_mut()).await?;
                let version: String = row.try_get(0)?;
                let (name, is_read_only) = (name(&version), row.try_get::<i64, _>(1)? != 0);
                let is_replica = is_read_only || self.follows_another(name).await?;
                Ok((format!("{name} {version}"), is_replica))
            }
        }
    }

    /// Whether a server of MySQL or MariaDB gets its data from another one, as far as we may see it.
    async fn follows_another(&mut self, name: &str) -> Result<bool, sqlx::Error> {
        if name == "mysql" {
            let replication = "select count(*) from performance_schema.replication_connection_configuration";
            return Ok(match self.rows("show replica status").await? {
                Some(count) => count > 0,
                None => self.one_number(replication).await?.is_some_and(|count| count > 0),
            });
        }
        if let Some(count) = self.rows("show all slaves status").await? {
            return Ok(count > 0);
        }
        // Everybody may see these. What was written here since is not in the second.
        let positions =
            "select cast(@@global.gtid_slave_pos <> '' and @@global.gtid_slave_pos = @@global.gtid_current_pos as signed)";
        let running = "select cast(variable_value as signed) from information_schema.global_status where variable_name = 'SLAVES_RUNNING'";
        Ok(self.one_number(positions).await?.is_some_and(|is| is > 0)
            || self.one_number(running).await?.is_some_and(|count| count > 0))
    }

    /// Why a count of zero may not be the truth: others have written, and are not done.
    pub(super) async fn doubt(&mut self, tables: &Tables) -> Result<Option<String>, sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => {
                let query = sqlx::query(WRITTEN).bind(oids(tables)).persistent(false);
                let row = query.fetch_optional(connection.as_mut()).await?;
                let Some(row) = row else { return Ok(None) };
                let table: String = row.try_get(0)?;
                Ok(Some(format!(
                    "a transaction that is open, or prepared, has written to {table}: what it did is not counted"
                )))
            }
            Self::MySql(_) => {
                let prepared = self.rows("xa recover").await?.filter(|count| *count > 0);
                Ok(prepared.map(|count| {
                    format!("{count} prepared transactions (xa recover) are not done: what they did is not counted")
                }))
            }
        }
    }

    /// The tables that this transaction has read.
    pub(super) async fn tables(&mut self) -> Result<Tables, sqlx::Error> {
        let Self::PostgreSql(connection) = self else { return Ok(Tables::new()) };
        let rows = sqlx::query(READ).persistent(false).fetch_all(connection.as_mut()).await?;
        rows.iter().map(|row| Ok(row.try_get::<Oid, _>(0)?.0)).collect()
    }

    /// A subscription that fills one of the tables: they lie behind another server.
    pub(super) async fn filled_from_elsewhere(&mut self, tables: &Tables) -> Result<Option<String>, sqlx::Error> {
        let Self::PostgreSql(connection) = self else { return Ok(None) };
        let version = sqlx::query("select current_setting('server_version_num')::int4").persistent(false);
        if version.fetch_one(connection.as_mut()).await?.try_get::<i32, _>(0)? < OPEN_SUBSCRIPTIONS {
            return Ok(None);
        }
        let row = sqlx::query(FILLED).bind(oids(tables)).persistent(false).fetch_optional(connection.as_mut()).await?;
        let Some(row) = row else { return Ok(None) };
        let name: String = row.try_get(0)?;
        Ok(Some(format!("it is a replica: subscription {name} fills what the query reads; name the primary")))
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
fn is_not_shown<T>(error: sqlx::Error) -> Result<Option<T>, sqlx::Error> {
    if matches!(error, sqlx::Error::Database(_)) { Ok(None) } else { Err(error) }
}

fn name(version: &str) -> &'static str {
    if version.contains("MariaDB") { "mariadb" } else { "mysql" }
}

fn oids(tables: &Tables) -> Vec<Oid> {
    tables.iter().copied().map(Oid).collect()
}
