use super::*;
use crate::path::{Question, shortest};
use crate::reason::refused;
use crate::testing::{SEED, matrix};

/// The way from 1.0.0 to 2.0.1.
fn way(text: &str, may_lose_way_back: bool) -> String {
    let matrix = matrix(text);
    let rules = Rules::new(&matrix);
    let [from, to] = ["1.0.0", "2.0.1"].map(|version| matrix.find(version).expect("it is there"));
    match shortest(&rules, Question { from, to, every_release: false, may_lose_way_back }) {
        Ok(way) => way.iter().map(|release| matrix.version(*release)).collect::<Vec<_>>().join(" "),
        Err(obstacles) => {
            let lines = obstacles.iter().map(|(from, to, faults)| refused(&rules, *from, *to, *faults).line());
            lines.collect::<Vec<_>>().join("; ")
        }
    }
}

/// Whether 2.0.0 tolerates schema v2.0.0, when contractions run, and whether each upgrade must have a way back.
#[test]
fn the_ways_through_the_proposal() {
    let tolerates = SEED.to_owned();
    let not = SEED.replacen("transfer.quoteId: always", "transfer.quoteId: optional", 1);
    let early = |text: &str| text.replace("spec:\n", "spec:\n  contracts: beforeRollout\n");
    let unsafe_step = "2.0.0 -> 2.0.1: RM118 2.0.0 does not run on schema v2.0.0: v2.0.0 requires transfer.quoteId, which 2.0.0 writes only sometimes";
    let early_step = "2.0.0 -> 2.0.1: RM112 pods of 2.0.0 do not run on schema v2.0.0: v2.0.0 requires transfer.quoteId, which 2.0.0 writes only sometimes; contractions run before the rollout";
    let (long, short) = ("1.0.0 1.0.2 2.0.0 2.0.1", "1.0.0 1.0.2 2.0.1");
    assert_eq!(way(&not, false), unsafe_step);
    assert_eq!(way(&early(&not), false), format!("{early_step}; RM118 {}", &unsafe_step[22..]));
    assert_eq!(way(&early(&not), true), early_step);
    assert_eq!(way(&not, true), short);
    assert_eq!(way(&tolerates, false), long);
    assert_eq!(way(&early(&tolerates), false), long);
    assert_eq!(way(&tolerates, true), short);
}

#[test]
fn what_the_proposal_refuses_has_a_reason() {
    let matrix = matrix(SEED);
    insta::assert_snapshot!(crate::graph::text(&matrix));
    insta::assert_snapshot!(crate::graph::mermaid(&matrix));
}

const HEAD: &str = "apiVersion: fairlead.dev/v1\nkind: ReleaseMatrix\nmetadata: {name: shop}\nspec:\n";

/// What speaks against the first upgrade of a matrix.
fn line(spec: &str) -> String {
    let matrix = matrix(&format!("{HEAD}{spec}"));
    let rules = Rules::new(&matrix);
    let to = matrix.releases.len() - 1;
    refused(&rules, 0, to, rules.faults(0, to)).line()
}

#[test]
fn each_rule_refuses_what_it_is_for() {
    let schemas =
        "  schemaVersions: [{version: a}, {version: b, kind: contract, drops: [t.c]}, {version: c, kind: expand}]\n";
    for (spec, expected) in [
        (
            "  releases: [{version: 1.0.0, apis: [v1]}, {version: 2.0.0, apis: [v2]}]\n".to_owned(),
            "RM111 no common version of API: 1.0.0 serves v1, 2.0.0 serves v2",
        ),
        (
            "  releases: [{version: 1.0.0, customResources: {orders.shop: [v1]}}, {version: 2.0.0, customResources: {orders.shop: [v2]}}]\n"
                .to_owned(),
            "RM111 no common version of custom resource orders.shop: 1.0.0 serves v1, 2.0.0 serves v2",
        ),
        (
            format!("{schemas}  releases: [{{version: 1.0.0, schema: a, uses: [t.b]}}, {{version: 2.0.0, schema: c}}]\n"),
            "RM114 b contracts the schema before c expands it",
        ),
        (
            format!("{schemas}  releases: [{{version: 1.0.0, schema: a, uses: [t.c]}}, {{version: 2.0.0, schema: b}}]\n"),
            "RM118 1.0.0 does not run on schema b: b drops t.c, which 1.0.0 uses",
        ),
        (
            format!("{schemas}  releases: [{{version: 1.0.0, schema: a}}, {{version: 2.0.0, schema: b}}]\n"),
            "b drops t.c, and the matrix does not say what 1.0.0 `uses`",
        ),
        (
            format!("{schemas}  releases: [{{version: 1.0.0, schema: a, uses: []}}, {{version: 2.0.0, schema: b, tolerates: []}}]\n"),
            "RM113 pods of 2.0.0 start on schema a, which its `tolerates` does not list",
        ),
        (
            "  schemaVersions: [{version: a}, {version: b, kind: expand}]\n  releases: [{version: 1.0.0, schema: a, tolerates: []}, {version: 2.0.0, schema: b}]\n"
                .to_owned(),
            "RM112 pods of 1.0.0 do not run on schema b: its `tolerates` does not list it",
        ),
        (
            "  releases: [{version: 1.0.0}, {version: 1.1.0}, {version: 2.0.0}]\n  stops: [{release: 1.1.0, reason: fills rows, url: 'https://a.b/'}]\n"
                .to_owned(),
            "RM115 1.1.0 is a required stop: fills rows (https://a.b/)",
        ),
        (
            "  releases: [{version: 1.0.0}, {version: 2.0.0}]\n  blocked: [{from: '1\\..*', to: 2.0.0, reason: loses mails}]\n".to_owned(),
            "1.0.0 -> 2.0.0: RM116 loses mails",
        ),
        (
            "  schemaVersions: [{version: a}, {version: b, kind: expand}]\n  releases: [{version: 1.0.0, schema: b}, {version: 2.0.0, schema: a}]\n"
                .to_owned(),
            "RM117 2.0.0 brings schema a, 1.0.0 has b",
        ),
        (
            "  schemaVersions: [{version: a}, {version: b, kind: expand, irreversible: hashes mails}]\n  releases: [{version: 1.0.0, schema: a}, {version: 2.0.0, schema: b}]\n"
                .to_owned(),
            "RM119 b: hashes mails",
        ),
    ] {
        let line = line(&spec);
        assert!(line.contains(expected), "{line}\nis not\n{expected}");
    }
}

#[test]
fn what_is_allowed_is_not_refused() {
    for spec in [
        // A whole table: only a column of another one with the same beginning is used.
        "  schemaVersions: [{version: a}, {version: b, kind: contract, drops: [t]}]\n  releases: [{version: 1.0.0, schema: a, uses: [t2.c]}, {version: 2.0.0, schema: b}]\n",
        // An interface that is gone altogether is drained.
        "  releases: [{version: 1.0.0, apis: {shop: [v1], old: [v1]}}, {version: 2.0.0, apis: {shop: [v1]}}]\n",
        // The expression must match the whole version, and a condition blocks nothing by itself.
        "  releases: [{version: 1.0.0}, {version: 2.0.0}]\n  blocked: [{from: '1', to: 2.0.0, reason: x}, {to: 2.0.0, reason: why, when: [{sql: select 1}]}]\n",
    ] {
        assert_eq!(line(spec), "1.0.0 -> 2.0.0: ", "{spec}");
    }
}
