//! What is wrong with a migration before anybody has looked at a database.

use fairlead_sql::engine::Engine;

use crate::migration::{Kind, Migration};
use crate::operation::{Column, Operation};
use crate::raw_sql;

/// What is wrong with it, one line each.
pub(crate) fn lint(migration: &Migration, engine: Engine) -> Vec<String> {
    let specification = &migration.specification;
    let mut wrong = Vec::new();
    if engine == Engine::MariaDb {
        let foreign = migration.tables().into_iter().filter(|table| table.schema.is_some());
        wrong.extend(foreign.map(|table| {
            format!("{table}: MariaDB has no schemas; a table here is one of the database that `database` names")
        }));
    }
    if specification.operations.is_empty() && specification.backfill.is_none() {
        wrong.push("it does nothing: name operations, or a backfill".to_owned());
    }
    for (index, operation) in specification.operations.iter().enumerate() {
        let name = operation.name();
        let mut say = |what: String| wrong.push(format!("operations[{index}].{name}: {what}"));
        match (specification.kind, operation.is_contract()) {
            (Kind::Expand, true) => say(
                "it takes something from pods of the old release; put it into a migration of kind contract, which runs when they are gone"
                    .to_owned(),
            ),
            (Kind::Contract, false) if !matches!(operation, Operation::Sql { .. }) => {
                say("it adds something; put it into a migration of kind expand, which runs before the new release".to_owned());
            }
            _ => {}
        }
        match operation {
            Operation::CreateTable { columns, primary_key, .. } => {
                if primary_key.is_empty() {
                    say("primaryKey is empty: rows without a key can be neither filled nor told apart later".to_owned());
                }
                for key in primary_key.iter().filter(|key| !columns.iter().any(|column| column.name == **key)) {
                    say(format!("primaryKey names {key}, which is no column"));
                }
            }
            Operation::AddColumn { column, r#type, nullable, default, hidden, .. } => {
                let column =
                    Column { name: column.clone(), r#type: r#type.clone(), nullable: *nullable, default: default.clone() };
                of_column(&column, &mut say);
                if *hidden && engine == Engine::PostgreSql {
                    say("hidden: PostgreSQL has no hidden columns; a prepared `SELECT *` of a pod fails once with \"cached plan must not change result type\"".to_owned());
                }
            }
            Operation::AddIndex { columns, .. } if columns.is_empty() => say("columns is empty".to_owned()),
            Operation::AddForeignKey { columns, referenced, .. }
                if columns.is_empty() || columns.len() != referenced.len() =>
            {
                say("columns and referenced must name as many columns, at least one".to_owned());
            }
            Operation::VersionView { columns, .. } => {
                if columns.is_empty() {
                    say("columns is empty".to_owned());
                }
                if columns.values().any(|expression| expression.trim() == "*") {
                    say("a view of * does not follow its table; name the columns".to_owned());
                }
            }
            Operation::Sql { up, undo, irreversible, done, .. } => {
                for (field, sql) in [("up", Some(up)), ("undo", undo.as_ref())] {
                    for what in sql.into_iter().flat_map(|sql| raw_sql::defects(sql, engine)) {
                        say(format!("{field}: {what}"));
                    }
                }
                match (undo, irreversible) {
                    (None, false) => {
                        say("write `undo`, or `irreversible: true` to say that nothing takes it back".to_owned());
                    }
                    (Some(_), true) => {
                        say("it has an undo and says that nothing takes it back; keep one of the two".to_owned());
                    }
                    _ => {}
                }
                if done.trim().is_empty() {
                    say("done is empty: without it nobody knows after a crash whether it was carried out".to_owned());
                }
            }
            _ => {}
        }
    }
    if let Some(backfill) = &specification.backfill {
        wrong.extend(backfill.defects(engine).into_iter().map(|what| format!("backfill: {what}")));
    }
    wrong
}

fn of_column(column: &Column, say: &mut impl FnMut(String)) {
    if !column.nullable && column.default.is_none() {
        say("a column that refuses NULL needs a default: pods of the old release do not write it. Add it as nullable, fill it, and use setNotNull later".to_owned());
    }
    let kind = column.r#type.to_lowercase();
    if kind.contains("serial") {
        say("serial writes the whole table under a lock; use bigint, and a sequence of its own".to_owned());
    }
    let more = ["unique", "primary", "check", "references", "generated", "identity", "default", "auto_increment"];
    if let Some(word) = kind.split(|c: char| !c.is_alphanumeric() && c != '_').find(|word| more.contains(word)) {
        say(format!(
            "type says {word:?}, which is no type: the server would read or write the whole table under a lock for it. `default` has a field of its own, and addIndex and addForeignKey lock nothing"
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wrong(kind: &str, operation: &serde_json::Value, engine: Engine) -> Vec<String> {
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "SchemaMigration", "metadata": {"name": "m"},
            "spec": {"kind": kind, "operations": [operation]}});
        lint(&Migration::read(&document).expect("it can be read"), engine)
    }

    #[test]
    fn what_locks_a_table_or_takes_something_from_old_pods_is_found() {
        let sql = |up: &str| json!({"sql": {"name": "it", "up": up, "undo": "select 1", "done": "select true"}});
        for (kind, operation, said) in [
            (
                "expand",
                json!({"addColumn": {"table": "t", "column": "c", "type": "int", "nullable": false}}),
                "needs a default",
            ),
            (
                "expand",
                json!({"addColumn": {"table": "t", "column": "c", "type": "int generated by default as identity"}}),
                "which is no type",
            ),
            ("expand", json!({"addColumn": {"table": "t", "column": "c", "type": "bigserial"}}), "serial writes"),
            ("expand", json!({"setNotNull": {"table": "t", "column": "c"}}), "kind contract"),
            ("contract", json!({"addIndex": {"table": "t", "name": "i", "columns": ["c"]}}), "kind expand"),
            ("expand", json!({"createTable": {"table": "t", "columns": [], "primaryKey": []}}), "primaryKey is empty"),
            ("expand", sql("create index i on t (c)"), "up: "),
            ("expand", json!({"sql": {"name": "it", "up": "select 1", "done": "select true"}}), "irreversible"),
            ("expand", json!({"versionView": {"version": "v2", "table": "t", "columns": {"a": "*"}}}), "name the columns"),
        ] {
            let found = wrong(kind, &operation, Engine::PostgreSql);
            assert!(found.iter().any(|what| what.contains(said)), "{operation}: {found:?}");
        }
        let throttled = |throttle: serde_json::Value| {
            let backfill = json!({"table": "t", "column": "c", "value": {"sql": "1"}, "throttle": throttle});
            let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "SchemaMigration", "metadata": {"name": "m"},
                "spec": {"kind": "expand", "operations": [], "backfill": backfill}});
            lint(&Migration::read(&document).expect("it can be read"), Engine::MariaDb)
        };
        assert!(throttled(json!({"maxLagMillis": 10}))[0].contains("name them in throttle.replicas"));
        assert!(throttled(json!({"replicas": [{"host": "r"}]}))[0].contains("without throttle.maxLagMillis"));
        assert!(throttled(json!({"maxLagMillis": 10, "replicas": [{"host": "r"}]})).is_empty());
        let good = json!({"addColumn": {"table": "t", "column": "c", "type": "int", "nullable": false, "default": "0"}});
        assert_eq!(wrong("expand", &good, Engine::PostgreSql), Vec::<String>::new());
    }
}
