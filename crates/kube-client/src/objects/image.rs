//! What of an image is written, through which endpoint, and whether an object has it. No IO.

use std::collections::HashMap;

use fairlead_migration::change::owners;
use fairlead_migration::fields;
use serde_json::{Map, Value, json};

use super::TICKET_ANNOTATION;
use crate::resource::Resource;

/// Set by the server; never part of what is written.
const SERVER_SET: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp", "selfLink"];

/// Where a part of an object is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The object itself.
    Object,
    /// Its replicas: any other way of writing them makes Helm 4 fail with a conflict later.
    Scale,
    /// Its status.
    Status,
}

impl Part {
    pub(super) fn subresource(self) -> Option<&'static str> {
        match self {
            Self::Object => None,
            Self::Scale => Some("scale"),
            Self::Status => Some("status"),
        }
    }
}

/// The image without what only the server writes.
#[must_use]
pub fn writable(image: &Value) -> Value {
    let mut image = image.clone();
    if let Some(object) = image.as_object_mut() {
        object.remove("status");
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.retain(|key, value| !SERVER_SET.contains(&key.as_str()) && !is_empty(value));
        }
    }
    image
}

/// The image as it is created again.
pub(super) fn created_again(image: &Value, resource: &Resource) -> Value {
    let mut object = writable(image);
    // Of a kind without an endpoint for it, the status is a field like others.
    if let Some(status) = image.get("status").filter(|_| !resource.has_status) {
        object["status"] = status.clone();
    }
    object
}

/// An empty map or list in metadata is the same as none: the server leaves it out.
fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

/// The merge patches that turn `before` into `after`, each with the endpoint that takes it.
pub(super) fn patches(before: &Value, after: &Value, resource: &Resource) -> Vec<(Part, Value)> {
    let mut parts = Vec::new();
    let mut object = fields::diff_by_key(&writable(before), &writable(after));
    if resource.has_scale
        && let Some(spec) = object.as_mut().and_then(|patch| patch.get_mut("spec")).and_then(Value::as_object_mut)
        && let Some(replicas) = spec.remove("replicas")
    {
        parts.push((Part::Scale, json!({"spec": {"replicas": replicas}})));
        if spec.is_empty() {
            object.as_mut().and_then(Value::as_object_mut).map(|patch| patch.remove("spec"));
        }
    }
    if let Some(patch) = object.filter(|patch| !is_empty(patch)) {
        parts.insert(0, (Part::Object, patch));
    }
    // An image that was made, not read, has no status, and says nothing about it.
    if let (Some(old), Some(new)) = (before.get("status"), after.get("status"))
        && let Some(patch) = fields::diff_by_key(old, new)
    {
        let part = if resource.has_status { Part::Status } else { Part::Object };
        parts.push((part, json!({ "status": patch })));
    }
    parts
}

pub(super) fn is_marked(live: &Value, mark: &str) -> bool {
    live["metadata"]["annotations"][TICKET_ANNOTATION] == mark
}

pub(super) fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

/// Whether `live` is what `image` was, in everything that is ours to give. Which owners are left out because they are gone is
/// decided when it is created, and a controller may have put its finalizer on it since.
pub(super) fn is_restored(image: &Value, live: &Value) -> bool {
    let has = |finalizer: &Value| live["metadata"]["finalizers"].as_array().is_some_and(|all| all.contains(finalizer));
    let has_finalizers = image["metadata"]["finalizers"].as_array().into_iter().flatten().all(has);
    let [image, live] = [image, live].map(|object| {
        let mut object = writable(object);
        object["metadata"].as_object_mut().map(|metadata| ["ownerReferences", "finalizers"].map(|key| metadata.remove(key)));
        object
    });
    has_finalizers && image == live
}

/// Whether an object that was deleted is there again, by us or by Helm: nothing of it is to be put back.
pub(super) fn is_back(image: &Value, live: &Value) -> bool {
    is_restored(image, live) || is_put_back(image, live) || is_helms(image, live)
}

/// Whether `live` was put back from `image`, whatever its controllers have made of it since: entries of its managedFields are those of
/// the image, and older than the object itself. Nobody leaves such who creates an object anew.
fn is_put_back(image: &Value, live: &Value) -> bool {
    let entries = |object: &Value| object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let created = live["metadata"]["creationTimestamp"].as_str().unwrap_or_default();
    // Times in one form, that of RFC 3339 in UTC, so that texts stand to each other as times do.
    let is_older = |entry: &Value| entry["time"].as_str().is_some_and(|time| time < created);
    let key = |entry: &Value| ["manager", "operation", "subresource", "time"].map(|field| entry[field].clone());
    let old: Vec<_> = entries(image).iter().map(key).collect();
    entries(live).iter().any(|entry| is_older(entry) && old.contains(&key(entry)))
}

/// Whether both belong to the same Helm release: Helm has created it again, from the manifest that it was created from.
fn is_helms(image: &Value, live: &Value) -> bool {
    let release = |object: &Value| {
        let text = |field: &str, key: &str| object["metadata"][field][key].as_str().map(str::to_owned);
        let annotation = |key: &str| text("annotations", &format!("meta.helm.sh/{key}"));
        let by_annotations = annotation("release-name").zip(annotation("release-namespace"));
        // Helm 2, and Helm 3 before 3.2, leave what the chart itself says.
        let by_labels =
            || text("labels", "release").zip(text("labels", "heritage").filter(|by| by == "Tiller" || by == "Helm"));
        by_annotations.or_else(by_labels)
    };
    release(image).is_some_and(|of_image| release(live) == Some(of_image))
}

/// The status of an image as the object that was created again can have it: what it has seen of its spec cannot be newer than
/// the spec itself.
pub(super) fn clamped_status(image: &Value, generation: &Value) -> Option<Value> {
    fn clamp(value: &mut Value, generation: u64) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    match value.as_u64() {
                        Some(observed) if key == "observedGeneration" => *value = observed.min(generation).into(),
                        _ => clamp(value, generation),
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| clamp(item, generation)),
            _ => {}
        }
    }
    let mut status = image.get("status").filter(|status| !is_empty(status))?.clone();
    clamp(&mut status, generation.as_u64().unwrap_or(u64::MAX));
    Some(status)
}

/// Who owns which field when everything that `ours` has written is taken back: what the image says, but for managers that have
/// written since. None when that is so already; times do not count.
pub(super) fn restored_managers(image: &Value, live: &Value, ours: &str) -> Option<Vec<Value>> {
    let entries = |object: &Value| object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let (old, now) = (entries(image), entries(live));
    if old.is_empty() {
        return None;
    }
    let key = |entry: &Value| ["manager", "operation", "subresource", "apiVersion"].map(|field| entry[field].clone());
    let has_written_since = |entry: &Value| {
        let before = old.iter().find(|other| key(other) == key(entry));
        entry["manager"] != ours && before.is_none_or(|before| before["time"] != entry["time"])
    };
    let mut restored: Vec<Value> = now.iter().filter(|entry| has_written_since(entry)).cloned().collect();
    for entry in &old {
        if !restored.iter().any(|other| key(other) == key(entry)) {
            restored.push(entry.clone());
        }
    }
    let timeless = |entries: &[Value]| {
        let mut texts: Vec<String> = entries
            .iter()
            .map(|entry| {
                let mut entry = entry.clone();
                entry.as_object_mut().map(|entry| entry.remove("time"));
                entry.to_string()
            })
            .collect();
        texts.sort();
        texts
    };
    (timeless(&restored) != timeless(&now)).then_some(restored)
}

/// The managers of an image for the object that was created again: who owns the reference to an owner is written with the
/// owner's uid. Where nobody was recorded nobody is: the API server takes a list of one empty entry for that.
/// Source: Kubernetes' documentation of server-side apply, "Clearing managedFields".
pub(super) fn managers_of(image: &Value, renamed: &HashMap<String, String>) -> Value {
    let Some(managers) = image["metadata"]["managedFields"].as_array().filter(|entries| !entries.is_empty()) else {
        return json!([{}]);
    };
    let replaced = owners(image).filter_map(|owner| renamed.get_key_value(owner["uid"].as_str()?));
    let text = replaced.fold(Value::from(managers.clone()).to_string(), |text, (old, now)| text.replace(old, now));
    serde_json::from_str(&text).unwrap_or_else(|_| managers.clone().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment() -> Resource {
        let [group, version, kind, plural] = ["apps", "v1", "Deployment", "deployments"].map(str::to_owned);
        Resource { group, version, kind, plural, is_namespaced: true, has_status: true, has_scale: true }
    }

    #[test]
    fn what_the_server_sets_is_not_written() {
        let image = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "managedFields": [], "labels": {}},
            "spec": {}, "status": {}});
        assert_eq!(writable(&image), json!({"metadata": {"name": "a"}, "spec": {}}));
    }

    #[test]
    fn every_part_has_its_endpoint() {
        let before =
            json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 2, "paused": false}, "status": {"x": 1}});
        let mut after = before.clone();
        after["spec"]["replicas"] = 0.into();
        let scale = (Part::Scale, json!({"spec": {"replicas": 0}}));
        assert_eq!(patches(&before, &after, &deployment()), std::slice::from_ref(&scale));
        after["spec"]["paused"] = true.into();
        after["status"]["x"] = 2.into();
        let status = (Part::Status, json!({"status": {"x": 2}}));
        let object = (Part::Object, json!({"spec": {"paused": true}}));
        assert_eq!(patches(&before, &after, &deployment()), [object, scale, status]);
        // What has a spec to scale keeps it when something else is changed.
        let mut labelled = before.clone();
        labelled["metadata"]["labels"]["a"] = "c".into();
        let label = (Part::Object, json!({"metadata": {"labels": {"a": "c"}}}));
        assert_eq!(patches(&before, &labelled, &deployment()), [label]);
        // Made, not read.
        after.as_object_mut().expect("an object").remove("status");
        assert_eq!(patches(&before, &after, &deployment()).len(), 2);
    }

    #[test]
    fn a_status_has_not_seen_more_than_there_is() {
        let image = json!({"status": {"observedGeneration": 7, "conditions": [{"type": "Ready", "observedGeneration": 7}]}});
        let status = clamped_status(&image, &json!(1)).expect("it has one");
        assert_eq!(status, json!({"observedGeneration": 1, "conditions": [{"type": "Ready", "observedGeneration": 1}]}));
        assert_eq!(clamped_status(&json!({"status": {}}), &json!(1)), None);
    }

    #[test]
    fn managers_are_as_before_but_for_those_that_have_written_since() {
        let entry = |manager: &str, time: &str, field: &str| json!({"manager": manager, "operation": "Update", "apiVersion": "v1", "time": time, "fieldsV1": {field: {}}});
        let object = |entries: &[Value]| json!({"metadata": {"managedFields": entries}});
        let (helm, controller) = (entry("helm", "1", "f:spec"), entry("controller", "1", "f:status"));
        let image = object(&[helm.clone(), controller.clone()]);
        // We took all that helm had; the controller has written again.
        let again = entry("controller", "2", "f:more");
        let live = object(&[entry("fairlead", "2", "f:spec"), again.clone(), entry("kubectl", "3", "f:x")]);
        let restored = restored_managers(&image, &live, "fairlead").expect("there is something to do");
        assert_eq!(restored, [again, entry("kubectl", "3", "f:x"), helm.clone()]);
        // Written with our time is right already.
        let live = object(&[entry("helm", "9", "f:spec"), controller]);
        assert_eq!(restored_managers(&image, &live, "helm"), None);
    }

    #[test]
    fn who_owns_a_reference_is_written_with_the_new_uid_of_the_owner() {
        let renamed = HashMap::from([("old".to_owned(), "new".to_owned())]);
        let image = json!({"metadata": {"ownerReferences": [{"uid": "old"}], "managedFields": [{"fieldsV1": {"k:{\"uid\":\"old\"}": {}}}]}});
        assert_eq!(managers_of(&image, &renamed), json!([{"fieldsV1": {"k:{\"uid\":\"new\"}": {}}}]));
        assert_eq!(managers_of(&json!({"metadata": {}}), &renamed), json!([{}]));
    }

    #[test]
    fn an_object_is_restored_when_all_of_it_is_back_whoever_owns_it() {
        let image = json!({"metadata": {"name": "a", "uid": "u", "labels": {"a": "b"}, "ownerReferences": [{"uid": "old"}]}, "spec": 1});
        let mut live = image.clone();
        live["metadata"]["uid"] = "v".into();
        live["metadata"]["ownerReferences"] = json!([{"uid": "new"}]);
        assert!(is_restored(&image, &live));
        live["metadata"]["finalizers"] = json!(["its controller's"]);
        assert!(is_restored(&image, &live));
        assert!(!is_restored(&live, &image));
        live["metadata"]["labels"]["c"] = "d".into();
        assert!(!is_restored(&image, &live));
    }

    #[test]
    fn what_was_put_back_is_known_by_what_is_older_than_itself() {
        let object = |uid: &str, created: &str, managers: &[(&str, &str)], spec: u32| {
            let entry = |(manager, time): &(&str, &str)| json!({"manager": manager, "operation": "Update", "time": time});
            let managers: Vec<Value> = managers.iter().map(entry).collect();
            json!({"metadata": {"uid": uid, "creationTimestamp": created, "managedFields": managers}, "spec": spec})
        };
        let (helm, controller) = (("helm", "2026-01-01T00:00:01Z"), ("controller", "2026-03-01T00:00:09Z"));
        let image = object("u", "2026-01-01T00:00:01Z", &[helm], 1);
        assert!(is_back(&image, &object("v", "2026-03-01T00:00:00Z", &[helm, controller], 2)));
        // By the same manager, anew.
        let anew = ("helm", "2026-03-01T00:00:00Z");
        assert!(!is_back(&image, &object("v", "2026-03-01T00:00:00Z", &[anew, controller], 2)));
        // Older, and not of the image.
        assert!(!is_back(&image, &object("v", "2026-03-01T00:00:00Z", &[("other", "2026-01-01T00:00:01Z")], 2)));
        assert!(!is_back(&object("u", "2026-01-01T00:00:01Z", &[], 1), &object("v", "2026-03-01T00:00:00Z", &[], 2)));
    }

    #[test]
    fn what_helm_has_created_again_is_the_same_releases() {
        let of = |name: Option<&str>| json!({"metadata": {"annotations": {"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": "shop"}}});
        assert!(is_helms(&of(Some("shop")), &of(Some("shop"))));
        assert!(!is_helms(&of(Some("shop")), &of(Some("crm"))));
        let labelled = |release: &str| json!({"metadata": {"labels": {"heritage": "Tiller", "release": release}}});
        assert!(is_helms(&labelled("shop"), &labelled("shop")) && !is_helms(&labelled("shop"), &labelled("crm")));
        // Of no release, both: that says nothing.
        assert!(!is_helms(&of(None), &of(None)) && !is_helms(&json!({}), &json!({})));
    }
}
