//! What the catalog of a database says of a table.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;

use crate::operation::Column;
use crate::primitive::ColumnFacts;
use crate::table::Table;
use crate::{mariadb, postgresql};

/// A table as the catalog has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Its columns, by name.
    pub(crate) columns: BTreeMap<String, ColumnFacts>,
    /// Columns of its primary key, in their order.
    pub(crate) key: Vec<String>,
    /// Its triggers: name, source, and for which writes (MariaDB).
    pub(crate) triggers: Vec<[String; 3]>,
    /// Whether it has partitions (PostgreSQL).
    pub(crate) is_partitioned: bool,
    /// Columns that an operation makes which comes first: they are not there yet.
    pub(crate) planned: BTreeSet<String>,
}

impl Facts {
    /// A column of the key whose values as text are not in the order of the column, or are not read back as they were, and its type.
    pub(crate) fn strange_key(&self, engine: Engine) -> Option<(&str, &str)> {
        const POSTGRESQL: [&str; 11] = [
            "smallint",
            "integer",
            "bigint",
            "numeric",
            "character",
            "text",
            "uuid",
            "date",
            "timestamp",
            "time",
            "boolean",
        ];
        const MARIADB: [&str; 13] = [
            "tinyint",
            "smallint",
            "mediumint",
            "int",
            "bigint",
            "decimal",
            "char",
            "varchar",
            "uuid",
            "date",
            "datetime",
            "timestamp",
            "time",
        ];
        self.key.iter().find_map(|name| {
            let kind = &self.columns.get(name)?.r#type;
            let base: String = kind.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_usual = match engine {
                Engine::PostgreSql => POSTGRESQL.contains(&base.as_str()) && !kind.ends_with(']'),
                Engine::MariaDb => MARIADB.contains(&base.as_str()),
            };
            (!is_usual).then_some((name.as_str(), kind.as_str()))
        })
    }

    /// Whether a column is written as a number.
    pub(crate) fn is_number(&self, column: &str) -> bool {
        const NUMBERS: [&str; 8] = ["smallint", "integer", "bigint", "numeric", "tinyint", "mediumint", "int", "decimal"];
        self.columns.get(column).is_some_and(|facts| {
            let base: String = facts.r#type.chars().take_while(char::is_ascii_alphabetic).collect();
            NUMBERS.contains(&base.as_str())
        })
    }
}

/// Reads a table; without columns where there is none.
pub(crate) async fn table(session: &mut Session, table: &Table, schema: &str) -> Result<Facts, Error> {
    let (columns, key) = match session.engine {
        Engine::PostgreSql => (postgresql::columns(table, schema), postgresql::key(table, schema)),
        Engine::MariaDb => (mariadb::columns(table), mariadb::key(table)),
    };
    let is = |answer: &Option<String>| answer.as_deref().is_some_and(|answer| answer == "1");
    let columns = session.rows(&columns).await?.into_iter().filter_map(|row| {
        let [name, kind, nullable, has_default, written, default, rest, generated, check, moves] = row.try_into().ok()?;
        let facts = ColumnFacts {
            r#type: kind.unwrap_or_default(),
            is_nullable: is(&nullable),
            has_default: is(&has_default),
            default,
            written: written.unwrap_or_default(),
            rest: rest.unwrap_or_default(),
            is_generated: is(&generated),
            has_check: is(&check),
            moves: is(&moves),
        };
        Some((name?, facts))
    });
    let columns = columns.collect();
    let key = session.rows(&key).await?.into_iter().filter_map(|mut row| row.pop().flatten()).collect();
    let triggers = match session.engine {
        Engine::PostgreSql => postgresql::triggers(table, schema),
        Engine::MariaDb => mariadb::triggers(table),
    };
    let triggers = session.rows(&triggers).await?.into_iter();
    let triggers = triggers.filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok()).collect();
    let is_partitioned =
        session.engine == Engine::PostgreSql && session.is_true(&postgresql::is_partitioned(table, schema)).await?;
    Ok(Facts { columns, key, triggers, is_partitioned, planned: BTreeSet::new() })
}

/// Whether PostgreSQL writes every row of a table for a new column. False where we may not make a table of our own to see it.
pub(crate) async fn rewrites(session: &mut Session, column: &Column) -> Result<bool, Error> {
    let [make, file, add] = postgresql::addition(column);
    session.execute("begin").await?;
    let seen = async {
        session.execute(&make).await?;
        let before = session.text(&file).await?;
        session.execute(&add).await?;
        Ok(before != session.text(&file).await?)
    };
    let seen = seen.await;
    session.execute("rollback").await?;
    match seen {
        // What the server does not know is told by whoever asks for it next.
        Err(Error::Forbidden { .. } | Error::Refused { .. }) => Ok(false),
        seen => seen,
    }
}

/// Columns as the catalog would write them: type and default of each. None where we may not make a table of our own for that, which goes at
/// once; then what the file says has to do.
pub(crate) async fn probe(session: &mut Session, columns: &[Column]) -> Result<Option<Vec<[String; 2]>>, Error> {
    let rows = match session.engine {
        Engine::PostgreSql => {
            let [make, read] = postgresql::probe(columns);
            session.execute("begin").await?;
            let rows = match session.execute(&make).await {
                Ok(()) => session.rows(&read).await,
                Err(error) => Err(error),
            };
            session.execute("rollback").await?;
            rows
        }
        Engine::MariaDb => {
            let [make, read, end] = mariadb::probe(columns);
            session.execute(&end).await?;
            let rows = match session.execute(&make).await {
                Ok(()) => session.rows(&read).await,
                Err(error) => Err(error),
            };
            session.execute(&end).await?;
            rows
        }
    };
    let rows = match rows {
        Err(Error::Forbidden { .. }) => return Ok(None),
        rows => rows?,
    };
    let text = |cell: Option<&Option<String>>| cell.and_then(Clone::clone);
    let read = |row: Vec<Option<String>>| match session.engine {
        Engine::PostgreSql => [text(row.get(1)).unwrap_or_default(), text(row.get(2)).unwrap_or_default()],
        // Field, Type, Null, Key, Default, Extra.
        Engine::MariaDb => [
            mariadb::shown_type(&text(row.get(1)).unwrap_or_default()),
            text(row.get(4)).unwrap_or_else(|| "none".to_owned()),
        ],
    };
    Ok(Some(rows.into_iter().map(read).collect()))
}
