use fairlead_job::manifests;

use super::*;
use crate::matrix::Matrix;
use crate::testing::{CHANGELOG, PROPOSAL, SEED, matrix};

#[test]
fn the_changelog_of_the_proposal_makes_a_matrix() {
    let imported = import("CHANGELOG.md", CHANGELOG, &Known::default()).expect("it is a changelog");
    insta::assert_snapshot!(format!("{}\n=== notes\n{}\n", imported.yaml, imported.notes.join("\n")));
}

/// The rest of the proposal changes nothing but the name, which it has in a command.
#[test]
fn the_whole_proposal_makes_the_same_matrix() {
    let known = Known { release: Some("mojaloop".to_owned()), ..Known::default() };
    let short = import("CHANGELOG.md", CHANGELOG, &known).expect("it is a changelog");
    let whole = import("proposal.md", PROPOSAL, &Known::default()).expect("it is one, too");
    assert_eq!(short, whole);
    assert!(PROPOSAL.contains(CHANGELOG.trim_end()), "the example is the proposal's changelog as it stands");
}

/// What was added to the example by hand is how clients are drained, and the chart.
#[test]
fn the_example_is_what_the_changelog_says() {
    let known =
        Known { release: Some("mojaloop".to_owned()), chart: Some("mojaloop/mojaloop".to_owned()), ..Known::default() };
    let imported = import("CHANGELOG.md", CHANGELOG, &known).expect("it is a changelog");
    let (read, example) = (matrix(&imported.yaml), matrix(SEED));
    assert!(read.drains.is_empty() && !example.drains.is_empty());
    let without_drains = Matrix { drains: Vec::new(), schema: read.schema.clone(), ..example.clone() };
    assert_eq!(format!("{read:?}"), format!("{without_drains:?}"));
    let names = |matrix: &Matrix| {
        matrix.schema.iter().map(|it| (it.version.clone(), it.kind, it.requires.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&read), names(&example), "the example names the migrations, too");
}

#[test]
fn what_a_changelog_leaves_open_is_told() {
    let text = "## 1.1.0\nDB Schema Version: 2\n\n## 1.0.0\nSupported API Versions: 1, 2.0\nDB Schema Version: 1\n";
    let imported = import("CHANGELOG.md", text, &Known::default()).expect("it is a changelog");
    let notes = imported.notes.join("\n");
    for expected in [
        "1.1.0: the changelog does not say which API versions",
        "schema 2: nobody says what it changes",
        "spec.chart.reference",
    ] {
        assert!(notes.contains(expected), "{expected} is not in {notes}");
    }
    // A number stays text.
    assert_eq!(matrix(&imported.yaml).schema[1].version, "2");
}

/// The notes about a changelog that contain this.
fn notes(text: &str, part: &str) -> Vec<String> {
    let imported = import("CHANGELOG.md", text, &Known::default()).expect("it is a changelog");
    imported.notes.into_iter().filter(|note| note.contains(part)).collect()
}

/// 2.0.0 was made before schema v1.1, although the numbers say otherwise.
#[test]
fn a_release_that_came_out_after_a_higher_one_is_told() {
    let entry = |heading: &str, schema: &str| format!("## {heading}\n\nDB Schema Version: {schema}\n\n");
    let [old, new, fix] = [("1.9.8", "v1"), ("2.0.0", "v2"), ("1.9.9", "v1.1")].map(|(name, schema)| entry(name, schema));
    let dated = [entry("2.0.0 - 2026-02-01", "v2"), entry("1.9.9 (2026-03-01)", "v1.1"), entry("1.9.8 - 2026-01-01", "v1")];
    let note = |fixed: &str, new: &str| {
        format!(
            "1.9.9 ({fixed}) came out after 2.0.0 ({new}), which may lack what 1.9.9 brings, such as schema v1.1; if so, block \
             the upgrade in `spec.blocked`: {{from: '1\\.9\\.9', to: 2.0.0, reason: …}}"
        )
    };
    let about = |text: &str| notes(text, "came out after");
    assert_eq!(about(&dated.concat()), [note("2026-03-01", "2026-02-01")], "the branches stand one after the other");
    assert_eq!(about(&format!("{fix}{new}{old}")), [note("line 1", "line 5")], "newest first");
    assert_eq!(about(&format!("{old}{new}{fix}")), [note("line 9", "line 5")], "oldest first");
    for in_order in [format!("{new}{fix}{old}"), format!("{old}{fix}{new}"), old.clone()] {
        assert_eq!(about(&in_order), [""; 0], "{in_order}");
    }
    let imported = import("CHANGELOG.md", &dated.concat(), &Known::default()).expect("it is a changelog");
    assert!(imported.yaml.contains(&format!("    # {}\n    - version: 1.9.9\n", note("2026-03-01", "2026-02-01"))));
}

#[test]
fn a_release_that_came_out_after_many_is_told_once() {
    let text = "## 1.0.1\n## 1.2.0\n## 1.1.1\n## 1.1.0\n## 1.0.0\n";
    let told = notes(text, "came out after");
    assert!(told.len() == 1 && told[0].starts_with("1.0.1 (line 1) came out after 1.1.0 (line 4) and 2 more,"), "{told:?}");
}

#[test]
fn a_heading_that_may_be_a_release_is_read_or_told() {
    let text = "## Release v1.2.0\n## Shop 1.1.0\n## Version 1.0.0\n";
    let imported = import("CHANGELOG.md", text, &Known::default()).expect("it is a changelog");
    assert!(imported.yaml.contains("- version: v1.2.0\n") && imported.yaml.contains("- version: 1.0.0\n"));
    assert_eq!(matrix(&imported.yaml).releases.len(), 2);
    let left_out = "line 2: heading \"Shop 1.1.0\" has words before the version, and was left out: begin it with 1.1.0 if it is a release";
    assert_eq!(notes(text, "left out"), [left_out]);
    let with_v = "versions have a `v` as in the changelog (v1.2.0): leave it out if those of the chart have none";
    assert_eq!(notes(text, "a `v`"), [with_v]);
}

#[test]
fn what_is_no_changelog_is_refused() {
    for (text, expected) in [
        ("# Shop 1.2.0\n- a\n", "line 1 has \"Shop 1.2.0\", which has words before the version"),
        ("", "CHANGELOG.md: no heading is a version such as `1.2.3`"),
        ("# Changelog\n\n## 1.2\n- a\n", "line 3 has \"1.2\", which needs three numbers"),
        ("## 1.0.0\n\n## 1.0.1\n\n## v1.0.0\n", "release 1.0.0 stands twice, in lines 1 and 5"),
    ] {
        let failure = import("CHANGELOG.md", text, &Known::default()).expect_err(expected);
        assert!(failure.to_string().contains(expected), "{failure}");
        assert_eq!(failure.code.id, "RM103");
    }
}

#[test]
fn whatever_text_there_is_stays_text() {
    for text in ["a: b # c", "\"q\" \\ `x`", "- x", "{a}", "1.0", "null", "Ünï\u{85}x"] {
        let changelog = format!("## 1.0.0\n\n* x {text}\n\nSupported API Versions: {}\n", text.replace(',', ""));
        let imported = import("CHANGELOG.md", &changelog, &Known::default()).expect("it is a changelog");
        let documents =
            manifests::parse("matrix.yaml", &imported.yaml).unwrap_or_else(|error| panic!("{error}\n{}", imported.yaml));
        assert_eq!(documents.len(), 1);
    }
}
