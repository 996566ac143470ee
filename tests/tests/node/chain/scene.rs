//! Kyma as it was before the migration: the legacy event bus on a real NATS Streaming server, two Applications, a real Knative, subscribers
//! that count, and each component in a Helm release of its own.

use std::path::Path;
use std::process::{Command, Stdio};

use fairlead_tests::cluster::{Cluster, empty};
use fairlead_tests::program::{Ended, becomes, root, run, tool};
use serde_json::{Value, json};

use super::load::Load;

const METER: &str = "chain-meter";
const NAMESPACES: [&str; 6] = ["natss", "kyma-system", "kyma-integration", METER, "chain-orders", "chain-audit"];
/// Subscriptions in each namespace of a large installation.
const EACH: usize = 10;

const APPLICATIONS: [&str; 2] = ["storefront", "warehouse"];

/// The components after the first one, with their charts.
const COMPONENTS: [(&str, &str); 3] =
    [("event-bus", "event-bus"), ("storefront", "application"), ("warehouse", "application")];

/// Subscriptions: namespace, name, Application, type, and at which name the meter counts it.
const SUBSCRIPTIONS: [[&str; 5]; 4] = [
    ["chain-orders", "order-created", "storefront", "order.created", "orders"],
    ["chain-audit", "order-created", "storefront", "order.created", "audit"],
    ["chain-orders", "order-paid", "storefront", "order.paid", "payments"],
    ["chain-orders", "stock-changed", "warehouse", "stock.changed", "stock"],
];

/// Kyma before the migration, and after it.
pub(crate) struct Kyma<'a> {
    pub(crate) cluster: &'a Cluster,
    helm: &'static str,
}

impl<'a> Kyma<'a> {
    /// Installs everything, armed.
    pub(crate) fn install(cluster: &'a Cluster, helm: &'static str) -> Self {
        empty(cluster);
        cluster.load_jobs();
        cluster.load_bus();
        for program in ["loss-meter", "compatibility-layer"] {
            cluster.load_program(program);
        }
        cluster.define(&root().join("examples/kyma-event-bus/legacy/crds.yaml"));
        let kyma = Self { cluster, helm };
        kyma.namespaces();
        cluster.apply(&meter());
        for (release, chart) in COMPONENTS {
            kyma.component(release, chart, &["install"]).expect(0);
        }
        cluster.kubectl(&["apply", "-f", path("examples/kyma-event-bus/legacy-services.yaml").as_str()]).expect(0);
        cluster.apply(&applications());
        cluster.apply(&Value::Array(SUBSCRIPTIONS.map(subscription).to_vec()));
        kyma.essentials(&["install"], &["--set", "kyma=arm"]).expect(0);
        kyma.await_old_side();
        for namespace in ["kyma-system", "kyma-integration"] {
            kyma.rolled_out(namespace);
        }
        kyma
    }

    fn namespaces(&self) {
        let namespace = |name: &&str| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let all = Value::Array(NAMESPACES.iter().map(namespace).collect());
        // One of an earlier test may still be going.
        let are_there = || {
            let list = run(
                &mut kubectl_apply(self.cluster),
                &json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string(),
            );
            let phases = NAMESPACES
                .map(|name| self.cluster.kubectl(&["get", "namespace", name, "-o", "jsonpath={.status.phase}"]).stdout);
            list.status == Some(0) && phases.iter().all(|phase| phase == "Active")
        };
        assert!(becomes(are_there), "namespaces of an earlier test do not go");
    }

    /// Waits until the legacy bus has a durable for each Subscription, and all pods are there.
    fn await_old_side(&self) {
        for namespace in ["natss", METER] {
            self.rolled_out(namespace);
        }
        let is_ready = |subscription: &Value| subscription["status"]["conditions"].to_string().contains("is-ready");
        let are_ready = || self.cluster.list("subscriptions.eventing.kyma-project.io").iter().all(is_ready);
        assert!(becomes(are_ready), "the dispatcher does not subscribe");
        let channels = [
            "wait",
            "-n",
            "kyma-integration",
            "--for=condition=Ready",
            "channels.messaging.knative.dev",
            "--all",
            "--timeout=10m",
        ];
        self.cluster.kubectl(&channels).expect(0);
    }

    fn rolled_out(&self, namespace: &str) {
        for deployment in
            self.cluster.kubectl(&["get", "deployments", "-n", namespace, "-o", "name"]).expect(0).stdout.lines()
        {
            self.cluster.kubectl(&["rollout", "status", "-n", namespace, deployment, "--timeout=10m"]).expect(0);
        }
    }

    /// One component of Kyma.
    pub(crate) fn component(&self, release: &str, chart: &str, verb: &[&str]) -> Ended {
        self.helm(&[verb, &[release, path(&format!("examples/kyma-event-bus/{chart}")).as_str()]].concat())
    }

    /// The other components in a version with the legacy bus, or without it, in their order.
    pub(crate) fn components(&self, legacy: &str) {
        let with = format!("legacy={legacy}");
        for (release, chart) in COMPONENTS {
            self.component(release, chart, &["upgrade", "--set", &with]).expect(0);
        }
    }

    /// `helm rollback` of all of them but the first, in reverse.
    pub(crate) fn components_back(&self) -> impl Iterator<Item = Ended> {
        COMPONENTS.into_iter().rev().map(|(release, _)| self.helm(&["rollback", release, "1"]))
    }

    /// The legacy kinds that are served.
    pub(crate) fn legacy_kinds(&self) -> Vec<String> {
        let all = self.cluster.kubectl(&["get", "crds", "-o", "name"]).expect(0).stdout;
        let purged = ["subscriptions.eventing.kyma-project.io", "eventactivations.applicationconnector"];
        all.lines().filter(|line| purged.iter().any(|name| line.contains(name))).map(str::to_owned).collect()
    }

    /// The legacy Services lead to the old pods, and these run.
    #[track_caller]
    pub(crate) fn assert_old_side_serves(&self) {
        for (namespace, service, app) in [
            ("kyma-system", "event-publish-service", "event-publish-service"),
            ("kyma-integration", "storefront-event-service", "storefront-event-service"),
        ] {
            let selector = &self.cluster.get("service", namespace, service)["spec"]["selector"];
            assert_eq!(*selector, json!({"app": app}), "{service}");
            self.rolled_out(namespace);
        }
    }

    /// cluster-essentials, the first component, which has the hooks.
    pub(crate) fn essentials(&self, verb: &[&str], more: &[&str]) -> Ended {
        let essentials = essentials();
        self.helm(&[verb, &essentials.each_ref().map(String::as_str), more].concat())
    }

    /// A Subscription that cannot be replicated, and so keeps a purge from beginning; or it goes.
    pub(crate) fn odd(&self, is_there: bool) {
        let mut odd = subscription(["chain-orders", "odd", "storefront", "order.odd", ""]);
        odd["spec"]["endpoint"] = "ftp://x/".into();
        if is_there {
            self.cluster.apply(&odd);
        } else {
            let delete = ["delete", "subscriptions.eventing.kyma-project.io", "-n", "chain-orders", "odd"];
            self.cluster.kubectl(&delete).expect(0);
        }
    }

    /// Kills the `helm upgrade` of cluster-essentials when something is so.
    pub(crate) fn kill_helm_when(&self, more: &[&str], is_so: impl FnMut() -> bool) {
        let mut helm = self.command(&[&["upgrade"], &essentials().each_ref().map(String::as_str)[..], more].concat());
        let mut helm = helm.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        let became = becomes(is_so);
        helm.kill().expect("it runs");
        helm.wait().expect("it ends");
        assert!(became, "helm is killed for nothing");
    }

    /// Helm, in the namespace of Kyma's components.
    pub(crate) fn helm(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args), "")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut helm = tool(self.helm);
        helm.args(args).args(["-n", "kyma-system", "--kubeconfig", self.cluster.kubeconfig()]);
        helm
    }

    /// More Subscriptions, of whose events none are sent: ten in each namespace.
    pub(crate) fn subscribe(&self, count: usize) {
        let namespace = |number: usize| format!("chain-many-{}", number / EACH);
        let places = (0..count).step_by(EACH).map(namespace);
        let made = |name: String| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"chain": "many"}}});
        self.cluster.apply(&places.clone().map(made).collect());
        self.cluster.apply(&places.flat_map(|namespace| activation(&namespace, "storefront")).collect());
        let all = (0..count).map(|number| {
            let event = format!("order.many.{number}");
            subscription([&namespace(number), &event, "storefront", &event, "many"])
        });
        self.cluster.apply(&all.collect());
        self.await_old_side();
    }

    /// Address of a Service.
    fn address(&self, namespace: &str, service: &str) -> String {
        let service = self.cluster.get("service", namespace, service);
        let [ip, port] = [&service["spec"]["clusterIP"], &service["spec"]["ports"][0]["port"]];
        format!("http://{}:{port}", ip.as_str().expect("an address"))
    }

    /// Publishers of all APIs and of both kinds of connections: 100 events in a second.
    pub(crate) fn load(&self) -> Load {
        self.load_times(1)
    }

    /// The same with so many times as many events.
    pub(crate) fn load_times(&self, times: u32) -> Load {
        let storefront = self.address("kyma-integration", "storefront-event-service") + "/storefront/v1/events";
        let bus = self.address("kyma-system", "event-publish-service") + "/v1/events";
        let stream = |name: &str, url: &str, of: [&str; 2], rate: u32, connections: &str, subscriptions: &[&str]| {
            json!({"name": name, "url": url, "api": "legacy", "source": of[0], "type": of[1], "typeVersion": "v1", "rate": rate * times,
                "senders": 4, "connections": connections, "subscriptions": subscriptions})
        };
        let streams = json!([
            stream("orders", &storefront, ["storefront", "order.created"], 40, "kept", &["orders", "audit"]),
            stream("payments", &storefront, ["storefront", "order.paid"], 30, "new", &["payments"]),
            stream("stock", &bus, ["warehouse", "stock.changed"], 30, "kept", &["stock"]),
        ]);
        Load::start(self.cluster, &self.address(METER, "meter"), &streams)
    }

    /// How a subscription answers from now on.
    pub(crate) fn answer(&self, subscription: &str, answer: &Value) {
        let path = format!("/api/v1/namespaces/{METER}/services/http:meter:8080/proxy/{subscription}");
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("answer.json");
        std::fs::write(&file, answer.to_string()).expect("written");
        self.cluster.kubectl(&["replace", "--raw", &path, "-f", file.to_str().expect("UTF-8")]).expect(0);
    }
}

impl Drop for Kyma<'_> {
    fn drop(&mut self) {
        for release in ["cluster-essentials", "event-bus", "storefront", "warehouse"] {
            self.helm(&["uninstall", release, "--no-hooks", "--ignore-not-found"]);
        }
        self.cluster.kubectl(&["delete", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=fairlead"]);
        // What was purged, other tests need.
        let kinds = path("examples/kyma-event-bus/legacy/crds.yaml");
        self.cluster.kubectl(&["apply", "--server-side", "-f", kinds.as_str()]);
        for name in NAMESPACES {
            self.cluster.kubectl(&["delete", "namespace", name, "--wait=false"]);
        }
        self.cluster.kubectl(&["delete", "namespaces", "-l", "chain=many", "--wait=false"]);
    }
}

fn kubectl_apply(cluster: &Cluster) -> Command {
    let mut kubectl = tool("kubectl");
    kubectl.args(["apply", "--server-side", "-f", "-", "--kubeconfig", cluster.kubeconfig()]);
    kubectl
}

/// Release, chart and values of the first component.
fn essentials() -> [String; 4] {
    let values = path("tests/tests/node/chain/values.yaml");
    ["cluster-essentials".to_owned(), path("charts/fairlead"), "--values".to_owned(), values]
}

/// A path of the repository.
fn path(name: &str) -> String {
    let path: &Path = &root().join(name);
    path.to_str().expect("a path of ours is UTF-8").to_owned()
}

/// The subscribers.
fn meter() -> Value {
    let labels = json!({"app": "meter"});
    let container = json!({"name": "meter", "image": "docker.io/fairlead/loss-meter:dev", "imagePullPolicy": "Never", "args": ["receive"],
        "readinessProbe": {"httpGet": {"path": "/healthz", "port": 8080}, "periodSeconds": 1}});
    json!([
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": METER, "name": "meter"},
         "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": METER, "name": "meter"},
         "spec": {"selector": labels, "ports": [{"port": 8080}]}},
    ])
}

/// Applications with their Channels, and the namespaces that take part in their events.
fn applications() -> Value {
    let mut all = Vec::new();
    for application in APPLICATIONS {
        let services = json!({"services": [{"id": format!("{application}-events"), "entries": [{"type": "Events"}]}]});
        all.push(connector("Application", application, None, &services));
        all.push(json!({"apiVersion": "messaging.knative.dev/v1", "kind": "Channel",
            "metadata": {"namespace": "kyma-integration", "name": application, "labels": {"application-name": application}}}));
    }
    for [namespace, application] in
        [["chain-orders", "storefront"], ["chain-orders", "warehouse"], ["chain-audit", "storefront"]]
    {
        all.extend(activation(namespace, application));
    }
    Value::Array(all)
}

fn connector(kind: &str, name: &str, namespace: Option<&str>, spec: &Value) -> Value {
    json!({"apiVersion": "applicationconnector.kyma-project.io/v1alpha1", "kind": kind,
        "metadata": {"namespace": namespace, "name": name}, "spec": spec})
}

/// What lets the events of an Application into a namespace.
fn activation(namespace: &str, application: &str) -> [Value; 2] {
    let spec = json!({"sourceId": application});
    [
        connector("ApplicationMapping", application, Some(namespace), &json!({})),
        connector("EventActivation", &format!("{application}-events"), Some(namespace), &spec),
    ]
}

fn subscription([namespace, name, source, event_type, counted]: [&str; 5]) -> Value {
    json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"source_id": source, "event_type": event_type, "event_type_version": "v1",
            "endpoint": format!("http://meter.{METER}:8080/{counted}")}})
}
