//! `drain-waiter` leads a Service to the new side, stops the old one after that, and leads back only when the old one serves again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use fairlead_tests::cluster::{Cluster, Lease, lease};
use fairlead_tests::program::{Ended, becomes, job, run};
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::drain_event::{NEW, OLD, Sides};

/// A Service that leads to a Deployment, and a pod of another one that is ready.
fn set(cluster: &Cluster) {
    let at = |name: &str| json!({"namespace": "default", "name": name});
    let kinds = "deployments,services,pods,leases.coordination.k8s.io";
    cluster.kubectl(&["delete", kinds, "--all", "-n", "default", "--force"]).expect(0);
    cluster.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": at("default")}));
    let labels = json!({"app": "old"});
    let mut new = at("new");
    new["labels"] = json!({"app": "new"});
    let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "it", "image": "none"}]});
    cluster.apply(&json!([
        {"apiVersion": "v1", "kind": "Pod", "metadata": new, "spec": spec},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": at("old"), "spec": {"replicas": 1,
            "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": at("front"), "spec": {"selector": labels, "ports": [{"port": 80}]}},
    ]));
    make_ready(cluster, "new");
}

fn make_ready(cluster: &Cluster, pod: &str) {
    let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
    cluster.kubectl(&["patch", "pod", pod, "-n", "default", "--subresource=status", "--type=merge", "-p", &ready]).expect(0);
}

struct Scene<C> {
    cluster: C,
    folder: TempDir,
}

impl<C: std::ops::Deref<Target = Cluster>> Scene<C> {
    fn new(cluster: C) -> Self {
        set(&cluster);
        let scene = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder") };
        scene.leave(0);
        scene
    }

    fn leave(&self, left: u32) {
        self.cluster.apply(&json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"namespace": "default", "name": "queue"}, "spec": {"leaseTransitions": left}}));
    }

    /// The Service is redirected and the old side stops; `more` is added to the redirect.
    fn configure(&self, more: &Value, others: &Value) {
        let mut redirect = json!({"namespace": "default", "name": "front", "selector": {"app": "new"}});
        redirect.as_object_mut().expect("a map").extend(more.as_object().cloned().unwrap_or_default());
        let queue = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "queue",
            "until": {"field": {"pointer": "/spec/leaseTransitions", "is": 0}}});
        let intake = json!([{"scale": {"namespace": "default", "name": "old"}}, {"redirect": redirect}]);
        let mut document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration",
            "drain": {"sources": [{"name": "orders", "kubernetes": queue}], "intake": intake}});
        document.as_object_mut().expect("a map").extend(others.as_object().cloned().unwrap_or_default());
        std::fs::write(self.folder.path().join("fairlead.json"), document.to_string()).expect("written");
    }

    fn command(&self, name: &str, args: &[&str]) -> std::process::Command {
        let mut command = job(name);
        command.args(args).args(["--ledger-namespace", "default", "--kubeconfig", self.cluster.kubeconfig(), "--config"]);
        command.arg(self.folder.path().join("fairlead.json"));
        command
    }

    fn drain(&self, args: &[&str]) -> std::process::Command {
        let mut command = self.command("drain-waiter", args);
        command.args(["--grace-period", "1s", "--interval", "100ms"]);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.drain(args), "")
    }

    fn leads_to(&self) -> Value {
        self.cluster.get("service", "default", "front")["spec"]["selector"]["app"].clone()
    }

    fn replicas(&self) -> Value {
        self.cluster.get("deployment", "default", "old")["spec"]["replicas"].clone()
    }
}

fn with_event(sides: &Sides, within: &str) -> Value {
    json!({"event": {"url": sides.url(), "within": within, "expect": {"headers": {"x-side": "new"}}}})
}

/// Publishers never leave the old pods by themselves, and may not lose them before a new connection leads elsewhere.
#[test]
fn the_old_side_stops_when_new_connections_lead_elsewhere_also_in_a_run_that_goes_on() {
    let is_new = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&is_new);
    let sides = Sides::start(move |_| if answers.load(Ordering::Relaxed) { NEW } else { OLD });
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&with_event(&sides, "1m"), &json!({}));
    let plan = scene.run(&["plan"]).expect(0).stdout;
    let [closed, switched, old] = ["Deployment default/old", "Service default/front", "stops for the upgrade"]
        .map(|text| plan.find(text).expect(text));
    assert!(switched < closed && closed < old, "{plan}");
    assert!(!plan.contains("DW108") && !plan.contains("DW209"), "{plan}");

    let looking = Watched::start_until(&mut scene.drain(&["apply"]), "not the new side yet");
    assert_eq!((scene.leads_to(), scene.replicas()), (json!("new"), json!(1)));
    looking.signal(Signal::TERM);
    let (status, said) = looking.finish();
    assert_eq!(status, Some(75), "{said:?}");
    assert_eq!((scene.leads_to(), scene.replicas()), (json!("new"), json!(1)));

    is_new.store(true, Ordering::Relaxed);
    let said = scene.run(&["apply"]).expect(0).stderr;
    let [reached, stopped] = ["a new connection leads to the new side", "target=Deployment default/old"]
        .map(|text| said.find(text).unwrap_or_else(|| panic!("{text}: {said}")));
    assert!(reached < stopped, "{said}");
    assert_eq!((scene.leads_to(), scene.replicas()), (json!("new"), json!(0)));
    let certificate = scene.run(&["certificate"]).expect(0).json();
    assert_eq!(certificate["evidence"]["reached"][0]["inARow"], 3, "{certificate}");
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!((scene.leads_to(), scene.replicas()), (json!("old"), json!(1)));
}

#[test]
fn the_old_side_goes_on_when_the_new_one_does_not_answer() {
    let sides = Sides::start(|_| OLD);
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&with_event(&sides, "1s"), &json!({}));
    let failed = scene.run(&["apply"]).expect(4).stderr;
    assert!(failed.contains("error DW120: Service default/front: "), "{failed}");
    let old = scene.cluster.get("deployment", "default", "old");
    assert_eq!(
        (scene.leads_to(), &old["spec"]["replicas"], &old["metadata"]["generation"]),
        (json!("old"), &json!(1), &json!(1))
    );
}

/// A workload whose pods are those of both sides cannot stop.
#[test]
fn the_new_side_does_not_stop() {
    let scene: Scene<Lease> = Scene::new(lease());
    let labels = json!({"metadata": {"labels": {"tier": "front"}}}).to_string();
    scene.cluster.kubectl(&["patch", "pod", "new", "-n", "default", "--type=merge", "-p", &labels]).expect(0);
    let template = json!({"spec": {"template": {"metadata": {"labels": {"tier": "front"}}}}}).to_string();
    scene.cluster.kubectl(&["patch", "deployment", "old", "-n", "default", "--type=merge", "-p", &template]).expect(0);
    scene.configure(&json!({"selector": {"tier": "front"}}), &json!({}));
    let refused = scene.run(&["apply"]).expect(4).stderr;
    let said = "DW108 Deployment default/old: Service default/front is redirected to its pods in the same run";
    assert!(refused.contains(said), "{refused}");
    assert_eq!((scene.leads_to(), scene.replicas()), (json!("old"), json!(1)));
}

/// The pod of the old side, once its controller has made it.
fn old_pod(cluster: &Cluster) -> String {
    let mut name = String::new();
    let is_there = || {
        let pods = cluster.kubectl(&["get", "pods", "-n", "default", "-l", "app=old", "-o", "name"]).expect(0).stdout;
        pods.trim().trim_start_matches("pod/").clone_into(&mut name);
        !name.is_empty()
    };
    assert!(becomes(is_there), "the old side has no pod");
    name
}

/// In all three ways back: of the run's own failure, of a later step's, and one that is asked for.
#[test]
fn a_service_leads_back_only_when_the_old_side_serves_again() {
    let cluster = Cluster::with_controllers();
    let scene: Scene<&Cluster> = Scene::new(&cluster);
    let name = "tokens.drained.example.com";
    cluster.apply(
        &json!([{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": name},
        "spec": {"group": "drained.example.com", "scope": "Namespaced", "names": {"kind": "Token", "plural": "tokens", "singular": "token"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {"type": "object"}}}]}}]),
    );
    assert!(becomes(|| cluster.kubectl(&["get", name, "-A"]).status == Some(0)), "the kind is not served");
    cluster.apply(
        &json!({"apiVersion": "drained.example.com/v1", "kind": "Token", "metadata": {"namespace": "default", "name": "one"}}),
    );
    let purge = json!({"purge": {"kinds": [{"group": "drained.example.com", "kind": "Token"}], "owned": "named"}});
    scene.configure(&json!({"newSideDrains": "1s", "keep": true}), &purge);
    let serves = || {
        make_ready(&cluster, &old_pod(&cluster));
        let is_available = || cluster.get("deployment", "default", "old")["status"]["availableReplicas"] == 1;
        assert!(becomes(is_available), "the old side does not become available");
    };
    serves();
    // What begins when the old side stands still leads back, and not before that serves again.
    let leads_back = |mut going: Watched, drains: bool| {
        going.until("default/old to have condition Available");
        assert_eq!((scene.replicas(), scene.leads_to()), (json!(1), json!("new")));
        serves();
        let (status, said) = going.finish();
        assert_eq!(scene.leads_to(), "old", "{said:?}");
        assert!(!cluster.get("service", "default", "front").to_string().contains("helm.sh/resource-policy"));
        let waits = said.iter().any(|line| line.contains("what it led to is given time to drain"));
        assert_eq!(waits, drains, "{said:?}");
        status
    };

    scene.leave(3);
    let failing = Watched::start_until(&mut scene.drain(&["apply", "--stall", "1s"]), "orders: 3 left");
    assert_eq!(leads_back(failing, false), Some(4));

    scene.leave(0);
    scene.run(&["apply", "--helm-revision", "2"]).expect(0);
    let mut later = scene
        .command("legacy-purger", &["apply", "--helm-revision", "2", "--ready-timeout", "0s", "--require-step", "review"]);
    assert_eq!(leads_back(Watched::start_until(&mut later, ""), false), Some(4));

    scene.run(&["apply"]).expect(0);
    let back = Watched::start_until(&mut scene.drain(&["rollback", "--last"]), "taking back");
    assert_eq!(leads_back(back, true), Some(0));
}

/// The old side serves again, and publishers still have connections to the new one: what goes through it is needed for a while.
#[test]
fn a_switch_that_a_failed_run_has_led_back_drains_before_what_was_added_goes() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({"newSideDrains": "20s"}), &json!({}));
    scene.cluster.apply(&json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "default", "name": "created"},
        "spec": {"source_id": "shop", "event_type": "created", "event_type_version": "v1", "endpoint": "http://mail.default/"}}));
    let replicator = |args: &[&str]| {
        let mut command = job("trigger-replicator");
        command.args(args).args(["--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig()]);
        command
    };
    run(&mut replicator(&["apply"]), "").expect(0);
    scene.leave(1);
    let failed = scene.run(&["apply", "--stall", "1s"]).expect(4).stderr;
    assert!(failed.contains("DW111") && scene.leads_to() == "old", "{failed}");

    let waits = "what a Service has led to drains, before anything goes through which it delivers";
    let back = Watched::start_until(&mut replicator(&["rollback", "--last"]), waits);
    assert_eq!(scene.cluster.list("triggers.eventing.knative.dev").len(), 1);
    // One that is interrupted waits the rest.
    back.signal(Signal::TERM);
    assert_eq!(back.finish().0, Some(75));
    run(&mut replicator(&["rollback", "--last"]), "").expect(0);
    assert!(scene.cluster.list("triggers.eventing.knative.dev").is_empty());
}

#[test]
fn the_plan_says_what_passes_on_the_way_back_whose_a_service_is_and_why_a_pod_is_not_ready() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({"newSideDrains": "40s", "oldSideStarts": "15s"}), &json!({}));
    let release = ["meta.helm.sh/release-name=bus", "meta.helm.sh/release-namespace=kyma"];
    scene.cluster.kubectl(&[&["annotate", "service", "front", "-n", "default"], &release[..]].concat()).expect(0);
    let plan = scene.run(&["plan", "-o", "json"]).expect(0).json();
    let switch = &plan["stages"][0];
    assert_eq!(switch["undoWaits"], json!([{"duration": {"seconds": 15}}]), "{plan}");
    assert_eq!(switch["undoneWaits"], json!([{"duration": {"seconds": 40}}]), "{plan}");
    let local = json!({"spec": {"internalTrafficPolicy": "Local"}}).to_string();
    scene.cluster.kubectl(&["patch", "service", "front", "-n", "default", "--type=merge", "-p", &local]).expect(0);
    let text = scene.run(&["plan"]).expect(0).stdout;
    assert!(text.contains("warning DW218 Service default/front: its internalTrafficPolicy is Local"), "{text}");
    assert!(text.contains("warning DW216 Service default/front: release bus in namespace kyma applies it"), "{text}");

    let waiting = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [{"name": "it", "image": "none", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull"}}}]}});
    let patch = ["patch", "pod", "new", "-n", "default", "--subresource=status", "--type=merge", "-p", &waiting.to_string()];
    scene.cluster.kubectl(&patch).expect(0);
    let text = scene.run(&["plan"]).expect(0).stdout;
    let said = "DW109 Service default/front: no pod with app=new is ready; pod new waits: ErrImagePull";
    assert!(text.contains(said), "{text}");
}

/// With one more label a selector means no pod, so that the restored Service would lead nowhere.
#[test]
fn a_selector_that_somebody_has_added_to_is_not_taken_back_in_part() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({}), &json!({}));
    scene.run(&["apply"]).expect(0);
    let add = |more: Value| {
        let patch = json!({"spec": {"selector": more}}).to_string();
        scene.cluster.kubectl(&["patch", "service", "front", "-n", "default", "--type=merge", "-p", &patch]).expect(0);
    };
    let selector = || scene.cluster.get("service", "default", "front")["spec"]["selector"].clone();
    let both = json!({"app": "new", "tier": "x"});
    add(json!({"tier": "x"}));
    let refused = scene.run(&["rollback", "--last"]).expect(6);
    let said = "Service default/front: somebody else has added spec.selector.tier since, and a selector counts as a whole";
    assert!(refused.output().contains(said), "{}", refused.output());
    assert_eq!((selector(), scene.replicas()), (both.clone(), json!(0)));

    scene.run(&["rollback", "--last", "--on-drift", "keep"]).expect(0);
    assert_eq!((selector(), scene.replicas()), (both, json!(1)));

    add(json!({"app": "old", "tier": null}));
    scene.run(&["apply"]).expect(0);
    add(json!({"tier": "x"}));
    scene.run(&["rollback", "--last", "--on-drift", "overwrite"]).expect(0);
    assert_eq!((selector(), scene.replicas()), (json!({"app": "old"}), json!(1)));

    // Who has written all of it has ended the redirect.
    scene.run(&["apply"]).expect(0);
    add(json!({"app": "third"}));
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!((selector(), scene.replicas()), (json!({"app": "third"}), json!(1)));
}

#[test]
fn a_new_side_that_is_gone_is_said_to_refuse_publishers() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({}), &json!({}));
    scene.run(&["apply"]).expect(0);
    let status = |form: &str| {
        let mut status = job("drain-waiter");
        status.args(["status", "-o", form, "--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig()]);
        run(&mut status, "").expect(0)
    };
    assert!(!status("text").stdout.contains("REFUSED"), "the new side is there");
    scene.cluster.kubectl(&["delete", "pod", "new", "-n", "default", "--force"]).expect(0);
    let said = status("text").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "REFUSED: whoever publishes through these Services is refused now, until they lead back or the new side is there: \
                    Service default/front leads to pods with app=new, and none of them is ready";
    assert!(said.contains(expected), "{said}");
    assert_eq!(status("json").json()["leadsNowhere"][0]["target"]["name"], "front");
    scene.run(&["rollback", "--last"]).expect(0);
    assert_eq!(status("json").json()["leadsNowhere"], json!([]));
}

/// Nobody else has the configuration of a run.
#[test]
fn a_run_that_is_refused_says_how_to_look_again_with_its_configuration() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({}), &json!({}));
    scene.cluster.kubectl(&["delete", "pod", "new", "-n", "default", "--force"]).expect(0);
    let refused = scene.run(&["apply"]).expect(4);
    let file = scene.folder.path().join("fairlead.json").display().to_string();
    let plan = format!(
        "Next: drain-waiter plan --release fairlead --ledger-namespace default --config {file} --grace-period 1s --interval 100ms --kubeconfig {}",
        scene.cluster.kubeconfig()
    );
    assert!(refused.output().contains(&plan), "{plan}\n{}", refused.output());
    let of_helm = scene.run(&["apply", "--helm-revision", "3", "--helm-release", "shop"]).expect(4);
    let hooks = "Next: helm get hooks shop --revision 3 -n default";
    assert!(of_helm.output().contains(hooks) && of_helm.output().contains("--upgrade -"), "{}", of_helm.output());
}

#[test]
fn an_old_side_that_is_gone_for_good_is_not_waited_for_in_vain() {
    let scene: Scene<Lease> = Scene::new(lease());
    scene.configure(&json!({}), &json!({}));
    let available = json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}});
    let patch = [
        "patch",
        "deployment",
        "old",
        "-n",
        "default",
        "--subresource=status",
        "--type=merge",
        "-p",
        &available.to_string(),
    ];
    scene.cluster.kubectl(&patch).expect(0);
    scene.run(&["apply"]).expect(0);
    scene.cluster.kubectl(&["delete", "deployment", "old", "-n", "default"]).expect(0);
    let ended = scene.run(&["rollback", "--last"]).expect(75).output();
    let said = "waited in vain to wait for Deployment default/old to have condition Available: it is gone, and nobody makes it again";
    assert!(ended.contains(said) && ended.contains("--last --without-missing"), "{ended}");
    assert_eq!(scene.leads_to(), "new");
    scene.run(&["rollback", "--last", "--without-missing"]).expect(0);
    assert_eq!(scene.leads_to(), "old");
}

/// Each is led back when the later step fails, and publishers still have connections to the new side.
#[test]
fn a_switch_that_a_later_step_has_led_back_drains_before_what_was_added_goes() {
    let scene: Scene<Lease> = Scene::new(lease());
    let purge = json!({"purge": {"kinds": [{"group": "eventing.kyma-project.io", "kind": "Subscription"}]}});
    scene.configure(&json!({"newSideDrains": "20s"}), &purge);
    scene.cluster.apply(&json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "default", "name": "created"},
        "spec": {"source_id": "shop", "event_type": "created", "event_type_version": "v1", "endpoint": "http://mail.default/"}}));
    let replicator = |args: &[&str]| {
        let mut command = job("trigger-replicator");
        command.args(args).args(["--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig()]);
        command
    };
    run(&mut replicator(&["apply"]), "").expect(0);
    scene.run(&["apply", "--helm-revision", "2"]).expect(0);
    let later = ["apply", "--helm-revision", "2", "--ready-timeout", "0s", "--require-step", "review"];
    run(&mut scene.command("legacy-purger", &later), "").expect(4);
    assert_eq!(scene.leads_to(), "old");
    let waits = "what a Service has led to drains, before anything goes through which it delivers";
    let back = Watched::start_until(&mut replicator(&["rollback", "--to", "0"]), waits);
    assert_eq!(scene.cluster.list("triggers.eventing.knative.dev").len(), 1);
    assert_eq!(back.finish().0, Some(0));
    assert!(scene.cluster.list("triggers.eventing.knative.dev").is_empty());
}
