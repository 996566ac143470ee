//! To which of Helm's revisions there is a way back: `kubectl fairlead history`.

use std::fs;
use std::path::Path;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, Ended, root, run, tool};
use serde_json::{Value, json};

use crate::fixtures::subscription;

/// Installs a chart that brings no hooks as the next revision.
fn upgrade(cluster: &Cluster, folder: &Path, version: &str) {
    let chart = json!({"apiVersion": "v2", "name": "mojaloop", "version": version, "appVersion": "7"});
    fs::write(folder.join("Chart.yaml"), chart.to_string()).expect("written");
    let mut helm = tool("helm4");
    helm.args(["upgrade", "--install", "history", ".", "-n", "default", "--kubeconfig", cluster.kubeconfig()]);
    run(helm.current_dir(folder), "").expect(0);
}

fn plugin(cluster: &Cluster, args: &[&str]) -> Ended {
    let place = ["history", "-n", "default", "--kubeconfig", cluster.kubeconfig()];
    run(program::job("kubectl-fairlead").args(&args[..1]).args(place).args(&args[1..]), "")
}

/// What is said of the way back to the first revision.
fn back(cluster: &Cluster, more: &[&str]) -> (bool, String) {
    let printed = plugin(cluster, &[&["history", "-o", "json"], more].concat()).expect(0).stdout;
    let document: Value = serde_json::from_str(&printed).expect("JSON");
    let [first, second] = [0, 1].map(|revision| &document["revisions"][revision]);
    assert_eq!((&first["version"], &first["appVersion"]), (&json!("1.0.0"), &json!("7")));
    assert_eq!((&second["version"], &second["back"]), (&json!("2.0.1"), &json!("runs now")));
    (first["isOpen"] == true, first["back"].as_str().expect("text").to_owned())
}

#[test]
fn a_revision_without_hooks_is_open_when_nothing_would_stay() {
    let cluster = lease();
    let unknown = plugin(&cluster, &["history"]).expect(2).stderr;
    assert!(unknown.contains("error FL032: Helm has recorded nothing of release history in namespace default"), "{unknown}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    upgrade(&cluster, folder.path(), "1.0.0");
    upgrade(&cluster, folder.path(), "2.0.1");
    assert_eq!(back(&cluster, &[]), (true, "yes".to_owned()));
    // The proposal's own: no client can follow.
    let matrix = root().join("examples/mojaloop/matrix.yaml").display().to_string();
    let why = "no: 1.0.0 and 2.0.1 serve no common version of API";
    assert_eq!(back(&cluster, &["--matrix", &matrix]), (false, why.to_owned()));

    cluster.create(std::iter::once(subscription("default", "s", "order.created")));
    let apply = ["apply", "--release", "history", "--ledger-namespace", "default", "--helm-revision", "2"];
    run(&mut cluster.job("trigger-replicator", &apply), "").expect(0);
    let why = "no: it has no rollback hooks, so the changes of run 1 would stay";
    assert_eq!(back(&cluster, &[]), (false, why.to_owned()));
    plugin(&cluster, &["rollback", "--last"]).expect(0);
    assert_eq!(back(&cluster, &[]), (true, "yes".to_owned()));

    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "owner=helm,name=history"]).expect(0);
    cluster.kubectl(&["delete", "secrets", "-n", "default", "-l", "fairlead.dev/release=history"]).expect(0);
}
