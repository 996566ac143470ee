//! Releases that came out after a higher one: a fix for those who cannot have the higher one yet.

use std::cmp::Ordering;

use super::concluded::Schema;
use crate::changelog::Entry;

/// Of each release the note that it came out after higher ones, if it did. Releases are in the order of their versions.
pub(super) fn notes(entries: &[Entry], schema: &[Schema]) -> Vec<Option<String>> {
    // The lowest version tells at which end of the file the oldest releases stand.
    let is_newest_first = entries.first().zip(entries.last()).is_some_and(|(lowest, highest)| lowest.line > highest.line);
    let note = |(index, entry): (usize, &Entry)| {
        let mut passed = entries[index + 1..].iter().filter(|higher| is_later(entry, higher, is_newest_first));
        let first = passed.next()?;
        Some(told(entry, first, passed.count(), schema))
    };
    entries.iter().enumerate().map(note).collect()
}

/// Whether a release came out after another one. Dates decide; without them, the place in the file.
fn is_later(entry: &Entry, other: &Entry, is_newest_first: bool) -> bool {
    match entry.date.zip(other.date).map(|(one, two)| one.cmp(&two)) {
        Some(Ordering::Greater) => true,
        Some(Ordering::Less) => false,
        Some(Ordering::Equal) | None => (entry.line < other.line) == is_newest_first,
    }
}

fn told(entry: &Entry, higher: &Entry, more: usize, schema: &[Schema]) -> String {
    let [low, high] = [entry, higher].map(|it| it.version.to_string());
    let [low_when, high_when] = match entry.date.zip(higher.date).filter(|(one, two)| one != two) {
        Some((one, two)) => [one, two].map(|date| date.to_string()),
        None => [entry, higher].map(|it| format!("line {}", it.line)),
    };
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let brought = schema.iter().find(|it| it.release == low);
    let brought = brought.map(|it| format!(", such as schema {}", it.version)).unwrap_or_default();
    let from = regex::escape(&low);
    format!(
        "{low} ({low_when}) came out after {high} ({high_when}){more}, which may lack what {low} brings{brought}; if so, block the upgrade \
         in `spec.blocked`: {{from: '{from}', to: {high}, reason: …}}"
    )
}
