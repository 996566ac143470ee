//! Migrations beside the one that is planned: those that it waits for, and what has become of those that are applied.

use std::collections::BTreeSet;

use fairlead_job::codes::schema_migrator as codes;
use fairlead_sql::error::Error;
use fairlead_sql::text::literal;

use super::{Making, migration_target, rows_target};
use crate::drafts::Place;
use crate::migration::{Migration, Specification};
use crate::operation::Operation;
use crate::phase::Phase;
use crate::state;
use crate::table::Table;

impl Making<'_> {
    /// Whether a migration has to wait for another one.
    pub(super) async fn waits(&mut self, migration: &Migration) -> Result<bool, Error> {
        let mut waits = false;
        for name in &migration.specification.after {
            let Some(other) = self.tables.migrations.iter().find(|it| it.name == *name) else { continue };
            let is_here = self.phase.is_of(other.specification.kind);
            if !self.applied.contains_key(name) && !is_here {
                let message =
                    format!("migration {name} comes first, and is not applied: `schema-migrator apply` applies it");
                self.plan.warn(codes::WAITING.finding(migration_target(&migration.name), message));
                waits = true;
                continue;
            }
            if self.phase != Phase::Contract || !state::exists(self.session, "backfill").await? {
                continue;
            }
            for (table, column) in filled(other) {
                let target = rows_target(&self.shown(table), column).to_string();
                let (engine, table) = (self.engine(), state::table(self.engine(), "backfill"));
                let query = format!(
                    "select case when is_done = 0 then changed end from {table} where target = {} order by renewed desc limit 1",
                    literal(engine, &target)
                );
                if let Some(changed) = self.session.text(&query).await? {
                    let message =
                        format!("{target} of migration {name} is not filled to its end yet: {changed} rows so far");
                    self.plan.warn(codes::WAITING.finding(migration_target(&migration.name), message));
                    waits = true;
                }
            }
        }
        Ok(waits)
    }

    /// What somebody has changed by hand since a migration was applied, unless a later migration changes it, too.
    pub(super) async fn look_for_drift(&mut self, migration: &Migration) -> Result<(), Error> {
        let facts = self.facts(migration).await?;
        let (schema, database) = (self.tables.schema.clone(), self.tables.database.database.clone());
        let place = Place {
            engine: self.engine(),
            schema: &schema,
            database: &database,
            facts: &facts,
            knows_readers: self.knows_readers(),
        };
        let later: BTreeSet<(Table, String)> = self
            .tables
            .migrations
            .iter()
            .skip_while(|it| it.name != migration.name)
            .skip(1)
            .filter(|it| self.applied.contains_key(&it.name))
            .flat_map(|it| it.specification.operations.iter().filter_map(column))
            .collect();
        for operation in &migration.specification.operations {
            if column(operation).is_some_and(|column| later.contains(&column)) {
                continue;
            }
            let Ok(drafts) = place.drafts(operation) else { continue };
            for draft in drafts.changes {
                let draft = self.as_the_server_writes(&draft).await?;
                let answer = self.answer(&draft).await?;
                if answer != draft.after {
                    let there = answer.map_or_else(|| "nothing".to_owned(), |answer| format!("`{answer}`"));
                    let wanted = draft.after.as_deref().map_or_else(|| "nothing".to_owned(), |after| format!("`{after}`"));
                    let message = format!("migration {} made {wanted}; now there is {there}", migration.name);
                    self.plan.warn(codes::DRIFTED.finding(draft.target, message));
                }
            }
        }
        Ok(())
    }
}

/// The columns that a migration fills.
fn filled(migration: &Migration) -> Vec<(&Table, &String)> {
    let Specification { operations, backfill, .. } = &migration.specification;
    let shadows = operations.iter().filter_map(|operation| match operation {
        Operation::RenameColumn { table, to, .. } | Operation::ChangeType { table, to, .. } => Some((table, to)),
        _ => None,
    });
    shadows.chain(backfill.iter().map(|backfill| (&backfill.table, &backfill.column))).collect()
}

/// The column that an operation changes.
fn column(operation: &Operation) -> Option<(Table, String)> {
    let (table, column) = match operation {
        Operation::AddColumn { table, column, .. }
        | Operation::SetDefault { table, column, .. }
        | Operation::Fill { table, column, .. }
        | Operation::Forbid { table, column }
        | Operation::SetNotNull { table, column }
        | Operation::DropNotNull { table, column }
        | Operation::DropColumn { table, column } => (table, column),
        Operation::ChangeType { table, to, .. } | Operation::RenameColumn { table, to, .. } => (table, to),
        Operation::DropTable { table } => (table, &table.name),
        _ => return None,
    };
    Some((table.clone(), column.clone()))
}
