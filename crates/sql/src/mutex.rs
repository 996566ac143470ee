//! One session at a time, by the server's own advisory lock. It belongs to the session: a server whose client has died goes on with what it
//! was told, keeps the lock as long, and whoever waits for the lock waits for that, too.

use crate::engine::Engine;
use crate::error::Error;
use crate::session::Session;
use crate::text::literal;

/// First half of the key in PostgreSQL: `fair`, as a number.
const CLASS: i32 = 0x6661_6972;

/// The name in MariaDB; locks there belong to the server, so the database is part of it. MySQL takes 64 characters.
fn name(database: &str) -> String {
    format!("fairlead.{}", database.chars().take(50).collect::<String>())
}

/// Takes the lock of a database, unless somebody else has it.
pub async fn try_lock(session: &mut Session, database: &str) -> Result<bool, Error> {
    let ask = match session.engine {
        Engine::PostgreSql => format!("select pg_try_advisory_lock({CLASS}, 1)::int"),
        Engine::MariaDb => format!("select get_lock({}, 0)", literal(Engine::MariaDb, &name(database))),
    };
    session.is_true(&ask).await
}

/// Whether this session has the lock. Behind a pooler that gives each transaction another connection somebody else may have it.
pub async fn is_ours(session: &mut Session, database: &str) -> Result<bool, Error> {
    let ask = match session.engine {
        Engine::PostgreSql => format!(
            "select exists(select from pg_locks where locktype = 'advisory' and classid = {CLASS} and objid = 1 and granted and pid = pg_backend_pid())::int"
        ),
        Engine::MariaDb => format!("select is_used_lock({}) = connection_id()", literal(Engine::MariaDb, &name(database))),
    };
    session.is_true(&ask).await
}

/// Who has the lock, for people.
pub async fn holder(session: &mut Session, database: &str) -> Result<Option<String>, Error> {
    let ask = match session.engine {
        Engine::PostgreSql => format!(
            "select 'backend ' || a.pid || coalesce(' from ' || a.client_addr, '') || ', ' || coalesce(a.state, 'unknown') || ' since ' || coalesce(a.state_change::text, '?') \
             from pg_locks l join pg_stat_activity a using (pid) where l.locktype = 'advisory' and l.classid = {CLASS} and l.objid = 1 and l.granted limit 1"
        ),
        Engine::MariaDb => format!(
            "select concat('connection ', p.id, ' from ', p.host, ', ', coalesce(p.state, p.command), ' for ', p.time, ' s') \
             from information_schema.processlist p where p.id = is_used_lock({})",
            literal(Engine::MariaDb, &name(database))
        ),
    };
    session.text(&ask).await
}
