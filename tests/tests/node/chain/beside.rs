//! Our way beside what the proposal `event-mesh-migration` says instead of a drain: a grace period of 60 seconds, in which nothing is looked
//! at, and the end of the legacy objects. One of the subscribers is slower than its events come.

use std::thread;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::node;
use serde_json::{Value, json};

use super::MIGRATE;
use super::load::Verdict;
use super::scene::Kyma;

/// The first two steps of the proposal: Triggers, and the compatibility layer.
const REPLICATE: [&str; 2] = ["--set", "kyma=replicate"];

#[test]
#[ignore = "takes minutes: `make soak` runs it"]
fn our_way_loses_nothing_where_that_of_the_proposal_does() {
    let cluster = node();
    let kyma = Kyma::install(&cluster, "helm4");
    kyma.answer("stock", &json!({"afterMillis": 100}));
    println!("way | seconds | accepted | not accepted | missing | doubled");

    let (load, began) = (kyma.load(), Instant::now());
    kyma.essentials(&["upgrade"], &MIGRATE).expect(0);
    let took = began.elapsed();
    let ours = load.end();
    println!("{}", row("fairlead", took, &ours));
    kyma.helm(&["rollback", "cluster-essentials", "1"]).expect(0);

    let (load, began) = (kyma.load(), Instant::now());
    kyma.essentials(&["upgrade"], &REPLICATE).expect(0);
    the_proposals_way(&kyma);
    let took = began.elapsed();
    let theirs = load.end();
    println!("{}", row("the proposal", took, &theirs));
    assert_eq!((ours.missing(), ours.doubled()), (0, 0), "{:#}", ours.shown());
    assert!(theirs.missing() > 0, "{:#}", theirs.shown());
}

#[expect(clippy::disallowed_methods, reason = "that is what the proposal does")]
fn the_proposals_way(kyma: &Kyma<'_>) {
    let selector: Value =
        json!([{"op": "replace", "path": "/spec/selector", "value": {"app.kubernetes.io/name": "compatibility-layer"}}]);
    for (namespace, service) in [
        ("kyma-system", "event-publish-service"),
        ("kyma-integration", "storefront-event-service"),
        ("kyma-integration", "warehouse-event-service"),
    ] {
        let patch = ["patch", "service", "-n", namespace, service, "--type=json", "-p", &selector.to_string()];
        kyma.cluster.kubectl(&patch).expect(0);
    }
    thread::sleep(Duration::from_mins(1));
    for kind in ["subscriptions.eventing.kyma-project.io", "eventactivations.applicationconnector.kyma-project.io"] {
        kyma.cluster.kubectl(&["delete", kind, "-A", "--all"]).expect(0);
        kyma.cluster.kubectl(&["delete", "crd", kind]).expect(0);
    }
}

fn row(way: &str, took: Duration, verdict: &Verdict) -> String {
    let (accepted, faults) = (verdict.accepted(), verdict.faults().join("; "));
    let (missing, doubled) = (verdict.missing(), verdict.doubled());
    format!("{way} | {} | {accepted} | {faults} | {missing} | {doubled}", took.as_secs())
}
