//! What was passed over, to be said once.

use std::collections::BTreeMap;
use std::fmt;

/// So many are named; the rest is counted.
const NAMED: usize = 5;

/// What was passed over.
#[derive(Default)]
pub(super) struct Passed {
    /// Objects of kinds that nobody asks for, by kind.
    kinds: BTreeMap<String, usize>,
    /// The first of [`NAMED`] of what is no object, each with the reason.
    named: Vec<String>,
    others: usize,
}

impl Passed {
    pub(super) fn add_object(&mut self, kind: &str) {
        match self.kinds.get_mut(kind) {
            Some(count) => *count += 1,
            None => drop(self.kinds.insert(kind.to_owned(), 1)),
        }
    }

    pub(super) fn add_file(&mut self, what: &str, why: &str) {
        self.others += 1;
        if self.named.len() < NAMED {
            self.named.push(format!("{what} ({why})"));
        }
    }

    /// Says it in the log, if there is anything to say.
    pub(super) fn say(&self) {
        if self.others > 0 {
            tracing::warn!("passed over {self}");
        } else if !self.kinds.is_empty() {
            tracing::info!("passed over {self}");
        }
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = self.named.clone();
        if self.others > self.named.len() {
            parts.push(format!("{} more", self.others - self.named.len()));
        }
        let objects: usize = self.kinds.values().sum();
        if objects > 0 {
            let mut kinds: Vec<_> = self.kinds.iter().map(|(kind, count)| (std::cmp::Reverse(*count), kind)).collect();
            kinds.sort();
            let more = if kinds.len() > NAMED { ", …" } else { "" };
            let kinds: Vec<String> = kinds.iter().take(NAMED).map(|(count, kind)| format!("{} {kind}", count.0)).collect();
            let are = if objects == 1 { "object of a kind that is" } else { "objects of kinds that are" };
            parts.push(format!("{objects} {are} not asked for: {}{more}", kinds.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}
