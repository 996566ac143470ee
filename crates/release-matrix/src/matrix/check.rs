//! From what is written to what can be used; all mistakes at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use regex::Regex;
use semver::Version;

use super::{Blocked, Matrix, Release, SchemaVersion, Stop};
use crate::document::{self, Apis, Document, Kind, ReleaseEntry, SchemaEntry, Specification};
use crate::interface::Interface;

/// What is wrong, with its place.
type Mistakes = Vec<String>;

/// The matrix, or every mistake in it.
pub(super) fn checked(document: Document) -> Result<Matrix, Mistakes> {
    let Document { api_version: _, kind: _, metadata, spec } = document;
    let Specification { chart, contracts, schema_versions, releases, stops, blocked, drains } = spec;
    let mut mistakes = Mistakes::new();
    let schema = schema_order(schema_versions, &mut mistakes);
    let releases = release_order(releases, &schema, &mut mistakes);
    mistakes.extend(uneven(&releases));
    let is_one_chart = |it: &&String| {
        it.starts_with(['.', '/']) || Path::new(it).extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tgz"))
    };
    if let Some(reference) = chart.reference.as_ref().filter(is_one_chart) {
        mistakes.push(format!(
            "spec.chart.reference: {reference} is one chart, and Helm takes it for every --version; name a chart in a repository, or oci://…"
        ));
    }
    let stops = stops.into_iter().enumerate().filter_map(|(index, stop)| {
        let document::Stop { release, reason, url } = stop;
        let release = known(&releases, &release, &format!("spec.stops[{index}].release"), &mut mistakes)?;
        Some(Stop { release, reason, url })
    });
    let stops: Vec<Stop> = stops.collect();
    let blocked: Vec<Blocked> = blocked
        .into_iter()
        .enumerate()
        .filter_map(|(index, entry)| block(entry, &releases, &format!("spec.blocked[{index}]"), &mut mistakes))
        .collect();
    if mistakes.is_empty() {
        Ok(Matrix { name: metadata.name, chart, contracts, schema, releases, stops, blocked, drains })
    } else {
        Err(mistakes)
    }
}

fn schema_order(entries: Vec<SchemaEntry>, mistakes: &mut Mistakes) -> Vec<SchemaVersion> {
    let mut schema: Vec<SchemaVersion> = Vec::new();
    for (index, entry) in entries.into_iter().enumerate() {
        let SchemaEntry { version, kind, migration, requires, drops, backfill, irreversible } = entry;
        let place = format!("spec.schemaVersions[{index}] ({version})");
        if let Some(first) = schema.iter().position(|other| other.version == version) {
            let circle: Vec<&str> = schema[first..].iter().map(|it| it.version.as_str()).chain([version.as_str()]).collect();
            mistakes.push(format!("{place}: the order goes in a circle: {}", circle.join(" -> ")));
        }
        if version.is_empty() {
            mistakes.push(format!("{place}: version is empty"));
        }
        if index > 0 && kind.is_none() {
            mistakes.push(format!("{place}: kind is missing: expand or contract"));
        }
        let kind = kind.unwrap_or(Kind::Expand);
        if kind == Kind::Expand && !(requires.is_empty() && drops.is_empty()) {
            mistakes.push(format!("{place}: only a migration of kind contract requires or drops something"));
        }
        schema.push(SchemaVersion { version, kind, migration, requires, drops, backfill, irreversible });
    }
    schema
}

fn release_order(entries: Vec<ReleaseEntry>, schema: &[SchemaVersion], mistakes: &mut Mistakes) -> Vec<Release> {
    let mut releases: Vec<Release> = Vec::new();
    if entries.is_empty() {
        mistakes.push("spec.releases is empty".to_owned());
    }
    for (index, entry) in entries.into_iter().enumerate() {
        let place = format!("spec.releases[{index}] ({})", entry.version);
        let Some(release) = one_release(entry, schema, &place, mistakes) else { continue };
        if releases.iter().any(|other| other.version.cmp_precedence(&release.version).is_eq()) {
            mistakes.push(format!("{place}: the release stands twice"));
        }
        releases.push(release);
    }
    releases.sort_by(|a, b| a.version.cmp(&b.version));
    releases
}

/// Where some releases name their API and others do not, two of them would have nothing in common, and nobody could tell.
fn uneven(releases: &[Release]) -> Option<String> {
    let of = |release: &Release| -> (bool, bool) {
        let apis = release.serves.keys().filter_map(|it| match it {
            Interface::Api(name) => Some(name.is_empty()),
            Interface::CustomResource(_) => None,
        });
        apis.fold((false, false), |(plain, named), is_plain| (plain || is_plain, named || !is_plain))
    };
    let named = |what: (bool, bool)| -> Vec<&str> {
        releases.iter().filter(|release| of(release) == what).map(|release| release.written.as_str()).collect()
    };
    let (silent, plain, several) = (named((false, false)), named((true, false)), named((false, true)));
    match (silent.is_empty(), plain.is_empty(), several.is_empty()) {
        (_, false, false) => Some(format!(
            "spec.releases: apis is one list in {}, and lists by name in {}: write one of the two everywhere",
            plain.join(", "),
            several.join(", ")
        )),
        (false, false, _) | (false, _, false) => Some(format!(
            "spec.releases: {} have no apis, and others have: name what each of them serves",
            silent.join(", ")
        )),
        _ => None,
    }
}

fn one_release(entry: ReleaseEntry, schema: &[SchemaVersion], place: &str, mistakes: &mut Mistakes) -> Option<Release> {
    let ReleaseEntry { version, schema: brought, apis, custom_resources, writes, uses, tolerates, breaking, changes } =
        entry;
    let number = Version::parse(version.strip_prefix('v').unwrap_or(&version));
    let number =
        number.map_err(|error| mistakes.push(format!("{place}: {version:?} is no version like 1.2.3: {error}"))).ok();
    let brought = schema_version(brought.as_deref(), schema, &format!("{place}: schema"), mistakes);
    let tolerates = tolerates.map(|names| {
        let place = format!("{place}: tolerates");
        names.iter().filter_map(|name| schema_version(Some(name), schema, &place, mistakes)).collect::<BTreeSet<usize>>()
    });
    let apis = match apis {
        Apis::One(versions) => BTreeMap::from([(Interface::Api(String::new()), versions)]),
        Apis::Several(lists) => lists.into_iter().map(|(name, versions)| (Interface::Api(name), versions)).collect(),
    };
    let resources = custom_resources.into_iter().map(|(name, versions)| (Interface::CustomResource(name), versions));
    let serves: BTreeMap<Interface, Vec<String>> = apis.into_iter().chain(resources).collect();
    for (interface, versions) in &serves {
        if versions.is_empty() {
            mistakes.push(format!("{place}: {interface} has no version: leave it out"));
        }
    }
    let uses = uses.map(|names| names.into_iter().collect());
    Some(Release {
        version: number?,
        written: version,
        schema: brought?,
        serves,
        writes,
        uses,
        tolerates,
        breaking,
        changes,
    })
}

/// The place of a schema version. Where the matrix has no schema, there is nothing to name.
fn schema_version(name: Option<&str>, schema: &[SchemaVersion], place: &str, mistakes: &mut Mistakes) -> Option<usize> {
    let known = || schema.iter().map(|it| it.version.as_str()).collect::<Vec<_>>().join(" ");
    let Some(name) = name else {
        if schema.is_empty() {
            return Some(0);
        }
        mistakes.push(format!("{place} is missing; known schema versions: {}", known()));
        return None;
    };
    let found = schema.iter().position(|it| it.version == name);
    if found.is_none() {
        mistakes.push(format!("{place}: there is no schema version {name:?}; known: {}", known()));
    }
    found
}

fn known(releases: &[Release], version: &str, place: &str, mistakes: &mut Mistakes) -> Option<usize> {
    let wanted = version.strip_prefix('v').unwrap_or(version);
    let found = releases.iter().position(|release| release.version.to_string() == wanted);
    if found.is_none() {
        mistakes.push(format!("{place}: there is no release {version:?}"));
    }
    found
}

fn block(entry: document::Blocked, releases: &[Release], place: &str, mistakes: &mut Mistakes) -> Option<Blocked> {
    let document::Blocked { from, to, reason, url, when } = entry;
    let from = from.map(|text| Regex::new(&format!("^(?:{text})$")));
    let from = from.transpose().map_err(|error| {
        let last = error.to_string().lines().last().unwrap_or_default().to_owned();
        mistakes.push(format!("{place}.from is no regular expression: {last}"));
    });
    let to = known(releases, &to, &format!("{place}.to"), mistakes);
    Some(Blocked { from: from.ok()?, to: to?, reason, url, when })
}
