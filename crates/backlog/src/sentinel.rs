//! A sentinel: a message of ours behind everything that was published before it. Who has come past it has had all of that.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The header that tells a consumer what it has got; its value is the id of the sentinel.
pub(crate) const HEADER: &str = "Fairlead-Sentinel";

/// What has become of the sentinel of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sentinel {
    /// The server does not take it, and why. No waiting mends that.
    Refused(String),
    /// The server has acknowledged it.
    Published(Published),
}

/// A sentinel that is in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// What it carries.
    pub id: String,
    /// Its number in the stream, by subject; its offset, by partition.
    pub positions: Value,
    /// Who has to come past it: `consumer worker`, `group payments`.
    pub readers: String,
    /// Whether all of them have.
    pub is_passed: bool,
    /// Whether nothing was published after it, by this reading: only then it says something about the end. Markers that end a transaction of
    /// before count as nothing only while the group stands right before them.
    #[serde(default)]
    pub is_last: bool,
}

/// What a consumer gets: JSON.
pub(crate) fn body(id: &str) -> Bytes {
    json!({"apiVersion": "fairlead.dev/v1", "kind": "Sentinel", "id": id}).to_string().into()
}

/// Who reads, in words; the first three of many.
pub(crate) fn readers<'a>(kind: &str, count: usize, names: impl Iterator<Item = &'a str>) -> String {
    const NAMED: usize = 3;
    let names = names.take(NAMED).collect::<Vec<_>>().join(", ");
    match count {
        0 | 1 => format!("{kind} {names}"),
        2..=NAMED => format!("{kind}s {names}"),
        _ => format!("{kind}s {names} and {} more", count - NAMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_readers_three_are_named() {
        let said = |names: &[&'static str]| readers("consumer", names.len(), names.iter().copied());
        assert_eq!(said(&["a"]), "consumer a");
        assert_eq!(said(&["a", "b"]), "consumers a, b");
        assert_eq!(said(&["a", "b", "c", "d", "e"]), "consumers a, b, c and 2 more");
    }
}
