//! `drain-waiter` as the chart runs it for Kyma's legacy bus: the publish service, durables of a real NATS Streaming, the chart's permissions, and
//! what becomes of the intake when a later step fails.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, becomes, run};
use fairlead_tests::servers::nats_streaming::NatsStreaming;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::fixtures::{self, namespace, policy, subscription};

/// A bus in a cluster.
pub(crate) struct Bus {
    pub(crate) cluster: Lease,
    folder: TempDir,
}

impl Bus {
    pub(crate) fn new(sources: &Value) -> Self {
        let cluster = lease();
        cluster.apply(&namespace("kyma-system"));
        cluster.kubectl(&["delete", "deployments", "--all", "-n", "kyma-system"]).expect(0);
        let labels = json!({"app": "publish"});
        cluster.apply(&json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "kyma-system", "name": "event-publish-service"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": "example.com/publish"}]}}}}));
        let bus = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder") };
        let intake = json!([{"scale": {"namespace": "kyma-system", "name": "event-publish-service"}}]);
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": {"sources": sources, "intake": intake}});
        std::fs::write(bus.folder.path().join("fairlead.json"), document.to_string()).expect("written");
        bus
    }

    /// `apply` with exactly the permissions that the chart gives.
    pub(crate) fn apply(&self, more: &[&str]) -> Command {
        let quick = ["apply", "--grace-period", "1s", "--interval", "200ms", "--ledger-namespace", "default"];
        let mut command = self.cluster.job("drain-waiter", &quick);
        command.arg("--config").arg(self.folder.path().join("fairlead.json")).args(more);
        command
    }

    /// Would remove the legacy bus, in a revision of Helm.
    fn purge(&self, more: &[&str]) -> Ended {
        // A step that never runs: the purge is refused.
        let args = ["apply", "--ledger-namespace", "default", "--ready-timeout", "0s", "--require-step", "review"];
        run(&mut self.cluster.job("legacy-purger", &[&args, more].concat()), "")
    }

    pub(crate) fn replicas(&self) -> Value {
        self.cluster.get("deployment", "kyma-system", "event-publish-service")["spec"]["replicas"].clone()
    }
}

pub(crate) fn durables(server: &NatsStreaming, more: &Value) -> Value {
    let mut configuration = json!({"url": server.url()});
    configuration.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
    json!([{"name": "bus", "natsStreaming": configuration}])
}

/// The message is acknowledged while the job waits; it then waits for as long as the broker would take to deliver it again.
#[test]
fn a_durable_is_waited_for_until_its_last_message_is_acknowledged() {
    let server = NatsStreaming::start();
    let mut consumer = server.client("consumer");
    consumer.say("subscribe orders.kyma-system durable - 10 0");
    server.client("publisher").say("publish orders.kyma-system 1");
    let bus = Bus::new(&durables(&server, &json!({})));
    let mut applying = bus.apply(&[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(applying.stderr.take().expect("piped")).lines();
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("bus: 1 left")), "it does not wait");
    assert_eq!(bus.replicas(), 0);
    assert!(becomes(|| consumer.say("received").contains('1')));
    consumer.say("ack 1");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(applying.wait().expect("it ends").code(), Some(0), "{}", rest.join("\n"));
    let args = ["certificate", "--ledger-namespace", "default"];
    let certificate = run(&mut bus.cluster.job("drain-waiter", &args), "").expect(0).json();
    let evidence = &certificate["evidence"];
    assert!(evidence["isProven"] == true && evidence["rules"]["redeliveryMillis"] == 60_000, "{evidence}");
    assert!(evidence["sources"][1]["end"]["server"].as_str().is_some_and(|server| server.contains("0.25")), "{evidence}");
}

#[test]
fn what_nobody_will_take_and_who_goes_on_publishing_is_named_and_the_intake_is_open_again() {
    let server = NatsStreaming::start();
    let mut consumer = server.client("consumer");
    consumer.say("subscribe orders.kyma-system durable - 10 0");
    let mut publisher = server.client("publisher");
    publisher.say("publish orders.kyma-system 3");
    consumer.say("close");
    let bus = Bus::new(&durables(&server, &json!({})));
    // Before anything is closed.
    let refused = run(&mut bus.apply(&[]), "").expect(4);
    assert!(
        refused.stderr.contains("error DW001: DW112 Source bus: ") && refused.stderr.contains("durable"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("as before target=") && bus.replicas() == 2, "{}", refused.stderr);

    // Messages that nobody needs, and a publisher that is no intake of ours.
    drop(bus);
    let accepted = json!({"channels": ["audit"], "acceptUnread": ["audit"]});
    publisher.say("publish audit 1");
    let bus = Bus::new(&durables(&server, &accepted));
    let mut waiting = bus.apply(&["--samples", "500"]);
    let mut applying = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    assert!(becomes(|| bus.replicas() == 0));
    let mut last = Instant::now();
    assert!(becomes(|| {
        // Not in each round: two in a row without a message show that it is not an intake that has just been closed.
        if last.elapsed() >= Duration::from_secs(1) {
            publisher.say("publish audit 1");
            last = Instant::now();
        }
        applying.try_wait().expect("a process of ours").is_some()
    }));
    let ended = applying.wait_with_output().expect("it ends");
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(stderr.contains("error DW113: bus: end position audit moved"), "{stderr}");
    assert_eq!((ended.status.code(), bus.replicas()), (Some(4), json!(2)));
}

#[test]
fn a_wrong_address_is_refused_before_anything_is_closed() {
    let bus = Bus::new(&json!([{"name": "bus", "natsStreaming": {"url": "http://127.0.0.1:1"}}]));
    let refused = run(&mut bus.apply(&[]), "").expect(4);
    assert!(refused.stderr.contains("DW101 Source bus: http://127.0.0.1:1"), "{}", refused.stderr);
    assert_eq!(bus.replicas(), 2);
}

/// The first row of what is undone by whom: a later step of the same upgrade fails.
#[test]
fn a_purge_that_fails_opens_the_intake_again_and_the_drain_counts_no_more() {
    let bus = Bus::new(&json!([]));
    let revision = ["--helm-revision", "2"];
    run(&mut bus.apply(&revision), "").expect(0);
    assert_eq!(bus.replicas(), 0);
    bus.cluster.apply(&json!([namespace("orders"), subscription("orders", "lonely", "order.lonely")]));
    // Of an earlier upgrade: none of its business.
    bus.purge(&["--helm-revision", "1"]).expect(4);
    assert_eq!(bus.replicas(), 0);
    let refused = bus.purge(&revision).expect(4);
    assert!(
        refused.stderr.contains("Deployment kyma-system/event-publish-service has back what was held"),
        "{}",
        refused.stderr
    );
    assert_eq!(bus.replicas(), 2);
    let again = bus.purge(&revision).expect(4);
    assert!(again.stderr.contains("does not hold any more: what it had closed is open again"), "{}", again.stderr);
}

/// Whoever killed the upgrade in which it was closed has left it closed.
#[test]
fn an_intake_that_an_earlier_upgrade_has_left_closed_is_open_when_the_next_one_fails() {
    let bus = Bus::new(&json!([]));
    run(&mut bus.apply(&["--helm-revision", "2"]), "").expect(0);
    assert_eq!(bus.replicas(), 0);
    bus.cluster.apply(&json!([namespace("orders"), subscription("orders", "lonely", "order.lonely")]));
    bus.purge(&["--helm-revision", "3"]).expect(4);
    assert_eq!(bus.replicas(), 2);
}

/// A Job of Kubernetes is told how each run ended, old tickets go, and who refuses a write is named.
#[test]
fn a_write_that_is_refused_is_told_with_who_refuses_it() {
    let bus = Bus::new(&json!([]));
    fixtures::job(&bus.cluster, 0);
    let rule =
        json!({"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["deployments/scale"]});
    policy(&bus.cluster, "deny-scale", &rule, "object.metadata.name != 'event-publish-service'", "it must not be scaled");
    let is_denied = || {
        let scale = ["scale", "deployment/event-publish-service", "-n", "kyma-system", "--replicas=2", "--dry-run=server"];
        bus.cluster.kubectl(&scale).stderr.contains("it must not be scaled")
    };
    assert!(becomes(is_denied), "the policy does not act");
    for _ in 0..2 {
        let failed = run(&mut bus.apply(&["--job", "it", "--history-max", "0"]), "").expect(1);
        assert!(failed.stderr.contains("ValidatingAdmissionPolicy 'deny-scale'"), "{}", failed.stderr);
        assert_eq!(bus.replicas(), 2);
    }
    assert!(fixtures::tickets(&bus.cluster).len() < 2);
}

/// KEDA starts from zero what its trigger asks for.
#[test]
fn a_scaled_object_is_refused_until_it_is_paused() {
    let bus = Bus::new(&json!([]));
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    bus.cluster.apply(&json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "scaledobjects.keda.sh"}, "spec": {"group": "keda.sh", "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": schema}]}}));
    assert!(becomes(|| bus.cluster.kubectl(&["get", "scaledobjects", "-A"]).status == Some(0)), "they are not served");
    let scaler = |annotations: Value| {
        json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"namespace": "kyma-system", "name": "publish", "annotations": annotations},
            "spec": {"scaleTargetRef": {"name": "event-publish-service"}}})
    };
    bus.cluster.apply(&scaler(json!({})));
    let refused = run(&mut bus.apply(&[]), "").expect(4);
    assert!(refused.stderr.contains("DW107 ScaledObject kyma-system/publish"), "{}", refused.stderr);
    // At zero is where KEDA leaves a workload whose queue is empty.
    let scale = |replicas: &str| {
        let replicas = format!("--replicas={replicas}");
        bus.cluster.kubectl(&["scale", "deployment/event-publish-service", "-n", "kyma-system", &replicas]).expect(0);
    };
    scale("0");
    assert!(run(&mut bus.apply(&[]), "").expect(4).stderr.contains("DW107 ScaledObject kyma-system/publish"));
    scale("2");
    bus.cluster.apply(&scaler(json!({"autoscaling.keda.sh/paused-replicas": "0"})));
    run(&mut bus.apply(&[]), "").expect(0);
    assert_eq!(bus.replicas(), 0);
    bus.cluster.kubectl(&["delete", "crd", "scaledobjects.keda.sh"]).expect(0);
}

/// Nothing was removed: the workload starts again, although it is unchanged.
#[test]
fn after_an_upgrade_without_a_purge_the_intake_is_open_again() {
    let bus = Bus::new(&json!([]));
    run(&mut bus.apply(&["--helm-revision", "2"]), "").expect(0);
    assert_eq!(bus.replicas(), 0);
    let args = ["unhold", "--ledger-namespace", "default", "--helm-revision", "2"];
    let ended = run(&mut bus.cluster.job("drain-waiter", &args), "").expect(0);
    assert_eq!(ended.stdout, "Deployment kyma-system/event-publish-service has back what was held: spec.replicas 2.\n");
    assert_eq!(bus.replicas(), 2);
}
