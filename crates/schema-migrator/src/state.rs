//! What fairlead keeps in the database that it migrates: which migrations it has, each statement with its beginning and its end, how far
//! backfills are, and a number that grows with each process that writes.

use std::time::Duration;

use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;
use fairlead_sql::text::literal;

/// How often a number is asked for that somebody's batch is in the way of.
const RAISES: u32 = 200;

/// A table of ours: in a schema of its own (PostgreSQL), with a prefix (MariaDB).
pub(crate) fn table(engine: Engine, name: &str) -> String {
    match engine {
        Engine::PostgreSql => format!("fairlead.{name}"),
        Engine::MariaDb => format!("_fairlead_{name}"),
    }
}

/// Makes our tables, where they are not there yet.
pub(crate) async fn prepare(session: &mut Session) -> Result<(), Error> {
    let engine = session.engine;
    let (serial, text, now, end) = match engine {
        Engine::PostgreSql => {
            ("bigint generated always as identity", "text", "timestamptz not null default clock_timestamp()", "")
        }
        Engine::MariaDb => (
            "bigint auto_increment",
            "varchar(255)",
            "datetime(6) not null default current_timestamp(6)",
            " engine = InnoDB default charset = utf8mb4",
        ),
    };
    let when = now.split(' ').next().unwrap_or_default();
    if engine == Engine::PostgreSql && !session.is_true("select (to_regnamespace('fairlead') is not null)::int").await? {
        session.execute("create schema if not exists fairlead").await?;
    }
    let tables = [
        ("fence", "name varchar(63) primary key, token bigint not null".to_owned()),
        ("migration", format!("name varchar(63) primary key, checksum varchar(80) not null, applied {now}")),
        (
            "statement",
            format!(
                "id {serial} primary key, mark {text} not null, target {text} not null, token bigint not null, statement {} not null, began {now}, ended {when}",
                long(engine)
            ),
        ),
        (
            "backfill",
            format!(
                "mark {text} not null, target {text} not null, next_key {long}, last_key {long}, scanned bigint not null default 0, changed bigint not null default 0, missing bigint not null default 0, mismatched bigint not null default 0, is_done smallint not null default 0, renewed {now}, primary key (mark, target)",
                long = long(engine)
            ),
        ),
        (
            "quarantine",
            format!(
                "id {serial} primary key, mark {text} not null, target {text} not null, row_key {} not null, reason {} not null",
                long(engine),
                long(engine)
            ),
        ),
    ];
    for (name, columns) in tables {
        if !exists(session, name).await? {
            session.execute(&format!("create table if not exists {} ({columns}){end}", table(engine, name))).await?;
        }
    }
    Ok(())
}

/// Whether we have that table.
pub(crate) async fn exists(session: &mut Session, name: &str) -> Result<bool, Error> {
    let query = match session.engine {
        Engine::PostgreSql => format!("select (to_regclass('fairlead.{name}') is not null)::int"),
        Engine::MariaDb => format!(
            "select count(*) from information_schema.tables where table_schema = database() and table_name = '_fairlead_{name}'"
        ),
    };
    session.is_true(&query).await
}

fn long(engine: Engine) -> &'static str {
    match engine {
        Engine::PostgreSql => "text",
        Engine::MariaDb => "mediumtext",
    }
}

/// What writes: changes of the catalog, or rows in the background. Each has a number of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writer {
    Changes,
    Background,
}

impl Writer {
    fn as_str(self) -> &'static str {
        match self {
            Self::Changes => "changes",
            Self::Background => "background",
        }
    }
}

/// A number larger than that of every process before. Whoever has a smaller one writes nothing any more.
pub(crate) async fn next_token(session: &mut Session, writer: Writer) -> Result<u64, Error> {
    let (engine, name) = (session.engine, writer.as_str());
    let fence = table(engine, "fence");
    let raise = match engine {
        Engine::PostgreSql => format!(
            "insert into {fence} (name, token) values ('{name}', 1) on conflict (name) do update set token = {fence}.token + 1"
        ),
        Engine::MariaDb => {
            format!("insert into {fence} (name, token) values ('{name}', 1) on duplicate key update token = token + 1")
        }
    };
    // A batch that is under way holds the row to its end.
    let mut tries = 0;
    while let Err(error) = session.execute(&raise).await {
        tries += 1;
        if !error.is_locked() || tries > RAISES {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let token = session.text(&format!("select token from {fence} where name = '{name}'")).await?;
    Ok(token.and_then(|token| token.parse().ok()).unwrap_or_default())
}

/// Whether no other process has come since. In a transaction it stays so until its end.
pub(crate) async fn is_ours(session: &mut Session, writer: Writer, token: u64) -> Result<bool, Error> {
    let share = match session.engine {
        Engine::PostgreSql => "for share",
        Engine::MariaDb => "lock in share mode",
    };
    let fence = table(session.engine, "fence");
    session.is_true(&format!("select 1 from {fence} where name = '{}' and token = {token} {share}", writer.as_str())).await
}

/// Forgets how far a backfill was that is taken back.
pub(crate) async fn forget_backfill(session: &mut Session, mark: &str, target: &str) -> Result<(), Error> {
    let engine = session.engine;
    let [mark, target] = [mark, target].map(|text| literal(engine, text));
    session.execute(&format!("delete from {} where mark = {mark} and target = {target}", table(engine, "backfill"))).await
}

/// Writes down what is about to be sent, and returns its number; none when another process has come since.
pub(crate) async fn intend(
    session: &mut Session,
    token: u64,
    mark: &str,
    target: &str,
    statement: &str,
) -> Result<Option<String>, Error> {
    let engine = session.engine;
    let (journal, fence) = (table(engine, "statement"), table(engine, "fence"));
    let [mark, target, statement] = [mark, target, statement].map(|text| literal(engine, text));
    let written = session
        .written(&format!(
            "insert into {journal} (mark, target, token, statement) select {mark}, {target}, token, {statement} \
             from {fence} where name = 'changes' and token = {token}"
        ))
        .await?;
    if written == 0 {
        return Ok(None);
    }
    let number = format!("select max(id) from {journal} where mark = {mark} and target = {target} and token = {token}");
    session.text(&number).await
}

/// Whether a run was about to send something for a target.
pub(crate) async fn was_intended(session: &mut Session, mark: &str, target: &str) -> Result<bool, Error> {
    let engine = session.engine;
    let [mark, target] = [mark, target].map(|text| literal(engine, text));
    let journal = table(engine, "statement");
    session
        .is_true(&format!(
            "select case when count(*) > 0 then 1 else 0 end from {journal} where mark = {mark} and target = {target}"
        ))
        .await
}

/// Writes down that it is done.
pub(crate) async fn done(session: &mut Session, number: &str) -> Result<(), Error> {
    let engine = session.engine;
    let now = match engine {
        Engine::PostgreSql => "clock_timestamp()",
        Engine::MariaDb => "now(6)",
    };
    session.execute(&format!("update {} set ended = {now} where id = {number}", table(engine, "statement"))).await
}
