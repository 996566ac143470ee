//! Whose revision a run is of: after a restore of the namespace, after an installation anew, and where two releases share a ledger.

use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{Ended, becomes, run, tool};
use serde_json::Value;

use crate::fixtures::{apply, subscription};

/// A chart with nothing in it that the tests look at.
fn chart() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(folder.path().join("templates")).expect("a folder");
    std::fs::write(folder.path().join("Chart.yaml"), "apiVersion: v2\nname: it\nversion: 1.0.0\n").expect("written");
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: \"{{ .Release.Name }}-it\"}\n";
    std::fs::write(folder.path().join("templates/it.yaml"), template).expect("written");
    folder
}

fn helm(cluster: &Cluster, chart: &Path, args: &[&str]) {
    let mut helm: Command = tool("helm4");
    helm.args(args).args(["-n", "default", "--kubeconfig", cluster.kubeconfig()]);
    if args[0] != "uninstall" {
        helm.arg(chart);
    }
    run(&mut helm, "").expect(0);
}

fn back(cluster: &Cluster, release: &str) -> Ended {
    let args = ["rollback", "--to-revision", "1", "--dry-run", "--ledger-namespace", "default", "--helm-release", release];
    run(&mut cluster.job("trigger-replicator", &args), "").expect(0)
}

/// Seconds.
fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs()
}

/// Secrets of the ledger and of Helm, as a backup has them.
fn backup(cluster: &Cluster) -> Vec<Value> {
    let list = cluster.kubectl(&["get", "secrets", "-n", "default", "-o", "json"]).expect(0).json();
    let mut secrets: Vec<Value> = list["items"].as_array().expect("a list").clone();
    for secret in &mut secrets {
        let metadata = secret["metadata"].as_object_mut().expect("an object");
        metadata.retain(|field, _| ["name", "namespace", "labels", "annotations"].contains(&field.as_str()));
    }
    secrets
}

#[test]
fn a_run_is_of_the_same_installation_after_its_namespace_was_restored() {
    let (cluster, chart) = (lease(), chart());
    helm(&cluster, chart.path(), &["install", "shop"]);
    helm(&cluster, chart.path(), &["upgrade", "shop"]);
    cluster.apply(&subscription("default", "one", "order.one"));
    apply(&cluster, &["--helm-release", "shop", "--helm-revision", "2"]).expect(0);
    let took = back(&cluster, "shop").stdout;
    assert!(took.contains("delete Trigger default/"), "{took}");
    let secrets = backup(&cluster);
    cluster.kubectl(&["delete", "secrets", "--all", "-n", "default"]).expect(0);
    for secret in &secrets {
        // In the order of their names: that of the ticket comes before those of Helm's. Times are in seconds.
        cluster.apply(secret);
        let second = now();
        assert!(becomes(|| now() > second), "time stands still");
    }
    assert_eq!(back(&cluster, "shop").stdout, took);
    // Evidence does not become younger either.
    let now = backup(&cluster);
    let began = |secrets: &[Value]| secrets[0]["metadata"]["annotations"]["fairlead.dev/began"].clone();
    assert!(began(&now).is_string() && began(&now) == began(&secrets), "{now:?}");
}

#[test]
fn a_run_of_an_earlier_installation_or_of_another_release_stays() {
    let (cluster, chart) = (lease(), chart());
    helm(&cluster, chart.path(), &["install", "shop"]);
    helm(&cluster, chart.path(), &["install", "other"]);
    cluster.apply(&subscription("default", "one", "order.one"));
    apply(&cluster, &["--helm-release", "shop", "--helm-revision", "2"]).expect(0);
    let nothing = "Nothing to take back.";
    assert!(!back(&cluster, "shop").stdout.contains(nothing));
    assert!(back(&cluster, "other").stdout.contains(nothing), "it is shop's");
    helm(&cluster, chart.path(), &["uninstall", "shop"]);
    helm(&cluster, chart.path(), &["install", "shop"]);
    assert!(back(&cluster, "shop").stdout.contains(nothing), "it is of the installation before");
    let mut status: Command =
        cluster.job("trigger-replicator", &["status", "--helm-release", "shop", "--ledger-namespace", "default"]);
    let status = run(&mut status, "").expect(0).stdout;
    assert!(status.contains("in force, of an earlier installation or another release"), "{status}");
    // Whoever exports, and imports, to be safe makes the Secrets younger than the installation.
    let secrets = backup(&cluster);
    let ours = secrets.iter().filter(|secret| secret["metadata"]["labels"]["fairlead.dev/release"] == "fairlead");
    cluster.kubectl(&["delete", "secrets", "-l", "fairlead.dev/release", "-n", "default"]).expect(0);
    ours.for_each(|secret| cluster.apply(secret));
    assert!(back(&cluster, "shop").stdout.contains(nothing), "it is of the installation before");
    cluster.kubectl(&["delete", "secrets", "-l", "owner=helm", "-n", "default"]).expect(0);
    cluster.kubectl(&["delete", "configmap", "shop-it", "other-it", "-n", "default"]).expect(0);
}
