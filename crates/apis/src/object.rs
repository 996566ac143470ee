//! What every Kubernetes object has.

use serde_json::Value;

/// `metadata.name`, or nothing where there is none.
#[must_use]
pub fn name(object: &Value) -> &str {
    text(&object["metadata"]["name"])
}

/// `metadata.namespace`, or nothing for cluster-scoped objects.
#[must_use]
pub fn namespace(object: &Value) -> &str {
    text(&object["metadata"]["namespace"])
}

/// `apiVersion`.
#[must_use]
pub fn api_version(object: &Value) -> &str {
    text(&object["apiVersion"])
}

/// `kind`.
#[must_use]
pub fn kind(object: &Value) -> &str {
    text(&object["kind"])
}

/// The group of `apiVersion`; empty for the core group.
#[must_use]
pub fn group(object: &Value) -> &str {
    api_version(object).split_once('/').map_or("", |(group, _)| group)
}

/// Whether the object is being deleted.
#[must_use]
pub fn is_terminating(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// One of `metadata.annotations`.
#[must_use]
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

/// The labels, in the order of their keys.
pub fn labels(object: &Value) -> impl Iterator<Item = (&str, &str)> {
    let labels = object["metadata"]["labels"].as_object();
    labels.into_iter().flatten().filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// What a value is, in words: `a list`.
#[must_use]
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
