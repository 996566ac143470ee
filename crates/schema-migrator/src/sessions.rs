//! Other sessions that a change waits for, for people: queries that name them, and how each is ended.

use fairlead_sql::engine::Engine;
use fairlead_sql::text::literal;

use crate::postgresql;
use crate::table::Table;

/// Who keeps a table from being locked. MariaDB knows only whose transactions are open, and names the oldest first.
pub(crate) fn in_the_way(table: &Table, engine: Engine) -> String {
    match engine {
        Engine::PostgreSql => {
            let table = literal(engine, &postgresql::qualified(table, "public"));
            shown(&format!(
                "pg_locks l join pg_stat_activity a using (pid) \
                 where l.relation = to_regclass({table}) and l.granted and l.pid <> pg_backend_pid()"
            ))
        }
        Engine::MariaDb => {
            "select group_concat(concat('connection ', t.trx_mysql_thread_id, ' (open since ', t.trx_started, '), ended by `kill ', t.trx_mysql_thread_id, '`') \
             order by t.trx_started separator '; ') from information_schema.innodb_trx t where t.trx_mysql_thread_id <> connection_id()"
                .to_owned()
        }
    }
}

/// Whom a session of PostgreSQL waits for.
pub(crate) fn waited_for(session: &str) -> String {
    shown(&format!("pg_stat_activity a where a.pid = any(pg_blocking_pids({session}))"))
}

/// Some of the sessions `a` of a list. What is not shown to us is shown to a member of `pg_monitor`.
fn shown(list: &str) -> String {
    format!(
        "select string_agg(who, '; ') from (select distinct 'backend ' || a.pid || ' (' || coalesce(nullif(a.application_name, ''), a.usename, '?') \
         || case when a.state is null then ': `grant pg_monitor to ' || quote_ident(current_user) || '` shows more' else ', ' || a.state || ' for ' \
         || date_trunc('second', clock_timestamp() - coalesce(a.xact_start, a.state_change))::text end \
         || '), ended by `select pg_terminate_backend(' || a.pid || ')`' as who from {list} limit 3) as it"
    )
}
