//! What a drain needs real controllers for: pods that end when their workload is held, and a Service that leads elsewhere.

use fairlead_tests::cluster::node;
use fairlead_tests::program::{becomes, job, run};
use serde_json::{Value, json};

const NAMESPACE: &str = "draining";

#[test]
fn the_intake_is_closed_when_its_last_pod_has_ended_and_a_service_leads_to_the_new_side_until_it_is_taken_back() {
    let cluster = node();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    let workload = |name: &str| {
        let labels = json!({"app": name});
        let containers = json!([{"name": "it", "image": "docker.io/fairlead/pause:built"}]);
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": NAMESPACE, "name": name},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}}})
    };
    cluster.apply(&json!([workload("intake"), workload("old"), workload("new"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": NAMESPACE, "name": "front"},
            "spec": {"selector": {"app": "old"}, "ports": [{"port": 80}]}}]));
    for name in ["intake", "old", "new"] {
        let deployment = format!("deployment/{name}");
        cluster.kubectl(&["rollout", "status", "-n", NAMESPACE, &deployment, "--timeout=10m"]).expect(0);
    }
    let pods = |name: &str| {
        let label = format!("app={name}");
        let list = cluster.kubectl(&["get", "pods", "-n", NAMESPACE, "-l", &label, "-o", "json"]).expect(0).json();
        list["items"].as_array().map_or(0, Vec::len)
    };
    // The pods that the Service leads to, by the beginning of their names.
    let leads_to = |name: &str| {
        let label = "kubernetes.io/service-name=front";
        let slices =
            cluster.kubectl(&["get", "endpointslices", "-n", NAMESPACE, "-l", label, "-o", "json"]).expect(0).json();
        let endpoints = slices["items"].as_array().into_iter().flatten().filter_map(|slice| slice["endpoints"].as_array());
        let names: Vec<&str> = endpoints.flatten().filter_map(|endpoint| endpoint["targetRef"]["name"].as_str()).collect();
        names.len() == 2 && names.iter().all(|pod| pod.starts_with(&format!("{name}-")))
    };
    assert!(becomes(|| leads_to("old")));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("fairlead.json");
    let source = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": NAMESPACE, "name": "new",
        "until": {"condition": "Available"}});
    let drain = json!({"sources": [{"name": "the new side", "kubernetes": source}], "intake": [
        {"redirect": {"namespace": NAMESPACE, "name": "front", "selector": {"app": "new"}}},
        {"scale": {"namespace": NAMESPACE, "name": "intake"}},
    ]});
    let configuration = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
    std::fs::write(&file, configuration.to_string()).expect("written");
    let run = |args: &[&str]| {
        let mut command = job("drain-waiter");
        command.args(args).args(["--grace-period", "1s", "--interval", "500ms"]);
        command.args(["--kubeconfig", cluster.kubeconfig(), "--ledger-namespace", NAMESPACE, "--config"]);
        run(command.arg(&file), "")
    };
    let applied = run(&["apply"]).expect(0);
    // The old pods would end without waiting for their connections.
    assert!(applied.stdout.contains("DW205"), "{}", applied.stdout);
    assert_eq!((pods("intake"), pods("old")), (0, 2));
    assert!(becomes(|| leads_to("new")));
    let certificate = run(&["certificate"]).expect(0).json();
    assert_eq!(certificate["evidence"]["sources"][0]["end"]["seen"], json!({"replicas": 0, "pods": 0}));
    run(&["rollback", "--last"]).expect(0);
    assert!(becomes(|| leads_to("old") && pods("intake") == 2));
    assert_ne!(cluster.get("deployment", NAMESPACE, "intake")["spec"]["replicas"], Value::Null);
    cluster.kubectl(&["delete", "namespace", NAMESPACE, "--wait=false"]).expect(0);
}
