//! What a matrix says and probably does not mean.

use std::ops::RangeInclusive;

use semver::Version;

use crate::document::{Kind, Writes};
use crate::interface::{Interface, includes};
use crate::matrix::Matrix;
use crate::path::{Question, shortest};
use crate::rules::Rules;

/// Everything that is doubtful, a sentence each.
#[must_use]
pub fn doubts(matrix: &Matrix) -> Vec<String> {
    let mut doubts = Vec::new();
    schema_doubts(matrix, &mut doubts);
    release_doubts(matrix, &mut doubts);
    doubts.extend(block_doubts(matrix, 0..=matrix.releases.len()));
    for (index, drain) in matrix.drains.iter().enumerate() {
        let api = Interface::Api(drain.of.clone().unwrap_or_default());
        let is_served = |version: &String| includes(version, &drain.api);
        if !matrix.releases.iter().any(|release| release.serves.get(&api).is_some_and(|all| all.iter().any(is_served))) {
            doubts.push(format!("spec.drains[{index}]: no release serves {}", api.with(std::slice::from_ref(&drain.api))));
        }
    }
    doubts
}

/// Entries that block upgrades to one of these releases, and match no release that such an upgrade begins with.
#[must_use]
pub fn block_doubts(matrix: &Matrix, targets: RangeInclusive<usize>) -> Vec<String> {
    let entries = matrix.blocked.iter().enumerate().filter(|(_, block)| targets.contains(&block.to));
    let idle = entries.filter(|(_, block)| !matrix.releases[..block.to].iter().any(|release| block.is_about(release)));
    idle.map(|(index, block)| {
        format!(
            "spec.blocked[{index}]: no release older than {} matches `from`, so that it blocks no upgrade",
            matrix.version(block.to)
        )
    })
    .collect()
}

fn release_doubts(matrix: &Matrix, doubts: &mut Vec<String>) {
    let rules = Rules::new(matrix);
    for (index, release) in matrix.releases.iter().enumerate() {
        let version = &release.version;
        if release.serves.is_empty() {
            doubts.push(format!("{version} serves no API: upgrades are not checked for that"));
        }
        let Some(before) = index.checked_sub(1) else { continue };
        let older = &matrix.releases[before];
        if release.schema < older.schema {
            let [new, old] = [release, older].map(|it| &matrix.schema[it.schema].version);
            doubts.push(format!("{version} brings schema {new}, which is older than {old} of {}", older.version));
        }
        doubts.extend(miscount(&older.version, version));
        let leads = |from: usize, may_lose_way_back| {
            shortest(&rules, Question { from, to: index, every_release: false, may_lose_way_back }).is_ok()
        };
        if !(0..index).any(|from| leads(from, true)) {
            doubts.push(format!("no upgrade leads to {version}"));
        } else if !(0..index).any(|from| leads(from, false)) {
            doubts.push(format!("every upgrade that leads to {version} has a point of no return"));
        }
    }
}

/// What is wrong with the order of two neighbours that number their pre-releases without a dot.
fn miscount(older: &Version, newer: &Version) -> Option<String> {
    if (older.major, older.minor, older.patch) != (newer.major, newer.minor, newer.patch) {
        return None;
    }
    let (old, new) = older.pre.split('.').zip(newer.pre.split('.')).find(|(old, new)| old != new)?;
    let ([name, old_count], [other, new_count]) = (counter(old)?, counter(new)?);
    let is_greater = old_count.parse::<u64>().ok()? > new_count.parse::<u64>().ok()?;
    (name == other && is_greater).then(|| {
        format!(
            "{older} is taken for older than {newer}: SemVer compares `{old}` and `{new}` as text. Leave the pre-releases out, \
             or number the next ones with a dot, `{}.{old_count}`",
            name.trim_end_matches('-')
        )
    })
}

/// `rc` and `10` of `rc10`.
fn counter(identifier: &str) -> Option<[&str; 2]> {
    let name = identifier.trim_end_matches(|letter: char| letter.is_ascii_digit());
    (!name.is_empty()).then(|| [name, &identifier[name.len()..]])
}

fn schema_doubts(matrix: &Matrix, doubts: &mut Vec<String>) {
    for (index, schema) in matrix.schema.iter().enumerate().skip(1) {
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
            // The expansion that brings a column may fill it, too.
            if !matrix.schema[..=index].iter().any(|it| it.backfill.contains(column)) {
                doubts.push(format!("schema {version} requires {column}, and nothing fills it in old rows: `backfill`"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{matrix, served};

    fn of_releases(versions: &[&str]) -> Vec<String> {
        doubts(&served(&versions.iter().map(|version| (*version, "v1")).collect::<Vec<_>>()))
    }

    #[test]
    fn pre_releases_that_are_numbered_without_a_dot_are_out_of_order() {
        let numbered: Vec<String> = (1..=10).map(|number| format!("2.0.0-rc{number}")).collect();
        let numbered: Vec<&str> = numbered.iter().map(String::as_str).collect();
        assert_eq!(of_releases(&numbered[..9]), [""; 0], "up to nine the order is right");
        let doubt = "2.0.0-rc10 is taken for older than 2.0.0-rc2: SemVer compares `rc10` and `rc2` as text. Leave the \
                     pre-releases out, or number the next ones with a dot, `rc.10`";
        assert_eq!(of_releases(&numbered), [doubt]);
        let dashed = &of_releases(&["2.0.0-beta-9", "2.0.0-beta-10"])[0];
        assert!(dashed.ends_with("`beta.10`"), "{dashed}");
    }

    #[test]
    fn other_pre_releases_are_in_order() {
        for versions in [
            ["2.0.0-rc.9", "2.0.0-rc.10"],
            ["2.0.0-rc09", "2.0.0-rc10"],
            ["2.0.0-beta9", "2.0.0-rc1"],
            ["2.0.0-rc10", "2.0.1-rc9"],
            ["2.0.0-rc10", "2.0.0"],
        ] {
            assert_eq!(of_releases(&versions), [""; 0], "{versions:?}");
        }
    }

    #[test]
    fn a_block_is_about_versions_as_they_are_written_and_as_they_are() {
        let of = |written: &str, from: &str| {
            doubts(&matrix(&format!(
                "apiVersion: fairlead.dev/v1\nkind: ReleaseMatrix\nmetadata: {{name: shop}}\nspec:\n  \
                 releases: [{{version: {written}, apis: [v1]}}, {{version: 2.0.0, apis: [v1]}}]\n  \
                 blocked: [{{from: '{from}', to: 2.0.0, reason: x}}]\n"
            )))
        };
        let blocked = ["no upgrade leads to 2.0.0"];
        assert_eq!(of("v1.0.0", r"v1\..*"), blocked);
        assert_eq!(of("v1.0.0", r"1\..*"), blocked);
        assert_eq!(of("1.0.0", r"1\..*"), blocked);
        let idle = ["spec.blocked[0]: no release older than 2.0.0 matches `from`, so that it blocks no upgrade"];
        assert_eq!(of("1.0.0", r"v1\..*"), idle);
    }
}
