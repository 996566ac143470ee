//! The demo on a cluster that somebody else has.

use std::process::Command;

use fairlead_tests::cluster::{Cluster, START};
use fairlead_tests::program::{Ended, becomes, binaries, root, run, tool};
use fairlead_tests::state;
use serde_json::json;

fn demo(cluster: &Cluster, what: &str, helm: &str) -> Ended {
    let mut command = Command::new(root().join("scripts/demo"));
    command.arg(what).env("KUBECONFIG", cluster.kubeconfig()).env("HELM", helm).env("BINARIES", binaries());
    run(&mut command, "")
}

const KINDS: &str = "namespaces,customresourcedefinitions,configmaps,serviceaccounts,clusterroles,clusterrolebindings";

/// What a stranger should see: everything counted, the way of the events, and each event once.
const SHOWN: [&str; 19] = [
    "Plan: 42 to create, 0 to update, 0 to delete, 8 refused, 9 warnings, 5 unchanged",
    "replicates Subscription orders/order-created, orders/order-created-copy",
    "= Subscription kyma-integration/brokersub-4hx7q: already carries the events of crm to loyalty",
    "the upgrade waits for the Channel of warehouse",
    "channel.messaging.knative.dev/warehouse created",
    "Each has arrived exactly once at each subscriber that asked for it, and nowhere else.",
    "Plan: 0 to create, 0 to update, 0 to delete, 8 refused, 9 warnings, 47 unchanged",
    "REVISION: 3",
    "! refused LP108 EventActivation shipping/storefront-orders: it is being deleted",
    "Plan: 2 to create, 0 to update, 47 to delete, 9 refused, 6 warnings, 11 unchanged",
    "! refused DW112 Source NATS Streaming: natss-ch-dispatcher/",
    " of channel storefront.order.metered.v1 is offline with ",
    "error DW001: DW112 Source NATS Streaming: ",
    "It holds: release shop in namespace shop: NATS Streaming was empty in ",
    "Plan: 2 to create, 0 to update, 55 to delete, 0 refused, 16 warnings, 11 unchanged",
    "REVISION: 6",
    "Rollback was a success",
    "of the mesh with what was there before the upgrade: identical.",
    ": 0 missing, 0 doubled without a redelivery.",
];

/// Application, subscriber and times of each line of the demo's last table.
fn arrivals(shown: &str) -> Vec<String> {
    let table = shown.lines().skip_while(|line| !line.starts_with("APPLICATION  EVENT-ID")).skip(1);
    let words = table.map(|line| line.split_whitespace().collect::<Vec<_>>()).take_while(|words| words.len() == 4);
    words.map(|words| [words[0], words[2], words[3]].join(" ")).collect()
}

#[test]
fn the_demo_takes_away_only_what_it_made() {
    let cluster = Cluster::bare_node();
    cluster.load_jobs();
    cluster.load_mailbox();
    cluster.load_bus();
    cluster.load_program("compatibility-layer");
    cluster.load_program("loss-meter");
    let before = state::of_kinds(&cluster, KINDS);
    let refused = demo(&cluster, "up", "helm4").expect(1);
    for word in ["no Knative Eventing", "missing: brokers.eventing.knative.dev", "  kubectl apply -f https://"] {
        assert!(refused.stderr.contains(word), "{word}\n{}", refused.stderr);
    }
    assert_eq!(state::differences(&before, &state::of_kinds(&cluster, KINDS)), Vec::<String>::new());

    run(tool("cluster").args(["knative", "--timeout", START, "--name", cluster.name()]), "").expect(0);
    let has_bundle = |name: &str| {
        let bundle = "jsonpath={.spec.conversion.webhook.clientConfig.caBundle}";
        !cluster.kubectl(&["get", "crd", name, "-o", bundle]).stdout.is_empty()
    };
    let are_complete = || ["pingsources.sources.knative.dev", "eventtypes.eventing.knative.dev"].into_iter().all(has_bundle);
    assert!(becomes(are_complete), "Knative's webhook does not write into its kinds");
    let before = state::of_kinds(&cluster, KINDS);
    // With Helm 3 it takes as long again: `HELM=helm3 make demo`.
    let shown = demo(&cluster, "up", "helm4").expect(0).stdout;
    for word in SHOWN {
        assert!(shown.contains(word), "{word}\n{shown}");
    }
    let arrived = [
        "storefront confirmation.orders/ 1",
        "storefront invoicing.payments/ 1",
        "storefront order-service.orders/events 1",
        "warehouse dispatch.shipping/events 1",
        "warehouse order-service.orders/events/stock 1",
        "crm newsletter.loyalty/ 1",
        "crm points.loyalty/events 1",
    ];
    assert_eq!(arrivals(&shown), arrived, "{shown}");
    demo(&cluster, "down", "helm4").expect(0);
    assert_eq!(state::differences(&before, &state::of_kinds(&cluster, KINDS)), Vec::<String>::new());

    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "orders"}}));
    let refused = demo(&cluster, "up", "helm4").expect(1);
    assert!(refused.stderr.contains("namespace/orders") && refused.stderr.contains("somebody's data"), "{}", refused.stderr);
    demo(&cluster, "down", "helm4").expect(0);
    cluster.kubectl(&["get", "namespace", "orders"]).expect(0);
}
