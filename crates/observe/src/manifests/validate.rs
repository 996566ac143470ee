//! What every object must be like, whatever its kind. A server refuses what is not; files may hold anything.

use fairlead_apis::object;
use serde_json::{Map, Value};

/// Whether it is none of a cluster, like a kustomization, or not yet: a server gives it a name when it is created.
pub(super) fn is_elsewhere(object: &Value) -> bool {
    let metadata = object.get("metadata");
    let has_none = |field: &str| metadata.and_then(|metadata| metadata.get(field)).is_none_or(Value::is_null);
    metadata.is_none() || has_none("name") && !has_none("generateName")
}

/// Says which field is missing or has the wrong type.
pub(super) fn validate(object: &Value) -> Result<(), String> {
    let metadata = match &object["metadata"] {
        Value::Object(metadata) => metadata,
        Value::Null => return Err("metadata.name is missing".to_owned()),
        other => return Err(wrong("metadata", "an object", other)),
    };
    match metadata.get("name") {
        Some(Value::String(name)) if !name.trim().is_empty() => {}
        Some(Value::String(_)) => return Err("metadata.name is empty".to_owned()),
        None | Some(Value::Null) if metadata.contains_key("generateName") => {
            return Err("metadata.name is missing, and generateName names what does not exist yet".to_owned());
        }
        None | Some(Value::Null) => return Err("metadata.name is missing".to_owned()),
        Some(other) => return Err(wrong("metadata.name", "text", other)),
    }
    for field in ["namespace", "uid", "resourceVersion", "deletionTimestamp"] {
        expect(metadata, "metadata.", field, "text", Value::is_string)?;
    }
    for field in ["labels", "annotations"] {
        expect(metadata, "metadata.", field, "an object", Value::is_object)?;
        for (key, value) in metadata.get(field).and_then(Value::as_object).into_iter().flatten() {
            if !value.is_string() {
                return Err(wrong(&format!("metadata.{field}.{key}"), "text", value) + "; quote it");
            }
        }
    }
    for field in ["finalizers", "ownerReferences"] {
        expect(metadata, "metadata.", field, "a list", Value::is_array)?;
    }
    let object = object.as_object().into_iter();
    for (field, object) in ["spec", "status"].iter().flat_map(|field| object.clone().map(move |object| (field, object))) {
        expect(object, "", field, "an object", Value::is_object)?;
    }
    Ok(())
}

fn expect(
    object: &Map<String, Value>,
    path: &str,
    field: &str,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> Result<(), String> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(()),
        Some(value) if is_it(value) => Ok(()),
        Some(other) => Err(wrong(&format!("{path}{field}"), what, other)),
    }
}

fn wrong(field: &str, expected: &str, value: &Value) -> String {
    format!("{field} is not {expected} but {}", object::type_of(value))
}
