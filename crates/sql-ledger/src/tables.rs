//! The tables, and the few words in which the two engines differ.

use std::time::Duration;

use fairlead_sql::engine::Engine;
use fairlead_sql::text::{literal, name};

/// One row per run.
pub(crate) const TICKET: &str = "ticket";
/// The parts of a snapshot and of evidence; they go with their ticket.
pub(crate) const CHUNK: &str = "chunk";
/// Every sequence that was ever given.
pub(crate) const REGISTER: &str = "register";
/// How the last runs ended.
pub(crate) const ENDING: &str = "ending";
/// Who is at work.
pub(crate) const LEASE: &str = "lease";

/// Names and statements of the tables of one place.
#[derive(Clone, Debug)]
pub(crate) struct Tables {
    engine: Engine,
    /// The schema in PostgreSQL; in MariaDB the tables begin with it.
    place: String,
}

impl Tables {
    pub(crate) fn new(engine: Engine, place: &str) -> Self {
        Self { engine, place: place.to_owned() }
    }

    /// What people call the place.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// A table, as it is written in a statement.
    pub(crate) fn name(&self, table: &str) -> String {
        match self.engine {
            Engine::PostgreSql => format!("{}.{}", name(self.engine, &self.place), name(self.engine, table)),
            Engine::MariaDb => name(self.engine, &self.shown(table)),
        }
    }

    /// A table, as people write it.
    pub(crate) fn shown(&self, table: &str) -> String {
        match self.engine {
            Engine::PostgreSql => format!("{}.{table}", self.place),
            Engine::MariaDb => format!("_{}_{table}", self.place),
        }
    }

    /// A text, as it is written in a statement.
    pub(crate) fn text(&self, text: &str) -> String {
        literal(self.engine, text)
    }

    /// Asks whether the schema has yet to be created: to ask the server for it needs a right that few users have.
    pub(crate) fn lacks_schema(&self) -> Option<String> {
        let schema = self.text(&name(self.engine, &self.place));
        (self.engine == Engine::PostgreSql).then(|| format!("select (to_regnamespace({schema}) is null)::int"))
    }

    pub(crate) fn create_schema(&self) -> String {
        format!("create schema if not exists {}", name(self.engine, &self.place))
    }

    /// Creates the tables that are absent.
    pub(crate) fn create(&self) -> String {
        let (key, long, time, end) = match self.engine {
            Engine::PostgreSql => ("text", "text", "timestamptz", ""),
            Engine::MariaDb => (
                "varchar(255)",
                "longtext",
                "datetime(6)",
                " engine = InnoDB default character set utf8mb4 collate utf8mb4_bin",
            ),
        };
        let run = format!("release_name {key} not null, sequence bigint not null");
        let ticket = self.name(TICKET);
        let columns = [
            (
                TICKET,
                format!(
                    "{run}, version bigint not null, created {key} not null, step {key} not null, digest {key} not null, \
                     ticket {long} not null, progress {long} not null, primary key (release_name, sequence)"
                ),
            ),
            (
                CHUNK,
                format!(
                    "{run}, name {key} not null, content {long} not null, primary key (release_name, sequence, name), \
                     foreign key (release_name, sequence) references {ticket} (release_name, sequence) on delete cascade"
                ),
            ),
            (REGISTER, format!("{run}, is_pruned smallint not null, primary key (release_name, sequence)")),
            (
                ENDING,
                format!(
                    "release_name {key} not null, id {key} not null, noted {key} not null, content {long} not null, \
                     primary key (release_name, id)"
                ),
            ),
            (
                LEASE,
                format!(
                    "release_name {key} not null, scope {key} not null, holder {key} not null, token bigint not null, \
                     renewed {time} not null, duration_ms bigint not null, how_far {long}, cancel {key}, cancelled {key}, \
                     primary key (release_name, scope)"
                ),
            ),
        ];
        let create =
            |(table, columns): &(&str, String)| format!("create table if not exists {} ({columns}){end}", self.name(table));
        columns.iter().map(create).collect::<Vec<_>>().join("; ")
    }

    /// All of these statements, or none. PostgreSQL takes statements that come together as one transaction.
    pub(crate) fn transaction(&self, statements: &[String]) -> String {
        let statements = statements.join("; ");
        match self.engine {
            Engine::PostgreSql => statements,
            Engine::MariaDb => format!("start transaction; {statements}; commit"),
        }
    }

    /// Ends an insert of a row that may be there already.
    pub(crate) fn or_nothing(&self) -> &'static str {
        match self.engine {
            Engine::PostgreSql => "on conflict do nothing",
            Engine::MariaDb => "on duplicate key update release_name = values(release_name)",
        }
    }

    /// Ends an insert into the register: a row that is there gets the same value.
    pub(crate) fn or_pruned(&self, is_pruned: bool) -> String {
        let change = format!("is_pruned = {}", u8::from(is_pruned));
        match self.engine {
            Engine::PostgreSql => format!("on conflict (release_name, sequence) do update set {change}"),
            Engine::MariaDb => format!("on duplicate key update {change}"),
        }
    }

    /// The time by the server's clock.
    pub(crate) fn now(&self) -> &'static str {
        match self.engine {
            Engine::PostgreSql => "clock_timestamp()",
            Engine::MariaDb => "utc_timestamp(6)",
        }
    }

    /// A time as RFC 3339.
    pub(crate) fn written(&self, time: &str, has_fraction: bool) -> String {
        match self.engine {
            Engine::PostgreSql => {
                let fraction = if has_fraction { ".US" } else { "" };
                format!(r#"to_char({time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS{fraction}"Z"')"#)
            }
            Engine::MariaDb => {
                let fraction = if has_fraction { ".%f" } else { "" };
                format!("date_format({time}, '%Y-%m-%dT%H:%i:%s{fraction}Z')")
            }
        }
    }

    /// Whether a lease has run out.
    pub(crate) fn is_over(&self) -> &'static str {
        match self.engine {
            Engine::PostgreSql => "renewed + duration_ms * interval '1 millisecond' < clock_timestamp()",
            Engine::MariaDb => "timestampadd(microsecond, duration_ms * 1000, renewed) < utc_timestamp(6)",
        }
    }
}

/// As the column of a lease has it.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
