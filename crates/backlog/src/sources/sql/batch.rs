//! A reading as one message: all its statements at once, in a transaction that can write nothing. Each was asked alone before, so it is known
//! that it is one statement, and that the server shows it.

use futures::{Stream, TryStreamExt as _};
use sqlx::{AssertSqlSafe, Either, Row as _};

use super::connection::{Connection, Failure, STATEMENT_SECONDS, mysql_number, one, postgresql_number};
use super::guard::{self, Shown, Tables};
use super::{Answer, Configuration};

impl Connection {
    /// Everything that a reading takes, but for what `shown` says of the server. Of PostgreSQL the tables that were read come along.
    pub(super) async fn all(
        &mut self,
        configuration: &Configuration,
        shown: &Shown,
        tables: &Tables,
    ) -> Result<(Answer, Tables), Failure> {
        let (query, end) = (&configuration.query, configuration.end.as_deref());
        // The query may end with a comment.
        let asked = std::iter::once(query.as_str()).chain(end).map(|query| format!("{query}\n"));
        match self {
            Self::PostgreSql(connection) => {
                let mut statements = vec![
                    "begin read only".to_owned(),
                    format!("set local statement_timeout = '{STATEMENT_SECONDS}s'"),
                    "set local row_security = off".to_owned(),
                    guard::before(tables),
                ];
                statements.extend(asked);
                statements.extend([guard::after(tables, shown), "rollback".to_owned()]);
                let sql = AssertSqlSafe(statements.join(";"));
                let results =
                    rows_of(sqlx::raw_sql(sql).fetch_many(connection.as_mut()).map_ok(|it| it.map_left(drop))).await?;
                let before = first(&results, 3)?;
                let number = |at: usize, sql: &str| {
                    let rows = results.get(at).map(Vec::as_slice).unwrap_or_default();
                    one(rows, postgresql_number).map_err(|what| Failure::Useless(format!("{sql}: {what}")))
                };
                let end = end.map(|sql| number(5, sql)).transpose()?;
                let after = first(&results, if end.is_some() { 6 } else { 5 })?;
                let read: Option<String> = after.try_get(0)?;
                if let Some(name) = after.try_get::<Option<String>, _>(1)? {
                    return Err(Failure::Useless(guard::filled(&name)));
                }
                let read = read.unwrap_or_default();
                let read = read.split(',').filter_map(|number| number.parse().ok()).collect();
                let written: Option<String> = before.try_get(2)?;
                let answer = Answer {
                    version: format!("postgresql {}", before.try_get::<String, _>(0)?),
                    is_replica: before.try_get(1)?,
                    left: number(4, query)?,
                    end,
                    doubt: written.map(|table| guard::written(&table)),
                };
                Ok((answer, read))
            }
            Self::MySql(connection) => {
                let mut statements = vec!["start transaction read only".to_owned(), guard::SERVER.to_owned()];
                statements.extend(shown.limit.iter().map(ToString::to_string));
                let at = statements.len();
                statements.extend(shown.statements().map(str::to_owned));
                let queries = statements.len();
                statements.extend(asked);
                statements.push("rollback".to_owned());
                let sql = AssertSqlSafe(statements.join(";"));
                let results =
                    rows_of(sqlx::raw_sql(sql).fetch_many(connection.as_mut()).map_ok(|it| it.map_left(drop))).await?;
                let server = first(&results, 1)?;
                let (version, is_read_only) = (server.try_get::<String, _>(0)?, server.try_get::<i64, _>(1)? != 0);
                let number = |at: usize, sql: &str| {
                    let rows = results.get(at).map(Vec::as_slice).unwrap_or_default();
                    one(rows, mysql_number).map_err(|what| Failure::Useless(format!("{sql}: {what}")))
                };
                let rows = |index: usize| results.get(at + index).map(Vec::as_slice).unwrap_or_default();
                let mut is_replica = is_read_only;
                for (index, (_, is_number)) in shown.replica.iter().enumerate() {
                    is_replica |= match rows(index).first() {
                        Some(row) if *is_number => row.try_get::<i64, _>(0)? > 0,
                        row => row.is_some(),
                    };
                }
                let prepared = if shown.prepared { rows(shown.replica.len()).len() } else { 0 };
                let answer = Answer {
                    version: format!("{} {version}", guard::name(&version)),
                    is_replica,
                    left: number(queries, query)?,
                    end: end.map(|sql| number(queries + 1, sql)).transpose()?,
                    doubt: guard::prepared(prepared),
                };
                Ok((answer, Tables::new()))
            }
        }
    }
}

fn first<R>(results: &[Vec<R>], at: usize) -> Result<&R, Failure> {
    let row = results.get(at).and_then(|rows| rows.first());
    row.ok_or_else(|| Failure::Useless("the server does not answer every statement".to_owned()))
}

/// Rows by the statement that they answer, at most two of each.
async fn rows_of<R>(
    mut results: impl Stream<Item = Result<Either<(), R>, sqlx::Error>> + Unpin,
) -> Result<Vec<Vec<R>>, sqlx::Error> {
    let mut all = vec![Vec::new()];
    while let Some(next) = results.try_next().await? {
        match (next, all.last_mut()) {
            (Either::Left(()), _) => all.push(Vec::new()),
            (Either::Right(row), Some(rows)) if rows.len() < 2 => rows.push(row),
            (Either::Right(_), _) => {}
        }
    }
    Ok(all)
}
