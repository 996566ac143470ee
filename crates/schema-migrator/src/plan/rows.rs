//! Rows that are filled, and rows that speak against a contract.

use fairlead_job::codes::schema_migrator as codes;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_sql::error::Error;

use super::{FILLED_AT_ONCE, Making, rows_target};
use crate::backfill::{Backfill, Kept, KeyColumn, Packet, Rows, Value};
use crate::catalog::Facts;
use crate::drafts::Place;
use crate::image::{Draft, target};
use crate::label;
use crate::migration::Migration;
use crate::operation::Operation;

impl Making<'_> {
    /// The change that fills rows, and how many there are, up to a limit. None when there are none.
    pub(super) async fn rows(
        &mut self,
        place: &Place<'_>,
        backfill: &Backfill,
        drafts: &[Draft],
        whole: &Target,
    ) -> Result<(Option<Change>, u64), Error> {
        let shown = place.shown(&backfill.table);
        let facts = place.facts.get(&backfill.table).cloned().unwrap_or_default();
        let target = rows_target(&shown, &backfill.column);
        let made = drafts.iter().find(|draft| draft.target.kind == "Column" && draft.target.name == backfill.column);
        let kind = facts.columns.get(&backfill.column).map(|facts| facts.r#type.clone());
        let Some(kind) = kind.or_else(|| made.and_then(|draft| draft.after.clone())) else {
            let message = format!("{shown} has no column {}, and no operation of the migration adds it", backfill.column);
            self.refuse(codes::IMPOSSIBLE.finding(target, message));
            return Ok((None, 0));
        };
        if facts.key.is_empty() {
            let message = format!("{shown} has no primary key: nobody could go on where a batch has ended");
            self.refuse(codes::NO_KEY.finding(target, message));
            return Ok((None, 0));
        }
        let engine = self.engine();
        let written = self.written(&backfill.table);
        if let Some((name, kind)) = facts.strange_key(engine) {
            let message = format!("column {name} of the key of {shown} is of type {kind}, whose order no text keeps");
            self.refuse(codes::NO_KEY.finding(target, message));
            return Ok((None, 0));
        }
        self.warn_of_triggers(&shown, &facts);
        let is_new = facts.planned.contains(&backfill.column);
        let limit = FILLED_AT_ONCE + 1;
        let nulls = if is_new {
            1
        } else {
            let count = self.session.text(&Rows::nulls(&written, &backfill.column, engine, limit)).await?;
            count.and_then(|count| count.parse().ok()).unwrap_or(0)
        };
        if nulls == 0 {
            self.keep(target, "no row holds NULL");
            return Ok((None, 0));
        }
        let packets = match &backfill.value {
            Value::IlpPacket(Packet { table, .. }) => Some(self.written(table)),
            Value::Sql(_) => None,
        };
        let key = facts.key.iter().map(|name| KeyColumn {
            name: name.clone(),
            r#type: facts.columns.get(name).map(|facts| facts.r#type.clone()).unwrap_or_default(),
            is_number: facts.is_number(name),
        });
        let database = self.tables.database.clone();
        let kept = Kept { database: database.clone(), keep: true };
        let kept_columns = facts.columns.iter().filter(|(_, facts)| facts.moves);
        let unchanged = kept_columns.map(|(name, _)| name.clone()).collect();
        let (key, backfill) = (key.collect(), backfill.clone());
        let rows = Rows { database, table: written, r#type: kind, key, packets, unchanged, backfill };
        let [from, to] = [serde_json::to_string(&kept), serde_json::to_string(&rows)].map(|text| text.expect("plain data"));
        let reason = format!("backfill of {}", whole.name);
        Ok((Some(Change { stage: 0, target, images: Images::Sweep(from, to), reason }), nulls))
    }

    /// Somebody's trigger runs for each row that is filled.
    fn warn_of_triggers(&mut self, shown: &str, facts: &Facts) {
        for [name, _, event] in facts.triggers.iter().filter(|[name, ..]| !label::is_ours(name)) {
            if event != "insert" {
                let message = "it may run for each row that is filled, and change or write what it does for an update";
                self.plan.warn(codes::TRIGGERED.finding(target("Trigger", shown, name), message));
            }
        }
    }

    /// Refuses a contract that refuses NULL where rows hold it that nothing fills.
    pub(super) async fn refuse_nulls(
        &mut self,
        migration: &Migration,
        place: &Place<'_>,
        whole: &Target,
        backfills: &[Backfill],
    ) -> Result<(), Error> {
        for operation in &migration.specification.operations {
            let (Operation::SetNotNull { table, column } | Operation::Forbid { table, column }) = operation else {
                continue;
            };
            let is_filled = |backfill: &Backfill| backfill.table == *table && backfill.column == *column;
            let is_known = place.facts.get(table).is_some_and(|facts| facts.columns.contains_key(column));
            if !is_known || backfills.iter().any(is_filled) {
                continue;
            }
            let count = self.session.text(&Rows::nulls(&self.written(table), column, self.engine(), 1_000_000)).await?;
            let count: u64 = count.and_then(|count| count.parse().ok()).unwrap_or(0);
            if count > 0 {
                let (rows, hold) = if count == 1 { ("row", "holds") } else { ("rows", "hold") };
                let message = format!("{count} {rows} of {} {hold} NULL in {column}", place.shown(table));
                self.refuse(codes::ROWS.finding(whole.clone(), message));
            }
        }
        Ok(())
    }
}
