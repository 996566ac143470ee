//! What the API server takes as metadata of any object. Source: Kubernetes 1.34 `apimachinery/pkg/util/validation`,
//! `apimachinery/pkg/api/validation/objectmeta.go`.

use std::fmt;

use serde_json::{Map, Value};

use crate::object;

const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;
const MAX_ANNOTATIONS: usize = 256 * 1024;

/// A field that the API server would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// `metadata.labels.app`.
    pub field: String,
    /// What is wrong with it.
    pub what: What,
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It has so many characters, and may have so many.
    Long(usize, usize),
    /// It is not written as it must be.
    Form(&'static str),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what {
            What::Long(length, most) => write!(f, "{} would have {length} characters, and may have {most}", self.field),
            What::Form(form) => write!(f, "{} would not be {form}", self.field),
        }
    }
}

/// The first field of the metadata that the API server would refuse.
#[must_use]
pub fn violation(object: &Value) -> Option<Violation> {
    let metadata = &object["metadata"];
    let namespace = object::namespace(object);
    let name = dns(object::name(object), MAX_NAME, true).map(|what| ("metadata.name", what));
    let place = || dns(namespace, MAX_LABEL, false).filter(|_| !namespace.is_empty());
    let size = metadata["annotations"].as_object().map_or(0, size);
    let annotations = || (size > MAX_ANNOTATIONS).then_some(("metadata.annotations", What::Long(size, MAX_ANNOTATIONS)));
    let of_field = |(field, what): (&str, What)| Violation { field: field.to_owned(), what };
    name.or_else(|| place().map(|what| ("metadata.namespace", what)))
        .or_else(annotations)
        .map(of_field)
        .or_else(|| entries(metadata, "labels", label))
        .or_else(|| entries(metadata, "annotations", |_| None))
}

/// The first entry of labels or annotations whose key or value is refused.
fn entries(metadata: &Value, map: &str, value: impl Fn(&str) -> Option<What>) -> Option<Violation> {
    metadata[map].as_object()?.iter().find_map(|(key, text)| {
        let what = qualified(key).or_else(|| value(text.as_str()?));
        Some(Violation { field: format!("metadata.{map}.{key}"), what: what? })
    })
}

fn size(entries: &Map<String, Value>) -> usize {
    entries.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum()
}

/// The value of a label.
fn label(text: &str) -> Option<What> {
    if text.is_empty() { None } else { word(text) }
}

/// A key of a label or an annotation: `name` or `dns.name/name`.
fn qualified(key: &str) -> Option<What> {
    match key.split_once('/') {
        Some((prefix, name)) => dns(&prefix.to_ascii_lowercase(), MAX_NAME, true).or_else(|| word(name)),
        None => word(key),
    }
}

fn word(text: &str) -> Option<What> {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_edge = |c: char| c.is_ascii_alphanumeric();
    let is_word = text.chars().all(is_inner) && text.starts_with(is_edge) && text.ends_with(is_edge);
    let form = "letters, digits, '-', '_' and '.', with a letter or digit at both ends";
    what(text, MAX_LABEL, is_word, form)
}

/// A DNS name, or one label of it.
fn dns(text: &str, most: usize, may_have_dots: bool) -> Option<What> {
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let is_label = |label: &str| {
        label.chars().all(|c| is_edge(c) || c == '-') && label.starts_with(is_edge) && label.ends_with(is_edge)
    };
    let is_dns = if may_have_dots { text.split('.').all(is_label) } else { is_label(text) };
    what(text, most, is_dns, "a DNS name: a-z, 0-9, '-' and '.', with a letter or digit at both ends of each part")
}

fn what(text: &str, most: usize, is_well_formed: bool, form: &'static str) -> Option<What> {
    match text.chars().count() {
        length if length > most => Some(What::Long(length, most)),
        _ => (!is_well_formed).then_some(What::Form(form)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(metadata: &Value) -> Option<String> {
        violation(&json!({"metadata": metadata})).map(|violation| violation.to_string())
    }

    #[test]
    fn what_the_server_takes_is_no_violation() {
        let labels = json!({"app": "Mail_1.x", "example.com/a": "", "Example.com/A": "a".repeat(63)});
        let annotations = json!({"a/b": "any \n thing", "c": "x".repeat(200_000)});
        assert_eq!(of(&json!({"name": "a.b-c", "namespace": "1", "labels": labels, "annotations": annotations})), None);
    }

    #[test]
    fn what_is_too_long_or_written_otherwise_is_named() {
        for (pointer, value, expected) in [
            ("name", json!("a".repeat(254)), "metadata.name would have 254 characters, and may have 253"),
            ("name", json!("A"), "metadata.name would not be a DNS name"),
            ("name", json!(""), "metadata.name would not be a DNS name"),
            ("namespace", json!("a".repeat(64)), "metadata.namespace would have 64 characters, and may have 63"),
            ("namespace", json!("a.b"), "metadata.namespace would not be a DNS name"),
            ("labels", json!({"app": "a".repeat(79)}), "metadata.labels.app would have 79 characters, and may have 63"),
            ("labels", json!({"app": "a b"}), "metadata.labels.app would not be letters"),
            ("labels", json!({"a/b/c": "x"}), "metadata.labels.a/b/c would not be letters"),
            ("labels", json!({"": "x"}), "metadata.labels. would not be letters"),
            ("annotations", json!({"-": "x"}), "metadata.annotations.- would not be letters"),
            ("annotations", json!({"a": "x".repeat(262_144)}), "metadata.annotations would have 262145 characters"),
        ] {
            let mut metadata = json!({"name": "a", "namespace": "b"});
            metadata[pointer] = value;
            let said = of(&metadata).expect(expected);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
