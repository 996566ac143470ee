//! What `apply` creates, what it leaves alone, and that a second run writes nothing.

use fairlead_tests::cluster::lease;
use fairlead_tests::program::becomes;
use fairlead_tests::state;
use serde_json::json;

use crate::fixtures::{apply, namespace, plan, subscription, tickets};

#[test]
fn every_subscription_gets_its_trigger_and_a_second_run_writes_nothing() {
    let cluster = lease();
    let more_than_a_page = (0..510).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}")));
    cluster.create(more_than_a_page);

    let first = apply(&cluster, &[]).expect(0).json();
    assert_eq!((&first["outcome"], &first["exitStatus"]), (&json!("Committed"), &json!(0)));
    let triggers = cluster.list("triggers");
    assert_eq!(triggers.len(), 510);
    let trigger = &triggers[0];
    let from = trigger["metadata"]["annotations"]["fairlead.dev/replicated-from"].as_str().expect("it names its origin");
    let origin =
        cluster.get("subscriptions.eventing.kyma-project.io", "default", from.strip_prefix("default/").expect(from));
    assert_eq!(trigger["spec"]["filter"]["attributes"]["type"], origin["spec"]["event_type"]);
    assert_eq!(trigger["spec"]["subscriber"]["uri"], origin["spec"]["endpoint"]);
    assert_eq!(trigger["metadata"]["annotations"]["fairlead.dev/ticket"], first["ticket"]);
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "Committed".to_owned())]);

    let secrets = || {
        let mut secrets = state::of_kinds(&cluster, "secrets");
        // It says that there was a run that changed nothing.
        secrets.retain(|key, _| !key.contains("outcomes"));
        secrets
    };
    let before = (state::of(&cluster), secrets());
    let second = apply(&cluster, &[]).expect(0).json();
    assert_eq!((&second["outcome"], &second["ticket"]), (&json!("Unchanged"), &json!(null)));
    let after = (state::of(&cluster), secrets());
    assert_eq!(state::differences(&before.0, &after.0), Vec::<String>::new());
    assert_eq!(state::differences(&before.1, &after.1), Vec::<String>::new());
}

#[test]
fn a_subscription_that_comes_later_is_named_on_the_trigger_that_serves_it() {
    let cluster = lease();
    let one = subscription("default", "one", "order.created");
    let mut twin = subscription("default", "twin", "order.created");
    twin["spec"]["endpoint"] = one["spec"]["endpoint"].clone();
    cluster.apply(&one);
    apply(&cluster, &["--release", "shop"]).expect(0);
    cluster.apply(&twin);
    let report = apply(&cluster, &["--release", "shop", "--helm-revision", "7"]).expect(0).json();
    assert_eq!(report["plan"]["changes"][0]["action"], "update");
    let triggers = cluster.list("triggers");
    assert_eq!(triggers.len(), 1);
    assert_eq!(triggers[0]["metadata"]["annotations"]["fairlead.dev/replicated-from"], "default/one,default/twin");
    let ticket = cluster.get("secret", "default", "fairlead.v1.shop.2");
    assert_eq!(ticket["metadata"]["labels"]["fairlead.dev/helm-revision"], "7");
    assert_eq!(ticket["type"], "fairlead.dev/ticket");
    let chunk = cluster.get("secret", "default", "fairlead.v1.shop.2-0");
    assert_eq!(chunk["metadata"]["ownerReferences"][0]["uid"], ticket["metadata"]["uid"]);
}

#[test]
fn refusals_are_reported_and_stop_nobody() {
    let cluster = lease();
    let mut no_endpoint = subscription("default", "no-endpoint", "order.created");
    no_endpoint["spec"].as_object_mut().expect("an object").remove("endpoint");
    // Nobody finishes the deletion of a namespace without a controller-manager.
    cluster.apply(&json!([namespace("leaving"), namespace("kyma-system")]));
    cluster.apply(&json!([
        no_endpoint,
        subscription("default", "good", "order.created"),
        subscription("leaving", "late", "order.created"),
        subscription("kyma-system", "system", "order.created"),
    ]));
    cluster.kubectl(&["delete", "namespace", "leaving", "--wait=false"]).expect(0);

    let report = apply(&cluster, &[]).expect(0).json();
    let refusals = report["plan"]["refusals"].as_array().expect("a list");
    let codes: Vec<&str> = refusals.iter().filter_map(|refusal| refusal["code"].as_str()).collect();
    assert_eq!(codes, ["TR101", "TR105"]);
    assert!(refusals.iter().all(|refusal| refusal["hint"].as_str().is_some_and(|hint| !hint.is_empty())));
    assert_eq!(cluster.list("triggers").len(), 1);
}

#[test]
fn a_cluster_without_the_legacy_kind_has_nothing_to_do() {
    let cluster = lease();
    let served = ["--raw", "/apis/eventing.kyma-project.io"];
    let name = "subscriptions.eventing.kyma-project.io";
    let crd = cluster.get("crd", "default", name);
    cluster.kubectl(&["delete", "crd", name]).expect(0);
    let is_gone = || !cluster.kubectl(&[&["get"], &served[..]].concat()).stdout.contains("v1alpha1");
    assert!(becomes(is_gone), "the API server still serves the kind");
    let planned = plan(&cluster, &[]);
    let mut again = crd;
    for field in ["uid", "resourceVersion", "managedFields", "creationTimestamp", "generation"] {
        again["metadata"].as_object_mut().expect("an object").remove(field);
    }
    again.as_object_mut().expect("an object").remove("status");
    cluster.apply(&again);
    cluster.serves(&[name]);
    assert_eq!(planned.expect(0).json()["changes"], json!([]));
}
