//! What is probably not meant.

use std::fmt::Write as _;

use fairlead_job::codes::release_matrix as codes;

use crate::document::{Kind, Writes};
use crate::interface::includes;
use crate::matrix::Matrix;
use crate::path::{Question, shortest};
use crate::rules::Rules;

/// What the matrix holds, and what is doubtful about it.
#[must_use]
pub fn render(matrix: &Matrix) -> String {
    let doubts = doubts(matrix);
    let mut out = String::new();
    for doubt in &doubts {
        let _ = writeln!(out, "{} {doubt}", codes::DOUBTFUL.id);
    }
    let counted = crate::words::counted;
    let schema = if matrix.has_schema() { matrix.schema.len() } else { 0 };
    let (releases, schema) = (counted(matrix.releases.len(), "release"), counted(schema, "schema version"));
    let _ = writeln!(out, "{}: {releases}, {schema}, {}", matrix.name, counted(doubts.len(), "doubt"));
    out
}

/// What is doubtful, a sentence each.
#[must_use]
pub fn doubts(matrix: &Matrix) -> Vec<String> {
    let mut doubts = Vec::new();
    schema_doubts(matrix, &mut doubts);
    let rules = Rules::new(matrix);
    for (index, release) in matrix.releases.iter().enumerate() {
        let version = &release.version;
        if release.serves.is_empty() {
            doubts.push(format!("{version} serves no API: upgrades are not checked for that"));
        }
        let Some(before) = index.checked_sub(1) else { continue };
        if release.schema < matrix.releases[before].schema {
            let name = |release: usize| &matrix.schema[matrix.releases[release].schema].version;
            doubts.push(format!(
                "{version} brings schema {}, which is older than {} of {}",
                name(index),
                name(before),
                matrix.version(before)
            ));
        }
        let leads = |from: usize, may_lose_way_back| {
            shortest(&rules, Question { from, to: index, every_release: false, may_lose_way_back }).is_ok()
        };
        if !(0..index).any(|from| leads(from, true)) {
            doubts.push(format!("no upgrade leads to {version}"));
        } else if !(0..index).any(|from| leads(from, false)) {
            doubts.push(format!("every upgrade that leads to {version} has a point of no return"));
        }
    }
    for (index, block) in matrix.blocked.iter().enumerate() {
        if !(0..block.to).any(|from| block.is_about(&matrix.releases[from].version)) {
            doubts.push(format!("spec.blocked[{index}]: no release older than {} matches `from`", matrix.version(block.to)));
        }
    }
    for (index, drain) in matrix.drains.iter().enumerate() {
        let is_served = |version: &String| includes(version, &drain.api);
        if !matrix.releases.iter().any(|release| release.serves.values().flatten().any(is_served)) {
            doubts.push(format!("spec.drains[{index}]: no release serves {}", drain.api));
        }
    }
    doubts
}

fn schema_doubts(matrix: &Matrix, doubts: &mut Vec<String>) {
    for schema in matrix.schema.iter().skip(1) {
        let version = &schema.version;
        if schema.kind == Kind::Contract && schema.requires.is_empty() && schema.drops.is_empty() {
            doubts.push(format!(
                "schema {version} is a contraction that neither requires nor drops anything: no older release tolerates it"
            ));
        }
        for column in &schema.requires {
            if !matrix.releases.iter().any(|release| release.writes.get(column) == Some(&Writes::Always)) {
                doubts.push(format!("schema {version} requires {column}, which no release says that it writes always"));
            }
            if !schema.backfill.contains(column) {
                doubts.push(format!("schema {version} requires {column}, and nothing fills it in old rows: `backfill`"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{SEED, matrix};

    #[test]
    fn nothing_is_doubtful_about_the_example() {
        assert_eq!(render(&matrix(SEED)), "mojaloop: 5 releases, 3 schema versions, 0 doubts\n");
    }

    #[test]
    fn what_is_doubtful_is_named() {
        let doubtful = SEED
            .replace("      backfill: [transfer.quoteId]\n", "")
            .replace("transfer.quoteId: always", "transfer.quoteId: optional")
            .replace("apis: [v1.X, v2.0]", "apis: [v1.X]")
            .replace("    - api: v1.X", "    - api: v3.X");
        let doubtful = format!("{doubtful}  blocked: [{{from: '9.*', to: 2.0.0, reason: x}}]\n");
        insta::assert_snapshot!(render(&matrix(&doubtful)));
    }
}
