//! Applications whose events are let into namespaces, and a Knative that is played: without a node nothing of it runs.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use fairlead_tests::cluster::Cluster;
use serde_json::{Value, json};

/// An object with a spec.
pub(crate) fn object(api_version: &str, kind: &str, namespace: &str, name: &str, spec: &Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec});
    if !namespace.is_empty() {
        object["metadata"]["namespace"] = namespace.into();
    }
    object
}

/// Application, mapping and activation: events of `application` are let into `namespace`.
pub(crate) fn activated(application: &str, namespace: &str) -> Vec<Value> {
    let connector = |kind: &str, namespace: &str, name: &str, spec: Value| {
        object("applicationconnector.kyma-project.io/v1alpha1", kind, namespace, name, &spec)
    };
    let id = format!("{application}-events");
    vec![
        connector("Application", "", application, json!({"services": [{"id": id, "entries": [{"type": "Events"}]}]})),
        connector("ApplicationMapping", namespace, application, json!({})),
        connector("EventActivation", namespace, &id, json!({"sourceId": application})),
    ]
}

/// The Channel that Kyma's event-sources make for an Application.
pub(crate) fn channel(version: &str, application: &str) -> Value {
    let template = json!({"channelTemplate": {"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"}});
    let api_version = format!("messaging.knative.dev/{version}");
    let mut channel = object(&api_version, "Channel", "kyma-integration", application, &template);
    channel["metadata"]["labels"] = json!({"application-name": application});
    channel
}

/// Plays Knative's controllers and Kyma's event-sources while `work` runs: what they have not looked at becomes ready, Brokers
/// get an address, and a namespace that asks for a Broker with the label gets one.
pub(crate) fn playing_knative<T>(cluster: &Cluster, version: &str, work: impl FnOnce() -> T) -> T {
    // The play ends when nobody holds it any more, also when the test fails.
    let (curtain, over) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // Without a pause it would take a processor of its own.
            while over.recv_timeout(Duration::from_millis(100)) == Err(RecvTimeoutError::Timeout) {
                inject(cluster, version);
                make_ready(cluster);
            }
        });
        let _curtain = curtain;
        work()
    })
}

fn inject(cluster: &Cluster, version: &str) {
    let labelled = ["get", "namespaces", "-l", "knative-eventing-injection=enabled", "-o", "name"];
    for namespace in cluster.kubectl(&labelled).stdout.lines().filter_map(|line| line.strip_prefix("namespace/")) {
        cluster.apply(&object(&format!("eventing.knative.dev/{version}"), "Broker", namespace, "default", &json!({})));
    }
}

fn make_ready(cluster: &Cluster) {
    let kinds = "brokers.eventing.knative.dev,triggers.eventing.knative.dev,subscriptions.messaging.knative.dev,\
        httpsources.sources.kyma-project.io";
    // A list that breaks off because something was deleted meanwhile is read again.
    let list = cluster.kubectl(&["get", kinds, "-A", "-o", "json"]);
    let list: Value = serde_json::from_str(&list.stdout).unwrap_or_default();
    let is_new = |object: &&Value| object["status"]["observedGeneration"] != object["metadata"]["generation"];
    for object in list["items"].as_array().into_iter().flatten().filter(is_new) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let url = format!("http://default-broker.{}.svc.cluster.local", text("namespace"));
        let status = json!({"status": {"observedGeneration": object["metadata"]["generation"], "address": {"url": url},
            "conditions": [{"type": "Ready", "status": "True"}]}});
        let group = object["apiVersion"].as_str().and_then(|version| version.split('/').next()).unwrap_or_default();
        let kind = format!("{}.{group}", object["kind"].as_str().unwrap_or_default());
        let (namespace, name, status) = (text("namespace"), text("name"), status.to_string());
        cluster.kubectl(&["patch", &kind, "-n", namespace, name, "--subresource=status", "--type=merge", "-p", &status]);
    }
}
