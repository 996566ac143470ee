//! What an operation will make of a table, for the operations behind it in the same plan.

use std::collections::BTreeMap;

use fairlead_sql::engine::Engine;

use crate::catalog::Facts;
use crate::operation::Operation;
use crate::primitive::ColumnFacts;
use crate::table::Table;
use crate::{mariadb, postgresql};

/// Notes what an operation will make.
pub(crate) fn foresee(tables: &mut BTreeMap<Table, Facts>, operation: &Operation, engine: Engine) {
    match operation {
        Operation::CreateTable { table, columns, primary_key } => {
            let facts = tables.entry(table.clone()).or_default();
            if !facts.columns.is_empty() {
                return;
            }
            facts.key.clone_from(primary_key);
            for column in columns {
                add(facts, &column.name, new(engine, &column.r#type, column.nullable, column.default.as_deref()));
            }
        }
        Operation::AddColumn { table, column, r#type, nullable, default, .. } => {
            let facts = tables.entry(table.clone()).or_default();
            add(facts, column, new(engine, r#type, *nullable, default.as_deref()));
        }
        Operation::RenameColumn { table, from, to } => {
            let facts = tables.entry(table.clone()).or_default();
            if let Some(old) = facts.columns.get(from).cloned() {
                add(facts, to, ColumnFacts { is_nullable: true, has_default: false, default: None, ..old });
            }
        }
        Operation::ChangeType { table, to, r#type, .. } => {
            add(tables.entry(table.clone()).or_default(), to, new(engine, r#type, true, None));
        }
        Operation::SetDefault { table, column, default } => {
            if let Some(facts) = tables.get_mut(table).and_then(|facts| facts.columns.get_mut(column)) {
                facts.has_default = default.is_some();
                facts.default.clone_from(default);
            }
        }
        Operation::SetNotNull { table, column } => set_nullable(tables, table, column, false),
        Operation::DropNotNull { table, column } => set_nullable(tables, table, column, true),
        _ => {}
    }
}

fn set_nullable(tables: &mut BTreeMap<Table, Facts>, table: &Table, column: &str, is_nullable: bool) {
    if let Some(facts) = tables.get_mut(table).and_then(|facts| facts.columns.get_mut(column)) {
        facts.is_nullable = is_nullable;
    }
}

/// What is there already stays as it is.
fn add(facts: &mut Facts, column: &str, it: ColumnFacts) {
    if !facts.columns.contains_key(column) {
        facts.columns.insert(column.to_owned(), it);
        facts.planned.insert(column.to_owned());
    }
}

fn new(engine: Engine, kind: &str, is_nullable: bool, default: Option<&str>) -> ColumnFacts {
    let canonical = match engine {
        Engine::PostgreSql => postgresql::canonical_type(kind),
        Engine::MariaDb => mariadb::canonical_type(kind),
    };
    ColumnFacts {
        r#type: canonical,
        is_nullable,
        has_default: default.is_some(),
        written: kind.to_owned(),
        default: default.map(str::to_owned),
        ..ColumnFacts::default()
    }
}
