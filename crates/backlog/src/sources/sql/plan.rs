//! Whether a query reads anything: the answer of one that does not is the same for ever.

use sqlx::{AssertSqlSafe, Row as _};

use super::connection::Connection;
use super::guard::is_not_shown;

impl Connection {
    /// Whether a query, which has locked no table of a user, reads nothing. A function may read without being seen, so with one the answer is
    /// no.
    pub(super) async fn reads_nothing(&mut self, query: &str) -> Result<bool, sqlx::Error> {
        match self {
            Self::PostgreSql(connection) => {
                let sql = AssertSqlSafe(format!("explain (verbose, costs off) {query}"));
                let rows = sqlx::raw_sql(sql).fetch_all(connection.as_mut()).await?;
                let lines: Vec<String> = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, _>>()?;
                Ok(!lines.iter().any(|line| line.contains("Scan") || calls_function(line)))
            }
            Self::MySql(connection) => {
                if calls_function(query) {
                    return Ok(false);
                }
                let sql = AssertSqlSafe(format!("explain {query}"));
                let rows = match sqlx::raw_sql(sql).fetch_all(connection.as_mut()).await {
                    Ok(rows) => rows,
                    Err(error) => return is_not_shown(error).map(|_: Option<()>| false),
                };
                let reads_nothing = |row: &sqlx::mysql::MySqlRow| {
                    let extra: Option<String> = row.try_get("Extra").ok().flatten();
                    extra.is_some_and(|extra| extra.contains("No tables used"))
                };
                Ok(!rows.is_empty() && rows.iter().all(reads_nothing))
            }
        }
    }
}

/// Whether a function is called, beside the one that counts rows.
fn calls_function(text: &str) -> bool {
    text.to_lowercase().replace("count(*)", "").contains('(')
}
