//! The statements of a backfill.

use std::fmt::Write as _;

use fairlead_sql::engine::Engine;
use fairlead_sql::text::{literal, name};

use crate::backfill::{KeyColumn, Rows, Value};
use crate::state;

/// The key of a row: a text for each column.
pub(crate) type Key = Vec<String>;

impl Rows {
    pub(crate) fn engine(&self) -> Engine {
        self.database.engine
    }

    fn column(&self) -> String {
        format!("t.{}", name(self.engine(), &self.backfill.column))
    }

    fn key_names(&self) -> Vec<String> {
        self.key.iter().map(|key| format!("t.{}", name(self.engine(), &key.name))).collect()
    }

    /// The key of a row, as it is read: as text.
    fn key_texts(&self) -> String {
        let of = |name: String| match self.engine() {
            Engine::PostgreSql => format!("{name}::text"),
            Engine::MariaDb => format!("cast({name} as char)"),
        };
        self.key_names().into_iter().map(of).collect::<Vec<_>>().join(", ")
    }

    fn order(&self, direction: &str) -> String {
        self.key_names().into_iter().map(|name| format!("{name}{direction}")).collect::<Vec<_>>().join(", ")
    }

    fn value(&self, column: &KeyColumn, text: &str) -> String {
        let is_number = column.is_number && text.parse::<f64>().is_ok_and(f64::is_finite);
        if is_number { text.to_owned() } else { literal(self.engine(), text) }
    }

    /// That the key of a row is beyond this one, or at most this one. Written out column by column: MariaDB uses no index for a comparison of
    /// rows.
    fn compared(&self, key: &[String], beyond: bool) -> String {
        let names = self.key_names();
        let (strict, wide) = if beyond { (">", ">=") } else { ("<", "<=") };
        let value = |index: usize| self.value(&self.key[index], &key[index]);
        let last = names.len() - 1;
        let end = if beyond { strict } else { wide };
        let mut text = format!("{} {end} {}", names[last], value(last));
        for index in (0..last).rev() {
            let (name, value) = (&names[index], value(index));
            text = format!("{name} {wide} {value} and ({name} {strict} {value} or {text})");
        }
        text
    }

    /// The rows between two keys: without the first, with the last.
    fn range(&self, after: Option<&Key>, to: &Key) -> String {
        let to = self.compared(to, false);
        match after {
            Some(after) => format!("({}) and ({to})", self.compared(after, true)),
            None => format!("({to})"),
        }
    }

    /// The largest key there is.
    pub(crate) fn last_key(&self) -> String {
        format!("select {} from {} t order by {} limit 1", self.key_texts(), self.table, self.order(" desc"))
    }

    /// The key of the last row of a batch; nothing when fewer rows are left. Only keys are looked at: rows that are deleted meanwhile do not
    /// end a backfill.
    pub(crate) fn batch_end(&self, after: Option<&Key>, to: &Key, rows: u64) -> String {
        format!(
            "select {} from {} t where {} order by {} limit 1 offset {}",
            self.key_texts(),
            self.table,
            self.range(after, to),
            self.order(""),
            rows - 1
        )
    }

    /// Writes the rows of a batch from an expression.
    pub(crate) fn update(&self, expression: &str, after: Option<&Key>, to: &Key) -> String {
        format!(
            "update {} t set {} = ({expression}){} where {} and {} is null",
            self.table,
            self.set_column(),
            self.kept(),
            self.range(after, to),
            self.column()
        )
    }

    /// Columns that keep what they hold.
    fn kept(&self) -> String {
        let of = |column: &String| {
            let name = name(self.engine(), column);
            format!(", t.{name} = t.{name}")
        };
        self.unchanged.iter().map(of).collect::<Vec<_>>().concat()
    }

    /// PostgreSQL wants no alias here.
    fn set_column(&self) -> String {
        match self.engine() {
            Engine::PostgreSql => name(self.engine(), &self.backfill.column),
            Engine::MariaDb => self.column(),
        }
    }

    /// Does both in PostgreSQL, and answers how many rows got a value, and how many have none: one look at them instead of two.
    pub(crate) fn update_or_quarantine(
        &self,
        expression: &str,
        mark: &str,
        target: &str,
        reason: &str,
        after: Option<&Key>,
        to: &Key,
    ) -> String {
        let [mark, target, reason] = [mark, target, reason].map(|text| literal(Engine::PostgreSql, text));
        format!(
            "with filled as ({} returning case when {} is null then concat_ws('/', {}) end as missing), \
             quarantined as (insert into {} (mark, target, row_key, reason) \
             select {mark}, {target}, missing, {reason} from filled where missing is not null) \
             select count(*) - count(missing), count(missing) from filled",
            self.update(expression, after, to),
            self.column(),
            self.key_names().join(", "),
            state::table(Engine::PostgreSql, "quarantine"),
        )
    }

    /// Writes down the rows of a batch that have no value.
    pub(crate) fn quarantine_nulls(&self, mark: &str, target: &str, reason: &str, after: Option<&Key>, to: &Key) -> String {
        let engine = self.engine();
        let key = format!("concat_ws('/', {})", self.key_texts());
        format!(
            "insert into {} (mark, target, row_key, reason) select {}, {}, {key}, {} from {} t where {} and {} is null",
            state::table(engine, "quarantine"),
            literal(engine, mark),
            literal(engine, target),
            literal(engine, reason),
            self.table,
            self.range(after, to),
            self.column()
        )
    }

    /// The rows of a batch with their packets: the key, what the column holds, the packet.
    pub(crate) fn packets(&self, after: Option<&Key>, to: &Key) -> Option<String> {
        let (Value::IlpPacket(packet), Some(table)) = (&self.backfill.value, &self.packets) else { return None };
        let engine = self.engine();
        Some(format!(
            "select {}, {}, p.{} from {} t left join {table} p on p.{} = {} where {} order by {}",
            self.key_texts(),
            self.column(),
            name(engine, &packet.column),
            self.table,
            name(engine, &packet.on),
            self.key_names()[0],
            self.range(after, to),
            self.order("")
        ))
    }

    /// Writes these values, where there is none yet.
    pub(crate) fn write(&self, values: &[(Key, String)]) -> String {
        let engine = self.engine();
        let mut text = String::new();
        match engine {
            Engine::PostgreSql => {
                let names = self.key_names();
                let _ = write!(
                    text,
                    "update {} t set {} = v.value::{} from (values ",
                    self.table,
                    self.set_column(),
                    self.r#type
                );
                for (index, (key, value)) in values.iter().enumerate() {
                    let key: Vec<String> = key.iter().map(|text| literal(engine, text)).collect();
                    let comma = if index == 0 { "" } else { ", " };
                    let _ = write!(text, "{comma}({}, {})", key.join(", "), literal(engine, value));
                }
                let columns: Vec<String> = (0..self.key.len()).map(|index| format!("k{index}")).collect();
                let joined = names.iter().zip(&self.key).enumerate();
                let joined = joined.map(|(index, (name, key))| format!("{name} = v.k{index}::{}", key.r#type));
                let joined = joined.collect::<Vec<_>>().join(" and ");
                let _ = write!(text, ") v({}, value) where {joined} and {} is null", columns.join(", "), self.column());
            }
            Engine::MariaDb => {
                let names = self.key_names();
                let is = |key: &Key| {
                    let pairs = names.iter().zip(&self.key).zip(key);
                    pairs
                        .map(|((name, column), text)| format!("{name} = {}", self.value(column, text)))
                        .collect::<Vec<_>>()
                        .join(" and ")
                };
                let _ = write!(text, "update {} t set {} = case", self.table, self.set_column());
                for (key, value) in values {
                    let _ = write!(text, " when {} then {}", is(key), literal(engine, value));
                }
                let firsts: Vec<String> = values.iter().map(|(key, _)| self.value(&self.key[0], &key[0])).collect();
                let exact = if names.len() == 1 {
                    String::new()
                } else {
                    let any: Vec<String> = values.iter().map(|(key, _)| format!("({})", is(key))).collect();
                    format!(" and ({})", any.join(" or "))
                };
                let (kept, firsts) = (self.kept(), firsts.join(", "));
                let _ = write!(text, " end{kept} where {} in ({firsts}){exact} and {} is null", names[0], self.column());
            }
        }
        text
    }

    /// How many rows hold NULL, up to a limit.
    pub(crate) fn nulls(table: &str, column: &str, engine: Engine, limit: u64) -> String {
        format!(
            "select count(*) from (select 1 as one from {table} where {} is null limit {limit}) as it",
            name(engine, column)
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rows(engine: &str, key: &[(&str, bool)]) -> Rows {
        let key: Vec<_> =
            key.iter().map(|(name, is_number)| json!({"name": name, "type": "x", "isNumber": is_number})).collect();
        serde_json::from_value(json!({
            "database": {"engine": engine, "host": "h", "database": "d", "username": "u"},
            "table": "t1", "type": "varchar(36)", "key": key,
            "backfill": {"table": "t1", "column": "c", "value": {"sql": "d"}},
        }))
        .expect("it can be read")
    }

    #[test]
    fn a_range_of_a_composite_key_is_written_so_that_an_index_serves_it() {
        let rows = rows("mariadb", &[("a", true), ("b", false)]);
        let (after, to) = (vec!["1".to_owned(), "x".to_owned()], vec!["12; drop".to_owned(), "it's".to_owned()]);
        insta::assert_snapshot!(rows.update("d", Some(&after), &to), @"update t1 t set t.`c` = (d) where (t.`a` >= 1 and (t.`a` > 1 or t.`b` > 'x')) and (t.`a` <= '12; drop' and (t.`a` < '12; drop' or t.`b` <= 'it''s')) and t.`c` is null");
    }

    #[test]
    fn values_are_written_in_one_statement() {
        let values = vec![(vec!["k1".to_owned()], "v'1".to_owned()), (vec!["k2".to_owned()], "v2".to_owned())];
        insta::assert_snapshot!(rows("postgresql", &[("id", false)]).write(&values), @r#"update t1 t set "c" = v.value::varchar(36) from (values ('k1', 'v''1'), ('k2', 'v2')) v(k0, value) where t."id" = v.k0::x and t."c" is null"#);
        insta::assert_snapshot!(rows("mariadb", &[("id", false)]).write(&values), @"update t1 t set t.`c` = case when t.`id` = 'k1' then 'v''1' when t.`id` = 'k2' then 'v2' end where t.`id` in ('k1', 'k2') and t.`c` is null");
    }
}
