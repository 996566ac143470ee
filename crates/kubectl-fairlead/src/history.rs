//! `history`: Helm's revisions, with the schema of each where a matrix says it.

use comfy_table::{Table, presets};
use fairlead_job::args::Output;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::history::{Back, Entry};
use fairlead_release_matrix::matrix::Matrix;
use fairlead_release_matrix::rules::Rules;
use serde_json::{Value, json};

use crate::form::refused;

/// The step whose runs change the schema.
const MIGRATOR: &str = "schema-migrator";

/// Prints the revisions.
///
/// # Errors
///
/// `FL033` for another form than text and JSON.
pub(crate) fn print(entries: &[Entry], matrix: Option<&Matrix>, output: Output) -> anyhow::Result<ExitStatus> {
    let text = match output {
        Output::Text => text(entries, matrix),
        Output::Json => serde_json::to_string_pretty(&document(entries, matrix))? + "\n",
        Output::Yaml | Output::Junit | Output::Github => return Err(refused("text or json").into()),
    };
    report::say(&text)?;
    Ok(ExitStatus::Done)
}

fn text(entries: &[Entry], matrix: Option<&Matrix>) -> String {
    let mut table = Table::new();
    let mut header = vec!["REVISION", "BEGAN", "STATUS", "CHART", "APP", "BACK TO IT"];
    if matrix.is_some() {
        header.insert(5, "SCHEMA");
    }
    table.load_preset(presets::NOTHING).set_header(header);
    for entry in entries {
        let Entry { revision, created, status, chart, back: _ } = entry;
        let (name, app) = chart.as_ref().map_or_else(
            || ("?".to_owned(), "?".to_owned()),
            |chart| (format!("{} {}", chart.name, chart.version), chart.app_version.clone()),
        );
        let mut row = vec![revision.to_string(), created.clone(), status.clone(), name, app];
        if let Some(matrix) = matrix {
            row.push(schema(entry, matrix).unwrap_or_else(|| "?".to_owned()));
        }
        row.push(words(&back(entry, entries, matrix)));
        table.add_row(row);
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn document(entries: &[Entry], matrix: Option<&Matrix>) -> Value {
    let revision = |entry: &Entry| {
        let Entry { revision, created, status, chart, back: _ } = entry;
        let back = back(entry, entries, matrix);
        let runs =
            if let Back::Open(runs) = &back { Some(runs.iter().map(|(sequence, _)| *sequence).collect()) } else { None };
        json!({
            "revision": revision,
            "began": created,
            "status": status,
            "chart": chart.as_ref().map(|chart| &chart.name),
            "version": chart.as_ref().map(|chart| &chart.version),
            "appVersion": chart.as_ref().map(|chart| &chart.app_version),
            "schema": matrix.and_then(|matrix| schema(entry, matrix)),
            "isOpen": matches!(back, Back::Open(_)),
            "takesBack": runs.unwrap_or_else(Vec::<u64>::new),
            "back": words(&back),
        })
    };
    let revisions: Vec<Value> = entries.iter().map(revision).collect();
    json!({"apiVersion": "fairlead.dev/v1", "kind": "History", "revisions": revisions})
}

/// The release of the matrix that a revision installed.
fn release(entry: &Entry, matrix: &Matrix) -> Option<usize> {
    matrix.find(&entry.chart.as_ref()?.version).ok()
}

fn schema(entry: &Entry, matrix: &Matrix) -> Option<String> {
    let schema = matrix.releases[release(entry, matrix)?].schema;
    matrix.schema.get(schema).map(|schema| schema.version.clone())
}

/// The way back, with what the matrix says against it.
fn back(entry: &Entry, entries: &[Entry], matrix: Option<&Matrix>) -> Back {
    let closed = matrix.and_then(|matrix| objection(entry, entries.last()?, matrix));
    match (&entry.back, closed) {
        (Back::Open(_), Some(why)) => Back::Closed(why),
        (back, _) => back.clone(),
    }
}

/// Why pods of a revision would fail beside those that run now, or on their schema.
fn objection(entry: &Entry, newest: &Entry, matrix: &Matrix) -> Option<String> {
    let (old, new) = (release(entry, matrix)?, release(newest, matrix)?);
    let (old, new) = (old.min(new), old.max(new));
    let rules = Rules::new(matrix);
    if let Some(broken) = rules.moves(old, new).broken.first() {
        return Some(format!("{} and {} serve no common version of {broken}", matrix.version(old), matrix.version(new)));
    }
    let schema = matrix.releases[new].schema;
    let is_taken_back = matches!(&entry.back, Back::Open(runs) if runs.iter().any(|(_, step)| step == MIGRATOR));
    let is_fine = is_taken_back || rules.tolerance(old).includes(schema);
    (!is_fine).then(|| {
        let name = &matrix.schema[schema].version;
        format!("{} does not run on schema {name}, and no run is recorded that would take it back", matrix.version(old))
    })
}

fn words(back: &Back) -> String {
    match back {
        Back::Runs => "runs now".to_owned(),
        Back::Open(runs) if runs.is_empty() => "yes".to_owned(),
        Back::Open(runs) => {
            let runs: Vec<String> = runs.iter().map(|(sequence, step)| format!("{sequence} ({step})")).collect();
            format!("yes, takes back run {}", runs.join(", "))
        }
        Back::Closed(why) => format!("no: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use fairlead_job::manifests;
    use fairlead_release::history::Chart;

    use super::*;

    fn entry(revision: u32, version: &str, back: Back) -> Entry {
        Entry {
            revision,
            created: "2026-11-28T07:00:00Z".to_owned(),
            status: "superseded".to_owned(),
            chart: Some(Chart { name: "mojaloop".to_owned(), version: version.to_owned(), app_version: "7".to_owned() }),
            back,
        }
    }

    /// The proposal's `helm rollback mojaloop 1` from revision 5.
    #[test]
    fn the_history_of_the_proposal() {
        let text = include_str!("../../../examples/mojaloop/matrix.yaml");
        let matrix = Matrix::read("matrix.yaml", &manifests::parse("matrix.yaml", text).expect("YAML")).expect("a matrix");
        let migrated = |sequence| Back::Open(vec![(sequence, MIGRATOR.to_owned())]);
        let runs = |last: Back| {
            vec![
                entry(1, "1.0.0", Back::Open(Vec::new())),
                entry(2, "1.0.1", Back::Open(Vec::new())),
                entry(3, "1.0.2", last),
                entry(4, "2.0.0", Back::Open(Vec::new())),
                Entry { status: "failed".to_owned(), ..entry(5, "9.9.9", Back::Closed("its status is failed".to_owned())) },
                entry(6, "2.0.1", Back::Runs),
            ]
        };
        insta::assert_snapshot!(super::text(&runs(Back::Open(Vec::new())), Some(&matrix)));
        insta::assert_snapshot!(super::text(&runs(migrated(4)), None));
        let document = document(&runs(migrated(4)), Some(&matrix));
        assert_eq!(document["revisions"][2]["takesBack"], json!([4]), "the schema is taken back with it");
        assert_eq!(document["revisions"][0]["isOpen"], false);
    }
}
