//! Objects are purged with their kind and put back, compared with `kubectl delete` and `kubectl apply` of the same.

use std::path::Path;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{root, tool};
use serde_json::{Value, json};

use crate::client::{self, Post};
use crate::objects::LEDGER;
use crate::process::{Job, Ran, measure as run};
use crate::say;
use crate::table::{Row, float, mebibytes, thousands};

const NAMESPACE_SIZE: usize = 100;

/// What the API server takes on two cores.
const CONCURRENCY: usize = 32;

const KIND: &str = "eventactivations.applicationconnector.kyma-project.io";

/// With more only memory is looked at.
const MOST_COMPARED: usize = 10_000;

/// `kubectl delete` sends five requests per second, which is client-go's default: more would take it half an hour.
const MOST_DELETED_BY_KUBECTL: usize = 1_000;

/// Purges as many objects as each of `counts` says, and puts them back, once by the purge's rollback and once by kubectl.
pub(crate) fn measure(job: &Path, counts: &[usize]) -> Vec<Row> {
    counts.iter().flat_map(|count| round(job, *count)).collect()
}

fn round(job: &Path, count: usize) -> Vec<Row> {
    let (cluster, job) = (Cluster::control_plane(), Job::new(job));
    let namespaces: Vec<String> = (0..count.div_ceil(NAMESPACE_SIZE)).map(|index| format!("team-{index}")).collect();
    let all = namespaces.iter().map(String::as_str).chain([LEDGER]);
    let made = all.map(|name| Post::new("/api/v1/namespaces".to_owned(), &json!({"metadata": {"name": name}})));
    client::post(&cluster, made, CONCURRENCY);
    let posts = (0..count).map(object).map(|object| Post::new(path(namespace(&object)), &object));
    client::post(&cluster, posts, CONCURRENCY);

    let common = ["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", LEDGER, "--run-timeout", "1h"];
    let purged = run(job.command("apply").args(common));
    say(&format!("{count} purged in {:.1} s", purged.elapsed.as_secs_f64()));
    let rate = |took: Duration| {
        format!("{} per second ({:.1} s)", thousands(float(count) / took.as_secs_f64()), took.as_secs_f64())
    };
    let peak = |ran: &Ran| mebibytes(float(ran.peak));
    let row = |what: &str, figure: String| Row::new(what, count, figure);
    let memory = row("purge: peak memory", peak(&purged));
    if count > MOST_COMPARED {
        return vec![memory];
    }
    let restored = run(job.command("rollback").args(common).arg("--last"));
    say(&format!("{count} put back in {:.1} s", restored.elapsed.as_secs_f64()));
    let deleted = (count <= MOST_DELETED_BY_KUBECTL).then(|| {
        let took = kubectl(&cluster, &["delete", KIND, "--all", "--all-namespaces"]);
        say(&format!("{count} deleted by kubectl in {:.1} s", took.as_secs_f64()));
        row("`kubectl delete --all` of the same, which waits for each", rate(took))
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let manifests = folder.path().join("manifests.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": (0..count).map(object).collect::<Vec<Value>>()});
    std::fs::write(&manifests, list.to_string()).expect("written");
    let manifests = manifests.to_str().expect("a temporary path is UTF-8");
    let applied = [&[][..], &["--server-side"]].map(|more| {
        client::delete_collections(&cluster, namespaces.iter().map(|namespace| path(namespace)));
        let took = kubectl(&cluster, &[&["apply", "-f", manifests], more].concat());
        say(&format!("{count} applied by kubectl {more:?} in {:.1} s", took.as_secs_f64()));
        took
    });
    let mut rows = vec![row("purge: EventActivations, each with its snapshot, then their kind", rate(purged.elapsed))];
    rows.extend(deleted);
    rows.extend([
        row("its `rollback`: all back, with the owners of their fields", rate(restored.elapsed)),
        row("`kubectl apply` of the same manifests", rate(applied[0])),
        row("`kubectl apply --server-side` of the same manifests", rate(applied[1])),
        memory,
        row("its `rollback`: peak memory", peak(&restored)),
    ]);
    rows
}

fn kubectl(cluster: &Cluster, args: &[&str]) -> Duration {
    let started = Instant::now();
    let mut kubectl = tool("kubectl");
    let output = kubectl.args(["--kubeconfig", cluster.kubeconfig()]).args(args).current_dir(root()).output();
    let output = output.expect("kubectl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    started.elapsed()
}

fn object(number: usize) -> Value {
    json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "EventActivation",
        "metadata": {"namespace": format!("team-{}", number / NAMESPACE_SIZE), "name": format!("service-{number}"),
            "labels": {"app": format!("service-{}", number % 7)}},
        "spec": {"sourceId": format!("application-{}", number % 11), "displayName": format!("Events of service {number}")}})
}

fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

fn path(namespace: &str) -> String {
    format!("/apis/applicationconnector.kyma-project.io/v1alpha1/namespaces/{namespace}/eventactivations")
}
