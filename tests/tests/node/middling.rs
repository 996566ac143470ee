//! A middling installation on Knative's own limits: minutes of waiting, so that `make soak` runs it and not every test run.

use std::thread;

use fairlead_tests::cluster::{Cluster, node};
use fairlead_tests::program::{becomes, run};
use fairlead_tests::state::is_ready;
use serde_json::{Value, json};

const NAMESPACES: usize = 6;
const EACH: usize = 50;

fn namespace(number: usize) -> String {
    format!("middling-{number}")
}

/// A namespace with a Broker, ready.
fn with_broker(cluster: &Cluster, namespace: &str) {
    let template = "apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel\n";
    let config = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "channel", "namespace": namespace});
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
    cluster.apply(&json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": namespace, "name": "channel"},
         "data": {"channel-template-spec": template}},
        {"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": namespace, "name": "default"},
         "spec": {"config": config}},
    ]));
    cluster.kubectl(&["wait", "-n", namespace, "--for=condition=Ready", "broker/default", "--timeout=10m"]).expect(0);
}

fn trigger(cluster: &Cluster, namespace: &str) -> Option<Value> {
    let found = cluster.kubectl(&["get", "trigger", "-n", namespace, "stranger", "-o", "json", "--ignore-not-found"]);
    serde_json::from_str(&found.expect(0).stdout).ok()
}

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn three_hundred_subscriptions_are_replicated_with_all_defaults_and_a_stranger_is_not_kept_waiting() {
    let cluster = node();
    with_broker(&cluster, "stranger");
    for number in 0..NAMESPACES {
        let namespace = namespace(number);
        with_broker(&cluster, &namespace);
        let subscription = |n: usize| {
            json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
                "metadata": {"namespace": namespace, "name": format!("s{n}")},
                "spec": {"source_id": "shop", "event_type": format!("order.created.{n}"), "event_type_version": "v1",
                    "endpoint": format!("http://mailbox-{n}.{namespace}:8080/")}})
        };
        cluster.apply(&(0..EACH).map(subscription).collect());
    }
    let args = ["apply", "--release", "middling", "--ledger-namespace", "default"];
    thread::scope(|scope| {
        let ours = scope.spawn(|| run(&mut cluster.job("trigger-replicator", &args), ""));
        assert!(becomes(|| cluster.list("triggers").len() >= 60));
        cluster.apply(&json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"namespace": "stranger", "name": "stranger"},
            "spec": {"broker": "default", "subscriber": {"uri": "http://somebody.stranger:8080/"}}}));
        while !becomes(|| trigger(&cluster, "stranger").is_some_and(|trigger| is_ready(&trigger))) {
            assert!(!ours.is_finished(), "a stranger waited for all of ours");
        }
        let before = cluster.list("triggers").iter().filter(|trigger| is_ready(trigger)).count();
        println!("the stranger's Trigger is ready, and {before} are in all");
        let ours = ours.join().expect("no panic").expect(0);
        println!("{}", ours.stderr);
    });
    let triggers = cluster.list("triggers");
    assert_eq!(triggers.iter().filter(|trigger| is_ready(trigger)).count(), NAMESPACES * EACH + 1);
    let back = ["rollback", "--last", "--release", "middling", "--ledger-namespace", "default"];
    run(&mut cluster.job("trigger-replicator", &back), "").expect(0);
    assert_eq!(cluster.list("triggers").len(), 1);
    let namespaces = (0..NAMESPACES).map(namespace).chain(["stranger".to_owned()]);
    namespaces.for_each(|namespace| {
        cluster.kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
    });
}
