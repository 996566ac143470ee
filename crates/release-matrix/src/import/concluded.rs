//! What follows from the words of a changelog. People wrote it for people: whatever is concluded here is marked as such.

use crate::changelog::{API_VERSIONS, Changelog, Entry, Item, SCHEMA_VERSION};
use crate::document::{Kind, Writes};

/// What a changelog says, and what follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Concluded {
    pub(super) schema: Vec<Schema>,
    pub(super) releases: Vec<Release>,
}

/// A schema version, in the order of the releases that bring them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Schema {
    pub(super) version: String,
    /// The release that brings it first.
    pub(super) release: String,
    /// What leads to it; none of the first one.
    pub(super) kind: Option<Kind>,
    pub(super) requires: Vec<String>,
    pub(super) drops: Vec<String>,
    pub(super) backfill: Vec<String>,
    /// What is to be checked.
    pub(super) notes: Vec<String>,
}

/// A release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) apis: Vec<String>,
    pub(super) schema: Option<String>,
    /// Columns, how they are written, and from what that follows.
    pub(super) writes: Vec<(String, Writes, String)>,
    pub(super) breaking: Vec<String>,
    pub(super) changes: Vec<String>,
    /// What is missing.
    pub(super) notes: Vec<String>,
}

/// What an item of a changelog is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Schema,
    Migration,
    Breaking,
    Else,
}

pub(super) fn concluded(changelog: &Changelog) -> Concluded {
    let mut all = Concluded::default();
    // Columns with their table, as far as they have been named.
    let mut columns: Vec<String> = Vec::new();
    for entry in &changelog.entries {
        let version = entry.version.to_string();
        let mut release = Release { schema: entry.field(SCHEMA_VERSION).map(str::to_owned), ..Release::default() };
        release.apis = entry.field(API_VERSIONS).map(listed).unwrap_or_default();
        if release.apis.is_empty() {
            release.apis = all.releases.last().map(|before: &Release| before.apis.clone()).unwrap_or_default();
            let taken = if release.apis.is_empty() {
                "none".to_owned()
            } else {
                format!("{}, as before it", release.apis.join(", "))
            };
            release
                .notes
                .push(format!("{version}: the changelog does not say which API versions it serves; taken is {taken}"));
        }
        if release.schema.is_none() {
            release.schema = all.releases.last().and_then(|before: &Release| before.schema.clone());
            let taken = release.schema.as_deref().map_or("none".to_owned(), |it| format!("{it}, as before it"));
            release.notes.push(format!("{version}: the changelog does not say which schema it brings; taken is {taken}"));
        }
        for item in &entry.items {
            let list = if about(item) == About::Breaking { &mut release.breaking } else { &mut release.changes };
            list.push(without_prefix(&item.line()));
        }
        for item in &entry.items {
            named_columns(item, &mut columns);
        }
        if let Some(schema) = release.schema.clone().filter(|name| all.schema.iter().all(|it| it.version != *name)) {
            let is_first = all.schema.is_empty();
            all.schema.push(new_schema(schema, &version, entry, &columns, is_first));
        }
        release.writes = written(entry, &all, &columns);
        all.releases.push(release);
    }
    fill(changelog, &mut all, &columns);
    all
}

fn listed(text: &str) -> Vec<String> {
    text.replace(" and ", ",").split(',').map(str::trim).filter(|version| !version.is_empty()).map(str::to_owned).collect()
}

fn about(item: &Item) -> About {
    let text = item.text.replace('`', "").trim().to_lowercase();
    let begins = |words: &[&str]| words.iter().any(|word| text.starts_with(word));
    match () {
        () if begins(&["database schema", "db schema", "schema:"]) => About::Schema,
        () if begins(&["migration"]) => About::Migration,
        () if begins(&["breaking"]) => About::Breaking,
        () => About::Else,
    }
}

/// A breaking change without the words for that.
fn without_prefix(line: &str) -> String {
    let is_quoted = line.starts_with('`');
    let rest = line.trim_start_matches('`');
    let is_prefix = rest.get(..15).is_some_and(|begin| begin.eq_ignore_ascii_case("BREAKING CHANGE"));
    if !is_prefix {
        return line.to_owned();
    }
    // The backquote that ends the prefix goes with it, and none that begins what is said.
    let rest = if is_quoted { rest[15..].trim_start_matches(['S', 's']).trim_start_matches('`') } else { &rest[15..] };
    rest.trim_start_matches([':', ' ']).to_owned()
}

/// An item and all below it, each as a sentence.
fn sentences(item: &Item) -> Vec<&str> {
    let below = item.below.iter().flat_map(sentences);
    std::iter::once(item.text.as_str()).chain(below).filter(|text| !text.is_empty()).collect()
}

/// What stands between backquotes.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
}

/// `table.column`
fn is_column(text: &str) -> bool {
    text.split_once('.').is_some_and(|(table, column)| is_name(table) && is_name(column) && !is_version(table))
}

fn is_version(text: &str) -> bool {
    text.trim_start_matches(['v', 'V']).starts_with(|letter: char| letter.is_ascii_digit())
}

/// Remembers the columns that an item names with their table: `t.c`, or `c` in the `t` table.
fn named_columns(item: &Item, columns: &mut Vec<String>) {
    for sentence in sentences(item) {
        let spans: Vec<&str> = code(sentence).collect();
        let table = spans.iter().find(|span| is_name(span) && sentence.contains(&format!("`{span}` table")));
        let with_table = spans.iter().filter(|span| is_name(span) && Some(*span) != table && **span != "null");
        let with_table = with_table.filter_map(|column| table.map(|table| format!("{table}.{column}")));
        let whole = spans.iter().filter(|span| is_column(span)).map(|span| (*span).to_owned());
        for column in whole.chain(with_table).collect::<Vec<_>>() {
            if !columns.contains(&column) {
                columns.push(column);
            }
        }
    }
}

/// The columns of a sentence, with their table where it is known.
fn columns_in(sentence: &str, columns: &[String]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for span in code(sentence).filter(|span| *span != "null") {
        let known =
            columns.iter().find(|column| *column == span || column.split_once('.').is_some_and(|(_, it)| it == span));
        found.extend(known.filter(|column| !found.contains(column)).cloned());
    }
    found
}

fn has(sentence: &str, words: &[&str]) -> bool {
    let sentence = sentence.to_lowercase();
    words.iter().any(|word| sentence.contains(word))
}

fn new_schema(version: String, release: &str, entry: &Entry, columns: &[String], is_first: bool) -> Schema {
    let mut schema = Schema {
        version,
        release: release.to_owned(),
        kind: None,
        requires: Vec::new(),
        drops: Vec::new(),
        backfill: Vec::new(),
        notes: Vec::new(),
    };
    if is_first {
        return schema;
    }
    let said: Vec<&str> = entry.items.iter().filter(|item| about(item) == About::Schema).flat_map(sentences).collect();
    for sentence in &said {
        let found = columns_in(sentence, columns);
        if has(sentence, &["required", "mandatory", "not null"]) {
            schema.requires.extend(found);
        } else if has(sentence, &["remove", "drop", "delete"]) {
            schema.drops.extend(found);
        }
    }
    // Old pods know the old name, the old type, and rows that may be alike or empty.
    let is_changed =
        said.iter().any(|sentence| has(sentence, &["rename", "unique", "not null", "non-null", "not-null", " type"]));
    let is_added = !is_changed && said.iter().any(|sentence| has(sentence, &["adds", "add ", "optional", "new "]));
    let name = &schema.version;
    let (kind, note) = match (schema.requires.is_empty() && schema.drops.is_empty(), is_added) {
        (false, _) => (Kind::Contract, format!("schema {name} is taken for a contraction")),
        (true, true) => (Kind::Expand, format!("schema {name} is taken for an expansion")),
        (true, false) => {
            (Kind::Contract, format!("schema {name}: nobody says what it changes; taken is the worst, a contraction"))
        }
    };
    let why = said.iter().filter(|sentence| !sentence.trim_end().ends_with(':')).map(|it| it.trim()).collect::<Vec<_>>();
    let why = if why.is_empty() { String::new() } else { format!(": {release} says \"{}\"", why.join("; ")) };
    schema.kind = Some(kind);
    schema.notes.push(format!("{note}{why}"));
    schema
}

/// The columns that a release writes: those of the release before, and what its entry says.
fn written(entry: &Entry, all: &Concluded, columns: &[String]) -> Vec<(String, Writes, String)> {
    let before = all.releases.last().map(|release| release.writes.clone()).unwrap_or_default();
    let mut writes =
        before.into_iter().map(|(column, how, _)| (column, how, "as the release before".to_owned())).collect::<Vec<_>>();
    let items = entry.items.iter().filter(|item| matches!(about(item), About::Breaking | About::Else));
    for item in items {
        let said = sentences(item);
        let Some(first) = said.first().filter(|first| has(first, &["adds", "add ", "changes", "change ", "now "])) else {
            continue;
        };
        let is_optional = said.iter().any(|sentence| has(sentence, &["optional"]));
        let is_required = said.iter().any(|sentence| has(sentence, &["required", "mandatory"]));
        let how = if is_required && !is_optional { Writes::Always } else { Writes::Optional };
        for column in columns_in(first, columns) {
            writes.retain(|(name, _, _)| *name != column);
            writes.push((column, how, format!("concluded from \"{}\"", first.trim())));
        }
    }
    writes
}

/// A column that a contraction requires is filled before it.
fn fill(changelog: &Changelog, all: &mut Concluded, columns: &[String]) {
    let filled: Vec<(String, String, String)> = changelog
        .entries
        .iter()
        .flat_map(|entry| {
            let items = entry.items.iter().filter(|item| about(item) == About::Migration);
            let said = items.flat_map(sentences).filter(|sentence| has(sentence, &["fill", "set "]));
            said.flat_map(|sentence| {
                let version = entry.version.to_string();
                columns_in(sentence, columns)
                    .into_iter()
                    .map(move |column| (column, version.clone(), sentence.trim().to_owned()))
            })
            .collect::<Vec<_>>()
        })
        .collect();
    for schema in &mut all.schema {
        for column in schema.requires.clone() {
            let said = filled.iter().find(|(name, _, _)| *name == column);
            let name = &schema.version;
            schema.notes.push(match said {
                Some((_, release, sentence)) if has(sentence, &["may", "if we want", "optional", "could"]) => {
                    format!("rows without {column} are filled before schema {name}, which fails without that; {release} says only \"{sentence}\"")
                }
                Some((_, release, _)) => format!("rows without {column} are filled before schema {name}, as {release} says"),
                None => format!("rows without {column} are filled before schema {name}, which fails without that; nobody says with what"),
            });
            schema.backfill.push(column);
        }
    }
}
