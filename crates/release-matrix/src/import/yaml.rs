//! Writes the matrix. A library would write no comments, and they are the half of it.

use std::fmt::Write as _;

use super::Known;
use super::concluded::{Concluded, Release, Schema};
use crate::changelog::{Changelog, Entry, Passed};
use crate::document::{API_VERSION, KIND, Kind, Writes};

/// The document, and the notes in the order of what they are about.
pub(super) fn write(changelog: &Changelog, concluded: &Concluded, known: &Known) -> (String, Vec<String>) {
    let mut notes = Vec::new();
    let release = known.release.clone().or_else(|| changelog.helm_release.clone());
    let mut out = "# Made of a changelog. What has a comment was concluded, or is missing: check it.\n".to_owned();
    let name = scalar(release.as_deref().unwrap_or("releases"));
    let _ = write!(out, "apiVersion: {API_VERSION}\nkind: {KIND}\nmetadata: {{name: {name}}}\nspec:\n");
    let is_known = release.is_some() || known.chart.is_some() || known.namespace.is_some();
    out.push_str(if is_known { "  chart:\n" } else { "  chart: {}\n" });
    given(&mut out, &mut notes, "release", release.as_deref(), "the name of the Helm release");
    given(&mut out, &mut notes, "reference", known.chart.as_deref(), "the chart, as `helm upgrade` takes it");
    if let Some(namespace) = &known.namespace {
        let _ = writeln!(out, "    namespace: {}", scalar(namespace));
    }
    if !concluded.schema.is_empty() {
        out.push_str("  schemaVersions:\n");
    }
    for schema in &concluded.schema {
        notes.extend(schema.notes.iter().cloned());
        schema_version(&mut out, schema);
    }
    out.push_str("  releases:\n");
    for (entry, release) in changelog.entries.iter().zip(&concluded.releases) {
        notes.extend(release.notes.iter().cloned());
        let said = |(column, how, why): &(String, Writes, String)| {
            let how = word(*how);
            why.starts_with("concluded").then(|| format!("{} writes {column} {how}: {why}", entry.version))
        };
        notes.extend(release.writes.iter().filter_map(said));
        let v = if entry.has_v { "v" } else { "" };
        one_release(&mut out, &format!("{v}{}", entry.version), release);
    }
    if let Some(Entry { version, .. }) = changelog.entries.iter().find(|entry| entry.has_v) {
        notes.push(format!(
            "versions have a `v` as in the changelog (v{version}): leave it out if those of the chart have none"
        ));
    }
    for Passed { heading, line, version } in &changelog.passed {
        notes.push(match version {
            Some(version) => format!(
                "line {line}: heading {heading:?} has words before the version, and was left out: begin it with {version} if it is a release"
            ),
            None => format!("line {line}: heading {heading:?} is no version of three numbers, and was left out"),
        });
    }
    notes.push("which custom resources are served, which stops are required, and which upgrades are blocked: a changelog does not say".to_owned());
    (out, notes)
}

/// A value that somebody has to know.
fn given(out: &mut String, notes: &mut Vec<String>, key: &str, value: Option<&str>, what: &str) {
    if let Some(value) = value {
        let _ = writeln!(out, "    {key}: {}", scalar(value));
        return;
    }
    notes.push(format!("spec.chart.{key}: a changelog does not say {what}"));
    let _ = writeln!(out, "    # {key}: missing: {what}");
}

fn comments(out: &mut String, notes: &[String]) {
    for note in notes {
        let _ = writeln!(out, "    # {}", note.replace('\n', " "));
    }
}

fn schema_version(out: &mut String, schema: &Schema) {
    let Schema { version, release: _, kind, requires, drops, backfill, notes } = schema;
    comments(out, notes);
    let _ = writeln!(out, "    - version: {}", scalar(version));
    if let Some(kind) = kind {
        let kind = if *kind == Kind::Expand { "expand" } else { "contract" };
        let _ = writeln!(out, "      kind: {kind}");
    }
    for (key, columns) in [("requires", requires), ("drops", drops), ("backfill", backfill)] {
        if !columns.is_empty() {
            let _ = writeln!(out, "      {key}: [{}]", scalars(columns));
        }
    }
}

fn one_release(out: &mut String, version: &str, release: &Release) {
    let Release { apis, schema, writes, breaking, changes, notes } = release;
    comments(out, notes);
    let _ = writeln!(out, "    - version: {version}");
    if !apis.is_empty() {
        let _ = writeln!(out, "      apis: [{}]", scalars(apis));
    }
    if let Some(schema) = schema {
        let _ = writeln!(out, "      schema: {}", scalar(schema));
    }
    if !writes.is_empty() {
        out.push_str("      writes:\n");
    }
    for (column, how, why) in writes {
        let _ = writeln!(out, "        {}: {} # {why}", scalar(column), word(*how));
    }
    for (key, lines) in [("breaking", breaking), ("changes", changes)] {
        if !lines.is_empty() {
            let _ = writeln!(out, "      {key}:");
        }
        for line in lines {
            let _ = writeln!(out, "        - {}", scalar(line));
        }
    }
}

fn word(how: Writes) -> &'static str {
    match how {
        Writes::Always => "always",
        Writes::Optional => "optional",
    }
}

fn scalars(texts: &[String]) -> String {
    texts.iter().map(|text| scalar(text)).collect::<Vec<_>>().join(", ")
}

/// Text as YAML: plain where nobody can take it for anything else, and JSON elsewhere.
fn scalar(text: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._/-".contains(letter);
    let begins = text.starts_with(|letter: char| letter.is_ascii_alphabetic());
    let is_word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_lowercase().as_str());
    if begins && !is_word && text.chars().all(is_plain) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}
