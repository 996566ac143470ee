//! Fields of documents that hold a credential, by their names.

use serde_json::{Map, Value};

use super::address::address;
use super::values::{is_credential, without_values};
use super::{ADDRESSES, PEM, REDACTED, ends_with, has_scheme, prose, replace};

/// Fields that say where a credential is, or what it is like, in an object that is named like one.
const REFERENCES: [&str; 12] = [
    "name",
    "namespace",
    "kind",
    "apiversion",
    "group",
    "type",
    "description",
    "format",
    "path",
    "mode",
    "audience",
    "expirationseconds",
];

/// What stands beside a `key` that names an entry of something, or a label.
const BESIDE_KEYS: [&str; 6] = ["name", "operator", "effect", "path", "optional", "values"];

/// Redacts a document in place.
pub fn value(document: &mut Value) {
    match document {
        Value::Object(entries) => object(entries),
        Value::Array(items) => items.iter_mut().for_each(value),
        Value::String(written) if written.contains(PEM) => hide(document),
        Value::String(written) if has_scheme(written) => replace(written, address),
        Value::String(written) => {
            if let Some(shown) = json(written) {
                *written = shown;
                return;
            }
            if let Some(shown) = without_values(written) {
                *written = shown;
            }
            replace(written, prose);
        }
        _ => {}
    }
}

fn object(entries: &mut Map<String, Value>) {
    let is_secret = entries.get("kind").is_some_and(|kind| kind == "Secret");
    let is_named = entries.get("name").and_then(Value::as_str).is_some_and(is_credential);
    let has_reference = has_reference(entries);
    for (key, entry) in entries.iter_mut() {
        let is_content = is_secret && (key == "data" || key == "stringData");
        match entry {
            Value::Object(contents) if is_content => contents.values_mut().for_each(hide),
            // kubectl copies the whole object into it.
            Value::String(_) if key == "kubectl.kubernetes.io/last-applied-configuration" => hide(entry),
            // A variable of a container.
            Value::String(_) if is_named && key == "value" => hide(entry),
            Value::String(_) if key == "key" && !has_reference => hide(entry),
            Value::String(_) | Value::Number(_) | Value::Array(_) if is_credential(key) => hide_all(entry),
            Value::Object(contents) if is_credential(key) => hide_contents(contents),
            Value::String(written) if ends_with(key, &ADDRESSES) => replace(written, address),
            other => value(other),
        }
    }
}

/// Hides a credential that has fields, but for those that say where it is.
fn hide_contents(entries: &mut Map<String, Value>) {
    let has_reference = has_reference(entries);
    for (key, entry) in entries.iter_mut() {
        let is_reference = ends_with(key, &REFERENCES) || key == "key" && has_reference;
        match entry {
            Value::Object(contents) if ends_with(key, &["ref", "from"]) => object(contents),
            Value::Object(contents) => hide_contents(contents),
            Value::Array(items) => items.iter_mut().for_each(|item| match item {
                Value::Object(contents) => hide_contents(contents),
                other => hide_all(other),
            }),
            Value::String(_) | Value::Number(_) if !is_reference => hide(entry),
            _ => {}
        }
    }
}

fn has_reference(entries: &Map<String, Value>) -> bool {
    BESIDE_KEYS.iter().any(|beside| entries.contains_key(*beside))
}

/// A document within a text: tools keep what they have applied in an annotation.
fn json(written: &str) -> Option<String> {
    let text = Some(written.trim()).filter(|text| text.starts_with(['{', '[']))?;
    let mut document: Value = serde_json::from_str(text).ok()?;
    let before = document.clone();
    value(&mut document);
    (document != before).then(|| document.to_string())
}

/// A credential, or each of a list.
fn hide_all(entry: &mut Value) {
    match entry {
        Value::Array(items) => items.iter_mut().for_each(|item| if item.is_object() { value(item) } else { hide_all(item) }),
        _ => hide(entry),
    }
}

fn hide(value: &mut Value) {
    *value = REDACTED.into();
}
