//! Objects that were deleted are put back, compared with `kubectl apply` of the same.

use std::path::Path;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::tool;
use serde_json::{Value, json};

use crate::client::{self, Post};
use crate::objects::LEDGER;
use crate::process::{Job, Ran, measure as run};
use crate::say;
use crate::table::{Row, float, mebibytes, thousands};

const NAMESPACE_SIZE: usize = 100;

/// What the API server takes on two cores.
const CONCURRENCY: usize = 32;

/// Deletes `count` objects by a run, and puts them back, once by its rollback and once by kubectl.
pub(crate) fn measure(step: &Path, count: usize) -> Vec<Row> {
    let (cluster, job) = (Cluster::control_plane(), Job::new(step));
    let namespaces: Vec<String> = (0..count.div_ceil(NAMESPACE_SIZE)).map(|index| format!("team-{index}")).collect();
    let all = namespaces.iter().map(String::as_str).chain([LEDGER]);
    let made = all.map(|name| Post::new("/api/v1/namespaces".to_owned(), &json!({"metadata": {"name": name}})));
    client::post(&cluster, made, CONCURRENCY);
    let objects: Vec<Value> = (0..count).map(object).collect();
    client::post(&cluster, objects.iter().map(|object| Post::new(path(namespace(object)), object)), CONCURRENCY);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let (changes, manifests) = (folder.path().join("changes.json"), folder.path().join("manifests.json"));
    let target = |object: &Value| json!({"target": {"apiVersion": "v1", "kind": "ConfigMap", "namespace": namespace(object), "name": object["metadata"]["name"]}});
    let stage = json!([{"name": "purge", "kind": "contract", "undoAt": "pre-rollback", "concurrency": CONCURRENCY,
        "wanted": objects.iter().map(target).collect::<Vec<Value>>()}]);
    std::fs::write(&changes, stage.to_string()).expect("written");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    std::fs::write(&manifests, list.to_string()).expect("written");

    let common = ["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", LEDGER, "--run-timeout", "1h"];
    let deleted = run(job.command("apply").args(common).arg("--changes").arg(&changes));
    say(&format!("{count} deleted in {:.1} s", deleted.elapsed.as_secs_f64()));
    let restored = run(job.command("rollback").args(common).arg("--last"));
    say(&format!("{count} put back in {:.1} s", restored.elapsed.as_secs_f64()));
    let applied = [&[][..], &["--server-side"]].map(|more| {
        client::delete_collections(&cluster, namespaces.iter().map(|namespace| path(namespace)));
        let took = apply(&cluster, &manifests, more);
        say(&format!("{count} applied by kubectl {more:?} in {:.1} s", took.as_secs_f64()));
        took
    });
    let rate = |took: Duration| {
        format!("{} per second ({:.1} s)", thousands(float(count) / took.as_secs_f64()), took.as_secs_f64())
    };
    let peak = |ran: &Ran| mebibytes(float(ran.peak));
    [
        ("ConfigMaps deleted by a run, each with its snapshot", rate(deleted.elapsed)),
        ("its `rollback`: put back, with the owners of their fields", rate(restored.elapsed)),
        ("`kubectl apply` of the same manifests", rate(applied[0])),
        ("`kubectl apply --server-side` of the same manifests", rate(applied[1])),
        ("`rollback`: peak memory", peak(&restored)),
    ]
    .map(|(what, figure)| Row::new(what, count, figure))
    .into()
}

fn apply(cluster: &Cluster, manifests: &Path, more: &[&str]) -> Duration {
    let started = Instant::now();
    let mut kubectl = tool("kubectl");
    kubectl.args(["--kubeconfig", cluster.kubeconfig(), "apply", "-f"]).arg(manifests).args(more);
    let output = kubectl.output().expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
}

fn object(number: usize) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"namespace": format!("team-{}", number / NAMESPACE_SIZE), "name": format!("settings-{number}"),
            "labels": {"app": format!("service-{}", number % 7)}},
        "data": {"url": format!("http://service-{number}.svc.cluster.local:8080/"), "retries": format!("{}", number % 5)}})
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

fn path(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps")
}
