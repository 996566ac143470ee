//! `drain-waiter` with a sentinel: published once the intake is closed, waited for, and kept in the certificate.

use std::path::PathBuf;

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, job, run};
use fairlead_tests::servers::nats::{Nats, NatsClient};
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A workload that takes messages, a stream with one consumer, and a configuration with a sentinel.
struct Scene {
    cluster: Lease,
    folder: TempDir,
    server: Nats,
    client: NatsClient,
}

impl Scene {
    fn new(server: Nats) -> Self {
        let client = server.client();
        client.stream("orders", 1, &Value::Null);
        client.consumer("orders", "worker", &Value::Null);
        let cluster = lease();
        cluster.kubectl(&["delete", "deployments,leases.coordination.k8s.io", "--all", "-n", "default"]).expect(0);
        let labels = json!({"app": "intake"});
        let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}});
        cluster.apply(
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "intake"},
            "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}}),
        );
        Self { cluster, folder: tempfile::tempdir().expect("a temporary folder"), server, client }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fairlead.json")
    }

    fn configure(&self, subject: &str) {
        let stream = json!({"servers": [self.server.url()], "stream": "orders", "consumers": ["worker"],
            "sentinel": {"subjects": [subject]}});
        let other = json!({"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "intake", "until": "stopped"});
        let drain = json!({"sources": [{"name": "orders", "jetStream": stream}, {"name": "pods", "kubernetes": other}],
            "intake": [{"scale": {"namespace": "default", "name": "intake"}}]});
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        std::fs::write(self.file(), document.to_string()).expect("written");
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = job("drain-waiter");
        command.args(args).args(["--grace-period", "1s", "--interval", "200ms", "--ledger-namespace", "default"]);
        command.args(["--kubeconfig", self.cluster.kubeconfig(), "--config"]).arg(self.file());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args), "")
    }

    fn messages(&self) -> Value {
        self.client.api("STREAM.INFO.orders", &Value::Null)["state"]["messages"].clone()
    }

    fn replicas(&self) -> Value {
        self.cluster.get("deployment", "default", "intake")["spec"]["replicas"].clone()
    }
}

#[test]
fn a_sentinel_behind_the_last_message_proves_what_is_only_observed_elsewhere() {
    let scene = Scene::new(Nats::with_jet_stream());
    scene.configure("orders.sentinel");
    scene.run(&["plan"]).expect(0);
    assert!(scene.run(&["check"]).expect(4).stdout.contains("orders: empty"));
    assert_eq!(scene.messages(), 0);

    // The stream was empty, and nobody acknowledges what the job has published.
    let waiting = Watched::start_until(&mut scene.command(&["apply", "--stall", "10m"]), "orders: 1 left");
    assert_eq!((scene.messages(), scene.replicas()), (json!(1), json!(0)));
    waiting.signal(Signal::TERM);
    let (status, said) = waiting.finish();
    assert_eq!(status, Some(75), "{said:?}");
    // Who goes on cannot know what came behind it meanwhile, and publishes another one.
    let mut waiting = Watched::start_until(&mut scene.command(&["apply", "--stall", "10m"]), "orders: 2 left");
    assert_eq!(scene.messages(), 2);
    // A connection that was open before sends a message behind it.
    scene.client.publish("orders.late", 1);
    scene.client.acknowledge(&scene.client.fetch("orders", "worker", 3));
    scene.client.acknowledge(&scene.client.fetch("orders", "worker", 1));
    waiting.until("orders: proven by a sentinel, published at ");
    let (status, said) = waiting.finish();
    assert_eq!(status, Some(0), "{said:?}");

    let certificate = scene.run(&["certificate"]).expect(0);
    let sources = certificate.json()["evidence"]["sources"].clone();
    let sentinel = &sources[1]["sentinel"];
    assert_eq!(sentinel["positions"], json!({"orders.sentinel": 4}));
    assert_eq!(sources[1]["end"]["sentinel"]["published"]["isLast"], true);
    assert!(sentinel["id"].as_str().is_some_and(|id| id.starts_with("default/fairlead.v1.fairlead.")), "{sentinel}");
    assert!(sources[2]["sentinel"].is_null());
    let file = scene.folder.path().join("certificate.json");
    std::fs::write(&file, &certificate.stdout).expect("written");
    let holds = run(job("drain-waiter").args(["certificate", "--verify"]).arg(&file), "").expect(0).stdout;
    assert!(
        holds.contains("orders: proven by a sentinel, published at ")
            && holds.contains(" as orders.sentinel 4, passed by consumer worker at "),
        "{holds}"
    );
    assert!(holds.contains("; only observed: pods"), "{holds}");
}

#[test]
fn a_sentinel_that_cannot_be_published_opens_the_intake_again() {
    // Everything but to publish there.
    let users = "authorization { users: [{user: drain, password: hunter2, permissions: {publish: {deny: [\"orders.>\"]}}}, {user: all, password: all}] }\nno_auth_user: all\n";
    let scene = Scene::new(Nats::start(&format!("jetstream: enabled\n{users}")));
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "default", "name": "nats"}, "stringData": {"password": "hunter2"}});
    scene.cluster.apply(&secret);
    scene.configure("orders.sentinel");
    let mut document: Value = serde_json::from_slice(&std::fs::read(scene.file()).expect("there")).expect("JSON");
    document["drain"]["sources"][0]["jetStream"]["authentication"] =
        json!({"password": {"username": "drain", "password": {"name": "nats", "key": "password"}}});
    std::fs::write(scene.file(), document.to_string()).expect("written");
    let failed = scene.run(&["apply"]).expect(4).stderr;
    assert!(failed.contains("error DW121: orders: the sentinel cannot be published: orders.sentinel: "), "{failed}");
    assert!(failed.contains("Permissions Violation for Publish to"), "{failed}");
    assert_eq!(scene.replicas(), 2);

    // What is known at the start is refused there.
    scene.configure("audit.sentinel");
    let refused = scene.run(&["apply"]).expect(4).stderr;
    assert!(
        refused.contains("DW121 Source orders: stream orders does not take subject audit.sentinel, but orders.>"),
        "{refused}"
    );
    assert_eq!((scene.messages(), scene.replicas()), (json!(0), json!(2)));
}
