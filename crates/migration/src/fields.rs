//! What a change writes, and whether an object has it.
//!
//! A patch is a JSON merge patch ([RFC 7386](https://www.rfc-editor.org/rfc/rfc7386)): objects are merged, everything else,
//! lists included, is replaced, and `null` removes. Two questions are asked of an object, both about the fields of the patch
//! and no others, because everything else is other people's business: *does it hold our values* ([`holds`]) and *is it as it
//! was before* ([`same_where_written`]).

use std::convert::Infallible;

use serde_json::{Map, Value};

/// Applies a merge patch, as RFC 7386, section 2, says.
pub fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(entries) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Some(object) = value.as_object_mut() else { return };
    for (key, entry) in entries {
        if entry.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key).or_insert(Value::Null), entry);
        }
    }
}

/// The merge patch that turns `before` into `after`; none when they are equal.
#[must_use]
pub fn diff(before: &Value, after: &Value) -> Option<Value> {
    diff_with(before, after, |_| Value::Null)
}

/// The same patch, but a map that goes as a whole goes key by key: what others add to it meanwhile is theirs.
#[must_use]
pub fn diff_by_key(before: &Value, after: &Value) -> Option<Value> {
    diff_with(before, after, removal)
}

fn diff_with(before: &Value, after: &Value, removal: fn(&Value) -> Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (key, value) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
        patch.insert(key.clone(), removal(value));
    }
    for (key, value) in new {
        let entry = match old.get(key) {
            Some(previous) => diff_with(previous, value, removal),
            None => Some(value.clone()),
        };
        if let Some(entry) = entry {
            patch.insert(key.clone(), entry);
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

fn removal(value: &Value) -> Value {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            entries.iter().map(|(key, entry)| (key.clone(), removal(entry))).collect::<Map<_, _>>().into()
        }
        _ => Value::Null,
    }
}

/// A patch of [`diff_by_key`] as it is sent for this object. If the patch would empty a map that `after` lacks, it removes the map itself;
/// it never recreates a map that is already gone.
#[must_use]
pub fn for_object(patch: &Value, object: &Value, after: &Value) -> Value {
    let (Value::Object(entries), Value::Object(fields)) = (patch, object) else { return patch.clone() };
    let mut sent = Map::new();
    for (key, entry) in entries {
        let (field, wanted) = (fields.get(key), after.get(key));
        let is_removal = entry.is_object() && wanted.is_none();
        match field {
            None if is_removal => {}
            Some(field) if is_removal && is_all_of(entry, field) => drop(sent.insert(key.clone(), Value::Null)),
            _ => {
                let [field, wanted] = [field, wanted].map(|value| value.unwrap_or(&Value::Null));
                sent.insert(key.clone(), for_object(entry, field, wanted));
            }
        }
    }
    Value::Object(sent)
}

/// Whether a patch that only removes takes everything from `object`.
fn is_all_of(patch: &Value, object: &Value) -> bool {
    match (patch, object) {
        (Value::Null, _) => true,
        (Value::Object(entries), Value::Object(fields)) => {
            fields.iter().all(|(key, field)| entries.get(key).is_some_and(|entry| is_all_of(entry, field)))
        }
        _ => false,
    }
}

/// Whether `object` already has every value of `patch`. A map that is not there is one without keys.
#[must_use]
pub fn holds(patch: &Value, object: &Value) -> bool {
    match patch {
        Value::Object(entries) if object.is_object() || object.is_null() => {
            let is_map = object.is_object() || !entries.is_empty();
            is_map && entries.iter().all(|(key, entry)| holds(entry, object.get(key).unwrap_or(&Value::Null)))
        }
        leaf => leaf == object,
    }
}

/// Whether `one` and `other` agree in every field that `patch` writes. A map that is not there is one without keys.
#[must_use]
pub fn same_where_written(patch: &Value, one: &Value, other: &Value) -> bool {
    let is_map = |value: &Value| value.is_object() || value.is_null();
    let Value::Object(entries) = patch else { return one == other };
    if entries.is_empty() || !is_map(one) || !is_map(other) {
        return one == other;
    }
    entries.iter().all(|(key, entry)| {
        let [one, other] = [one, other].map(|value| value.get(key).unwrap_or(&Value::Null));
        same_where_written(entry, one, other)
    })
}

/// The part of `patch` that writes fields in which `live` is still as `ours`: what nobody else has written. None when there is no
/// such field.
#[must_use]
pub fn untouched(patch: &Value, ours: &Value, live: &Value) -> Option<Value> {
    let (Value::Object(entries), Value::Object(ours), Value::Object(live)) = (patch, ours, live) else {
        return (ours == live).then(|| patch.clone());
    };
    let part = |(key, entry): (&String, &Value)| {
        let part = match (ours.get(key), live.get(key)) {
            (Some(ours), Some(live)) => untouched(entry, ours, live),
            (None, None) => Some(entry.clone()),
            _ => None,
        };
        part.map(|part| (key.clone(), part))
    };
    let parts: Map<String, Value> = entries.iter().filter_map(part).collect();
    (!parts.is_empty()).then_some(Value::Object(parts))
}

/// Every leaf of `value` with its path, `spec.broker`, in the order of the paths.
#[must_use]
pub fn leaves(value: &Value) -> Vec<(String, &Value)> {
    let mut out = Vec::new();
    let Ok(()) = each_leaf(value, |path, leaf| {
        out.push((path.to_owned(), leaf));
        Ok::<(), Infallible>(())
    });
    out
}

/// Hands every leaf of `value` to `take`, with its path, in the order of the paths; ends with the first error of `take`.
pub fn each_leaf<'a, E>(value: &'a Value, mut take: impl FnMut(&str, &'a Value) -> Result<(), E>) -> Result<(), E> {
    fn walk<'a, E>(
        path: &mut String,
        value: &'a Value,
        take: &mut impl FnMut(&str, &'a Value) -> Result<(), E>,
    ) -> Result<(), E> {
        let Value::Object(entries) = value else { return take(path, value) };
        if entries.is_empty() {
            return take(path, value);
        }
        let length = path.len();
        entries.iter().try_for_each(|(key, entry)| {
            if length > 0 {
                path.push('.');
            }
            path.push_str(key);
            walk(path, entry, take)?;
            path.truncate(length);
            Ok(())
        })
    }
    walk(&mut String::new(), value, &mut take)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    /// Objects as an apiserver stores them: no nulls.
    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            (0..3).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            proptest::collection::vec(0..3, 0..3).prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(3, 16, 4, |inner| {
            proptest::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect())
        });
        proptest::collection::btree_map("[a-d]", value, 0..4).prop_map(|map| map.into_iter().collect())
    }

    proptest! {
        #[test]
        fn a_patch_turns_before_into_after(before in object(), after in object()) {
            if let Some(patch) = diff_by_key(&before, &after) {
                prop_assert!(!holds(&patch, &before) || diff(&before, &after).is_some());
                prop_assert!(holds(&patch, &after));
                prop_assert!(same_where_written(&patch, &before, &before));
                let mut sent = before.clone();
                merge(&mut sent, &for_object(&patch, &before, &after));
                prop_assert_eq!(&sent, &after);
            }
            let mut merged = before.clone();
            if let Some(patch) = diff(&before, &after) {
                prop_assert!(holds(&patch, &after));
                prop_assert!(!holds(&patch, &before));
                prop_assert!(!same_where_written(&patch, &before, &after));
                merge(&mut merged, &patch);
            }
            prop_assert_eq!(merged, after);
        }
    }

    #[test]
    fn a_map_that_somebody_else_adds_to_is_not_ours_alone() {
        let (before, after) = (json!({"spec": 1}), json!({"spec": 1, "annotations": {"ours": "1"}}));
        let theirs = json!({"spec": 1, "annotations": {"theirs": "2"}});
        let patch = diff_by_key(&before, &after).expect("they differ");
        assert!(!holds(&patch, &theirs) && same_where_written(&patch, &before, &theirs));
        let both = json!({"spec": 1, "annotations": {"ours": "1", "theirs": "2"}});
        let back = diff_by_key(&after, &before).expect("they differ");
        assert!(same_where_written(&back, &after, &both) && !holds(&back, &both));
        assert!(holds(&back, &theirs) && holds(&back, &before));
        assert_eq!(for_object(&back, &both, &before), json!({"annotations": {"ours": null}}));
        // Where nothing is left the map goes, too, unless it was there before.
        assert_eq!(for_object(&back, &after, &before), json!({"annotations": null}));
        let empty = json!({"spec": 1, "annotations": {}});
        assert_eq!(for_object(&back, &after, &empty), json!({"annotations": {"ours": null}}));
        assert_eq!(for_object(&back, &before, &before), json!({}));
    }

    #[test]
    fn fields_of_others_do_not_matter() {
        let patch = diff(&json!({"a": {"b": 1}}), &json!({"a": {"b": 2}})).expect("they differ");
        let edited = json!({"a": {"b": 1, "c": 7}, "status": {}});
        assert!(same_where_written(&patch, &json!({"a": {"b": 1}}), &edited));
        assert!(holds(&patch, &json!({"a": {"b": 2, "c": 7}})));
    }

    #[test]
    fn of_what_others_have_written_only_the_rest_is_taken_back() {
        let (ours, before) = (json!({"a": 2, "b": {"c": 2, "d": 2}}), json!({"a": 1, "b": {"c": 1, "d": 1}}));
        let patch = diff(&ours, &before).expect("they differ");
        let live = json!({"a": 2, "b": {"c": 7, "d": 2}});
        assert_eq!(untouched(&patch, &ours, &live), Some(json!({"a": 1, "b": {"d": 1}})));
        assert_eq!(untouched(&patch, &ours, &json!({"a": 3, "b": {}})), None);
    }

    #[test]
    fn an_empty_map_is_a_value() {
        assert_eq!(leaves(&json!({"a": {}, "b": {"c": 1}})).len(), 2);
    }
}
