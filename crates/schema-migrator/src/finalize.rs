//! What contracts have put aside is dropped for good.

use fairlead_migration::change::Target;
use fairlead_sql::engine::Engine;

use crate::drafts::dropped;
use crate::image::{Draft, target};
use crate::migration::Migration;
use crate::operation::{Column, Operation};
use crate::primitive::Primitive;
use crate::table::Table;
use crate::{mariadb, postgresql};

/// Drops of what a migration has put aside.
pub(crate) fn drafts(migration: &Migration, engine: Engine, schema: &str) -> Vec<Draft> {
    let of = |operation: &Operation| match operation {
        Operation::DropColumn { table, column } => {
            let dropped = Column { name: dropped(column), r#type: "text".to_owned(), nullable: true, default: None };
            let it = match engine {
                Engine::PostgreSql => postgresql::column(table, schema, &dropped),
                Engine::MariaDb => mariadb::dropped_for_good(table, &dropped),
            };
            let shown = if engine == Engine::PostgreSql && table.schema.is_none() {
                format!("{schema}.{table}")
            } else {
                table.to_string()
            };
            Some(gone(target("Column", shown, &dropped.name), it))
        }
        Operation::DropTable { table } => {
            let name = dropped(&table.name);
            let dropped = Table { schema: table.schema.clone(), name: name.clone() };
            let it = match engine {
                Engine::PostgreSql => postgresql::table(&dropped, schema, &[], &[]),
                Engine::MariaDb => mariadb::table(&dropped, &[], &[]),
            };
            let read = match engine {
                Engine::PostgreSql => postgresql::table_tombstone(&dropped, schema, "").read,
                Engine::MariaDb => mariadb::table_tombstone(&dropped, "").read,
            };
            let target = Target { namespace: None, ..target("Table", "", dropped.to_string()) };
            Some(gone(target, Primitive { read, ..it }))
        }
        _ => None,
    };
    migration.specification.operations.iter().filter_map(of).collect()
}

fn gone(target: Target, it: Primitive) -> Draft {
    let lost = format!("{target} was dropped by finalize, and only a backup has what it held");
    let Primitive { read, is, down, .. } = it;
    let reason = "finalize".to_owned();
    Draft {
        target,
        read,
        before: Some(is),
        after: None,
        up: down,
        down: Vec::new(),
        lost: Some(lost),
        reason,
        columns: Vec::new(),
    }
}
