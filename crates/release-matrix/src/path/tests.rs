use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};
use semver::Version;

use super::*;
use crate::document::{Chart, Contracts, Kind, Writes};
use crate::interface::Interface;
use crate::matrix::{Matrix, Release, SchemaVersion, Stop};

/// Columns that random matrices know.
const COLUMNS: [&str; 2] = ["t.a", "t.b"];

fn schema(number: usize, bits: u8) -> SchemaVersion {
    let kind = if bits & 1 == 0 { Kind::Expand } else { Kind::Contract };
    let of = |bit: u8| (kind == Kind::Contract && bits & bit != 0).then(|| COLUMNS[usize::from(bits & 2 != 0)].to_owned());
    SchemaVersion {
        version: format!("s{number}"),
        kind,
        migration: None,
        requires: of(4).into_iter().collect(),
        drops: of(8).into_iter().collect(),
        backfill: Vec::new(),
        irreversible: (bits & 0x70 == 0x70).then(|| "it says so".to_owned()),
    }
}

fn release(number: u64, schema: usize, bits: u32, count: usize) -> Release {
    let bit = |position: u32| bits & (1 << position) != 0;
    let versions = (0..3).filter(|version| bit(*version)).map(|version| format!("v{version}")).collect::<Vec<_>>();
    let written = |column: usize, position: u32| match (bit(position), bit(position + 1)) {
        (true, true) => Some((COLUMNS[column].to_owned(), Writes::Always)),
        (true, false) => Some((COLUMNS[column].to_owned(), Writes::Optional)),
        _ => None,
    };
    let uses = bit(7).then(|| COLUMNS.iter().skip(usize::from(bit(8))).map(|it| (*it).to_owned()).collect());
    let tolerates = (bit(9) && bit(10)).then(|| (0..count).filter(|it| bits >> (11 + it) & 1 != 0).collect::<BTreeSet<_>>());
    Release {
        version: Version::new(1, number, 0),
        written: format!("1.{number}.0"),
        schema,
        serves: if versions.is_empty() {
            BTreeMap::new()
        } else {
            BTreeMap::from([(Interface::Api(String::new()), versions)])
        },
        writes: written(0, 3).into_iter().chain(written(1, 5)).collect(),
        uses,
        tolerates,
        breaking: Vec::new(),
        changes: Vec::new(),
    }
}

fn matrix(schemas: &[u8], releases: &[(u8, u32)], stop: u8, is_early: bool) -> Matrix {
    let count = schemas.len();
    let schema_of = |(index, at): (usize, u8)| match at % 8 {
        // Now and then any, also an older one.
        0 => usize::from(at) % count,
        _ => index * count / releases.len(),
    };
    Matrix {
        name: "random".to_owned(),
        chart: Chart::default(),
        contracts: if is_early { Contracts::BeforeRollout } else { Contracts::AfterRollout },
        schema: schemas.iter().enumerate().map(|(number, bits)| schema(number, *bits)).collect(),
        releases: (0..)
            .zip(releases)
            .map(|(number, (at, bits))| {
                release(number, schema_of((usize::try_from(number).expect("few"), *at)), *bits, count)
            })
            .collect(),
        stops: (usize::from(stop) < releases.len())
            .then(|| Stop { release: usize::from(stop), reason: "it says so".to_owned(), url: None })
            .into_iter()
            .collect(),
        blocked: Vec::new(),
        drains: Vec::new(),
    }
}

/// Whether pods of a release run on a schema version: the definition, word by word.
fn runs_on(matrix: &Matrix, release: &Release, schema: usize) -> bool {
    if let Some(named) = &release.tolerates {
        return schema == release.schema || named.contains(&schema);
    }
    if schema <= release.schema {
        return (schema + 1..=release.schema).all(|it| {
            let SchemaVersion { kind, requires, drops, .. } = &matrix.schema[it];
            let is_written = |column: &String| release.writes.get(column) == Some(&Writes::Always);
            *kind == Kind::Contract && !(requires.is_empty() && drops.is_empty()) && requires.iter().all(is_written)
        });
    }
    (release.schema + 1..=schema).all(|it| {
        let SchemaVersion { kind, requires, drops, .. } = &matrix.schema[it];
        let is_written = |column: &String| release.writes.get(column) == Some(&Writes::Always);
        let is_unused = |column: &String| release.uses.as_ref().is_some_and(|uses| !uses.contains(column));
        let is_known = !(requires.is_empty() && drops.is_empty());
        *kind == Kind::Expand || is_known && requires.iter().all(is_written) && drops.iter().all(is_unused)
    })
}

/// Whether an upgrade is allowed: played through, schema version by schema version.
fn is_allowed(matrix: &Matrix, from: usize, to: usize, may_lose_way_back: bool) -> bool {
    let [old, new] = [&matrix.releases[from], &matrix.releases[to]];
    if new.schema < old.schema || matrix.stops.iter().any(|stop| from < stop.release && stop.release < to) {
        return false;
    }
    for (interface, versions) in &old.serves {
        let later = new.serves.get(interface);
        if later.is_some_and(|later| !versions.iter().any(|version| later.contains(version))) {
            return false;
        }
    }
    let steps: Vec<usize> = (old.schema + 1..=new.schema).collect();
    let is_before = |step: &usize| matrix.contracts == Contracts::BeforeRollout || matrix.schema[*step].kind == Kind::Expand;
    let before: Vec<usize> = steps.iter().copied().take_while(is_before).collect();
    let after = &steps[before.len()..];
    if after.iter().any(is_before) || !before.iter().all(|step| runs_on(matrix, old, *step)) {
        return false;
    }
    let rolled_at = before.last().copied().unwrap_or(old.schema);
    if !(rolled_at..=new.schema).all(|step| runs_on(matrix, new, step)) {
        return false;
    }
    let is_reversible =
        runs_on(matrix, old, new.schema) && steps.iter().all(|step| matrix.schema[*step].irreversible.is_none());
    may_lose_way_back || is_reversible
}

/// The length of the shortest way of all that there are.
fn fewest(matrix: &Matrix, at: usize, to: usize, may_lose_way_back: bool) -> Option<usize> {
    if at == to {
        return Some(0);
    }
    let next = (at + 1..=to).filter(|next| is_allowed(matrix, at, *next, may_lose_way_back));
    next.filter_map(|next| fewest(matrix, next, to, may_lose_way_back)).min().map(|rest| rest + 1)
}

#[test]
fn ten_thousand_random_matrices_are_planned_as_brute_force_does() {
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let matrices = (
        proptest::collection::vec(any::<u8>(), 1..6),
        proptest::collection::vec((any::<u8>(), any::<u32>()), 2..7),
        any::<u8>().prop_map(|byte| byte % 16),
        any::<bool>(),
        any::<bool>(),
    );
    let [mut found, mut refused, mut long] = [0, 0, 0];
    let result = TestRunner::new(config).run(&matrices, |(schemas, releases, stop, is_early, may_lose_way_back)| {
        let matrix = matrix(&schemas, &releases, stop, is_early);
        let rules = Rules::new(&matrix);
        let to = releases.len() - 1;
        let expected = fewest(&matrix, 0, to, may_lose_way_back);
        let mode = |every_release| Question { from: 0, to, every_release, may_lose_way_back };
        let is_fine = |from: usize, to: usize| is_allowed(&matrix, from, to, may_lose_way_back);
        match shortest(&rules, mode(false)) {
            Ok(way) => {
                prop_assert_eq!(Some(way.len() - 1), expected);
                prop_assert!(way.windows(2).all(|pair| is_fine(pair[0], pair[1])), "{:?}", way);
            }
            Err(obstacles) => {
                prop_assert_eq!(expected, None);
                // One edge always does: that from the first to the last release. So no set is smaller.
                prop_assert_eq!(obstacles.len(), 1);
                let (from, next, faults) = obstacles[0];
                prop_assert!(!is_fine(from, next) && !faults.is_empty());
                let leads = |from, to| fewest(&matrix, from, to, may_lose_way_back).is_some();
                prop_assert!(leads(0, from) && leads(next, to), "it opens no way");
            }
        }
        let is_every = (0..to).all(|from| is_fine(from, from + 1));
        prop_assert_eq!(shortest(&rules, mode(true)).is_ok(), is_every);
        Ok(())
    });
    result.expect("both agree");
    // What is random must reach what it is for.
    let mut runner = TestRunner::deterministic();
    for _ in 0..1_000 {
        let (schemas, releases, stop, is_early, may_lose_way_back) =
            matrices.new_tree(&mut runner).expect("a value").current();
        let matrix = matrix(&schemas, &releases, stop, is_early);
        match fewest(&matrix, 0, releases.len() - 1, may_lose_way_back) {
            None => refused += 1,
            Some(hops) if hops > 1 => long += 1,
            Some(_) => found += 1,
        }
    }
    assert!(found > 50 && refused > 50 && long > 50, "{found} {refused} {long}");
}

/// A product that has shipped for years: an expansion and a contraction every twenty releases, an API version every hundred.
fn thousand() -> Matrix {
    let releases = (0..1_000_u64).map(|number| {
        let index = usize::try_from(number).expect("few");
        let apis = [index / 100, (index + 50) / 100].map(|version| format!("v{version}"));
        Release {
            version: Version::new(1, number, 0),
            written: format!("1.{number}.0"),
            schema: index / 10,
            serves: BTreeMap::from([(Interface::Api(String::new()), apis.to_vec())]),
            writes: BTreeMap::from([("t.a".to_owned(), Writes::Always)]),
            uses: None,
            tolerates: None,
            breaking: Vec::new(),
            changes: Vec::new(),
        }
    });
    let schemas = (0..100).map(|number| schema(number, if number % 2 == 0 { 0 } else { 5 }));
    Matrix { releases: releases.collect(), schema: schemas.collect(), ..matrix(&[0], &[(0, 1), (0, 1)], 255, false) }
}

#[test]
fn a_thousand_releases_are_planned() {
    let matrix = thousand();
    let rules = Rules::new(&matrix);
    let question = Question { from: 0, to: 999, every_release: false, may_lose_way_back: false };
    let way = shortest(&rules, question).expect("there is one");
    assert!(way.len() > 20 && way.windows(2).all(|pair| is_allowed(&matrix, pair[0], pair[1], false)), "{way:?}");
}

/// Prints a row for the table of measurements.
#[test]
#[ignore = "it measures: `make bench`"]
fn bench_a_thousand_releases() {
    let matrix = thousand();
    let mut best = std::time::Duration::MAX;
    for _ in 0..10 {
        let begin = Instant::now();
        let rules = Rules::new(&matrix);
        let question = Question { from: 0, to: 999, every_release: false, may_lose_way_back: false };
        let way = shortest(&rules, question).expect("there is one");
        assert!(way.len() > 20);
        best = best.min(begin.elapsed());
    }
    println!("| plan the way through 1,000 releases | {} ms |", best.as_millis());
}
