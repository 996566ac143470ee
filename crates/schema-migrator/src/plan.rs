//! From migrations and a catalog to a plan.

mod others;
mod rows;

use std::collections::BTreeMap;

use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::failure::Failure;
use fairlead_migration::change::{Change, Target};
use fairlead_migration::finding::Unchanged;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::stage::Stage;
use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;
use fairlead_sql::text::literal;

use crate::catalog::{self, Facts};
use crate::configuration::{Backup, Tables, Taken};
use crate::drafts::{Drafts, Place};
use crate::foreseen::foresee;
use crate::image::{Draft, STATEMENT, Statement, target};
use crate::migration::{Kind, Migration};
use crate::operation::{Column, Operation};
use crate::phase::Phase;
use crate::primitive::Primitive;
use crate::table::Table;
use crate::{database, finalize, mariadb, objections, postgresql, state};

/// A contract whose rows are not filled yet fills at most so many in the same run; with more it fills them first, and contracts in the next one.
const FILLED_AT_ONCE: u64 = 50_000;

/// Why PostgreSQL adds a column otherwise.
const REWRITES: &str = "the server computes something for each row, so it would write the whole table under a lock. Add the column without that, \
    then use setDefault and a backfill";

/// What a plan is made with.
struct Making<'m> {
    session: &'m mut Session,
    tables: &'m Tables,
    phase: Phase,
    /// Names of migrations that the database has, and their checksums.
    applied: BTreeMap<String, String>,
    /// Tables as the migrations so far leave them.
    known: BTreeMap<Table, Facts>,
    changes: Vec<(String, Change)>,
    plan: PlanBuilder,
    is_blocked: bool,
    /// Whether a statement of somebody's comes before: it may make types and functions that nobody knows yet.
    has_statements: bool,
}

/// The plan of a phase.
///
/// # Errors
///
/// SM107 for a migration that is not applied yet and has defects: rules that are younger than a migration stop nobody who has it.
pub(crate) async fn make(session: &mut Session, tables: &Tables, phase: Phase) -> Result<Plan, Failure> {
    let applied = applied(session).await.map_err(database::failure)?;
    let mut new = tables.migrations.iter().filter(|migration| !applied.contains_key(&migration.name));
    if let Some(defects) = new.find_map(|migration| migration.defects.as_ref()) {
        return Err(Failure::new(&codes::LINT, defects.clone()));
    }
    planned(session, tables, phase, applied).await
}

async fn planned(
    session: &mut Session,
    tables: &Tables,
    phase: Phase,
    applied: BTreeMap<String, String>,
) -> Result<Plan, Failure> {
    let plan = PlanBuilder::new(phase.step(), Vec::new());
    let (known, changes, is_blocked, has_statements) = (BTreeMap::new(), Vec::new(), false, false);
    let mut making = Making { session, tables, phase, applied, known, changes, plan, is_blocked, has_statements };
    let wanted = tables.migrations.iter().filter(|it| phase.is_of(it.specification.kind));
    for migration in wanted {
        let made = match phase {
            Phase::Finalize => making.finalize(migration).await,
            Phase::Expand | Phase::Contract => making.migration(migration).await,
        };
        made.map_err(|error| database::failure_of(&format!("migration {}", migration.name), error))?;
    }
    Ok(making.finish())
}

/// What a migration is called in plans and tickets.
pub(crate) fn migration_target(name: &str) -> Target {
    Target { namespace: None, ..target("Migration", "", name) }
}

/// What filling a column is called.
pub(crate) fn rows_target(shown: &str, column: &str) -> Target {
    target("Rows", shown, column)
}

async fn applied(session: &mut Session) -> Result<BTreeMap<String, String>, Error> {
    if !state::exists(session, "migration").await? {
        return Ok(BTreeMap::new());
    }
    let rows = session.rows(&format!("select name, checksum from {}", state::table(session.engine, "migration"))).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok())
        .map(|[name, sum]: [String; 2]| (name, sum))
        .collect())
}

impl Making<'_> {
    fn engine(&self) -> Engine {
        self.tables.database.engine
    }

    /// The tables of a migration, as those before it leave them.
    async fn facts(&mut self, migration: &Migration) -> Result<BTreeMap<Table, Facts>, Error> {
        let mut facts = BTreeMap::new();
        for table in migration.tables() {
            let found = match self.known.get(&table) {
                Some(known) => known.clone(),
                None => catalog::table(self.session, &table, &self.tables.schema).await?,
            };
            facts.insert(table, found);
        }
        Ok(facts)
    }

    async fn migration(&mut self, migration: &Migration) -> Result<(), Error> {
        let name = &migration.name;
        let whole = migration_target(name);
        let is_applied = match self.applied.get(name) {
            Some(checksum) if *checksum != migration.checksum => {
                let message = format!("the database has it as {checksum}, and the file is {} now", migration.checksum);
                self.refuse(codes::EDITED.finding(whole, message));
                return Ok(());
            }
            found => found.is_some(),
        };
        if is_applied {
            self.keep(whole, "the database has it");
            return self.look_for_drift(migration).await;
        }
        if self.waits(migration).await? {
            return Ok(());
        }
        let mut facts = self.facts(migration).await?;
        let (engine, schema, database) = (self.engine(), self.tables.schema.clone(), self.tables.database.clone());
        let knows_readers = self.knows_readers();
        let (mut drafts, mut backfills) = (Vec::new(), Vec::new());
        for operation in &migration.specification.operations {
            self.object(operation, &facts, &whole).await?;
            let place = Place { engine, schema: &schema, database: &database.database, facts: &facts, knows_readers };
            let (made, put_aside) = (place.drafts(operation), place.put_aside(operation));
            foresee(&mut facts, operation, engine);
            self.has_statements |= matches!(operation, Operation::Sql { .. });
            match made {
                Ok(Drafts { changes, backfills: more }) => {
                    if let (true, Some(target)) = (changes.is_empty(), put_aside) {
                        self.keep(target, "it is not there, so nothing is put aside");
                    }
                    drafts.extend(changes);
                    backfills.extend(more);
                }
                Err(what) => self.refuse(codes::IMPOSSIBLE.finding(whole.clone(), format!("{}: {what}", operation.name()))),
            }
        }
        backfills.extend(migration.specification.backfill.clone());
        self.known.extend(facts.clone());
        let place = Place { engine, schema: &schema, database: &database.database, facts: &facts, knows_readers };
        let changes = self.changed(&drafts).await?;
        let mut rows = Vec::new();
        let mut count = 0;
        for backfill in &backfills {
            let (found, nulls) = self.rows(&place, backfill, &drafts, &whole).await?;
            count += nulls;
            rows.extend(found);
        }
        let label = |what: &str| format!("{name}: {what}");
        let ours: Vec<_> = changes.into_iter().map(|change| (label(&change.reason.clone()), change)).collect();
        let filled = rows.into_iter().map(|change| (label("backfill"), change));
        if migration.specification.kind == Kind::Expand {
            self.changes.extend(ours);
            self.changes.extend(filled);
        } else {
            self.changes.extend(filled);
            if count > FILLED_AT_ONCE {
                let message =
                    format!("its operations come in the run after the one that fills more than {FILLED_AT_ONCE} rows");
                self.plan.warn(codes::WAITING.finding(whole, message));
                return Ok(());
            }
            self.refuse_nulls(migration, &place, &whole, &backfills).await?;
            self.changes.extend(ours);
        }
        self.changes.push((label("remember"), self.remembered(migration).change(0, &database)));
        Ok(())
    }

    /// Changes of drafts whose targets are not yet as they should be. What has another shape than both is refused.
    async fn changed(&mut self, drafts: &[Draft]) -> Result<Vec<Change>, Error> {
        let mut changes = Vec::new();
        for draft in drafts {
            let draft = &self.as_the_server_writes(draft).await?;
            let answer = self.answer(draft).await?;
            if answer == draft.after {
                self.keep(draft.target.clone(), "it is so already");
                continue;
            }
            if draft.before.is_none() && answer.is_none() && self.is_there(draft).await? {
                let message = "something of this name is there already, and is not as the migration makes it";
                self.refuse(codes::DIFFERENT.finding(draft.target.clone(), message));
                continue;
            }
            let draft = match (&draft.before, answer) {
                // What the migration itself makes first is not there yet.
                (Some(_) | None, None) => draft.clone(),
                (Some(_), Some(answer)) => Draft { before: Some(answer), ..draft.clone() },
                (None, Some(answer)) => {
                    let wanted = draft.after.as_deref().unwrap_or("nothing");
                    let message = format!("it is there already, as `{answer}`; the migration makes `{wanted}`");
                    self.refuse(codes::DIFFERENT.finding(draft.target.clone(), message));
                    continue;
                }
            };
            changes.push(self.restoring_default(draft).change(0, &self.tables.database));
        }
        Ok(changes)
    }

    /// Whether there is something in the place of what is to be made, whatever it is: nobody may take that away later for ours.
    async fn is_there(&mut self, draft: &Draft) -> Result<bool, Error> {
        let first = draft.up.first().filter(|_| draft.target.kind == "ForeignKey");
        for statement in draft.up.last().into_iter().chain(first) {
            let is_foreign = [STATEMENT, "Migration"].contains(&draft.target.kind.as_str());
            if !is_foreign && self.session.is_true(&statement.done).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// A draft whose texts are those of the server: it says `character varying(36)` where a file says `varchar(36)`.
    async fn as_the_server_writes(&mut self, draft: &Draft) -> Result<Draft, Error> {
        if draft.columns.is_empty() {
            return Ok(draft.clone());
        }
        let probed = match catalog::probe(self.session, &draft.columns).await {
            Err(Error::Refused { .. }) if self.has_statements => None,
            probed => probed?,
        };
        let Some(probed) = probed else { return Ok(draft.clone()) };
        if draft.target.kind == "Default" {
            let Some(([_, is], Ok(table))) =
                probed.into_iter().next().zip(draft.target.namespace.as_deref().map(str::parse))
            else {
                return Ok(draft.clone());
            };
            let default = draft.columns[0].default.as_deref();
            let Primitive { read, is, up, .. } =
                postgresql::default(&table, &self.tables.schema, &draft.target.name, default, &is);
            return Ok(Draft { read, after: Some(is), up, ..draft.clone() });
        }
        let after = if draft.target.kind == "Table" {
            let mut all: Vec<String> =
                draft.columns.iter().zip(&probed).map(|(column, [kind, _])| format!("{} {kind}", column.name)).collect();
            all.sort_unstable();
            all.join(", ")
        } else {
            probed.into_iter().next().map(|[kind, _]| kind).unwrap_or_default()
        };
        Ok(Draft { after: Some(after), ..draft.clone() })
    }

    /// What there is of a draft's target.
    async fn answer(&mut self, draft: &Draft) -> Result<Option<String>, Error> {
        // A statement of somebody's may ask for what an operation makes that comes first.
        match self.session.text(&draft.read).await {
            Err(Error::Refused { .. }) if draft.target.kind == STATEMENT => Ok(None),
            answer => answer,
        }
    }

    /// The way back of a default leads to the one that was there.
    fn restoring_default(&self, draft: Draft) -> Draft {
        if draft.target.kind != "Default" {
            return draft;
        }
        let before = draft.before.as_deref().filter(|before| *before != "none");
        let Some(Ok(table)) = draft.target.namespace.as_deref().map(str::parse::<Table>) else { return draft };
        let back = match self.engine() {
            Engine::PostgreSql => {
                postgresql::default(&table, &self.tables.schema, &draft.target.name, before, before.unwrap_or("none"))
            }
            Engine::MariaDb => mariadb::default(&table, &draft.target.name, before),
        };
        Draft { down: back.up, ..draft }
    }

    /// Refuses what the database itself speaks against.
    async fn object(&mut self, operation: &Operation, facts: &BTreeMap<Table, Facts>, whole: &Target) -> Result<(), Error> {
        let (engine, schema) = (self.engine(), &self.tables.schema);
        let mut why = None;
        for query in objections::of(operation, engine, schema) {
            why = why.or(self.session.text(&query).await?);
        }
        // What the migrations before it make is not there yet, and what is computed from that cannot be asked for.
        let is_there = operation.tables().all(|table| facts.get(table).is_some_and(|facts| facts.planned.is_empty()));
        if is_there && self.changes.is_empty() && !self.has_statements {
            for query in objections::expressions(operation, engine, schema) {
                if let Err(Error::Refused { source, .. }) = self.session.execute(&query).await {
                    why = why.or(Some(source.to_string()));
                }
            }
        }
        if let (Operation::AddColumn { column, r#type, nullable, default, .. }, Engine::PostgreSql) = (operation, engine) {
            let column =
                Column { name: column.clone(), r#type: r#type.clone(), nullable: *nullable, default: default.clone() };
            if catalog::rewrites(self.session, &column).await? {
                why = Some(REWRITES.to_owned());
            }
        }
        if let Some(why) = why {
            self.refuse(codes::IMPOSSIBLE.finding(whole.clone(), format!("{}: {why}", operation.name())));
        }
        Ok(())
    }

    /// Whether a view can show what its reader may see: from PostgreSQL 15 on, and in MariaDB.
    fn knows_readers(&self) -> bool {
        let major = self.session.version.split(|c: char| !c.is_ascii_digit()).next().and_then(|text| text.parse().ok());
        self.engine() == Engine::MariaDb || major.is_some_and(|major: u32| major >= 15)
    }

    /// A table, as it is written in statements.
    fn written(&self, table: &Table) -> String {
        match self.engine() {
            Engine::PostgreSql => postgresql::qualified(table, &self.tables.schema),
            Engine::MariaDb => mariadb::qualified(table),
        }
    }

    fn shown(&self, table: &Table) -> String {
        let facts = BTreeMap::new();
        let Tables { database, schema, .. } = self.tables;
        Place { engine: database.engine, schema, database: &database.database, facts: &facts, knows_readers: false }
            .shown(table)
    }

    /// Tombstones of a contract that is applied.
    async fn finalize(&mut self, migration: &Migration) -> Result<(), Error> {
        if !self.applied.contains_key(&migration.name) {
            return Ok(());
        }
        for draft in finalize::drafts(migration, self.engine(), &self.tables.schema) {
            let answer = self.session.text(&draft.read).await?;
            if let Some(answer) = answer {
                self.object_to_finalize(&draft).await?;
                let backup = match &self.tables.backup {
                    Some(Backup::Taken(Taken { reference, restore, .. })) => {
                        format!("; that is {reference}, and `{restore}` restores it")
                    }
                    _ => String::new(),
                };
                let lost = draft.lost.as_ref().map(|lost| format!("{lost}{backup}"));
                let draft = Draft { before: Some(answer), lost, ..draft };
                let change = draft.change(0, &self.tables.database);
                self.changes.push((format!("{}: finalize", migration.name), change));
            }
        }
        Ok(())
    }

    /// What is dropped for good must not take half of it along and then fail.
    async fn object_to_finalize(&mut self, draft: &Draft) -> Result<(), Error> {
        let Target { namespace, name, .. } = &draft.target;
        let (table, column) = match namespace {
            Some(table) => (table, Some(name.as_str())),
            None => (name, None),
        };
        let (Ok(table), Engine::PostgreSql) = (table.parse::<Table>(), self.engine()) else { return Ok(()) };
        if let Some(why) = self.session.text(&objections::dependents(&table, column, &self.tables.schema)).await? {
            self.refuse(codes::IMPOSSIBLE.finding(draft.target.clone(), why));
        }
        Ok(())
    }

    /// The database remembers a migration as it remembers everything: by a change that is made and taken back.
    fn remembered(&self, migration: &Migration) -> Draft {
        let (engine, table) = (self.engine(), state::table(self.engine(), "migration"));
        let [name, checksum] = [&migration.name, &migration.checksum].map(|text| literal(engine, text));
        let one = format!("from {table} where name = {name}");
        Draft {
            target: migration_target(&migration.name),
            read: format!("select checksum {one}"),
            before: None,
            after: Some(migration.checksum.clone()),
            up: vec![Statement::new(
                format!("insert into {table} (name, checksum) values ({name}, {checksum})"),
                format!("select count(*) {one}"),
            )],
            down: vec![Statement::new(
                format!("delete {one}"),
                format!("select case when count(*) = 0 then 1 else 0 end {one}"),
            )],
            lost: None,
            reason: "the database remembers it".to_owned(),
            columns: Vec::new(),
        }
    }

    fn refuse(&mut self, finding: fairlead_migration::finding::Finding) {
        self.is_blocked = true;
        self.plan.refuse(finding);
    }

    fn keep(&mut self, target: Target, reason: &str) {
        self.plan.keep(&Unchanged { target, reason: reason.to_owned() });
    }

    /// Each change is a stage of its own: the order of operations is that of the file.
    fn finish(self) -> Plan {
        let Self { tables, phase, changes, plan, is_blocked, .. } = self;
        let stages = changes.iter().map(|(name, _)| Stage::new(name, phase.stage_kind(), phase.undo_at(), 1)).collect();
        let mut full = PlanBuilder::new(phase.step(), stages);
        for (stage, (_, change)) in changes.iter().enumerate() {
            full.push(&Change { stage, ..change.clone() });
        }
        let found = plan.build();
        for refusal in found.refusals() {
            full.refuse(refusal.clone());
        }
        for warning in found.warnings() {
            full.warn(warning.clone());
        }
        for unchanged in found.unchanged().iter() {
            full.keep(&unchanged);
        }
        if is_blocked {
            let all: Vec<String> = found.refusals().iter().map(|it| format!("{}: {}", it.target, it.message)).collect();
            full.block(codes::NOT_POSSIBLE.blocked(all.join("; ")));
        } else if phase != Phase::Expand && !changes.is_empty() && tables.backup.is_none() {
            full.block(codes::NO_BACKUP.blocked(format!(
                "`tables.backup` does not say what there is to go back to, and {} takes something away",
                phase.name()
            )));
        }
        full.build()
    }
}
