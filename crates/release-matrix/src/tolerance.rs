//! The schema versions that a release runs on.

use crate::document::{Kind, Writes};
use crate::matrix::{Matrix, Release, SchemaVersion};

/// What a release runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tolerance {
    /// Whether it runs on each schema version, in their order.
    is_tolerated: Vec<bool>,
    /// The oldest schema version down to which it runs on all, from its own.
    pub lowest: usize,
    /// The newest schema version up to which it runs on all, from its own.
    pub highest: usize,
}

impl Tolerance {
    /// Whether the release runs on a schema version.
    #[must_use]
    pub fn includes(&self, schema: usize) -> bool {
        self.is_tolerated[schema]
    }
}

/// What a release runs on: what the matrix says, or else what follows from the migrations.
#[must_use]
pub fn tolerance(matrix: &Matrix, release: &Release) -> Tolerance {
    let (own, count) = (release.schema, matrix.schema.len().max(1));
    let mut is_tolerated = vec![false; count];
    is_tolerated[own] = true;
    if let Some(named) = &release.tolerates {
        for schema in named {
            is_tolerated[*schema] = true;
        }
    } else {
        let later = (own + 1..count).take_while(|next| objection(release, &matrix.schema[*next]).is_none());
        let above = later.last().unwrap_or(own);
        // Code that always writes what a contraction comes to require runs before it, too. What one drops may be left out by then.
        let is_met = |schema: &SchemaVersion| schema.kind == Kind::Contract && unmet(release, schema).is_none();
        let earlier = (1..=own).rev().take_while(|it| is_met(&matrix.schema[*it]));
        let below = earlier.last().map_or(own, |it| it - 1);
        is_tolerated[below..=above].fill(true);
    }
    let lowest = (0..=own).rev().take_while(|it| is_tolerated[*it]).last().unwrap_or(own);
    let highest = (own..count).take_while(|it| is_tolerated[*it]).last().unwrap_or(own);
    Tolerance { is_tolerated, lowest, highest }
}

/// Why a release does not run after a migration that is newer than itself; none where it does.
#[must_use]
pub fn objection(release: &Release, next: &SchemaVersion) -> Option<String> {
    let SchemaVersion { version, kind, drops, .. } = next;
    let it = &release.version;
    if *kind == Kind::Expand {
        return None;
    }
    unmet(release, next).or_else(|| {
        drops.iter().find_map(|dropped| {
            let Some(uses) = &release.uses else {
                return Some(format!("{version} drops {dropped}, and the matrix does not say what {it} `uses`"));
            };
            let is_used = uses.iter().any(|used| used == dropped || is_within(used, dropped) || is_within(dropped, used));
            is_used.then(|| format!("{version} drops {dropped}, which {it} uses"))
        })
    })
}

/// What a contraction requires that a release does not do.
#[must_use]
pub fn unmet(release: &Release, contraction: &SchemaVersion) -> Option<String> {
    let SchemaVersion { version, requires, drops, .. } = contraction;
    let it = &release.version;
    if requires.is_empty() && drops.is_empty() {
        return Some(format!(
            "{version} is a contraction, and the matrix says neither what it `requires` nor what it `drops`"
        ));
    }
    requires.iter().find_map(|column| match release.writes.get(column) {
        Some(Writes::Always) => None,
        Some(Writes::Optional) => Some(format!("{version} requires {column}, which {it} writes only sometimes")),
        None => Some(format!("{version} requires {column}, which {it} does not write")),
    })
}

/// Whether a column is one of a table.
fn is_within(column: &str, table: &str) -> bool {
    column.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'))
}
