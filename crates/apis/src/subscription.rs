//! Kyma's Subscription. Three incompatible shapes share one group, one kind and one plural name, and two of them one version,
//! so the shape is decided by the fields.

use serde_json::{Map, Value};

use crate::object;

/// The group of all three shapes.
pub const GROUP: &str = "eventing.kyma-project.io";

/// The kind of all three shapes.
pub const KIND: &str = "Subscription";

/// Which Subscription an object is. Source: Kyma 1.11.0 `eventing-subscription.crd.yaml`; Kyma 2.12.0
/// `subscriptions.eventing.kyma-project.io.crd.yaml`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Kyma 1.0 to 1.16: `event_type`, `source_id`, `endpoint`.
    Legacy,
    /// Kyma 1.18 and later, v1alpha1: `sink` and `filter`.
    Filter,
    /// Kyma 2.11 and later, v1alpha2: `sink`, `source` and `types`.
    Types,
    /// None of them.
    Unknown,
}

impl Shape {
    /// Decides by the fields of `spec`.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let has = |field| object["spec"].get(field).is_some();
        if has("event_type") || has("source_id") {
            Self::Legacy
        } else if has("sink") && has("types") {
            Self::Types
        } else if has("sink") && has("filter") {
            Self::Filter
        } else {
            Self::Unknown
        }
    }
}

/// What a legacy Subscription asks for; no field is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Legacy {
    /// `source_id`: name of the Application.
    pub source: String,
    /// `event_type`.
    pub event_type: String,
    /// `event_type_version`.
    pub event_type_version: String,
    /// `endpoint`, as written. The CRD does not require it.
    pub endpoint: Option<String>,
    /// `include_subscription_name_header`. Nothing in Kyma 1.9 to 1.11 reads it.
    pub include_subscription_name_header: bool,
}

/// A field that cannot be used as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Absent or null.
    #[error("spec.{0} is missing")]
    Missing(&'static str),
    /// Present and empty. In a Trigger's filter an empty value means any.
    #[error("spec.{0} is empty")]
    Empty(&'static str),
    /// Not a string.
    #[error("spec.{0} is not a string but {1}")]
    Type(&'static str, &'static str),
}

impl Legacy {
    /// Reads an object of the legacy shape; returns every field that is wrong, not only the first.
    pub fn read(object: &Value) -> Result<Self, Vec<FieldError>> {
        let empty = Map::new();
        let spec = object["spec"].as_object().unwrap_or(&empty);
        let mut errors = Vec::new();
        let mut required = |field| match text(spec, field) {
            Ok(text) => text.to_owned(),
            Err(error) => {
                errors.push(error);
                String::new()
            }
        };
        let source = required("source_id");
        let event_type = required("event_type");
        let event_type_version = required("event_type_version");
        let endpoint = match text(spec, "endpoint") {
            Ok(endpoint) => Some(endpoint.to_owned()),
            Err(FieldError::Missing(_) | FieldError::Empty(_)) => None,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let include_subscription_name_header = spec.get("include_subscription_name_header") == Some(&Value::Bool(true));
        if errors.is_empty() {
            Ok(Self { source, event_type, event_type_version, endpoint, include_subscription_name_header })
        } else {
            Err(errors)
        }
    }
}

fn text<'a>(spec: &'a Map<String, Value>, field: &'static str) -> Result<&'a str, FieldError> {
    match spec.get(field) {
        None | Some(Value::Null) => Err(FieldError::Missing(field)),
        Some(Value::String(text)) if text.trim().is_empty() => Err(FieldError::Empty(field)),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(FieldError::Type(field, object::type_of(other))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_shape_is_decided_by_fields() {
        let shape = |spec: Value| Shape::of(&json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "spec": spec}));
        assert_eq!(shape(json!({"event_type": "t"})), Shape::Legacy);
        assert_eq!(shape(json!({"source_id": null})), Shape::Legacy);
        assert_eq!(shape(json!({"source_id": "s", "sink": "x", "filter": {}})), Shape::Legacy);
        assert_eq!(shape(json!({"sink": "x", "filter": {}})), Shape::Filter);
        assert_eq!(shape(json!({"sink": "x", "source": "s", "types": []})), Shape::Types);
        assert_eq!(shape(json!({"sink": "x"})), Shape::Unknown);
        assert_eq!(shape(json!(null)), Shape::Unknown);
        assert_eq!(shape(json!("text")), Shape::Unknown);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let errors = Legacy::read(&json!({"spec": {"source_id": "", "event_type": 7, "endpoint": ["http://a.b"]}}));
        assert_eq!(
            errors.expect_err("four fields are wrong"),
            [
                FieldError::Empty("source_id"),
                FieldError::Type("event_type", "a number"),
                FieldError::Missing("event_type_version"),
                FieldError::Type("endpoint", "a list"),
            ]
        );
    }

    #[test]
    fn an_endpoint_is_not_required() {
        for endpoint in [json!(null), json!("")] {
            let spec = json!({"source_id": "s", "event_type": "t", "event_type_version": "v1", "endpoint": endpoint});
            assert_eq!(Legacy::read(&json!({"spec": spec})).expect("complete").endpoint, None);
        }
    }
}
