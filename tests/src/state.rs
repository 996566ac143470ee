//! All objects of some kinds, in a form that can be compared: before and after.

use std::collections::BTreeMap;

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
    items.into_iter().map(|object| (key(&object), object)).collect()
}

/// What is different, object by object; empty when nothing is.
#[must_use]
pub fn differences(before: &State, after: &State) -> Vec<String> {
    let keys = before.keys().chain(after.keys().filter(|key| !before.contains_key(*key)));
    keys.filter(|key| before.get(*key) != after.get(*key))
        .map(|key| format!("{key}\n  before: {:?}\n  after:  {:?}", before.get(key), after.get(key)))
        .collect()
}
