//! Changes of the catalog that an operation stands for.

use std::collections::BTreeMap;

use fairlead_migration::change::Target;
use fairlead_sql::engine::Engine;

use crate::backfill::{Backfill, Value};
use crate::catalog::Facts;
use crate::image::{Draft, STATEMENT, Statement, target};
use crate::label;
use crate::mariadb::{self, Event};
use crate::operation::{Column, Operation};
use crate::postgresql;
use crate::primitive::{ColumnFacts, Primitive};
use crate::table::Table;

/// What an operation is made for.
pub(crate) struct Place<'p> {
    pub(crate) engine: Engine,
    /// Schema of tables that name none (PostgreSQL).
    pub(crate) schema: &'p str,
    /// Name of the database.
    pub(crate) database: &'p str,
    /// The tables of the migration, as they are.
    pub(crate) facts: &'p BTreeMap<Table, Facts>,
    /// Whether a view can show what its reader may see.
    pub(crate) knows_readers: bool,
}

/// What comes of an operation.
#[derive(Default)]
pub(crate) struct Drafts {
    /// Changes, in their order.
    pub(crate) changes: Vec<Draft>,
    /// Rows that have to be filled for it.
    pub(crate) backfills: Vec<Backfill>,
}

/// How a dropped column or table is called until `finalize`.
pub(crate) fn dropped(name: &str) -> String {
    label::shortened("fairlead_dropped", name)
}

fn made(target: Target, it: Primitive, reason: impl Into<String>) -> Draft {
    let Primitive { read, is, up, down } = it;
    Draft { target, read, before: None, after: Some(is), up, down, lost: None, reason: reason.into(), columns: Vec::new() }
}

fn becomes(target: Target, it: Primitive, before: &str, reason: impl Into<String>) -> Draft {
    Draft { before: Some(before.to_owned()), ..made(target, it, reason) }
}

fn gone(target: Target, it: Primitive, before: &str, reason: impl Into<String>) -> Draft {
    Draft { before: Some(before.to_owned()), after: None, ..made(target, it, reason) }
}

impl Place<'_> {
    /// The name of a table in targets.
    pub(crate) fn shown(&self, table: &Table) -> String {
        match self.engine {
            Engine::PostgreSql => format!("{}.{}", table.schema.as_deref().unwrap_or(self.schema), table.name),
            Engine::MariaDb => table.name.clone(),
        }
    }

    /// What an operation puts aside.
    pub(crate) fn put_aside(&self, operation: &Operation) -> Option<Target> {
        match operation {
            Operation::DropColumn { table, column } => Some(target("Column", self.shown(table), column)),
            Operation::DropTable { table } => Some(Target { namespace: None, ..target("Table", "", self.shown(table)) }),
            _ => None,
        }
    }

    fn facts(&self, table: &Table) -> Result<&Facts, String> {
        let facts = self.facts.get(table).filter(|facts| !facts.columns.is_empty());
        facts.ok_or_else(|| format!("there is no table {}", self.shown(table)))
    }

    /// The changes of an operation.
    ///
    /// # Errors
    ///
    /// What is missing in the database, or cannot be done there.
    #[expect(clippy::too_many_lines, reason = "one arm for each operation")]
    pub(crate) fn drafts(&self, operation: &Operation) -> Result<Drafts, String> {
        let mut all = Drafts::default();
        self.spelled(operation)?;
        match operation {
            Operation::CreateTable { table, columns, primary_key } => {
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::table(table, self.schema, columns, primary_key),
                    Engine::MariaDb => mariadb::table(table, columns, primary_key),
                };
                let target = Target { namespace: None, ..target("Table", "", self.shown(table)) };
                all.changes.push(Draft { columns: columns.clone(), ..made(target, it, "createTable") });
            }
            Operation::AddColumn { table, column, r#type, nullable, default, hidden } => {
                self.facts(table)?;
                let column =
                    Column { name: column.clone(), r#type: r#type.clone(), nullable: *nullable, default: default.clone() };
                all.changes.push(self.column(table, &column, *hidden, "addColumn"));
            }
            Operation::SetDefault { table, column, default } => {
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::default(
                        table,
                        self.schema,
                        column,
                        default.as_deref(),
                        default.as_deref().unwrap_or("none"),
                    ),
                    Engine::MariaDb => mariadb::default(table, column, default.as_deref()),
                };
                let draft = becomes(target("Default", self.shown(table), column), it, "none", "setDefault");
                let facts = self.stored(table, column)?;
                let said =
                    Column { name: column.clone(), r#type: facts.written.clone(), nullable: true, default: default.clone() };
                let columns = if default.is_some() && self.engine == Engine::PostgreSql { vec![said] } else { Vec::new() };
                all.changes.push(Draft { columns, ..draft });
            }
            Operation::AddIndex { table, name, columns, unique } => {
                self.whole(table)?;
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::index(table, self.schema, name, columns, *unique),
                    Engine::MariaDb => mariadb::index(table, name, columns, *unique),
                };
                all.changes.push(made(target("Index", self.shown(table), name), it, "addIndex"));
            }
            Operation::AddForeignKey { table, name, columns, references, referenced } => {
                self.whole(table)?;
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::foreign_key(table, self.schema, name, columns, references, referenced),
                    Engine::MariaDb => mariadb::foreign_key(table, name, columns, references, referenced),
                };
                all.changes.push(made(target("ForeignKey", self.shown(table), name), it, "addForeignKey"));
            }
            Operation::Fill { table, column, value } => {
                self.stored(table, column)?;
                let (pg, my) = (postgresql::fill(column, value), mariadb::fill(column, value));
                self.triggers(&mut all, table, column, &pg, [&my, &my], "fill");
            }
            Operation::Forbid { table, column } => {
                self.stored(table, column)?;
                let (pg, my) = (postgresql::forbid(table, column), mariadb::forbid(table, column));
                self.triggers(&mut all, table, column, &pg, [&my, &my], "forbid");
            }
            Operation::Sync { table, from, to, up, down } => {
                self.stored(table, from)?;
                self.stored(table, to)?;
                self.sync(&mut all, table, from, to, [up, down]);
            }
            Operation::SetNotNull { table, column } => {
                all.changes.push(self.not_null(table, column)?);
            }
            Operation::DropNotNull { table, column } => {
                let it = self.not_null(table, column)?;
                let (up, down) = (it.down.clone(), it.up.clone());
                let draft = Draft { before: it.after, after: Some("null".to_owned()), up, down, ..it };
                all.changes.push(Draft { reason: "dropNotNull".to_owned(), ..draft });
            }
            Operation::RenameColumn { table, from, to } => {
                let facts = self.stored(table, from)?;
                let kind = facts.written.clone();
                let value = |column: &str| format!("NEW.{}", fairlead_sql::text::name(self.engine, column));
                self.shadow(&mut all, table, [from, to], &kind, [&value(from), &value(to)], "renameColumn");
            }
            Operation::ChangeType { table, column, to, r#type, up, down } => {
                self.stored(table, column)?;
                self.shadow(&mut all, table, [column, to], r#type, [up, down], "changeType");
            }
            Operation::DropColumn { table, column } => {
                let known = self.facts(table)?.columns.get(column);
                let Some(facts) = known else { return Ok(all) };
                if !facts.is_nullable && !facts.has_default {
                    return Err(format!(
                        "{}.{column} refuses NULL and has no default: writers that do not know it any more would fail. `dropNotNull` comes first, in the release before",
                        self.shown(table)
                    ));
                }
                self.triggers_on(&mut all, table, column)?;
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::tombstone(table, self.schema, column, &dropped(column)),
                    Engine::MariaDb => mariadb::tombstone(table, column, &dropped(column)),
                };
                all.changes.push(gone(target("Column", self.shown(table), column), it, &facts.r#type, "dropColumn"));
            }
            Operation::DropTable { table } => {
                if self.facts(table).is_err() {
                    return Ok(all);
                }
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::table_tombstone(table, self.schema, &dropped(&table.name)),
                    Engine::MariaDb => mariadb::table_tombstone(table, &dropped(&table.name)),
                };
                let target = Target { namespace: None, ..target("Table", "", self.shown(table)) };
                all.changes.push(gone(target, it, "table", "dropTable"));
            }
            Operation::VersionView { version, table, columns } => {
                let columns: Vec<(String, String)> = columns.clone().into_iter().collect();
                let it = match self.engine {
                    Engine::PostgreSql => postgresql::view(version, table, self.schema, &columns, self.knows_readers),
                    Engine::MariaDb => mariadb::view(version, table, self.database, &columns),
                };
                all.changes.push(made(target("View", version, &table.name), it, "versionView"));
            }
            Operation::Sql { name, up, undo, done, irreversible } => {
                let read = format!("select case when ({done}) then 'done' end");
                let answer =
                    |is: bool| format!("select case when ({done}) then {} else {} end", u8::from(is), u8::from(!is));
                let down = undo.iter().map(|sql| Statement::new(sql, answer(false))).collect();
                let lost = irreversible.then(|| "the migration says that nothing takes it back".to_owned());
                let (is, up) = ("done".to_owned(), vec![Statement::new(up, answer(true))]);
                let draft = made(target(STATEMENT, self.database, name), Primitive { read, is, up, down }, "sql");
                all.changes.push(Draft { lost, ..draft });
            }
        }
        Ok(all)
    }

    /// A column in other letters is another one for PostgreSQL, and for MariaDB the same.
    fn spelled(&self, operation: &Operation) -> Result<(), String> {
        let Some(facts) = operation.tables().next().and_then(|table| self.facts.get(table)) else { return Ok(()) };
        let is_one = |one: &str, other: &str| match self.engine {
            Engine::PostgreSql => one == other,
            Engine::MariaDb => one.to_lowercase() == other.to_lowercase(),
        };
        let alike = |column: &str| facts.columns.keys().find(|known| known.to_lowercase() == column.to_lowercase());
        let mut needs = operation.needs().into_iter().filter(|column| !facts.columns.contains_key(*column));
        if let Some((column, known)) = needs.find_map(|column| Some((column, alike(column)?))) {
            return Err(format!("there is no column {column}, and there is {known}"));
        }
        let Some(made) = operation.makes() else { return Ok(()) };
        if operation.needs().iter().any(|needed| is_one(needed, made)) {
            return Err(format!("{made} is the name that the column has"));
        }
        match alike(made).filter(|known| *known != made && is_one(known, made)) {
            Some(known) => Err(format!("{made} is {known} for the server, which is there")),
            None => Ok(()),
        }
    }

    fn column(&self, table: &Table, column: &Column, is_hidden: bool, reason: &str) -> Draft {
        let it = match self.engine {
            Engine::PostgreSql => postgresql::column(table, self.schema, column),
            Engine::MariaDb => mariadb::column(table, column, is_hidden),
        };
        Draft { columns: vec![column.clone()], ..made(target("Column", self.shown(table), &column.name), it, reason) }
    }

    /// A table without partitions: PostgreSQL has no way to do that to one with them that keeps nobody waiting.
    fn whole(&self, table: &Table) -> Result<(), String> {
        let is_partitioned = self.facts(table)?.is_partitioned;
        if is_partitioned { Err(format!("{} has partitions: do it to each of them", self.shown(table))) } else { Ok(()) }
    }

    /// A column that is there, and that writers write.
    fn stored(&self, table: &Table, column: &str) -> Result<&ColumnFacts, String> {
        let known = self.facts(table)?.columns.get(column);
        let facts = known.ok_or_else(|| format!("{} has no column {column}", self.shown(table)))?;
        if facts.is_generated { Err(format!("{}.{column} is computed by the server", self.shown(table))) } else { Ok(facts) }
    }

    /// Triggers of ours that name a column go with it; those of others speak against it.
    fn triggers_on(&self, all: &mut Drafts, table: &Table, column: &str) -> Result<(), String> {
        let quoted = fairlead_sql::text::name(self.engine, column);
        for [name, source, event] in &self.facts(table)?.triggers {
            let is_ours = label::is_ours(name);
            let is_named = |text: &str| source.to_lowercase().contains(&text.to_lowercase());
            if !is_ours && (is_named(&format!("new.{column}")) || is_named(&format!("old.{column}")) || is_named(&quoted)) {
                return Err(format!("trigger {name} of {} names column {column}", self.shown(table)));
            }
            if !is_ours || !source.contains(&quoted) {
                continue;
            }
            let it = match self.engine {
                Engine::PostgreSql => postgresql::trigger(table, self.schema, name, source),
                Engine::MariaDb => {
                    let event = if event == "insert" { Event::Insert } else { Event::Update };
                    mariadb::trigger(table, name, event, source)
                }
            };
            // There and back change places.
            let (up, down) = (it.down.clone(), it.up.clone());
            let it = Primitive { up, down, ..it };
            all.changes.push(gone(target("Trigger", self.shown(table), name), it, source, "dropColumn"));
        }
        Ok(())
    }

    fn not_null(&self, table: &Table, column: &str) -> Result<Draft, String> {
        let facts = self.stored(table, column)?;
        if facts.has_check {
            return Err(format!(
                "{}.{column} has a CHECK, which MariaDB keeps only if it copies the table under a lock",
                self.shown(table)
            ));
        }
        let it = match self.engine {
            Engine::PostgreSql => postgresql::not_null(table, self.schema, column),
            Engine::MariaDb => mariadb::not_null(table, column, facts),
        };
        Ok(becomes(target("NotNull", self.shown(table), column), it, "null", "setNotNull"))
    }

    fn triggers(&self, all: &mut Drafts, table: &Table, column: &str, pg: &str, my: [&str; 2], kind: &str) {
        let (shown, prefix, reason) = (self.shown(table), format!("fairlead_{kind}"), kind);
        if self.engine == Engine::PostgreSql {
            // PostgreSQL calls triggers in the order of their names, and ours are to see what those of the application have made.
            let name = label::unique(&format!("zz_{prefix}"), &[&shown, column]);
            let it = postgresql::trigger(table, self.schema, &name, &postgresql::source(pg));
            all.changes.push(made(target("Trigger", shown, &name), it, reason));
            return;
        }
        for (event, body) in [Event::Insert, Event::Update].into_iter().zip(my) {
            let name = label::unique(&prefix, &[&shown, event.as_str(), column]);
            let it = mariadb::trigger(table, &name, event, &mariadb::source(body));
            all.changes.push(made(target("Trigger", self.shown(table), &name), it, reason));
        }
    }

    fn sync(&self, all: &mut Drafts, table: &Table, from: &str, to: &str, [up, down]: [&str; 2]) {
        let my = [Event::Insert, Event::Update].map(|event| mariadb::sync(from, to, up, down, event));
        let pg = postgresql::sync(from, to, up, down);
        self.triggers(all, table, to, &pg, [&my[0], &my[1]], "sync");
    }

    /// A column beside another one, that is filled from it and kept equal with it.
    fn shadow(
        &self,
        all: &mut Drafts,
        table: &Table,
        [from, to]: [&str; 2],
        kind: &str,
        [up, down]: [&str; 2],
        reason: &str,
    ) {
        let column = Column { name: to.to_owned(), r#type: kind.to_owned(), nullable: true, default: None };
        all.changes.push(self.column(table, &column, false, reason));
        self.sync(all, table, from, to, [up, down]);
        // Outside a trigger there is no NEW.
        let value = Value::Sql(without_new(up));
        all.backfills.push(Backfill::new(table.clone(), to, value).with_missing_allowed());
    }
}

/// An expression over the columns of a row, without the word for the row in a trigger. What stands in quotes is left alone.
pub(crate) fn without_new(expression: &str) -> String {
    let (mut text, mut quote, mut before) = (String::new(), None, ' ');
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        let is_word = before.is_alphanumeric() || before == '_';
        if quote.is_none() && !is_word && rest.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("new.")) {
            rest = &rest[4..];
            before = '.';
            continue;
        }
        match quote {
            Some(open) if next == open => quote = None,
            None if ['\'', '"', '`'].contains(&next) => quote = Some(next),
            _ => {}
        }
        text.push(next);
        before = next;
        rest = &rest[next.len_utf8()..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_for_the_row_goes_and_nothing_else() {
        assert_eq!(
            without_new(r#"coalesce(NEW.a, 'brand new. item') || new."b""#),
            r#"coalesce(a, 'brand new. item') || "b""#
        );
        assert_eq!(without_new("renew.a + f(new.`x`)"), "renew.a + f(`x`)");
    }
}
