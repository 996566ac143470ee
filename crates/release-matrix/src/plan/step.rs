//! One upgrade, with all that is to be done for it.

use fairlead_job::codes::release_matrix as codes;
use serde::Serialize;
use serde_json::Value;

use crate::command;
use crate::document::{Condition, Contracts, Drain, Kind};
use crate::interface::Interface;
use crate::matrix::{Matrix, SchemaVersion};
use crate::reason::refused;
use crate::rules::{Fault, Rules};

/// One upgrade.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// The old release.
    pub from: String,
    /// The new release.
    pub to: String,
    /// What Helm is told.
    pub command: String,
    /// Whether the matrix names the chart, so that the command is whole.
    #[serde(skip)]
    pub is_complete: bool,
    /// The schema before and after it; none where it stays.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<[String; 2]>,
    /// Questions that somebody has to ask before it.
    pub conditions: Vec<Asked>,
    /// Versions whose clients are gone before it.
    pub drains: Vec<Versions>,
    /// Migrations before the new pods start.
    pub before_rollout: Vec<Migration>,
    /// Migrations when the last old pod is gone.
    pub after_rollout: Vec<Migration>,
    /// Versions that clients may use from now on.
    pub opens: Vec<Versions>,
    /// Changelog entries of all releases that it brings.
    pub entries: Vec<Entry>,
    /// What ends the way back; it is open at any time where there is nothing.
    pub points_of_no_return: Vec<PointOfNoReturn>,
}

/// A question that somebody has to ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What blocks the upgrade if it holds.
    pub when: Condition,
    /// Why.
    pub reason: String,
}

/// Versions of an interface.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    /// `API`, `API fspiop`, `custom resource orders.shop.example`.
    pub interface: String,
    /// `v1.X`
    pub versions: Vec<String>,
    /// What a person does first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub close: Option<String>,
    /// Why the wait ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bound: Option<String>,
    /// A source of drain-waiter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Value>,
}

impl Versions {
    /// `API v1.X`
    #[must_use]
    pub fn name(&self) -> String {
        format!("{} {}", self.interface, self.versions.join(", "))
    }

    /// Whether it is about a custom resource, of which objects are stored.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.interface.starts_with("custom resource ")
    }
}

/// A migration of the schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Migration {
    /// Adds, or takes away.
    pub kind: Kind,
    /// The schema version that it leads to.
    pub schema: String,
    /// Its name, if the matrix has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Columns whose old rows are filled.
    pub backfill: Vec<String>,
    /// Columns that every writer has to write from now on.
    pub requires: Vec<String>,
    /// Columns or tables that are gone.
    pub drops: Vec<String>,
}

/// What the changelog says of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The release.
    pub release: String,
    /// Breaking changes.
    pub breaking: Vec<String>,
    /// All other changes.
    pub changes: Vec<String>,
}

/// What ends the way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PointOfNoReturn {
    /// Which of the three.
    pub kind: PointKind,
    /// Until when the way back is open: a clause that follows "until".
    pub until: String,
    /// Why it is not open after that.
    pub reason: String,
}

/// The three points of no return.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PointKind {
    /// The old release does not run on the schema.
    Schema,
    /// Data is gone.
    Data,
    /// A client uses what the old release does not serve.
    Client,
}

/// The upgrade from one release to another.
pub(super) fn step(rules: &Rules<'_>, from: usize, to: usize) -> Step {
    let matrix = rules.matrix;
    let (expanded, moves) = (rules.expanded(from, to), rules.moves(from, to));
    let migrations = |wants: &dyn Fn(usize) -> bool| -> Vec<Migration> {
        rules.migrations(from, to).filter(|index| wants(*index)).map(|index| migration(&matrix.schema[index])).collect()
    };
    let conditions = rules
        .blocks(from, to)
        .flat_map(|block| block.when.iter().map(|when| Asked { when: when.clone(), reason: block.why() }));
    let [old, new] =
        [from, to].map(|release| matrix.schema.get(matrix.releases[release].schema).map(|it| it.version.clone()));
    let schema = old.zip(new).filter(|(old, new)| old != new).map(|(old, new)| [old, new]);
    let command = command::upgrade(&matrix.chart, &matrix.name, &matrix.releases[to].written);
    Step {
        from: matrix.version(from),
        to: matrix.version(to),
        is_complete: matrix.chart.reference.is_some(),
        command,
        schema,
        conditions: conditions.collect(),
        drains: moves.closed.iter().flat_map(|(interface, versions)| drained(matrix, interface, versions)).collect(),
        before_rollout: migrations(&|index| index <= expanded),
        after_rollout: migrations(&|index| index > expanded),
        opens: moves.opened.iter().map(|(interface, versions)| bare(interface, versions)).collect(),
        entries: (from + 1..=to).map(|release| entry(matrix, release)).collect(),
        points_of_no_return: points(rules, from, to),
    }
}

fn migration(schema: &SchemaVersion) -> Migration {
    let SchemaVersion { version, kind, migration, requires, drops, backfill, irreversible: _ } = schema.clone();
    Migration { kind, schema: version, name: migration, backfill, requires, drops }
}

fn bare(interface: &Interface, versions: &[String]) -> Versions {
    let (interface, versions) = (interface.to_string(), versions.to_vec());
    Versions { interface, versions, close: None, bound: None, source: None }
}

/// What is drained: each version as the matrix says, and the others together.
fn drained(matrix: &Matrix, interface: &Interface, versions: &[String]) -> Vec<Versions> {
    let is_about = |drain: &Drain| match interface {
        // A matrix with one API names it nowhere.
        Interface::Api(name) => drain.of.as_deref().unwrap_or_default() == name,
        Interface::CustomResource(_) => false,
    };
    let mut left = versions.to_vec();
    let mut all = Vec::new();
    for drain in matrix.drains.iter().filter(|drain| is_about(drain)) {
        if let Some(at) = left.iter().position(|version| *version == drain.api) {
            let Drain { close, bound, source, .. } = drain.clone();
            all.push(Versions { close, bound, source, ..bare(interface, &[left.remove(at)]) });
        }
    }
    if !left.is_empty() {
        all.push(bare(interface, &left));
    }
    all
}

fn entry(matrix: &Matrix, release: usize) -> Entry {
    let it = &matrix.releases[release];
    Entry { release: matrix.version(release), breaking: it.breaking.clone(), changes: it.changes.clone() }
}

fn points(rules: &Rules<'_>, from: usize, to: usize) -> Vec<PointOfNoReturn> {
    let matrix = rules.matrix;
    let faults = rules.faults(from, to);
    let all = refused(rules, from, to, faults).reasons;
    let reason = |code: &str| all.iter().find(|it| it.code.id == code).map(|it| it.message.clone()).unwrap_or_default();
    let mut points = Vec::new();
    let (first, is_after) = (rules.expanded(from, to) + 1, matrix.contracts == Contracts::AfterRollout);
    let when = |schema: usize| match matrix.schema.get(schema) {
        Some(schema) if is_after => format!("the contraction to {} begins", schema.version),
        _ => "the upgrade begins".to_owned(),
    };
    if faults.iter().any(|fault| fault == Fault::NoWayBack) {
        let point = PointOfNoReturn { kind: PointKind::Schema, until: when(first), reason: reason(codes::NO_WAY_BACK.id) };
        points.push(point);
    }
    for index in rules.migrations(from, to) {
        let SchemaVersion { version, drops, irreversible, .. } = &matrix.schema[index];
        if let Some(why) = irreversible {
            let until = format!("the migration to {version} begins");
            points.push(PointOfNoReturn { kind: PointKind::Data, until, reason: why.clone() });
        } else if !drops.is_empty() {
            let (until, reason) = ("you finalize the migrations".to_owned(), format!("{} is gone then", drops.join(", ")));
            points.push(PointOfNoReturn { kind: PointKind::Data, until, reason });
        }
    }
    let opened = rules.moves(from, to).opened;
    if !opened.is_empty() {
        let names: Vec<String> = opened.iter().map(|(interface, versions)| interface.with(versions)).collect();
        let until = format!("the first client uses {}", names.join(" or "));
        let reason = format!("{} does not serve it", matrix.version(from));
        points.push(PointOfNoReturn { kind: PointKind::Client, until, reason });
    }
    points
}
