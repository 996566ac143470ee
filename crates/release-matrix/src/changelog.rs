//! A changelog as data: an entry for each heading that is a version.

mod heading;

use std::ops::Range;

use fairlead_job::codes::release_matrix as codes;
use fairlead_job::failure::Failure;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};
use semver::Version;

pub use self::heading::Date;
use self::heading::Heading;

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changelog {
    /// The releases, the oldest first.
    pub entries: Vec<Entry>,
    /// Headings that may be releases, and were left out.
    pub passed: Vec<Passed>,
    /// What `helm upgrade` or `helm install` names in a block of code.
    pub helm_release: Option<String>,
}

/// A heading that may be a release, and was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Its text.
    pub heading: String,
    /// Its line, from 1.
    pub line: usize,
    /// The version behind other words; none where it is a version that has not three numbers.
    pub version: Option<Version>,
}

/// A release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its version.
    pub version: Version,
    /// Whether the heading has a `v` before it.
    pub has_v: bool,
    /// The day in the heading.
    pub date: Option<Date>,
    /// Line of the heading, from 1.
    pub line: usize,
    /// Lines `Key: value`, the keys in lower case.
    pub fields: Vec<(String, String)>,
    /// Items of its lists, and paragraphs.
    pub items: Vec<Item>,
}

/// An item of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Its own text; code stands between backquotes.
    pub text: String,
    /// Items below it.
    pub below: Vec<Item>,
}

impl Item {
    /// The item and all below it on one line.
    #[must_use]
    pub fn line(&self) -> String {
        let below: Vec<String> = self.below.iter().map(Self::line).collect();
        match (self.text.as_str(), below.is_empty()) {
            (text, true) => text.to_owned(),
            ("", false) => below.join("; "),
            (text, false) => format!("{}: {}", text.trim_end_matches(':'), below.join("; ")),
        }
    }
}

/// Keys of the lines that are not prose.
pub(crate) const API_VERSIONS: &str = "supported api versions";
/// See [`API_VERSIONS`].
pub(crate) const SCHEMA_VERSION: &str = "db schema version";

impl Entry {
    /// What stands behind a key.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

/// Reads Markdown, which errors call `file`.
///
/// # Errors
///
/// `RM103` where no heading is a version, or two are the same.
pub fn read(file: &str, text: &str) -> Result<Changelog, Failure> {
    let mut reading =
        Reading { text, changelog: Changelog::default(), level: None, open: Vec::new(), is_paragraph: false, block: None };
    for (event, place) in Parser::new(text).into_offset_iter() {
        reading.take(event, &place);
    }
    let Changelog { mut entries, mut passed, helm_release } = reading.changelog;
    let failed = |what: String| Failure::new(&codes::NO_CHANGELOG, format!("{file}: {what}"));
    entries.sort_by(|a, b| a.version.cmp(&b.version));
    for pair in entries.windows(2) {
        if pair[0].version.cmp_precedence(&pair[1].version).is_eq() {
            let [first, second] = [pair[0].line.min(pair[1].line), pair[0].line.max(pair[1].line)];
            return Err(failed(format!("release {} stands twice, in lines {first} and {second}", pair[0].version)));
        }
    }
    // `Upgrading from 1.2.3` is no release that is missing if 1.2.3 is there.
    passed.retain(|it| !entries.iter().any(|entry| Some(&entry.version) == it.version.as_ref()));
    if entries.is_empty() {
        let near = passed.first().map(|Passed { heading, line, version }| {
            let why = if version.is_some() { "has words before the version" } else { "needs three numbers" };
            format!("; line {line} has {heading:?}, which {why}")
        });
        let near = near.unwrap_or_default();
        return Err(failed(format!("no heading is a version such as `1.2.3`{near}")));
    }
    Ok(Changelog { entries, passed, helm_release })
}

/// How far the text was read.
struct Reading<'a> {
    text: &'a str,
    changelog: Changelog,
    /// Level of the entry that is open, if one is.
    level: Option<HeadingLevel>,
    /// Items that are open, the outermost first; outside of a list a paragraph.
    open: Vec<Item>,
    /// Whether the item that is open is a paragraph outside of a list.
    is_paragraph: bool,
    /// Text of a heading or of a block of code, while one is read.
    block: Option<String>,
}

impl Reading<'_> {
    fn take(&mut self, event: Event<'_>, place: &Range<usize>) {
        match event {
            Event::Start(Tag::Heading { .. } | Tag::CodeBlock(CodeBlockKind::Fenced(_) | CodeBlockKind::Indented)) => {
                self.block = Some(String::new());
            }
            Event::End(TagEnd::Heading(level)) => self.heading(level, place),
            Event::End(TagEnd::CodeBlock) => self.code(),
            Event::Start(Tag::Item) => self.open.push(Item::default()),
            Event::Start(Tag::Paragraph) if self.open.is_empty() => {
                self.open.push(Item::default());
                self.is_paragraph = true;
            }
            Event::End(TagEnd::Paragraph) if self.is_paragraph => {
                self.is_paragraph = false;
                self.close();
            }
            Event::End(TagEnd::Item) => self.close(),
            Event::Text(text) => self.say(&text),
            Event::Code(text) => {
                let is_heading = self.block.is_some();
                self.say(&if is_heading { text.to_string() } else { format!("`{text}`") });
            }
            // A paragraph in an item is more of its text.
            Event::Start(Tag::Paragraph) | Event::SoftBreak | Event::HardBreak => self.say("\n"),
            _ => {}
        }
    }

    fn say(&mut self, text: &str) {
        match (&mut self.block, self.open.last_mut()) {
            (Some(block), _) => block.push_str(text),
            (None, Some(item)) => item.text.push_str(text),
            (None, None) => {}
        }
    }

    fn heading(&mut self, level: HeadingLevel, place: &Range<usize>) {
        let heading = self.block.take().unwrap_or_default();
        let line = self.text[..place.start].lines().count() + 1;
        let passed = match heading::read(&heading) {
            Heading::Release { version, has_v, date } => {
                self.level = Some(level);
                let (fields, items) = (Vec::new(), Vec::new());
                self.changelog.entries.push(Entry { version, has_v, date, line, fields, items });
                return;
            }
            Heading::Short(word) => Some(Passed { heading: word, line, version: None }),
            Heading::Worded(version) => Some(Passed { heading: heading.trim().to_owned(), line, version: Some(version) }),
            Heading::Other => None,
        };
        if self.level.is_some_and(|entry| level <= entry) {
            self.level = None;
        }
        self.changelog.passed.extend(passed);
    }

    fn code(&mut self) {
        let code = self.block.take().unwrap_or_default();
        let name = code.lines().find_map(|line| {
            let mut words = line.split_whitespace().skip_while(|word| *word != "helm").skip(1);
            let is_meant = matches!(words.next()?, "upgrade" | "install");
            let name = words.find(|word| !word.starts_with('-'))?;
            (is_meant && name.starts_with(|letter: char| letter.is_ascii_lowercase())).then(|| name.to_owned())
        });
        self.changelog.helm_release = self.changelog.helm_release.take().or(name);
    }

    /// The innermost item is whole.
    fn close(&mut self) {
        let Some(item) = self.open.pop() else { return };
        let Item { text, below } = item;
        let (mut prose, mut fields) = (Vec::new(), Vec::new());
        for line in text.lines() {
            let field = line.split_once(':').map(|(key, value)| (key.trim().to_lowercase(), value));
            match field {
                Some((key, value)) if key == API_VERSIONS || key == SCHEMA_VERSION => {
                    fields.push((key, value.replace('`', "").trim().to_owned()));
                }
                _ => prose.push(line.trim()),
            }
        }
        let text = prose.join(" ").trim().to_owned();
        let is_empty = text.is_empty() && below.is_empty();
        let item = Item { text, below };
        let entry = self.changelog.entries.last_mut().filter(|_| self.level.is_some());
        if let Some(entry) = entry {
            entry.fields.extend(fields);
            match self.open.last_mut() {
                _ if is_empty => {}
                Some(outer) => outer.below.push(item),
                None => entry.items.push(item),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PROPOSAL;

    #[test]
    fn the_proposal_is_read_as_it_stands() {
        let changelog = read("proposal.md", PROPOSAL).expect("it is one");
        insta::assert_debug_snapshot!(changelog);
    }

    #[test]
    fn other_forms_are_read() {
        let text = "# Changelog\n\n## [Unreleased]\n- soon\n\n## [2.0.0] - 2026-01-02\nSupported API Versions: v2\n### Fixed\n- a\n\n  more of a\n- b\n\
                    DB Schema Version: 7\n\n## v1.9.0\n\n* c\n    * d\n\n## 1.8\n- e\n";
        let changelog = read("CHANGELOG.md", text).expect("it is one");
        let said: Vec<_> = changelog.entries.iter().map(|it| (it.version.to_string(), it.line, it.fields.len())).collect();
        assert_eq!(said, [("1.9.0".to_owned(), 15, 0), ("2.0.0".to_owned(), 6, 2)]);
        let lines = |entry: usize| changelog.entries[entry].items.iter().map(Item::line).collect::<Vec<_>>();
        assert_eq!((lines(0), lines(1)), (vec!["c: d".to_owned()], vec!["a more of a".to_owned(), "b".to_owned()]));
        assert_eq!(changelog.passed, [Passed { heading: "1.8".to_owned(), line: 20, version: None }]);
    }

    /// What stands below a release may name another one; a release that is not there is missing.
    #[test]
    fn a_heading_with_words_before_its_version_is_no_release() {
        let text = "# Shop 1.2.0\n\n- a\n\n# Release v1.1.0\n\n## Upgrading from 1.0.0\n\n- b\n\n# shop-1.0.0\n\n- c\n";
        let changelog = read("CHANGELOG.md", text).expect("it is one");
        let said = changelog.entries.iter().map(|it| (it.version.to_string(), it.has_v, it.items.len()));
        assert_eq!(said.collect::<Vec<_>>(), [("1.0.0".to_owned(), false, 1), ("1.1.0".to_owned(), true, 1)]);
        let version = Some(Version::new(1, 2, 0));
        assert_eq!(changelog.passed, [Passed { heading: "Shop 1.2.0".to_owned(), line: 1, version }]);
    }
}
