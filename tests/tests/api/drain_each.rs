//! `drain-waiter` redirects a Service for each object of a kind, and has Helm leave it there.

use std::path::Path;
use std::process::Command;

use fairlead_tests::cluster::{Cluster, Lease, lease};
use fairlead_tests::program::{Ended, becomes, job, run, tool};
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A cluster with a pod of a new side that is ready.
struct Scene {
    cluster: Lease,
    folder: TempDir,
}

fn at(name: &str) -> Value {
    json!({"namespace": "default", "name": name})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": at(name),
        "spec": {"selector": {"app": "old"}, "ports": [{"port": 80}]}})
}

impl Scene {
    fn new() -> Self {
        let cluster = lease();
        cluster.kubectl(&["delete", "deployments,services,pods", "--all", "-n", "default", "--force"]).expect(0);
        cluster.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": at("default")}));
        let scene = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder") };
        scene.has_pod("new");
        scene
    }

    fn has_pod(&self, app: &str) {
        let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "it", "image": "none"}]});
        let mut metadata = at(app);
        metadata["labels"] = json!({"app": app});
        self.cluster.apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}));
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
        let patch = ["patch", "pod", app, "-n", "default", "--subresource=status", "--type=merge", "-p", &ready];
        self.cluster.kubectl(&patch).expect(0);
    }

    fn run(&self, args: &[&str], intake: &Value) -> Ended {
        run(&mut self.command(args, intake), "")
    }

    fn command(&self, args: &[&str], intake: &Value) -> Command {
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": {"intake": intake}});
        let file = self.folder.path().join("fairlead.json");
        std::fs::write(&file, document.to_string()).expect("written");
        let mut command = job("drain-waiter");
        let grace: &[&str] = if args.contains(&"--grace-period") { &[] } else { &["--grace-period", "0s"] };
        command.args(args).args(grace).args(["--interval", "100ms", "--config"]).arg(file);
        if !args.contains(&"--from") {
            command.args(["--ledger-namespace", "default", "--kubeconfig", self.cluster.kubeconfig()]);
        }
        command
    }

    /// Where the Service leads, and what Helm is told of it.
    fn front(&self) -> (Value, Value) {
        let front = self.cluster.get("service", "default", "front");
        let policy = &front["metadata"]["annotations"]["helm.sh/resource-policy"];
        (front["spec"]["selector"]["app"].clone(), policy.clone())
    }
}

fn of_application(entry: &Value) -> Value {
    let mut each = json!({"each": {"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "Application"}});
    each.as_object_mut().expect("a map").extend(entry.as_object().cloned().expect("a map"));
    each
}

#[test]
fn an_entry_stands_for_each_object_of_a_kind() {
    let scene = Scene::new();
    let redirect = |may_be_absent: bool| {
        json!({"redirect": {"namespace": "default", "name": "{each}-events", "selector": {"app": "new-{each}"},
            "mayBeAbsent": may_be_absent, "event": {"url": "http://{each}-events.default", "within": "1s"}}})
    };
    let scale = json!({"scale": {"namespace": "default", "name": "{each}-publisher", "mayBeAbsent": true}});
    let intake = json!([of_application(&redirect(true)), of_application(&scale)]);
    let none = scene.run(&["plan"], &intake).expect(0).stdout;
    assert!(
        none.contains("DW215 Source drain: there is no Application, so `each` of Service stands for no object"),
        "{none}"
    );
    let unserved = json!({"each": {"apiVersion": "example.com/v1", "kind": "Shop"}, "scale": {"namespace": "default", "name": "{each}"}});
    let unserved = scene.run(&["plan"], &json!([unserved])).expect(0).stdout;
    let said = "DW215 Source drain: no kind Shop is served in example.com/v1, so `each` of Deployment stands for no object";
    assert!(unserved.contains(said), "{unserved}");

    let application = |name: &str| json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {}});
    let objects = [application("mail"), application("shop"), service("shop-events")];
    scene.cluster.apply(&json!(objects));
    scene.has_pod("new-shop");
    let plan = scene.run(&["plan"], &intake).expect(0).stdout;
    for said in ["http://shop-events.default", "Service default/shop-events", "1 to update"] {
        assert!(plan.contains(said), "{said}\n{plan}");
    }
    // Nobody sends an event through a Service that is not there.
    assert!(!plan.contains("http://mail-events") && !plan.contains("DW215"), "{plan}");
    let missing = scene.run(&["plan"], &json!([of_application(&redirect(false))])).expect(0).stdout;
    assert!(missing.contains("DW105 Service default/mail-events: it does not exist"), "{missing}");
    let manifests = scene.folder.path().join("manifests.json");
    std::fs::write(&manifests, json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string()).expect("written");
    let from_files = scene.run(&["plan", "--from", manifests.to_str().expect("UTF-8")], &intake).expect(0).stdout;
    assert!(from_files.contains("Service default/shop-events") && from_files.contains("1 to update"), "{from_files}");

    let twice = json!([of_application(&redirect(true)), {"redirect": {"namespace": "default", "name": "shop-events", "selector": {"app": "x"}}}]);
    for command in ["plan", "apply"] {
        let refused = scene.run(&[command], &twice).expect(2).stderr;
        assert!(refused.contains("drain.intake: Service default/shop-events stands twice"), "{refused}");
    }
    let mut quiet = redirect(true);
    quiet["redirect"].as_object_mut().expect("a map").remove("event");
    scene.run(&["apply"], &json!([of_application(&quiet), of_application(&scale)])).expect(0);
    assert_eq!(scene.cluster.get("service", "default", "shop-events")["spec"]["selector"], json!({"app": "new-shop"}));
    scene.cluster.kubectl(&["delete", "applications.applicationconnector.kyma-project.io", "mail", "shop"]).expect(0);
}

fn helm(name: &str, cluster: &Cluster, chart: &Path, args: &[&str]) -> Ended {
    let mut helm = tool(name);
    helm.args(args).args(["-n", "default", "--kubeconfig", cluster.kubeconfig()]);
    if ["install", "upgrade"].contains(&args[0]) {
        helm.arg(chart);
    }
    run(&mut helm, "")
}

/// A release that drops the Service, and one that has it again.
fn is_kept(name: &str) {
    let scene = Scene::new();
    let chart = tempfile::tempdir().expect("a temporary folder");
    std::fs::create_dir(chart.path().join("templates")).expect("a folder");
    std::fs::write(chart.path().join("Chart.yaml"), "apiVersion: v2\nname: it\nversion: 1.0.0\n").expect("written");
    let template = "{{ if .Values.front }}\napiVersion: v1\nkind: Service\nmetadata: {name: front}\n\
                    spec: {selector: {app: {{ .Values.app }}}, ports: [{port: 80}]}\n{{ end }}\n";
    std::fs::write(chart.path().join("templates/front.yaml"), template).expect("written");
    std::fs::write(chart.path().join("values.yaml"), "front: true\napp: old\n").expect("written");
    let helm = |args: &[&str]| helm(name, &scene.cluster, chart.path(), args);
    let mut redirect =
        json!([{"redirect": {"namespace": "default", "name": "front", "selector": {"app": "new"}, "keep": true}}]);
    let is_there = || scene.cluster.kubectl(&["get", "service", "front", "-n", "default"]).status == Some(0);
    let [old, kept] = [(json!("old"), Value::Null), (json!("new"), json!("keep"))];

    helm(&["install", "shop"]).expect(0);
    scene.run(&["apply"], &redirect).expect(0);
    assert_eq!(scene.front(), kept);
    helm(&["upgrade", "shop", "--set", "front=false"]).expect(0);
    assert_eq!(scene.front(), kept);
    // Helm 3 does not know an object that its last revision does not name; the second time it does.
    if name == "helm3" {
        let stumbles = helm(&["rollback", "shop", "1"]).expect(1);
        assert!(stumbles.stderr.contains("no Service with the name \"front\" found"), "{}", stumbles.stderr);
    }
    helm(&["rollback", "shop", "1"]).expect(0);
    scene.run(&["rollback", "--last"], &redirect).expect(0);
    assert_eq!(scene.front(), old);
    // Now it is the release's again.
    helm(&["upgrade", "shop", "--set", "front=false"]).expect(0);
    assert!(!is_there(), "{:?}", scene.front());

    helm(&["upgrade", "shop", "--set", "front=true"]).expect(0);
    scene.run(&["apply"], &redirect).expect(0);
    for front in ["front=false", "front=true,app=new", "front=true,app=new", "front=false"] {
        helm(&["upgrade", "shop", "--set", front]).expect(0);
        assert_eq!(scene.front(), kept, "{front}");
    }
    helm(&["uninstall", "shop"]).expect(0);
    assert_eq!(scene.front(), kept, "the release does not name it");
    // Helm looks at the manifest when it uninstalls.
    helm(&["install", "shop", "--set", "app=new"]).expect(0);
    assert_eq!(scene.front(), kept);
    helm(&["uninstall", "shop"]).expect(0);
    assert!(!is_there(), "{:?}", scene.front());

    redirect[0]["redirect"]["keep"] = false.into();
    scene.cluster.apply(&service("front"));
    scene.run(&["apply"], &redirect).expect(0);
    assert_eq!(scene.front(), (json!("new"), Value::Null));
}

#[test]
fn helm_3_leaves_a_service_that_is_kept() {
    is_kept("helm3");
}

#[test]
fn helm_4_leaves_a_service_that_is_kept() {
    is_kept("helm4");
}

#[test]
fn an_object_that_is_made_while_the_job_waits_is_no_part_of_the_proof() {
    let scene = Scene::new();
    let application = |name: &str| json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {}});
    scene.cluster.apply(&json!([application("mail"), service("mail-events")]));
    let redirect = json!({"redirect": {"namespace": "default", "name": "{each}-events", "selector": {"app": "new"}, "mayBeAbsent": true}});
    let intake = json!([of_application(&redirect)]);
    let ended = std::thread::scope(|scope| {
        let applying = scope.spawn(|| scene.run(&["apply", "--grace-period", "20s"], &intake));
        let leads = || scene.cluster.get("service", "default", "mail-events")["spec"]["selector"]["app"] == "new";
        assert!(becomes(leads), "it is not redirected");
        scene.cluster.apply(&json!([application("shop"), service("shop-events")]));
        applying.join().expect("it ends")
    });
    let said = "Service default/shop-events is new since the run began, and is open: run again";
    assert!(ended.status == Some(4) && ended.stderr.contains(said), "{ended:?}");
    assert_eq!(scene.cluster.get("service", "default", "mail-events")["spec"]["selector"]["app"], "old");
    scene.cluster.kubectl(&["delete", "applications.applicationconnector.kyma-project.io", "mail", "shop"]).expect(0);
}

/// The plan of the first process knows nothing of it, and nobody has opened it.
#[test]
fn a_run_that_goes_on_says_that_an_object_is_new() {
    let scene = Scene::new();
    let application = |name: &str| json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "Application", "metadata": {"name": name}, "spec": {}});
    scene.cluster.apply(&json!([application("mail"), service("mail-events")]));
    let redirect = json!({"redirect": {"namespace": "default", "name": "{each}-events", "selector": {"app": "new"}, "mayBeAbsent": true}});
    let intake = json!([of_application(&redirect)]);
    let waiting = Watched::start_until(&mut scene.command(&["apply", "--grace-period", "1m"], &intake), "waiting");
    waiting.signal(Signal::TERM);
    assert_eq!(waiting.finish().0, Some(75));
    scene.cluster.apply(&json!([application("shop"), service("shop-events")]));
    let ended = scene.run(&["apply"], &intake).expect(4).stderr;
    let said = "error DW122: Service default/shop-events is new since the run began, and is open: run again, with `drain-waiter apply ";
    assert!(ended.contains(said), "{ended}");
    let leads = |name: &str| scene.cluster.get("service", "default", name)["spec"]["selector"]["app"].clone();
    assert_eq!([leads("mail-events"), leads("shop-events")], ["old", "old"]);
    scene.run(&["apply"], &intake).expect(0);
    assert_eq!([leads("mail-events"), leads("shop-events")], ["new", "new"]);
    scene.cluster.kubectl(&["delete", "applications.applicationconnector.kyma-project.io", "mail", "shop"]).expect(0);
}
