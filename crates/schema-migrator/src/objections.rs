//! What speaks against an operation in this database. Each is a query that answers why, or nothing.

use fairlead_sql::engine::Engine;
use fairlead_sql::text::{literal, name};

use crate::drafts::without_new;
use crate::operation::Operation;
use crate::postgresql::{attribute, qualified, regclass};
use crate::table::Table;
use crate::{label, mariadb};

/// Queries about an operation.
pub(crate) fn of(operation: &Operation, engine: Engine, schema: &str) -> Vec<String> {
    match (operation, engine) {
        (Operation::DropColumn { table, column }, Engine::PostgreSql) => vec![checked(table, column, schema)],
        (Operation::DropColumn { table, column }, Engine::MariaDb) => {
            vec![viewed(table, column), checked_by_mariadb(table, column)]
        }
        (Operation::AddForeignKey { table, references, .. }, Engine::MariaDb) => {
            [table, references].map(without_foreign_keys).into()
        }
        (Operation::DropNotNull { table, column }, Engine::PostgreSql) => vec![never_null(table, column, schema)],
        (Operation::VersionView { table, .. }, Engine::PostgreSql) => vec![secured(table, schema)],
        _ => Vec::new(),
    }
}

/// Expressions of a trigger, as queries that the server refuses when they name what is not there. One that also names the row before is
/// left to the server's first use.
pub(crate) fn expressions(operation: &Operation, engine: Engine, schema: &str) -> Vec<String> {
    let (table, list, new) = match operation {
        Operation::Fill { table, value, .. } => (table, vec![value], None),
        Operation::Sync { table, up, down, .. } => (table, vec![up, down], None),
        Operation::ChangeType { table, to, r#type, up, down, .. } => (table, vec![up, down], Some((to, r#type))),
        _ => return Vec::new(),
    };
    let written = match engine {
        Engine::PostgreSql => qualified(table, schema),
        Engine::MariaDb => mariadb::qualified(table),
    };
    let beside = match (new, engine) {
        (None, _) => String::new(),
        (Some((to, kind)), Engine::PostgreSql) => format!(", cast(null as {kind}) as {}", name(engine, to)),
        (Some((to, _)), Engine::MariaDb) => format!(", null as {}", name(engine, to)),
    };
    let list = list.into_iter().filter(|text| !text.to_lowercase().contains("old."));
    let ask = |text: &String| format!("select ({}) from (select t.*{beside} from {written} t) t limit 0", without_new(text));
    list.map(ask).collect()
}

/// A CHECK goes on asking for a column that was only put aside; that of our own `setNotNull` goes with it.
fn checked(table: &Table, column: &str, schema: &str) -> String {
    let qualified = qualified(table, schema);
    let ours = literal(Engine::PostgreSql, &label::shortened("fairlead_not_null", column));
    format!(
        "select 'constraint ' || string_agg(conname, ', ') || ' checks the column, and writers that do not know it any more would fail; drop it first' \
         from pg_constraint where conrelid = {} and contype = 'c' and conname <> {ours} and (select attnum {}) = any(conkey)",
        regclass(&qualified),
        attribute(&qualified, column)
    )
}

fn checked_by_mariadb(table: &Table, column: &str) -> String {
    format!(
        "select concat('constraint ', group_concat(constraint_name separator ', '), ' checks the column, and writers that do not know it any more would fail; drop it first') \
         from information_schema.check_constraints where constraint_schema = database() and table_name = {} and instr(check_clause, {}) > 0 \
         having count(*) > 0",
        literal(Engine::MariaDb, &table.name),
        literal(Engine::MariaDb, &name(Engine::MariaDb, column))
    )
}

/// A view of MariaDB breaks when a column goes that it names; PostgreSQL's follows.
fn viewed(table: &Table, column: &str) -> String {
    let named =
        |text: &str| format!("instr(view_definition, {}) > 0", literal(Engine::MariaDb, &name(Engine::MariaDb, text)));
    format!(
        "select concat('views name it, and would break: ', group_concat(concat(table_schema, '.', table_name) separator ', ')) \
         from information_schema.views where {} and {} having count(*) > 0",
        named(&table.name),
        named(column)
    )
}

/// Tables between which the server makes no foreign keys. It makes them all the same while its checks are off, and then no row fits.
fn without_foreign_keys(table: &Table) -> String {
    format!(
        "select concat(table_name, ' is ', if(engine = 'InnoDB', 'partitioned', concat('of engine ', engine)), ', and MariaDB has no foreign keys there') \
         from information_schema.tables where table_schema = database() and table_name = {} \
         and (engine <> 'InnoDB' or create_options like '%partitioned%')",
        literal(Engine::MariaDb, &table.name)
    )
}

/// Columns that can never hold NULL.
fn never_null(table: &Table, column: &str, schema: &str) -> String {
    let qualified = qualified(table, schema);
    format!(
        "select 'the column is ' || case when attidentity <> '' then 'an identity' else 'in the primary key' end || ', so it never holds NULL' {} \
         and (attidentity <> '' or exists(select from pg_index where indrelid = attrelid and indisprimary and attnum = any(indkey)))",
        attribute(&qualified, column)
    )
}

/// Before PostgreSQL 15 a view shows what its owner may see.
fn secured(table: &Table, schema: &str) -> String {
    format!(
        "select 'policies hide rows of the table, and before PostgreSQL 15 a view shows them to everybody' from pg_class \
         where oid = {} and relrowsecurity and current_setting('server_version_num')::int < 150000",
        regclass(&qualified(table, schema))
    )
}

/// What depends on a column, or on a table, that is to be dropped for good (PostgreSQL); MariaDB's views are refused when it is put aside.
pub(crate) fn dependents(table: &Table, column: Option<&str>, schema: &str) -> String {
    let qualified = qualified(table, schema);
    let of_column = column.map_or_else(String::new, |column| {
        format!(" and d.refobjsubid = (select attnum {})", attribute(&qualified, column))
    });
    format!(
        "select string_agg(what, ', ') || ' would have to go, too; drop that first' from ( \
         select distinct 'view ' || r.ev_class::regclass as what from pg_depend d join pg_rewrite r on r.oid = d.objid \
         where d.classid = 'pg_rewrite'::regclass and d.refobjid = {table} and r.ev_class <> d.refobjid{of_column} \
         union select distinct 'computed column ' || a.attname from pg_depend d join pg_attrdef f on f.oid = d.objid \
         join pg_attribute a on a.attrelid = f.adrelid and a.attnum = f.adnum \
         where d.classid = 'pg_attrdef'::regclass and d.refobjid = {table} and a.attgenerated <> '' and a.attnum <> d.refobjsubid{of_column} \
         ) it",
        table = regclass(&qualified)
    )
}
