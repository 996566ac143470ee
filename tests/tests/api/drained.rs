//! What a purge believes of a drain, and what becomes of the intake after a purge.

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, becomes, job, run};
use serde_json::{Value, json};
use tempfile::NamedTempFile;

const DEFINITION: &str = "tokens.drained.example.com";

/// A Deployment that takes messages, a queue that is empty, and a kind to purge with an object of it.
struct Scene {
    cluster: Lease,
    configuration: NamedTempFile,
}

impl Scene {
    fn new() -> Self {
        let cluster = lease();
        cluster.kubectl(&["delete", "deployments,leases.coordination.k8s.io", "--all", "-n", "default"]).expect(0);
        let labels = json!({"app": "intake"});
        let container = json!([{"name": "main", "image": "example.com/intake"}]);
        cluster.apply(&json!([
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "intake"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": container}}}},
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"namespace": "default", "name": "queue"},
                "spec": {"leaseTransitions": 0}},
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": DEFINITION},
                "spec": {"group": "drained.example.com", "scope": "Namespaced", "names": {"kind": "Token", "plural": "tokens", "singular": "token"},
                    "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}},
        ]));
        assert!(becomes(|| cluster.kubectl(&["get", DEFINITION, "-A"]).status == Some(0)), "the kind is not served");
        cluster.apply(
            &json!({"apiVersion": "drained.example.com/v1", "kind": "Token", "metadata": {"namespace": "default", "name": "one"}}),
        );
        let scene = Self { cluster, configuration: NamedTempFile::new().expect("a temporary file") };
        let queue = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "queue",
            "until": {"field": {"pointer": "/spec/leaseTransitions", "is": 0}}});
        scene.drains(&json!([{"name": "orders", "kubernetes": queue}]));
        scene
    }

    fn drains(&self, sources: &Value) {
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration",
            "drain": {"sources": sources, "intake": [{"scale": {"namespace": "default", "name": "intake"}}]},
            "purge": {"kinds": [{"group": "drained.example.com", "kind": "Token"}], "owned": "named"}});
        std::fs::write(&self.configuration, document.to_string()).expect("written");
    }

    fn run(&self, name: &str, args: &[&str]) -> Ended {
        let mut command = job(name);
        command.args(args).args(["--kubeconfig", self.cluster.kubeconfig(), "--ledger-namespace", "default"]);
        run(command.arg("--config").arg(self.configuration.path()), "")
    }

    fn drain(&self) {
        self.run("drain-waiter", &["apply", "--grace-period", "1s", "--interval", "100ms"]).expect(0);
    }

    /// What speaks against a purge that requires the drain.
    fn refusals(&self) -> String {
        self.run("legacy-purger", &["plan", "-o", "json", "--require-step", "drain-waiter"]).expect(0).json()["refusals"]
            .to_string()
    }

    fn replicas(&self) -> Value {
        self.cluster.get("deployment", "default", "intake")["spec"]["replicas"].clone()
    }
}

#[test]
fn a_purge_believes_a_drain_only_while_its_intake_is_closed() {
    let scene = Scene::new();
    scene.drain();
    assert_eq!(scene.refusals(), "[]");
    scene.cluster.kubectl(&["scale", "deployment/intake", "--replicas=3", "-n", "default"]).expect(0);
    let open = "does not hold any more: Deployment default/intake: spec.replicas is 3, and was 0";
    assert!(scene.refusals().contains(open), "{}", scene.refusals());
    let refused = scene.run("legacy-purger", &["apply", "--require-step", "drain-waiter"]).expect(4);
    // By hand nobody knows which steps belong together: it is told, and not opened.
    assert!(refused.output().contains("Run 1 (drain-waiter) still holds what it has closed."), "{}", refused.output());
    scene.cluster.kubectl(&["get", "tokens", "one", "-n", "default"]).expect(0);
    let certificate = scene.run("drain-waiter", &["certificate"]).expect(0).json();
    assert_eq!(certificate["openAgain"], json!(["Deployment default/intake: spec.replicas is 3, and was 0"]));
}

/// The second run finds the intake closed by the first one, which is then taken back.
#[test]
fn the_proof_of_a_second_drain_does_not_outlive_the_hold_of_the_first() {
    let scene = Scene::new();
    scene.drain();
    scene.drain();
    assert_eq!(scene.refusals(), "[]");
    scene.run("drain-waiter", &["rollback", "--last"]).expect(0);
    assert_eq!(scene.replicas(), 2);
    assert!(scene.refusals().contains("spec.replicas is 2, and was 0"), "{}", scene.refusals());
}

#[test]
fn a_drain_that_has_proven_nothing_is_not_enough() {
    let scene = Scene::new();
    scene.drains(&json!([]));
    scene.drain();
    assert!(scene.refusals().contains("has proven nothing: only time has passed"), "{}", scene.refusals());
}

#[test]
fn what_a_drain_has_proven_is_kept_for_the_purge_however_few_tickets_are() {
    let scene = Scene::new();
    scene.run("drain-waiter", &["apply", "--grace-period", "1s", "--interval", "100ms", "--history-max", "0"]).expect(0);
    assert_eq!(scene.refusals(), "[]");
}

/// The next upgrade has nothing to drain: the intake that the killed one has closed would stay closed for ever.
#[test]
fn a_drain_that_was_killed_is_not_passed_over_where_there_is_nothing_to_drain_any_more() {
    let scene = Scene::new();
    scene.drain();
    let killed =
        ["label", "secret", "-n", "default", "fairlead.v1.fairlead.1", "fairlead.dev/phase=Verifying", "--overwrite"];
    scene.cluster.kubectl(&killed).expect(0);
    let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration",
        "purge": {"kinds": [{"group": "drained.example.com", "kind": "Token"}], "owned": "named"}});
    std::fs::write(&scene.configuration, document.to_string()).expect("written");
    let refused = scene.run("drain-waiter", &["apply"]).expect(4).output();
    assert!(refused.contains("error FL035: run 1 (drain-waiter) is in phase Verifying, and there is nothing"), "{refused}");
    let unheld = scene.run("drain-waiter", &["unhold"]).expect(4).output();
    assert!(unheld.contains("run 1 (drain-waiter) is in phase Verifying, and may hold what it has closed"), "{unheld}");
    assert_eq!(scene.replicas(), 0);
    scene.run("drain-waiter", &["rollback", "--to", "0"]).expect(0);
    assert_eq!(scene.replicas(), 2);
    scene.run("drain-waiter", &["apply"]).expect(0);
}

#[test]
fn what_somebody_has_written_to_a_held_workload_is_told_as_it_is() {
    let scene = Scene::new();
    scene.drain();
    scene.cluster.kubectl(&["scale", "deployment/intake", "--replicas=3", "-n", "default"]).expect(0);
    let said = scene.run("drain-waiter", &["unhold"]).expect(0).stdout;
    // The API server keeps no time of what was written through the scale.
    assert_eq!(said, "Deployment default/intake is not held any more: kubectl (scale) has written spec.replicas 3.\n");
}

/// What took messages for a bus that is gone would take them for nobody.
#[test]
fn an_unchanged_intake_stays_closed_after_a_purge_and_the_way_back_opens_it() {
    let scene = Scene::new();
    scene.drain();
    scene.run("legacy-purger", &["apply", "--require-step", "drain-waiter"]).expect(0);
    let held = scene.run("drain-waiter", &["unhold"]).expect(0).stdout;
    assert!(held.starts_with("Deployment default/intake stays held: "), "{held}");
    assert!(held.contains("kubectl -n default scale deployment intake --replicas=2"), "{held}");
    assert_eq!(scene.replicas(), 0);
    scene.run("legacy-purger", &["rollback", "--to", "0"]).expect(0);
    assert_eq!(scene.replicas(), 2);
    scene.cluster.kubectl(&["get", "tokens", "one", "-n", "default"]).expect(0);
}
