//! What a purge needs real controllers for: pods that end when their workload is held, and the garbage collector.

use fairlead_tests::cluster::node;
use fairlead_tests::program::{becomes, job, root, run};
use fairlead_tests::state::{canonical, differences, of_kinds};
use serde_json::{Value, json};

const NAMESPACE: &str = "purging";
const MESH: &str = "purging-mesh";

#[test]
fn pods_have_ended_before_anything_goes_and_what_the_garbage_collector_takes_comes_back() {
    let cluster = node();
    cluster.define(&root().join("tests/definitions/widgets.yaml"));
    let object = |api_version: &str, kind: &str, name: &str, more: Value| {
        let mut object =
            json!({"apiVersion": api_version, "kind": kind, "metadata": {"namespace": NAMESPACE, "name": name}});
        object.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        object
    };
    let container = json!({"name": "it", "image": "docker.io/fairlead/pause:built"});
    let template = json!({"metadata": {"labels": {"app": "consumer"}}, "spec": {"containers": [container]}});
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "consumer"}}, "template": template});
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    cluster.apply(&json!([
        object("apps/v1", "Deployment", "consumer", json!({"spec": spec})),
        object("example.com/v1", "Widget", "owner", json!({"spec": {"size": 1}})),
    ]));
    let owner = cluster.get("widget", NAMESPACE, "owner");
    let mut dependent = object("v1", "ConfigMap", "owned", json!({"data": {"of": "owner"}}));
    dependent["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "example.com/v1", "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]}]);
    cluster.apply(&dependent);
    cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, "deployment/consumer", "--timeout=10m"]).expect(0);
    // The garbage collector looks for new kinds every 30 seconds. It takes nothing of an owner whose kind it has not
    // known before it went, and it is who ends a deletion in the foreground: when it has ended this one, it watches.
    cluster.apply(&object("example.com/v1", "Widget", "watched", json!({"spec": {"size": 1}})));
    let deletion = ["delete", "widget", "-n", NAMESPACE, "watched", "--cascade=foreground", "--timeout=10m"];
    cluster.kubectl(&deletion).expect(0);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.json");
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": NAMESPACE, "name": "consumer"});
    let purge = json!({"kinds": [{"group": "example.com", "kind": "Widget"}], "consumers": [{"workload": workload, "hold": true}],
        "dependents": [{"group": "", "kind": "ConfigMap"}]});
    let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "purge": purge});
    std::fs::write(&file, configuration.to_string()).expect("written");
    let run = |args: &[&str]| {
        let mut command = job("legacy-purger");
        command.args(args).args(["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", NAMESPACE, "--config"]);
        run(command.arg(&file), "").expect(0)
    };
    let state = || {
        let objects = of_kinds(&cluster, "widgets,configmaps").into_values();
        canonical(objects.filter(|object| object["metadata"]["namespace"] == NAMESPACE).collect())
    };
    let before = state();
    run(&["apply"]);
    // The Deployment says that it has no pods; the kubelet may still be ending them.
    let held = cluster.get("deployment", NAMESPACE, "consumer");
    assert_eq!((&held["spec"]["replicas"], &held["status"]["replicas"]), (&json!(0), &Value::Null));
    assert!(cluster.kubectl(&["get", "crd", "widgets.example.com"]).status != Some(0));
    cluster.kubectl(&["wait", "configmap", "-n", NAMESPACE, "owned", "--for=delete", "--timeout=10m"]).expect(0);
    run(&["rollback", "--last"]);
    assert_eq!(differences(&before, &state()), Vec::<String>::new());
    // It is owned by who is there now: the garbage collector leaves it alone.
    let owner = cluster.get("widget", NAMESPACE, "owner");
    let dependent = cluster.get("configmap", NAMESPACE, "owned");
    assert_eq!(dependent["metadata"]["ownerReferences"][0]["uid"], owner["metadata"]["uid"]);
    cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, "deployment/consumer", "--timeout=10m"]).expect(0);
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).expect(0);
    cluster.kubectl(&["delete", "crd", "widgets.example.com"]).expect(0);
}

/// Knative's webhook says on what is created who has created it, and its controllers work on it at once.
#[test]
fn what_a_real_knative_works_on_comes_back_as_it_was_and_becomes_ready_again() {
    let cluster = node();
    // What another test has left would speak against the purge.
    fairlead_tests::cluster::empty(&cluster);
    let finalizer = "subscription.finalizers.kyma-project.io";
    let labels = json!({"kyma-source-id": "shop", "kyma-event-type": "created", "kyma-event-type-version": "v1"});
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "created-x7k2p"});
    let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
    cluster.apply(&json!([namespace("kyma-system"), namespace(MESH)]));
    let is_there = || cluster.kubectl(&["get", "namespace", MESH, "-o", "jsonpath={.status.phase}"]).stdout == "Active";
    assert!(becomes(is_there), "an earlier test's namespace is still going");
    cluster.apply(&json!([
        {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "metadata": {"namespace": "kyma-system", "name": "created-x7k2p", "labels": labels}},
        {"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
         "metadata": {"namespace": "kyma-system", "name": "created--purging", "labels": {"kyma-ns": MESH}, "finalizers": [finalizer]},
         "spec": {"channel": channel, "subscriber": {"uri": "http://mail.purging.svc.cluster.local/"}}},
        {"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
         "metadata": {"namespace": MESH, "name": "created", "finalizers": [finalizer]},
         "spec": {"source_id": "shop", "event_type": "created", "event_type_version": "v1", "endpoint": "http://mail.purging/"}},
    ]));
    let ready = || {
        let kinds = "channels.messaging.knative.dev,subscriptions.messaging.knative.dev";
        cluster.kubectl(&["wait", "-n", "kyma-system", "--for=condition=Ready", kinds, "--all", "--timeout=10m"]).expect(0);
    };
    // What its controllers write, and who they are to them, is theirs.
    let state = || {
        let kinds =
            "channels.messaging.knative.dev,subscriptions.messaging.knative.dev,subscriptions.eventing.kyma-project.io";
        let objects = of_kinds(&cluster, kinds)
            .into_values()
            .filter(|object| [json!("kyma-system"), json!(MESH)].contains(&object["metadata"]["namespace"]));
        let plain = |mut object: Value| {
            object["status"] = Value::Null;
            object["metadata"]["managedFields"] = Value::Null;
            if object["kind"] == "Channel" {
                object["spec"]["subscribers"] = Value::Null;
            }
            object
        };
        canonical(objects.map(plain).collect())
    };
    ready();
    let before = state();
    // As somebody else than who has created it.
    let run = |args: &[&str]| {
        let args = [args, &["--ledger-namespace", "default", "--release", MESH]].concat();
        run(&mut cluster.job("legacy-purger", &args), "").expect(0)
    };
    run(&["apply", "--allow-unreplicated", "purging-mesh/created", "--strip-finalizers", finalizer]);
    assert!(
        cluster.kubectl(&["get", "channels.messaging.knative.dev", "-n", "kyma-system", "created-x7k2p"]).status != Some(0)
    );
    run(&["rollback", "--last"]);
    assert_eq!(differences(&before, &state()), Vec::<String>::new());
    ready();
    let patch = ["--type=merge", "-p", "{\"metadata\": {\"finalizers\": null}}"];
    for (namespace, object) in [
        ("kyma-system", "subscriptions.messaging.knative.dev/created--purging"),
        (MESH, "subscriptions.eventing.kyma-project.io/created"),
    ] {
        cluster.kubectl(&[&["patch", object, "-n", namespace], &patch[..]].concat()).expect(0);
    }
    for object in ["subscriptions.messaging.knative.dev/created--purging", "channels.messaging.knative.dev/created-x7k2p"] {
        cluster.kubectl(&["delete", "-n", "kyma-system", object]).expect(0);
    }
    cluster.kubectl(&["delete", "namespace", MESH, "--wait=false"]).expect(0);
}
