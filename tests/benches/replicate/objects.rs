//! The objects that are made: as unlike each other as those of real teams, because the snapshot is compressed.

use fairlead_tests::cluster::Cluster;
use serde_json::{Value, json};

use crate::client::{self, Post};
use crate::say;

/// Where the job's tickets are kept.
pub(crate) const LEDGER: &str = "ledger";

/// How many are filled in at once; what an API server on two cores takes.
const FILL_CONCURRENCY: usize = 32;

const NAMESPACE_SIZE: usize = 100;

const SOURCES: [&str; 3] = ["storefront", "warehouse", "crm"];
const NOUNS: [&str; 11] =
    ["order", "payment", "invoice", "shipment", "stock", "customer", "coupon", "cart", "refund", "review", "supplier"];
const VERBS: [&str; 7] = ["created", "updated", "cancelled", "deleted", "confirmed", "reserved", "requested"];

/// Path of a namespace's Triggers, or of all.
pub(crate) fn triggers(namespace: Option<&str>) -> String {
    path("/apis/eventing.knative.dev/v1", "triggers", namespace)
}

/// Path of the Secrets of the ledger.
pub(crate) fn tickets() -> String {
    path("/api/v1", "secrets", Some(LEDGER))
}

fn path(version: &str, kind: &str, namespace: Option<&str>) -> String {
    match namespace {
        Some(namespace) => format!("{version}/namespaces/{namespace}/{kind}"),
        None => format!("{version}/{kind}"),
    }
}

/// Makes Subscriptions, each of which needs a Trigger of its own, until there are `to`; there are `from`.
pub(crate) fn fill(cluster: &Cluster, from: usize, to: usize) {
    let namespaces = from.div_ceil(NAMESPACE_SIZE)..to.div_ceil(NAMESPACE_SIZE);
    let mut names: Vec<String> = namespaces.map(|index| namespace(index * NAMESPACE_SIZE)).collect();
    if from == 0 {
        names.push(LEDGER.to_owned());
    }
    let made = names.iter().map(|name| {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        Post::new("/api/v1/namespaces".to_owned(), &object)
    });
    client::post(cluster, made, FILL_CONCURRENCY);
    let took = client::post(cluster, (from..to).map(subscription), FILL_CONCURRENCY);
    say(&format!("{} Subscriptions made in {:.1} s", to - from, took.as_secs_f64()));
}

/// Deletes the Triggers of the first `count` Subscriptions.
pub(crate) fn delete_triggers(cluster: &Cluster, count: usize) {
    let namespaces = (0..count).step_by(NAMESPACE_SIZE).map(namespace);
    client::delete_collections(cluster, namespaces.map(|namespace| triggers(Some(&namespace))));
}

/// Forgets earlier runs.
pub(crate) fn delete_tickets(cluster: &Cluster) {
    client::delete_collections(cluster, std::iter::once(tickets()));
}

fn namespace(number: usize) -> String {
    format!("team-{}", number / NAMESPACE_SIZE)
}

fn subscription(number: usize) -> Post {
    Post::new(
        path("/apis/eventing.kyma-project.io/v1alpha1", "subscriptions", Some(&namespace(number))),
        &subscription_object(number),
    )
}

/// A Subscription that needs a Trigger of its own.
pub(crate) fn subscription_object(number: usize) -> Value {
    // Knuth's multiplicative hash: no two numbers below 2^32 have the same.
    let random = (number as u64 * 2_654_435_761) & 0xffff_ffff;
    let of = |words: &[&'static str]| words[number % words.len()];
    let (source, noun, verb) = (of(&SOURCES), of(&NOUNS), of(&VERBS));
    let namespace = namespace(number);
    json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {
            "namespace": namespace, "name": format!("{noun}-{verb}-{random:08x}"),
            "labels": {"app": format!("{noun}-service"), "team": namespace},
        },
        "spec": {"source_id": source, "event_type": format!("{noun}.{verb}"), "event_type_version": "v1",
            "endpoint": format!("http://{noun}-{random:08x}.{namespace}.svc.cluster.local:8080/events/{verb}")},
    })
}
