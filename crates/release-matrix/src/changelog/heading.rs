//! What a heading of a changelog says: a version, and perhaps a date.

use std::fmt;

use semver::Version;

/// What a heading is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heading {
    /// A release, and whether its version has a `v`.
    Release { version: Version, has_v: bool, date: Option<Date> },
    /// A version that has not three numbers: `1.8`.
    Short(String),
    /// A version with other words before it.
    Worded(Version),
    /// Anything else.
    Other,
}

/// A day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

/// Words before a version that leave no doubt that it is a release.
const INTRODUCTIONS: [&str; 5] = ["release", "released", "version", "chart", "v"];

/// The months, as far as they tell them apart.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Reads the text of a heading.
pub(super) fn read(heading: &str) -> Heading {
    let is_between = |letter: char| letter.is_whitespace() || "[](),:".contains(letter);
    let words: Vec<&str> = heading.split(is_between).filter(|word| !word.is_empty()).collect();
    let is_introduction = |word: &&str| INTRODUCTIONS.contains(&word.to_lowercase().as_str());
    let first = words.iter().take_while(|word| is_introduction(word)).count();
    let Some(word) = words.get(first) else { return Heading::Other };
    if let Some((version, has_v)) = version(word) {
        return Heading::Release { version, has_v, date: date(&words[first + 1..]) };
    }
    if without_v(word).starts_with(|letter: char| letter.is_ascii_digit()) && word.contains('.') {
        return Heading::Short((*word).to_owned());
    }
    words.iter().find_map(|word| version(word)).map_or(Heading::Other, |(version, _)| Heading::Worded(version))
}

fn without_v(word: &str) -> &str {
    word.strip_prefix(['v', 'V']).unwrap_or(word)
}

/// The version that a word is, or that stands behind a name in it (`shop-1.2.0`, `shop@1.2.0`), and whether it has a `v`.
fn version(word: &str) -> Option<(Version, bool)> {
    let is_named = !without_v(word).starts_with(|letter: char| letter.is_ascii_digit());
    let behind = word.match_indices(['-', '@', '/', '_']).filter(|_| is_named).map(|(at, _)| &word[at + 1..]);
    std::iter::once(word).chain(behind).find_map(|text| {
        let number = without_v(text);
        Some((Version::parse(number).ok()?, number != text))
    })
}

/// The date in some words: `2026-11-28`, or with the month as a word in any order.
fn date(words: &[&str]) -> Option<Date> {
    words.iter().find_map(|word| in_numbers(word)).or_else(|| in_words(words))
}

fn in_numbers(word: &str) -> Option<Date> {
    let parts: Vec<&str> = word.split(['-', '/', '.']).collect();
    let [year, month, day] = parts[..] else { return None };
    valid(year, month.parse().ok()?, day)
}

fn in_words(words: &[&str]) -> Option<Date> {
    let month_of = |word: &&str| MONTHS.iter().position(|month| word.to_lowercase().starts_with(month));
    let month = u8::try_from(words.iter().find_map(month_of)? + 1).ok()?;
    let year = words.iter().find(|word| word.len() == 4 && word.parse::<u16>().is_ok())?;
    // `28`, `28.` and `28th`.
    let number = |word: &'_ &str| word.chars().take_while(char::is_ascii_digit).count();
    let day = words.iter().find(|word| matches!(number(word), 1 | 2))?;
    valid(year, month, &day[..number(day)])
}

/// A day that a calendar can have, with the year in four digits.
fn valid(year: &str, month: u8, day: &str) -> Option<Date> {
    let date = Date { year: year.parse().ok().filter(|_| year.len() == 4)?, month, day: day.parse().ok()? };
    ((1..=12).contains(&month) && (1..=31).contains(&date.day)).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `1.2.0`, `v1.2.0 2026-11-28`, or what else a heading is.
    fn said(heading: &str) -> String {
        match read(heading) {
            Heading::Release { version, has_v, date } => {
                let date = date.map(|date| format!(" {date}")).unwrap_or_default();
                format!("{}{version}{date}", if has_v { "v" } else { "" })
            }
            Heading::Short(word) => format!("short {word}"),
            Heading::Worded(version) => format!("worded {version}"),
            Heading::Other => "other".to_owned(),
        }
    }

    #[test]
    fn a_heading_is_a_release_if_only_its_name_stands_before_the_version() {
        for (heading, expected) in [
            ("1.2.0", "1.2.0"),
            ("[1.2.0]", "1.2.0"),
            ("Release v1.2.0", "v1.2.0"),
            ("Version 1.2.0: the fast one", "1.2.0"),
            ("V1.2.0", "v1.2.0"),
            ("[Release] 1.2.0-rc.1", "1.2.0-rc.1"),
            ("shop-1.2.0", "1.2.0"),
            ("node-16-v1.2.0-rc.1", "v1.2.0-rc.1"),
            ("@shop/api@1.2.0", "1.2.0"),
            ("release/1.2.0", "1.2.0"),
            ("1.2", "short 1.2"),
            ("Release 1.2", "short 1.2"),
            ("1.2-1.0.0", "short 1.2-1.0.0"),
            ("Shop 1.2.0", "worded 1.2.0"),
            ("Upgrading from 1.2.0 to 2.0.0", "worded 1.2.0"),
            ("Unreleased", "other"),
            ("Release", "other"),
            ("", "other"),
        ] {
            assert_eq!(said(heading), expected, "{heading}");
        }
    }

    #[test]
    fn the_date_of_a_heading_is_read() {
        for heading in [
            "1.2.0 - 2026-11-28",
            "[1.2.0] (2026-11-28)",
            "1.2.0 / 2026/11/28",
            "1.2.0, November 28, 2026",
            "1.2.0 (Sat 28th Nov 2026)",
        ] {
            assert_eq!(said(heading), "1.2.0 2026-11-28", "{heading}");
        }
        for heading in
            ["1.2.0 - soon", "1.2.0 28.11.2026", "1.2.0 2026-13-01", "1.2.0 2026-11-00", "1.2.0 May be 28", "1.2.0 2.0.1"]
        {
            assert_eq!(said(heading), "1.2.0", "{heading}");
        }
    }
}
