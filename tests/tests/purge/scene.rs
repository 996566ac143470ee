//! A legacy event bus whose Subscriptions have been replicated, and who plays its controllers: without a node nothing of it runs.

use std::process::{Child, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

use fairlead_tests::api::Api;
use fairlead_tests::cluster::{Cluster, Lease, lease};
use fairlead_tests::program::{Ended, becomes, root, run};
use fairlead_tests::state::{self, State};
use hyper::Method;
use serde_json::{Value, json};

pub(crate) const SUBSCRIPTIONS: &str = "subscriptions.eventing.kyma-project.io";
pub(crate) const ACTIVATIONS: &str = "eventactivations.applicationconnector.kyma-project.io";
pub(crate) const SUBSCRIPTION_FINALIZER: &str = "subscription.finalizers.kyma-project.io";
pub(crate) const ACTIVATION_FINALIZER: &str = "eventactivation.finalizers.kyma-project.io";

/// Everything that a purge may touch, and what it must not.
const KINDS: &str = "brokers.eventing.knative.dev,triggers.eventing.knative.dev,channels.messaging.knative.dev,subscriptions.messaging.knative.dev,\
    deployments.apps,configmaps,serviceinstances.servicecatalog.k8s.io,customresourcedefinitions,\
    validatingadmissionpolicies,validatingadmissionpolicybindings";

/// The paths of what has finalizers, and who carries which.
const FINALIZED: [(&str, &str); 3] = [
    ("/apis/eventing.kyma-project.io/v1alpha1/subscriptions", SUBSCRIPTION_FINALIZER),
    ("/apis/applicationconnector.kyma-project.io/v1alpha1/eventactivations", ACTIVATION_FINALIZER),
    ("/apis/messaging.knative.dev/v1/subscriptions", SUBSCRIPTION_FINALIZER),
];

/// Where the Broker takes events.
const BROKER_ADDRESS: &str = "http://broker-ingress.knative-eventing.svc.cluster.local/orders/default";

/// Paths and names of what carries the events of Application shop to namespace orders.
pub(crate) const LINKS: [(&str, &str); 3] = [
    ("messaging.knative.dev/v1/namespaces/kyma-integration/channels", "shop"),
    ("messaging.knative.dev/v1/namespaces/kyma-integration/subscriptions", "shop-to-orders"),
    ("eventing.knative.dev/v1/namespaces/orders/brokers", "default"),
];

/// A cluster with a bus in it.
pub(crate) struct Scene {
    pub(crate) cluster: Lease,
    pub(crate) api: Api,
}

impl Scene {
    /// Two Subscriptions with their Triggers, an EventActivation, the way of its events on the mesh, application-broker and the legacy
    /// controller, which runs.
    pub(crate) fn new() -> Self {
        let cluster = lease();
        let api = Api::new(cluster.kubeconfig().as_ref());
        let scene = Self { cluster, api };
        scene.define();
        scene.cluster.kubectl(&["delete", "deployments,horizontalpodautoscalers", "--all", "-A", "--wait=false"]).expect(0);
        let namespace = |name: &str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        scene.cluster.apply(&["orders", "kyma-system", "kyma-integration"].map(namespace).into_iter().collect());
        let mut objects = vec![
            activation("shop-events"),
            channel(),
            link(),
            json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": "orders", "name": "default"}}),
            deployment("kyma-integration", "application-broker"),
            deployment("kyma-system", "event-bus-subscription-controller"),
        ];
        for name in ["created", "paid"] {
            objects.extend([subscription(name, &json!({})), trigger(name)]);
            objects.extend(served(name));
        }
        // The fence of an earlier test is in force for a moment after it has gone.
        let path = "/apis/applicationconnector.kyma-project.io/v1alpha1/namespaces/orders/eventactivations?dryRun=All";
        let probe = activation("probe");
        assert!(becomes(|| scene.api.ask(&Method::POST, path, &probe).0 == 201), "the fence stays");
        scene.cluster.apply(&Value::Array(objects));
        for name in ["created", "paid"] {
            scene.is_ready(name, "True");
            let status = json!({"status": {"conditions": [{"type": "is-ready", "status": "True"}]}});
            scene.patch_status("eventing.kyma-project.io/v1alpha1/namespaces/orders/subscriptions", name, &status);
        }
        for link in &LINKS {
            scene.is_link_ready(link, "True");
        }
        scene.run_controller(1);
        scene
    }

    /// The legacy kinds as they are installed, whatever an earlier test has made of them.
    fn define(&self) {
        let cluster = &self.cluster;
        // Nobody plays the controller here, and what an earlier test has left carries its finalizers.
        for (path, _) in FINALIZED {
            for object in self.api.ask(&Method::GET, path, &Value::Null).1["items"].as_array().into_iter().flatten() {
                let [namespace, name] =
                    ["namespace", "name"].map(|field| object["metadata"][field].as_str().unwrap_or_default());
                let (root, plural) = path.rsplit_once('/').expect("a path");
                let object = format!("{root}/namespaces/{namespace}/{plural}/{name}");
                self.api.ask(&Method::PATCH, &object, &json!({"metadata": {"finalizers": null}}));
            }
        }
        if [SUBSCRIPTIONS, ACTIVATIONS].iter().all(|name| self.is_as_installed(name)) {
            return;
        }
        cluster.kubectl(&["delete", "crd", SUBSCRIPTIONS, ACTIVATIONS, "--ignore-not-found"]).expect(0);
        cluster.define(&root().join("examples/kyma-event-bus/legacy/crds.yaml"));
    }

    fn is_as_installed(&self, definition: &str) -> bool {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
        let (status, live) = self.api.ask(&Method::GET, &path, &Value::Null);
        let has_one_version = live["spec"]["versions"].as_array().is_some_and(|versions| versions.len() == 1);
        status == 200 && has_one_version && live["metadata"]["annotations"].is_null()
    }

    /// Creates a legacy Subscription with `more` in its spec.
    pub(crate) fn subscribe(&self, name: &str, more: &Value) {
        self.cluster.apply(&subscription(name, more));
    }

    /// Creates the Trigger that does the same.
    pub(crate) fn replicate(&self, event_type: &str, ready: &str) {
        self.cluster.apply(&trigger(event_type));
        self.is_ready(event_type, ready);
    }

    /// What Knative says of a Trigger.
    pub(crate) fn is_ready(&self, trigger: &str, ready: &str) {
        let conditions = json!([{"type": "BrokerReady", "status": ready, "reason": "BrokerDoesNotExist"}, {"type": "Ready", "status": ready}]);
        let status = json!({"status": {"conditions": conditions}});
        self.patch_status("eventing.knative.dev/v1/namespaces/orders/triggers", trigger, &status);
    }

    /// What Knative says of one of [`LINKS`].
    pub(crate) fn is_link_ready(&self, (path, name): &(&str, &str), ready: &str) {
        let condition = |of_type: &str| json!({"type": of_type, "status": ready, "reason": "NoDispatcher"});
        let mut status = json!({"conditions": [condition("Dispatched"), condition("Ready")]});
        if path.ends_with("brokers") {
            status["address"]["url"] = BROKER_ADDRESS.into();
        }
        self.patch_status(path, name, &json!({ "status": status }));
    }

    /// Names of the objects of a Knative kind that the legacy controller has made.
    pub(crate) fn made(&self, kind: &str) -> Vec<String> {
        let objects = self.cluster.list(&format!("{kind}.messaging.knative.dev"));
        let is_made = |object: &&Value| object["metadata"]["namespace"] == "kyma-system";
        objects.iter().filter(is_made).map(|it| it["metadata"]["name"].to_string()).collect()
    }

    /// Writes the status of an object below `path`, as its controller does.
    pub(crate) fn patch_status(&self, path: &str, name: &str, status: &Value) {
        let path = format!("/apis/{path}/{name}/status?fieldManager=controller");
        self.api.expect(&Method::PATCH, &path, status);
    }

    /// What the Deployment of the legacy controller says of its pods.
    pub(crate) fn run_controller(&self, ready: u32) {
        let path = "apps/v1/namespaces/kyma-system/deployments";
        let name = "event-bus-subscription-controller";
        self.patch_status(path, name, &json!({"status": {"replicas": ready, "readyReplicas": ready}}));
        let scale = format!("/apis/{path}/{name}/scale?fieldManager=controller");
        self.api.expect(&Method::PATCH, &scale, &json!({"spec": {"replicas": ready}}));
    }

    /// Runs a command of the job with the chart's permissions and the ledger in namespace default.
    #[track_caller]
    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args), "")
    }

    /// The same, not yet begun.
    pub(crate) fn command(&self, args: &[&str]) -> std::process::Command {
        self.cluster.job("legacy-purger", &[args, &["--ledger-namespace", "default", "--release", "shop"]].concat())
    }

    /// The same, which goes on while the test does something else.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
    }

    /// Everything there is. What the API server says of a definition is its own.
    pub(crate) fn state(&self) -> State {
        let defined = [SUBSCRIPTIONS, ACTIVATIONS].into_iter().filter(|kind| self.is_defined(kind));
        let kinds = std::iter::once(KINDS).chain(defined).collect::<Vec<_>>().join(",");
        let mut objects: Vec<Value> = state::of_kinds(&self.cluster, &kinds).into_values().collect();
        for definition in objects.iter_mut().filter(|object| object["kind"] == "CustomResourceDefinition") {
            definition.as_object_mut().expect("an object").remove("status");
            let managers = definition["metadata"]["managedFields"].as_array_mut().expect("a list");
            managers.retain(|entry| entry["subresource"] != "status");
        }
        state::canonical(objects)
    }

    pub(crate) fn is_defined(&self, definition: &str) -> bool {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
        self.api.ask(&Method::GET, &path, &Value::Null).0 == 200
    }

    /// Plays the legacy controller while `work` runs: it deletes what it has made for a Subscription that goes, and takes its
    /// finalizers away, after `delay`. It rests while its Deployment has no replicas.
    pub(crate) fn playing<T>(&self, delay: Duration, work: impl FnOnce() -> T) -> T {
        let api = Api::new(self.cluster.kubeconfig().as_ref());
        // The play ends when nobody holds it any more, also when the test fails.
        let (curtain, over) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                while over.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
                    play(&api, delay, &over);
                }
            });
            let _curtain = curtain;
            work()
        })
    }
}

fn play(api: &Api, delay: Duration, over: &Receiver<()>) {
    let rests = || {
        let deployment = api.get("/apis/apps/v1/namespaces/kyma-system/deployments/event-bus-subscription-controller");
        deployment["spec"]["replicas"] == 0
    };
    if rests() {
        return;
    }
    for (path, finalizer) in FINALIZED {
        // The kind may be gone, or not be there yet.
        let list = api.ask(&Method::GET, path, &Value::Null).1;
        for object in list["items"].as_array().into_iter().flatten() {
            let metadata = &object["metadata"];
            let finalizers = metadata["finalizers"].as_array().cloned().unwrap_or_default();
            if metadata["deletionTimestamp"].is_null() || !finalizers.contains(&finalizer.into()) {
                continue;
            }
            if over.recv_timeout(delay) == Err(RecvTimeoutError::Disconnected) || rests() {
                return;
            }
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text(&metadata["namespace"]), text(&metadata["name"]));
            if path.contains("eventing.kyma-project.io") {
                let made = "/apis/messaging.knative.dev/v1/namespaces/kyma-system";
                api.ask(&Method::DELETE, &format!("{made}/subscriptions/{name}--{namespace}"), &Value::Null);
                api.ask(&Method::DELETE, &format!("{made}/channels/{name}-x7k2p"), &Value::Null);
            }
            let (root, plural) = path.rsplit_once('/').expect("a path");
            let rest: Vec<Value> = finalizers.into_iter().filter(|it| it != finalizer).collect();
            let patch = json!({"metadata": {"finalizers": rest, "resourceVersion": metadata["resourceVersion"]}});
            api.ask(&Method::PATCH, &format!("{root}/namespaces/{namespace}/{plural}/{name}"), &patch);
        }
    }
}

/// Lets the events of an Application in.
pub(crate) fn activation(name: &str) -> Value {
    json!({
        "apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": "EventActivation",
        "metadata": {"namespace": "orders", "name": name, "finalizers": [ACTIVATION_FINALIZER]}, "spec": {"sourceId": "shop"},
    })
}

/// Where the events of Application shop arrive.
fn channel() -> Value {
    json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel",
        "metadata": {"namespace": "kyma-integration", "name": "shop", "labels": {"application-name": "shop"}}})
}

/// Carries them to the Broker in namespace orders.
pub(crate) fn link() -> Value {
    let channel = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": "shop"});
    json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
        "metadata": {"namespace": "kyma-integration", "name": "shop-to-orders",
            "labels": {"application-name": "shop", "broker-namespace": "orders"}},
        "spec": {"channel": channel, "subscriber": {"uri": BROKER_ADDRESS}}})
}

/// A Deployment with one replica.
pub(crate) fn deployment(namespace: &str, name: &str) -> Value {
    let template = json!({"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "it", "image": "none"}]}});
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": namespace, "name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}})
}

/// A legacy Subscription with its controller's finalizer, and `more` in its spec.
pub(crate) fn subscription(name: &str, more: &Value) -> Value {
    let mut subscription = json!({
        "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": "orders", "name": name, "labels": {"app": "shop"}, "finalizers": [SUBSCRIPTION_FINALIZER]},
        "spec": {"source_id": "shop", "event_type": name, "event_type_version": "v1", "endpoint": "http://mail.orders/"},
    });
    for (key, value) in more.as_object().expect("an object") {
        if value.is_null() {
            subscription["spec"].as_object_mut().expect("an object").remove(key);
        } else {
            subscription["spec"][key] = value.clone();
        }
    }
    subscription
}

fn trigger(event_type: &str) -> Value {
    json!({
        "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger", "metadata": {"namespace": "orders", "name": event_type},
        "spec": {"broker": "default", "subscriber": {"uri": "http://mail.orders.svc.cluster.local/"},
            "filter": {"attributes": {"source": "shop", "type": event_type, "eventtypeversion": "v1"}}},
    })
}

/// What the legacy controller makes for a Subscription.
pub(crate) fn served(name: &str) -> [Value; 2] {
    let labels = json!({"kyma-source-id": "shop", "kyma-event-type": name, "kyma-event-type-version": "v1"});
    let template = json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel"});
    [
        json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel",
            "metadata": {"namespace": "kyma-system", "name": format!("{name}-x7k2p"), "labels": labels}, "spec": {"channelTemplate": template}}),
        json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Subscription",
            "metadata": {"namespace": "kyma-system", "name": format!("{name}--orders"), "labels": {"kyma-ns": "orders"}, "finalizers": [SUBSCRIPTION_FINALIZER]},
            "spec": {"channel": {"apiVersion": "messaging.knative.dev/v1", "kind": "Channel", "name": format!("{name}-x7k2p")}, "subscriber": {"uri": "http://mail.orders/"}}}),
    ]
}

/// The replicas of a workload.
pub(crate) fn replicas(cluster: &Cluster, namespace: &str, name: &str) -> Value {
    cluster.get("deployment", namespace, name)["spec"]["replicas"].clone()
}

/// For a run that waits until the test lets an object go.
pub(crate) const PATIENT: [&str; 4] = ["--deletion-timeout", "10m", "--run-timeout", "15m"];

/// How long nobody takes to do anything.
pub(crate) const AT_ONCE: Duration = Duration::ZERO;
