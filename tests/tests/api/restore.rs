//! A step that fails leaves everything as it was.

use fairlead_tests::cluster::lease;
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::fixtures::{apply, deny_chunks, deny_secrets, deny_triggers_for, deny_updates_for, subscription, tickets};

#[test]
fn a_trigger_refused_in_the_middle_of_the_list_leaves_the_cluster_as_it_was() {
    let cluster = lease();
    deny_triggers_for(&cluster, "m.refused");
    let types = ["a", "b", "c", "d", "e", "m.refused", "n", "o", "p", "q", "r"];
    cluster
        .apply(&types.iter().map(|kind| subscription("default", &format!("to-{}", kind.replace('.', "-")), kind)).collect());
    // One replica is there already and only has to be told of another Subscription: an update that is taken back, too.
    let mut twin = subscription("default", "a-twin", "a");
    twin["spec"]["endpoint"] = "http://to-a.default:8080/events".into();
    let existing: Value = json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
        "metadata": {"namespace": "default", "name": existing_name(&cluster), "annotations": {"fairlead.dev/replicated-from": "default/old"},
            "labels": {"eventing.knative.dev/broker": "default"}},
        "spec": {"broker": "default", "filter": {"attributes": {"source": "shop", "type": "a", "eventtypeversion": "v1"}},
            "subscriber": {"uri": "http://to-a.default:8080/events"}},
    });
    cluster.apply(&json!([twin, existing]));

    let before = state::of(&cluster);
    let failed = apply(&cluster, &["--concurrency", "1"]).expect(1);
    let after = state::of(&cluster);

    let report = failed.json();
    assert_eq!((&report["outcome"], &report["error"]["code"]), (&json!("RolledBack"), &json!("FL003")));
    assert!(
        report["plan"]["changes"]
            .as_array()
            .is_some_and(|changes| changes.iter().any(|change| change["action"] == "update"))
    );
    for word in ["failed to create Trigger default/m-refused-", "this event type is closed", "everything is as before"] {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    // The objects are as they were, but for the traces that an updated one keeps: its resourceVersion, and who wrote when.
    let (before, after) = (without_versions(before), without_versions(after));
    assert_eq!(state::differences(&before, &after), Vec::<String>::new());
    assert_eq!(tickets(&cluster), [("fairlead.v1.fairlead.1".to_owned(), "RolledBack".to_owned())]);

    // With everything in flight at once the failure comes while others are under way.
    apply(&cluster, &["--concurrency", "16"]).expect(1);
    assert_eq!(state::differences(&before, &without_versions(state::of(&cluster))), Vec::<String>::new());
}

#[test]
fn an_update_that_is_refused_leaves_the_cluster_as_it_was() {
    let cluster = lease();
    let one = subscription("default", "one", "update.refused");
    cluster.apply(&one);
    apply(&cluster, &[]).expect(0);
    let mut twin = subscription("default", "twin", "update.refused");
    twin["spec"]["endpoint"] = one["spec"]["endpoint"].clone();
    deny_updates_for(&cluster, "update.refused");
    cluster.apply(&twin);
    let before = state::of(&cluster);
    let failed = apply(&cluster, &[]).expect(1);
    assert!(failed.stderr.contains("failed to patch Trigger default/update-refused-"), "{}", failed.stderr);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
}

/// The name that the replica for event type `a` has, which only the job knows.
fn existing_name(cluster: &fairlead_tests::cluster::Cluster) -> String {
    let planned = crate::fixtures::plan(cluster, &[]).expect(0).json();
    let changes = planned["changes"].as_array().expect("a list");
    let name = changes
        .iter()
        .map(|change| change["target"]["name"].as_str().unwrap_or_default())
        .find(|name| name.starts_with("a-"));
    name.expect("a Trigger for event type a is planned").to_owned()
}

fn without_versions(state: state::State) -> state::State {
    let strip = |(key, mut object): (String, Value)| {
        let metadata = object["metadata"].as_object_mut().expect("every object has metadata");
        metadata.remove("resourceVersion");
        metadata.remove("generation");
        metadata.remove("managedFields");
        (key, object)
    };
    state.into_iter().map(strip).collect()
}

#[test]
fn one_changed_annotation_is_a_difference() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    let before = state::of(&cluster);
    cluster
        .kubectl(&["annotate", "subscriptions.eventing.kyma-project.io", "-n", "default", "one", "touched=yes"])
        .expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)).len(), 1);
}

#[test]
fn a_ledger_that_cannot_be_written_stops_the_run_before_the_first_change() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    deny_secrets(&cluster);
    let failed = apply(&cluster, &[]).expect(1);
    let named = "failed to create Secret default/fairlead.v1.fairlead.1: secrets \"fairlead.v1.fairlead.1\" is forbidden";
    assert!(failed.stderr.contains(named), "{}", failed.stderr);
    assert_eq!(cluster.list("triggers").len(), 0);
}

#[test]
fn a_snapshot_that_is_refused_leaves_no_ticket_behind() {
    let cluster = lease();
    cluster.apply(&subscription("default", "one", "order.created"));
    // As a quota does that the ticket just fits into.
    deny_chunks(&cluster);
    let failed = apply(&cluster, &[]).expect(1);
    for word in
        ["failed to create Secret default/fairlead.v1.fairlead.1-0", "no room", "ValidatingAdmissionPolicy deny-chunks"]
    {
        assert!(failed.stderr.contains(word), "{word}\n{}", failed.stderr);
    }
    assert_eq!((cluster.list("triggers").len(), tickets(&cluster).len()), (0, 0));
}
