//! `helm upgrade` replicates, and a second one writes nothing.

use fairlead_tests::cluster::node;
use fairlead_tests::state;
use serde_json::{Value, json};

use crate::release::{Release, demo};

fn an_upgrade_replicates_and_a_second_one_writes_nothing(helm: &'static str) {
    let cluster = node();
    let shop = Release::install(&cluster, helm, "upgrade");
    demo(&cluster);
    assert_eq!((cluster.list("triggers").len(), shop.bus()), (0, json!("legacy")));

    shop.upgrade(&[]).expect(0);
    assert_eq!(shop.bus(), json!("mesh"));
    let triggers = cluster.list("triggers");
    assert_eq!(triggers.len(), 29);
    let named: usize = triggers
        .iter()
        .filter_map(|trigger| trigger["metadata"]["annotations"]["fairlead.dev/replicated-from"].as_str())
        .map(|from| from.split(',').count())
        .sum();
    assert_eq!(named, 33, "every Subscription that can be replicated is named by a Trigger");

    let before = (state::of_kinds(&cluster, "triggers"), tickets(&shop));
    shop.upgrade(&[]).expect(0);
    assert_eq!(state::differences(&before.0, &state::of_kinds(&cluster, "triggers")), Vec::<String>::new());
    assert_eq!(before.1, tickets(&shop));
    assert_eq!(before.1.len(), 1);
    let ticket = &before.1[0];
    assert_eq!(ticket["metadata"]["labels"]["fairlead.dev/helm-revision"], "2");
    assert_eq!(ticket["metadata"]["labels"]["fairlead.dev/phase"], "Committed");
    // The Job is gone, because it succeeded; what it said is not.
    let events = shop.cluster.kubectl(&["-n", &shop.namespace, "get", "events", "-o", "json"]).expect(0).json();
    let said: Vec<&str> = events["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|event| event["involvedObject"]["kind"] == "Job" && event["reason"] != "SuccessfulCreate")
        .filter_map(|event| event["reason"].as_str())
        .collect();
    assert!(said.contains(&"Committed") && said.contains(&"Unchanged"), "{said:?}");
}

fn tickets(shop: &Release<'_>) -> Vec<Value> {
    let selector = "fairlead.dev/phase,fairlead.dev/release=shop";
    let list =
        shop.cluster.kubectl(&["-n", &shop.namespace, "get", "secrets", "-l", selector, "-o", "json"]).expect(0).json();
    list["items"].as_array().expect("kubectl prints a list").clone()
}

#[test]
fn with_helm_3() {
    an_upgrade_replicates_and_a_second_one_writes_nothing("helm3");
}

#[test]
fn with_helm_4() {
    an_upgrade_replicates_and_a_second_one_writes_nothing("helm4");
}
