//! The demo on a cluster that somebody else has.

use std::process::Command;

use fairlead_tests::cluster::{Cluster, node};
use fairlead_tests::program::{Ended, root, run, tool};
use fairlead_tests::state;
use serde_json::json;

fn demo(cluster: &Cluster, what: &str) -> Ended {
    let mut command = Command::new(root().join("scripts/demo"));
    run(command.arg(what).env("KUBECONFIG", cluster.kubeconfig()), "")
}

const KINDS: &str = "namespaces,customresourcedefinitions,configmaps,serviceaccounts,clusterroles,clusterrolebindings";

#[test]
fn the_demo_runs_twice_and_takes_away_only_what_it_made() {
    // The other tests' cluster is not there at the same time: two nodes are much for two processors.
    let _turn = node();
    let cluster = Cluster::bare_node();
    let image = root().join("target/images/trigger-replicator.tar");
    run(tool("cluster").args(["load-image", "--name", cluster.name()]).arg(image), "").expect(0);
    let before = state::of_kinds(&cluster, KINDS);
    for _ in 0..2 {
        let shown = demo(&cluster, "up").expect(0).stdout;
        for word in ["Plan: 17 to create", "orders/order-created,orders/order-created-copy", "REVISION: 3"] {
            assert!(shown.contains(word), "{word}\n{shown}");
        }
    }
    demo(&cluster, "down").expect(0);
    assert_eq!(state::differences(&before, &state::of_kinds(&cluster, KINDS)), Vec::<String>::new());

    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "orders"}}));
    let refused = demo(&cluster, "up").expect(1);
    assert!(refused.stderr.contains("namespace/orders") && refused.stderr.contains("somebody's data"), "{}", refused.stderr);
    demo(&cluster, "down").expect(0);
    cluster.kubectl(&["get", "namespace", "orders"]).expect(0);
}
