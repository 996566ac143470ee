//! The finalizers of an object. Pure.

use std::collections::HashSet;

use serde_json::Value;

/// The finalizers of an object that are not Kubernetes' own. The API server adds and removes these itself, or they only protect.
pub(crate) fn foreign_finalizers(object: &Value) -> impl Iterator<Item = &str> {
    let is_own = |it: &str| ["foregroundDeletion", "orphan"].contains(&it) || it.starts_with("kubernetes.io/");
    finalizers(object).filter(move |it| !is_own(it))
}

/// The finalizers of an object.
pub(crate) fn finalizers(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str)
}

/// The image without these finalizers.
pub(crate) fn without_finalizers(mut image: Value, stripped: &HashSet<String>) -> Value {
    let Some(metadata) = image["metadata"].as_object_mut() else { return image };
    if let Some(finalizers) = metadata.get_mut("finalizers").and_then(Value::as_array_mut) {
        finalizers.retain(|finalizer| !finalizer.as_str().is_some_and(|it| stripped.contains(it)));
        // The server leaves an empty list out.
        if finalizers.is_empty() {
            metadata.remove("finalizers");
        }
    }
    image
}

/// Whether an object carries one of these finalizers.
pub(crate) fn has_finalizer_of(image: &Value, stripped: &HashSet<String>) -> bool {
    finalizers(image).any(|finalizer| stripped.contains(finalizer))
}
