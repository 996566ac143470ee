//! A matrix that can be used: every name in it leads somewhere.

mod check;

use std::collections::{BTreeMap, BTreeSet};

use fairlead_job::codes::release_matrix as codes;
use fairlead_job::failure::Failure;
use regex::Regex;
use semver::Version;
use serde_json::Value;

use crate::document::{API_VERSION, Chart, Condition, Contracts, Document, Drain, KIND, Kind, Writes};
use crate::interface::Interface;

/// A matrix.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// What Helm is told.
    pub chart: Chart,
    /// When the chart runs contractions.
    pub contracts: Contracts,
    /// Schema versions, in the order in which they are applied. There is at least one.
    pub schema: Vec<SchemaVersion>,
    /// Releases, the oldest first.
    pub releases: Vec<Release>,
    /// Releases that no upgrade may skip.
    pub stops: Vec<Stop>,
    /// Upgrades that are not allowed.
    pub blocked: Vec<Blocked>,
    /// How clients of API versions are drained.
    pub drains: Vec<Drain>,
}

/// A schema version, and the migration that leads to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Its name; empty where the matrix has no schema.
    pub version: String,
    /// What leads to it from the version before; of the first one that means nothing.
    pub kind: Kind,
    /// The migration that leads to it.
    pub migration: Option<String>,
    /// Columns that every writer has to write.
    pub requires: Vec<String>,
    /// Columns or tables that are gone.
    pub drops: Vec<String>,
    /// Columns whose old rows are filled.
    pub backfill: Vec<String>,
    /// Why undoing it does not bring everything back.
    pub irreversible: Option<String>,
}

/// A release.
#[derive(Clone, Debug)]
pub struct Release {
    /// Version of the chart.
    pub version: Version,
    /// The same as the matrix has it, perhaps with a `v`: an OCI registry knows the chart by exactly this tag.
    pub written: String,
    /// The schema version that it brings, by its place in the order.
    pub schema: usize,
    /// What it serves, and in which versions.
    pub serves: BTreeMap<Interface, Vec<String>>,
    /// The columns that its code writes.
    pub writes: BTreeMap<String, Writes>,
    /// All columns and tables that its code uses, if that is known.
    pub uses: Option<BTreeSet<String>>,
    /// Schema versions that it runs on beside its own, if the matrix says so.
    pub tolerates: Option<BTreeSet<usize>>,
    /// Breaking changes.
    pub breaking: Vec<String>,
    /// Its changelog entry.
    pub changes: Vec<String>,
}

/// A release that no upgrade may skip.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Its place among the releases.
    pub release: usize,
    /// Why.
    pub reason: String,
    /// Where more is said.
    pub url: Option<String>,
}

/// Upgrades that are not allowed.
#[derive(Clone, Debug)]
pub struct Blocked {
    /// What matches the whole version of the old release; all of them without it.
    pub from: Option<Regex>,
    /// The new release, by its place.
    pub to: usize,
    /// Why.
    pub reason: String,
    /// Where more is said.
    pub url: Option<String>,
    /// Only if one of these holds; always where there is none.
    pub when: Vec<Condition>,
}

impl Blocked {
    /// Whether it is about an upgrade from this release: its version as the matrix has it, or without a `v`.
    #[must_use]
    pub fn is_about(&self, from: &Release) -> bool {
        let Release { version, written, .. } = from;
        self.from.as_ref().is_none_or(|versions| versions.is_match(written) || versions.is_match(&version.to_string()))
    }

    /// The reason with the address, if there is one.
    #[must_use]
    pub fn why(&self) -> String {
        with_url(&self.reason, self.url.as_deref())
    }
}

/// A reason with the address where more is said.
pub(crate) fn with_url(reason: &str, url: Option<&str>) -> String {
    url.map_or_else(|| reason.to_owned(), |url| format!("{reason} ({url})"))
}

impl Matrix {
    /// Reads the documents of a file, which errors call `file`.
    ///
    /// # Errors
    ///
    /// `RM101` with every mistake that was found.
    pub fn read(file: &str, documents: &[Value]) -> Result<Self, Failure> {
        let invalid = |what: &str| Failure::new(&codes::INVALID, format!("{file}: {what}"));
        let is_matrix = |document: &Value| document["apiVersion"] == API_VERSION && document["kind"] == KIND;
        let [document] = documents else {
            return Err(invalid(&format!("it must hold one document of kind {KIND}, and holds {}", documents.len())));
        };
        if !is_matrix(document) {
            let said = |key: &str| document[key].as_str().unwrap_or("nothing").to_owned();
            let (version, kind) = (said("apiVersion"), said("kind"));
            return Err(invalid(&format!("it must be {API_VERSION} {KIND}, and is {version} {kind}")));
        }
        let read: Result<Document, _> = serde_path_to_error::deserialize(document);
        let read = read.map_err(|error| {
            let (path, inner) = (error.path().to_string(), error.inner().to_string());
            invalid(&format!("{}: {inner}", place(document, &path)))
        })?;
        check::checked(read).map_err(|mistakes| invalid(&mistakes.join("; ")))
    }

    /// The place of a release, which may be written with a `v`.
    ///
    /// # Errors
    ///
    /// `RM102`, with those that there are.
    pub fn find(&self, version: &str) -> Result<usize, Failure> {
        let wanted = version.trim().trim_start_matches('v');
        let found = self.releases.iter().position(|release| release.version.to_string() == wanted);
        found.ok_or_else(|| {
            let known: Vec<String> = self.releases.iter().map(|release| release.version.to_string()).collect();
            let (newest, count) = (&known[known.len().saturating_sub(SHOWN)..], known.len());
            let which = if count > SHOWN { format!("the newest {SHOWN} of {count}") } else { "known".to_owned() };
            let message = format!("there is no release {version:?} in matrix {}; {which}: {}", self.name, newest.join(" "));
            Failure::new(&codes::UNKNOWN, message)
        })
    }

    /// The version of the release at this place.
    #[must_use]
    pub fn version(&self, release: usize) -> String {
        self.releases[release].version.to_string()
    }

    /// Whether there is a schema to speak of.
    #[must_use]
    pub fn has_schema(&self) -> bool {
        self.schema.iter().any(|schema| !schema.version.is_empty())
    }
}

/// How many releases a message lists: a line of a terminal, about.
const SHOWN: usize = 12;

/// A path of serde, with the name of the release or schema version that it leads into.
fn place(document: &Value, path: &str) -> String {
    let named = ["releases", "schemaVersions"].iter().find_map(|list| {
        let index: usize = path.split_once(&format!("spec.{list}["))?.1.split_once(']')?.0.parse().ok()?;
        Some(format!("{path} ({})", document["spec"][*list][index]["version"].as_str()?))
    });
    match path {
        "." => "the document".to_owned(),
        _ => named.unwrap_or_else(|| path.to_owned()),
    }
}

#[cfg(test)]
mod tests;
