//! A Helm release of a small application, which the upgrade carries from the legacy bus to the mesh, in a namespace of its own: its
//! Subscriptions get Triggers, and are purged. Its chart of version 2 drops an object and changes a workload.

use std::fs;
use std::path::Path;
use std::process::Command;

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{Ended, becomes, binaries, job, root, run, tool};
use fairlead_tests::state::{self, State};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::NAMESPACES;
use super::meter::Meter;

/// Names of the Subscriptions.
pub(crate) const SUBSCRIPTIONS: [&str; 2] = ["order-created", "order-paid"];

/// What changes by itself, or records what was done.
const LEFT_OUT: [&str; 9] = [
    "controllerrevisions.apps",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "pods",
    "replicasets.apps",
    "serviceaccounts",
];

/// The application's own objects, in one template.
const APPLICATION: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: {{ .Release.Namespace }}}
data: {bus: {{ if eq (int .Values.version) 1 }}legacy{{ else }}mesh{{ end }}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: {{ .Release.Namespace }}}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: web, image: "docker.io/fairlead/pause:built", env: [{name: VERSION, value: {{ .Values.version | quote }}}]}]
{{- if eq (int .Values.version) 1 }}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: dropped, namespace: {{ .Release.Namespace }}}
data: {by: version 2}
{{- end }}
{{- if .Values.broken }}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: {{ .Release.Namespace }}}
spec: {clusterIP: 203.0.113.7, ports: [{port: 80}]}
{{- end }}
"#;

/// How long anything may take: half a dozen plays share Knative, and what takes a moment on its own takes minutes beside others. Each is
/// less than the next, as the chart asks for.
const WAIT: &str = "8m";
const RUN: &str = "10m";
const DEADLINE: u32 = 900;
const HELM: &str = "20m";

pub(crate) struct Scene<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) helm: &'static str,
    pub(crate) namespace: String,
    /// Kinds of the objects that are compared.
    kinds: String,
    /// The chart, and what Helm keeps in a home.
    folder: TempDir,
}

impl<'a> Scene<'a> {
    /// Makes namespace, Broker, Subscriptions and chart.
    pub(crate) fn set(cluster: &'a Cluster, helm: &'static str, namespace: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let kinds = cluster.kubectl(&["api-resources", "--namespaced", "--verbs=list", "-o", "name"]).expect(0).stdout;
        let kinds: Vec<&str> = kinds.lines().filter(|kind| !LEFT_OUT.contains(kind)).collect();
        let scene = Self { cluster, helm, namespace: namespace.to_owned(), kinds: kinds.join(","), folder };
        scene.write_chart();
        cluster.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}));
        scene.channel();
        let mut objects = vec![json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker",
            "metadata": {"namespace": namespace, "name": "default"},
            "spec": {"config": {"apiVersion": "v1", "kind": "ConfigMap", "name": "channel", "namespace": namespace}}})];
        objects.extend(SUBSCRIPTIONS.map(|name| scene.subscription(name)));
        cluster.apply(&Value::Array(objects));
        cluster.kubectl(&["wait", "-n", namespace, "--for=condition=Ready", "broker/default", "--timeout=10m"]).expect(0);
        scene
    }

    /// The Broker's configuration; without it no Trigger becomes ready.
    pub(crate) fn channel(&self) {
        let template = "apiVersion: messaging.knative.dev/v1\nkind: InMemoryChannel\n";
        self.cluster.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"namespace": self.namespace, "name": "channel"}, "data": {"channel-template-spec": template}}));
    }

    pub(crate) fn subscription(&self, name: &str) -> Value {
        json!({"apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": self.namespace, "name": name, "annotations": {"team": "orders"}},
            "spec": {"source_id": "shop", "event_type": name.replace('-', "."), "event_type_version": "v1",
                "endpoint": format!("http://web.{}:8080/orders", self.namespace)}})
    }

    fn write_chart(&self) {
        let chart = self.chart();
        fs::create_dir_all(chart.join("templates")).expect("made");
        fs::create_dir_all(chart.join("charts")).expect("made");
        fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: shop\nversion: 1.0.0\n").expect("written");
        fs::write(chart.join("templates/application.yaml"), APPLICATION).expect("written");
        let mut copy = Command::new("cp");
        run(copy.args(["-rL", "charts/fairlead"]).arg(chart.join("charts/fairlead")).current_dir(root()), "").expect(0);
        for (file, version) in [("1.json", 1), ("2.json", 2)] {
            fs::write(self.folder.path().join(file), self.values(version).to_string()).expect("written");
        }
    }

    pub(crate) fn chart(&self) -> std::path::PathBuf {
        self.folder.path().join("shop")
    }

    /// Version 1 is armed and runs no job.
    fn values(&self, version: u32) -> Value {
        assert!(NAMESPACES.contains(&self.namespace.as_str()), "{} is not known to the others", self.namespace);
        let others: Vec<&str> = NAMESPACES.into_iter().filter(|name| *name != self.namespace).collect();
        let purged = json!({"group": "eventing.kyma-project.io", "kind": "Subscription", "namespaces": [self.namespace], "keepDefinition": true});
        json!({"version": version, "fairlead": {
            "image": {"registry": "docker.io", "tag": "dev", "pullPolicy": "Never"},
            "triggerReplicator": {"enabled": version > 1, "excludeNamespaces": others, "args": ["--ready-timeout", "10m"],
                "runTimeout": RUN, "activeDeadlineSeconds": DEADLINE},
            "legacyPurger": {"enabled": version > 1, "runTimeout": RUN, "activeDeadlineSeconds": DEADLINE},
            "rollback": {"waitTimeout": WAIT, "runTimeout": RUN, "activeDeadlineSeconds": DEADLINE},
            "configuration": {"purge": {"kinds": [purged]}},
        }})
    }

    /// Installs version 1 and waits until it is there.
    pub(crate) fn install(&self, more: &[&str]) {
        self.of_version("install", 1, &[&["--wait"], more].concat()).expect(0);
    }

    /// `helm upgrade` to version 2.
    pub(crate) fn upgrade(&self, more: &[&str]) -> Ended {
        self.of_version("upgrade", 2, more)
    }

    /// `helm install` or `helm upgrade` to a version.
    pub(crate) fn of_version(&self, verb: &str, version: u32, more: &[&str]) -> Ended {
        run(&mut self.release_command(verb, version, more), "")
    }

    /// `helm upgrade` to a version, ready to be started.
    pub(crate) fn upgrade_command(&self, version: u32, more: &[&str]) -> Command {
        self.release_command("upgrade", version, more)
    }

    fn release_command(&self, verb: &str, version: u32, more: &[&str]) -> Command {
        let mut helm = self.helm(&[verb, "shop"]);
        helm.arg(self.chart()).arg("--values").arg(self.folder.path().join(format!("{version}.json"))).args(more);
        helm
    }

    /// `helm rollback` to a revision, and whether or not it succeeds: no event is lost meanwhile.
    #[track_caller]
    pub(crate) fn rollback(&self, revision: u32) -> Ended {
        let meter = self.meter();
        let ended = self.rollback_unmetered(revision);
        meter.finish().assert_none_lost();
        ended
    }

    /// The same where events have no way before.
    pub(crate) fn rollback_unmetered(&self, revision: u32) -> Ended {
        run(&mut self.helm(&["rollback", "shop", &revision.to_string()]), "")
    }

    /// The same after a rollback that did not come to its end. Helm 3 then stumbles over an object that is in the cluster and not in
    /// the manifests that it believes to be there, after its pre-rollback hooks; a second time it does not.
    pub(crate) fn rollback_at_last(&self, revision: u32) -> Ended {
        let ended = self.rollback(revision);
        let stumbles = self.helm == "helm3" && ended.output().contains("with the name \"dropped\" found");
        if stumbles { self.rollback(revision) } else { ended }
    }

    /// Helm knows nothing of the cluster any more, as on a new machine.
    pub(crate) fn forget(&self) {
        for cache in [".kube", ".cache"] {
            let _ = fs::remove_dir_all(self.folder.path().join(cache));
        }
    }

    /// Helm with a command, in this scene.
    pub(crate) fn helm(&self, args: &[&str]) -> Command {
        let mut helm = tool(self.helm);
        helm.args(args).args(["-n", &self.namespace, "--kubeconfig", self.cluster.kubeconfig(), "--timeout", HELM]);
        // What it remembers of the cluster lies there, too.
        helm.env("HOME", self.folder.path()).env_remove("KUBECACHEDIR").current_dir(root());
        helm
    }

    /// What is rendered, without a cluster, for version 2.
    pub(crate) fn template(&self, version: u32, more: &[&str]) -> Vec<Value> {
        let mut helm = tool(self.helm);
        helm.args(["template", "shop", "-n", &self.namespace]).arg(self.chart());
        helm.arg("--values").arg(self.folder.path().join(format!("{version}.json"))).args(more);
        let rendered = run(helm.env("HOME", self.folder.path()), "").expect(0).stdout;
        let mut convert = tool("kubectl");
        convert.args(["annotate", "--local", "-o", "json", "-f", "-", "fairlead.dev/demo-"]);
        let objects = run(&mut convert, &rendered).expect(0).stdout;
        serde_json::Deserializer::from_str(&objects).into_iter().map(|object| object.expect("kubectl prints JSON")).collect()
    }

    /// A job by hand, by an administrator, as the README says it.
    pub(crate) fn by_hand(&self, line: &str) -> Ended {
        let mut words = line.split_whitespace();
        let mut command = match words.next().expect("a command") {
            // As a person types it: kubectl finds the plugin on the PATH.
            "kubectl" => {
                let (path, mut kubectl) = (std::env::var_os("PATH").unwrap_or_default(), tool("kubectl"));
                let path = std::env::join_paths([binaries().to_owned()].into_iter().chain(std::env::split_paths(&path)));
                kubectl.env("PATH", path.expect("no colons"));
                kubectl
            }
            name => job(name),
        };
        run(command.args(words).env("KUBECONFIG", self.cluster.kubeconfig()), "")
    }

    /// What `status` says of the release.
    pub(crate) fn status(&self) -> Value {
        let place = format!("kubectl fairlead status shop -o json -n {}", self.namespace);
        self.by_hand(&place).expect(0).json()
    }

    /// The first command that `status` says is next.
    pub(crate) fn next(&self) -> String {
        self.status()["next"][0]["command"].as_str().expect("there is always one").to_owned()
    }

    /// Phases of the runs, the oldest first.
    pub(crate) fn phases(&self) -> Vec<String> {
        let status = self.status();
        let runs = status["runs"].as_array().expect("a list").iter();
        runs.map(|run| run["phase"].as_str().expect("a text").to_owned()).collect()
    }

    pub(crate) fn meter(&self) -> Meter {
        Meter::start(Path::new(self.cluster.kubeconfig()), &self.namespace)
    }

    /// Whether Subscriptions and Triggers are there: on the legacy side, or on the mesh.
    pub(crate) fn sides(&self) -> (usize, usize) {
        let count = |kind: &str| self.names(kind).len();
        (count("subscriptions.eventing.kyma-project.io"), count("triggers.eventing.knative.dev"))
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let names = self.cluster.kubectl(&["get", kind, "-n", &self.namespace, "-o", "name"]);
        names.stdout.lines().map(str::to_owned).collect()
    }

    /// All objects in the namespace, and those of the cluster that a run could touch, but for what records that there were runs.
    pub(crate) fn state(&self) -> State {
        let list = |kinds: &str| {
            let args = ["get", kinds, "-n", &self.namespace, "-o", "json", "--show-managed-fields"];
            self.cluster.kubectl(&args).expect(0).json()["items"].as_array().expect("a list").clone()
        };
        let mut objects = list(&self.kinds);
        let policies = "validatingadmissionpolicies,validatingadmissionpolicybindings";
        let whole = list(&format!("namespaces,customresourcedefinitions,{policies}"));
        objects.extend(whole.into_iter().filter(|object| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            name.contains(&self.namespace) || name.contains("kyma-project.io")
        }));
        objects.retain(|object| !is_record(object));
        state::canonical(objects.into_iter().map(settled).collect())
    }

    /// Everything is as before.
    #[track_caller]
    pub(crate) fn assert_is(&self, before: &State) {
        // Controllers may be at it for a moment.
        let is_so = || state::differences(before, &self.state()).is_empty();
        if !becomes(is_so) {
            assert_eq!(state::differences(before, &self.state()), Vec::<String>::new(), "{}", self.namespace);
        }
    }

    /// The message that a container of a Job of ours has left.
    pub(crate) fn termination(&self, job: &str) -> String {
        let selector = format!("batch.kubernetes.io/job-name={job}");
        let path = "jsonpath={.items[*].status.containerStatuses[*].state.terminated.message}";
        self.cluster.kubectl(&["get", "pods", "-n", &self.namespace, "-l", &selector, "-o", path]).expect(0).stdout
    }
}

/// Helm's records, the ledger, and what hooks leave, which all are to stay.
fn is_record(object: &Value) -> bool {
    let kind = object["type"].as_str().unwrap_or_default();
    kind == "helm.sh/release.v1"
        || kind.starts_with("fairlead.dev/")
        || object["metadata"]["labels"]["app.kubernetes.io/part-of"] == "fairlead"
}

/// Without what controllers write about how they got there.
fn settled(mut object: Value) -> Value {
    let is = |kind: &str| object["kind"] == kind;
    let is_of_knative = object["apiVersion"].as_str().is_some_and(|version| version.contains(".knative.dev/"));
    let is_worked_on = is("Deployment") || is("InMemoryChannel") || is("Broker");
    if is("CustomResourceDefinition") || is_of_knative && !is_worked_on {
        object["status"] = Value::Null;
        if let Some(managers) = object["metadata"]["managedFields"].as_array_mut() {
            managers.retain(|manager| manager["subresource"] != "status");
        }
        return object;
    }
    if is_worked_on {
        object["status"] = Value::Null;
        object["metadata"]["managedFields"] = Value::Null;
        object["spec"]["subscribers"] = Value::Null;
        if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
            annotations.remove("deployment.kubernetes.io/revision");
        }
    }
    object
}

impl Drop for Scene<'_> {
    fn drop(&mut self) {
        self.cluster.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
    }
}
