//! A sentinel in a certificate: when it was published, and when every reader had come past it. Pure.

use std::time::{Duration, SystemTime};

use fairlead_backlog::reading::Reading;
use fairlead_backlog::sentinel::{Published, Sentinel};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// So many positions are said one by one.
const SAID: usize = 3;

/// A sentinel and its way through the queue. Times are counted from when the job began to look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Passage {
    id: String,
    positions: Value,
    readers: String,
    published_after_millis: u64,
    /// None while a reader is still before it.
    passed_after_millis: Option<u64>,
}

impl Passage {
    /// What a reading adds to what was known of the sentinel.
    pub(crate) fn after(before: Option<Self>, published: &Published, at: u64) -> Self {
        let Published { id, positions, readers, is_passed, .. } = published.clone();
        let same = before.filter(|before| before.positions == positions);
        let published_after_millis = same.as_ref().map_or(at, |same| same.published_after_millis);
        let passed = same.and_then(|same| same.passed_after_millis).or(Some(at));
        Self { id, positions, readers, published_after_millis, passed_after_millis: passed.filter(|_| is_passed) }
    }

    /// `published at … as orders.sentinel 101, passed by consumer worker at …`.
    pub(crate) fn in_words(&self, began: &str) -> String {
        let Self { positions, readers, published_after_millis, passed_after_millis, .. } = self;
        let passed = passed_after_millis.map_or_else(
            || format!("not yet passed by {readers}"),
            |passed| format!("passed by {readers} at {}", time(began, passed)),
        );
        format!("published at {} as {}, {passed}", time(began, *published_after_millis), places(positions))
    }
}

/// So long after the beginning.
fn time(began: &str, millis: u64) -> String {
    let began = humantime::parse_rfc3339(began).unwrap_or(SystemTime::UNIX_EPOCH);
    humantime::format_rfc3339_millis(began + Duration::from_millis(millis)).to_string()
}

/// `orders/0 51, orders/1 51`; of many how many they are.
fn places(positions: &Value) -> String {
    if let Some(count) = positions["count"].as_u64().filter(|_| positions["gzip"].is_string()) {
        return format!("{count} messages");
    }
    let all: Vec<String> = positions.as_object().into_iter().flatten().map(|(name, at)| format!("{name} {at}")).collect();
    if all.len() > SAID { format!("{} messages", all.len()) } else { all.join(", ") }
}

/// Whether the readings of a row bear a sentinel out: it was published after the intake was closed, and passed in all of them.
///
/// # Errors
///
/// What is not so, in words.
pub(crate) fn check(passage: Option<&Passage>, row: [&Reading; 2], closed: Option<Duration>) -> Result<(), String> {
    let read = row.map(|reading| match &reading.sentinel {
        Some(Sentinel::Published(published)) => Some(published),
        _ => None,
    });
    let Some(passage) = passage else {
        return if read == [None, None] {
            Ok(())
        } else {
            Err("its certificate does not say when its sentinel was published".to_owned())
        };
    };
    let is_it = |published: &Published| {
        published.is_passed && published.id == passage.id && published.positions == passage.positions
    };
    if !read.iter().all(|published| published.is_some_and(is_it)) || passage.passed_after_millis.is_none() {
        return Err(format!("{} had not come past the sentinel", passage.readers));
    }
    let published = Duration::from_millis(passage.published_after_millis);
    if closed.is_none_or(|closed| published < closed) {
        return Err("the sentinel was published before the intake was closed".to_owned());
    }
    Ok(())
}
