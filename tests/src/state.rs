//! All objects of some kinds, in a form that can be compared: before and after.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::cluster::Cluster;

/// Kinds whose objects a job of ours could touch, without those that only record that it ran.
pub const KINDS: &str = "subscriptions.eventing.kyma-project.io,eventactivations.applicationconnector.kyma-project.io,\
    triggers.eventing.knative.dev,brokers.eventing.knative.dev,subscriptions.messaging.knative.dev,configmaps,namespaces";

/// Every object by kind, namespace and name.
pub type State = BTreeMap<String, Value>;

/// Reads all objects of [`KINDS`] in all namespaces, everything of them: two states are equal when nobody wrote in between.
#[must_use]
pub fn of(cluster: &Cluster) -> State {
    of_kinds(cluster, KINDS)
}

/// The same of other kinds, as kubectl takes them.
#[must_use]
pub fn of_kinds(cluster: &Cluster, kinds: &str) -> State {
    let list = cluster.kubectl(&["get", kinds, "--all-namespaces", "-o", "json", "--show-managed-fields"]).expect(0).json();
    let items = list["items"].as_array().expect("kubectl prints a list").clone();
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {}/{}", object["kind"], metadata["namespace"].as_str().unwrap_or_default(), metadata["name"])
    };
    items.into_iter().filter(|object| !is_of_server(object)).map(|object| (key(&object), object)).collect()
}

/// What the API server writes at a time of its own after it has started.
fn is_of_server(object: &Value) -> bool {
    let names = ["extension-apiserver-authentication", "kube-apiserver-legacy-service-account-token-tracking"];
    let metadata = &object["metadata"];
    object["kind"] == "ConfigMap"
        && metadata["namespace"] == "kube-system"
        && names.iter().any(|name| metadata["name"] == *name)
}

/// Whether an object says that it is Ready.
#[must_use]
pub fn is_ready(object: &Value) -> bool {
    let mut conditions = object["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// What is different, object by object; empty when nothing is.
#[must_use]
pub fn differences(before: &State, after: &State) -> Vec<String> {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{key}\n  before: {:?}\n  after:  {:?}", before.get(key), after.get(key)))
        .collect()
}

/// Objects by kind, namespace and name, without what cannot be the same in an object that was deleted and created again: uid,
/// resourceVersion, generation, creationTimestamp, observedGeneration and the times in managedFields. An owner's uid becomes the
/// owner's name, if that is who it is; everything else counts.
#[must_use]
pub fn canonical(objects: Vec<Value>) -> State {
    let uids: HashMap<String, String> = objects
        .iter()
        .filter_map(|object| {
            let metadata = &object["metadata"];
            Some((metadata["uid"].as_str()?.to_owned(), format!("the uid of {} {}", object["kind"], metadata["name"])))
        })
        .collect();
    let key = |object: &Value| {
        let metadata = &object["metadata"];
        format!("{} {}/{}", object["kind"], metadata["namespace"].as_str().unwrap_or_default(), metadata["name"])
    };
    objects.into_iter().map(|object| (key(&object), plain(object, &uids))).collect()
}

fn plain(mut object: Value, uids: &HashMap<String, String>) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        for field in ["uid", "resourceVersion", "generation", "creationTimestamp"] {
            metadata.remove(field);
        }
    }
    for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
        entry.as_object_mut().map(|entry| entry.remove("time"));
    }
    if let Some(entries) = object["metadata"]["managedFields"].as_array_mut() {
        entries.sort_by_key(Value::to_string);
    }
    forget(&mut object["status"], "observedGeneration");
    // The uids of owners stand in references to them, and in who owns those references. A uid that is nobody's stays.
    let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
    let owners = owners.iter().filter_map(|owner| uids.get_key_value(owner["uid"].as_str()?));
    let text = owners.fold(object.to_string(), |text, (uid, whose)| text.replace(uid, &whose.replace('"', "")));
    serde_json::from_str(&text).expect("names of objects need no escape")
}

fn forget(value: &mut Value, field: &str) {
    match value {
        Value::Object(fields) => {
            fields.remove(field);
            fields.values_mut().for_each(|value| forget(value, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, field)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn objects() -> Vec<Value> {
        vec![
            json!({"kind": "Widget", "metadata": {"name": "owner", "uid": "u-1", "resourceVersion": "7", "annotations": {"a": "b"}}}),
            json!({"kind": "ConfigMap", "metadata": {"name": "owned", "uid": "u-2", "ownerReferences": [{"uid": "u-1"}],
                "managedFields": [{"manager": "helm", "time": "1", "fieldsV1": {"k:{\"uid\":\"u-1\"}": {}}}]},
                "status": {"observedGeneration": 4}}),
        ]
    }

    #[test]
    fn an_object_that_was_created_again_is_the_same() {
        let mut again = objects();
        again[0]["metadata"]["uid"] = "u-3".into();
        again[0]["metadata"]["resourceVersion"] = "9".into();
        again[1]["metadata"]["ownerReferences"][0]["uid"] = "u-3".into();
        again[1]["metadata"]["managedFields"][0]["fieldsV1"] = json!({"k:{\"uid\":\"u-3\"}": {}});
        again[1]["metadata"]["managedFields"][0]["time"] = "2".into();
        again[1]["status"]["observedGeneration"] = 1.into();
        assert_eq!(differences(&canonical(objects()), &canonical(again)), Vec::<String>::new());
    }

    #[test]
    fn whatever_else_is_changed_is_a_difference() {
        let change: [fn(&mut Vec<Value>); 5] = [
            |objects| objects[0]["metadata"]["annotations"]["a"] = "c".into(),
            |objects| objects[0]["metadata"]["finalizers"] = json!(["x"]),
            |objects| objects[1]["metadata"]["managedFields"][0]["manager"] = "other".into(),
            |objects| objects[1]["metadata"]["ownerReferences"][0]["uid"] = "of nobody".into(),
            |objects| drop(objects.pop()),
        ];
        for change in change {
            let mut changed = objects();
            change(&mut changed);
            assert_eq!(differences(&canonical(objects()), &canonical(changed)).len(), 1);
        }
    }
}
