//! A small scenario whose writes are of every kind there is: create, update, delete, status, scale, finalizer, and everything
//! that the ledger and the lease write.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use fairlead_tests::api::Api;
use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::{self, Ended, job, root};
use fairlead_tests::proxy::{Asked, Fault, Proxy};
use fairlead_tests::state::{self, State};
use serde_json::{Value, json};

/// `hyper::Method`, which the harness takes.
pub(crate) use hyper::Method;

/// What a job exits with when it is to be run again.
const RETRIED: [i32; 2] = [5, 75];

/// A namespace of its own, and a release of the same name: many of them can be at work in one cluster.
pub(crate) struct Stage {
    pub(crate) api: Api,
    pub(crate) name: String,
    pub(crate) folder: tempfile::TempDir,
    kubeconfig: PathBuf,
    changes: PathBuf,
}

/// What the job is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Apply,
    Rollback,
    /// The first part of a rollback by Helm.
    BeforeHelm,
    /// The second one.
    AfterHelm,
}

/// The kinds that the scenario has, by their paths.
const KINDS: [(&str, &str, &str); 4] = [
    ("/api/v1", "ConfigMap", "configmaps"),
    ("/api/v1", "Secret", "secrets"),
    ("/apis/apps/v1", "Deployment", "deployments"),
    ("/apis/example.com/v1", "Widget", "widgets"),
];

/// At work at once: most of the time each waits for its processes and for the API server.
const WORKERS: usize = 16;

/// So short that a request is given up soon, that the lease is renewed soon, and that a successor need not wait for long. On a busy machine
/// it may be lost.
pub(crate) const SHORT: [&str; 4] = ["--lease-duration", "3s", "--request-timeout", "1s"];

/// The states that there may be in the end.
pub(crate) struct Ends {
    pub(crate) old: State,
    pub(crate) new: State,
}

/// Two, for all tests of this file.
pub(crate) fn clusters() -> &'static [Cluster] {
    static CLUSTERS: OnceLock<[Cluster; 2]> = OnceLock::new();
    CLUSTERS.get_or_init(|| {
        std::thread::scope(|scope| {
            let start = || {
                let cluster = Cluster::control_plane();
                prepare(&cluster);
                cluster
            };
            let other = scope.spawn(start);
            [start(), other.join().expect("it starts")]
        })
    })
}

/// Meets every point, many at once, each in a namespace of its own, and returns how many. Fails with all that went wrong.
#[track_caller]
pub(crate) fn at_once<P: Copy + Debug + Send>(
    clusters: &[Cluster],
    name: &str,
    points: Vec<P>,
    meet: impl Fn(&Stage, P, &Ends) -> Result<(), String> + Sync,
) -> usize {
    let count = points.len();
    let (points, wrong) = (Mutex::new(points.into_iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..WORKERS.min(count) {
            let (points, wrong, meet, cluster) = (&points, &wrong, &meet, &clusters[worker % clusters.len()]);
            scope.spawn(move || {
                let stage = Stage::new(cluster, &format!("{name}-{worker}"));
                // Namespaces stand in the states.
                stage.reset();
                let old = stage.state();
                stage.run_to_the_end(Order::Apply).expect(0);
                let ends = Ends { old, new: stage.state() };
                loop {
                    let Some(point) = points.lock().expect("nobody panics with it").next() else { return };
                    if let Err(what) = meet(&stage, point, &ends) {
                        wrong.lock().expect("nobody panics with it").push(format!("{point:?}: {what}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("nobody panics with it");
    assert!(wrong.is_empty(), "{} of {count} points:\n{}", wrong.len(), wrong.join("\n=====\n"));
    count
}

/// `2 create configmaps, 1 delete secrets`.
pub(crate) fn counted(kinds: &[String]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts.into_iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ")
}

/// Adds the kind that the tests bring with them.
fn prepare(cluster: &Cluster) {
    cluster.define(&root().join("tests/definitions/widgets.yaml"));
}

fn object(api_version: &str, kind: &str, name: &str, more: &Value) -> Value {
    let mut object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    for (key, value) in more.as_object().expect("an object") {
        if key == "metadata" {
            for (key, value) in value.as_object().expect("an object") {
                object["metadata"][key] = value.clone();
            }
        } else {
            object[key] = value.clone();
        }
    }
    object
}

impl Stage {
    pub(crate) fn new(cluster: &Cluster, name: &str) -> Self {
        let api = Api::new(cluster.kubeconfig().as_ref());
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        api.expect(&Method::POST, "/api/v1/namespaces", &namespace);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let changes = folder.path().join("changes.json");
        std::fs::write(&changes, changes_in(name).to_string()).expect("written");
        Self { api, name: name.to_owned(), kubeconfig: cluster.kubeconfig().into(), changes, folder }
    }

    /// Tells the job to make other changes.
    pub(crate) fn wish(&self, stages: &Value) {
        std::fs::write(&self.changes, stages.to_string()).expect("written");
    }

    pub(crate) fn path(&self, root: &str, plural: &str) -> String {
        format!("{root}/namespaces/{}/{plural}", self.name)
    }

    /// Every object as it was in the beginning, and no trace of an earlier run.
    pub(crate) fn reset(&self) {
        let guarded = format!("{}/guarded", self.path("/api/v1", "configmaps"));
        self.api.ask(&Method::PATCH, &guarded, &json!({"metadata": {"finalizers": null}}));
        for (root, _, plural) in KINDS {
            self.api.expect(&Method::DELETE, &self.path(root, plural), &Value::Null);
        }
        let lease = format!("{}/fairlead-{}", self.path("/apis/coordination.k8s.io/v1", "leases"), self.name);
        self.api.ask(&Method::DELETE, &lease, &Value::Null);
        self.seed();
    }

    /// Written by somebody who is not us, as a chart is.
    fn create(&self, root: &str, plural: &str, object: &Value) -> Value {
        self.api.expect(&Method::POST, &format!("{}?fieldManager=helm", self.path(root, plural)), object)
    }

    fn seed(&self) {
        let settings = json!({"data": {"bus": "legacy", "retries": "3"}, "metadata": {"labels": {"app": "shop"}, "annotations": {"a": "b"}}});
        self.create("/api/v1", "configmaps", &object("v1", "ConfigMap", "settings", &settings));
        let guarded = json!({"metadata": {"finalizers": ["example.com/guard", "example.com/other"]}});
        self.create("/api/v1", "configmaps", &object("v1", "ConfigMap", "guarded", &guarded));
        self.create("/api/v1", "secrets", &object("v1", "Secret", "old", &json!({"stringData": {"password": "x"}})));
        let template =
            json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "none"}]}});
        let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template});
        self.create("/apis/apps/v1", "deployments", &object("apps/v1", "Deployment", "web", &json!({"spec": spec})));
        for name in ["live", "owner"] {
            let widget = json!({"spec": {"size": 3, "replicas": 1}, "metadata": {"labels": {"app": "shop"}}});
            self.create("/apis/example.com/v1", "widgets", &object("example.com/v1", "Widget", name, &widget));
            let status = json!({"status": {"observedGeneration": 1, "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
            let path = format!("{}/{name}/status?fieldManager=controller", self.path("/apis/example.com/v1", "widgets"));
            self.api.expect(&Method::PATCH, &path, &status);
        }
        let owner = self.api.get(&format!("{}/owner", self.path("/apis/example.com/v1", "widgets")));
        let reference =
            json!({"apiVersion": "example.com/v1", "kind": "Widget", "name": "owner", "uid": owner["metadata"]["uid"]});
        let dependent = json!({"data": {"of": "owner"}, "metadata": {"ownerReferences": [reference]}});
        self.create("/api/v1", "configmaps", &object("v1", "ConfigMap", "owned", &dependent));
    }

    /// Everything there is, but for the ledger, whose content is no object of the scenario.
    pub(crate) fn state(&self) -> State {
        let mut objects = Vec::new();
        for (root, kind, plural) in KINDS {
            let list = self.api.get(&self.path(root, plural));
            for mut item in list["items"].as_array().expect("a list").iter().cloned() {
                if item["type"].as_str().is_some_and(|kind| kind.starts_with("fairlead.dev/")) {
                    continue;
                }
                item["kind"] = kind.into();
                // Which ticket it was differs from run to run; that it is marked does not.
                if let Some(mark) = item["metadata"]["annotations"].get_mut("fairlead.dev/ticket") {
                    *mark = "a ticket".into();
                }
                objects.push(item);
            }
        }
        state::canonical(objects)
    }

    /// Phases of all tickets, by name.
    pub(crate) fn phases(&self) -> BTreeMap<String, String> {
        let list = self.api.get(&format!("{}?labelSelector=fairlead.dev/phase", self.path("/api/v1", "secrets")));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ticket =
            |secret: &Value| (text(&secret["metadata"]["name"]), text(&secret["metadata"]["labels"]["fairlead.dev/phase"]));
        list["items"].as_array().expect("a list").iter().map(ticket).collect()
    }

    /// Runs the job once, through a proxy that does this to its requests. Nobody need wait for the lease of one that was killed.
    pub(crate) fn run(
        &self,
        order: Order,
        more: &[&str],
        fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> (Ended, Proxy) {
        let ended = self.run_for_its_lease(order, more, fault);
        free_lease_of_killed(&self.api, &self.name, &ended.0);
        ended
    }

    /// The same with a lease that the next run must wait for when this one was killed.
    pub(crate) fn run_for_its_lease(
        &self,
        order: Order,
        more: &[&str],
        fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> (Ended, Proxy) {
        let mut command = self.job();
        match order {
            Order::Apply => command.args(["apply", "--changes"]).arg(&self.changes),
            Order::Rollback => command.args(["rollback", "--to", "0"]),
            Order::BeforeHelm => command.args(["rollback", "--to-revision", "1", "--undo-at", "pre-rollback"]),
            Order::AfterHelm => command.args(["rollback", "--to-revision", "1", "--undo-at", "post-rollback"]),
        };
        command.args(more);
        through_proxy(&self.kubeconfig, command, fault)
    }

    /// Runs the job once with these arguments.
    pub(crate) fn ask(&self, words: &[&str]) -> Ended {
        program::run(self.job().args(words).arg("--kubeconfig").arg(&self.kubeconfig), "")
    }

    /// The same through a proxy that does this to its requests.
    pub(crate) fn ask_through(
        &self,
        words: &[&str],
        fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
    ) -> Ended {
        let mut command = self.job();
        command.args(words);
        through_proxy(&self.kubeconfig, command, fault).0
    }

    fn job(&self) -> Command {
        let mut command = job("every-kind");
        // As variables, so that a test can say otherwise with flags.
        let variables = [
            ("RELEASE", self.name.as_str()),
            ("LEDGER_NAMESPACE", &self.name),
            ("HELM_REVISION", "2"),
            ("CONCURRENCY", "1"),
            ("LEASE_DURATION", "15s"),
            ("REQUEST_TIMEOUT", "5s"),
            ("LEASE_WAIT", "1m"),
        ];
        command.envs(variables.map(|(name, value)| (format!("FAIRLEAD_{name}"), value)));
        command
    }

    /// Runs the job to its end.
    pub(crate) fn run_to_the_end(&self, order: Order) -> Ended {
        again_while_told(|| self.run(order, &[], |_| None).0)
    }
}

/// Runs a job once, through a proxy that does this to its requests.
pub(crate) fn through_proxy(
    kubeconfig: &Path,
    mut command: Command,
    fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
) -> (Ended, Proxy) {
    let proxy = Proxy::start(kubeconfig, fault);
    command.arg("--kubeconfig").arg(proxy.kubeconfig());
    let line = format!("{command:?}");
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    proxy.set_victim(child.id());
    let output = child.wait_with_output().expect("it ends");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    (Ended { command: line, status: output.status.code(), stdout, stderr }, proxy)
}

/// Gives back what a process that was killed cannot: the lease of a release in the namespace of the same name.
pub(crate) fn free_lease_of_killed(api: &Api, name: &str, ended: &Ended) {
    if ended.status.is_none() {
        free_lease(api, name);
    }
}

/// Gives back the lease of a release in the namespace of the same name, if there is one.
pub(crate) fn free_lease(api: &Api, name: &str) {
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/{name}/leases/fairlead-{name}");
    api.ask(&Method::PATCH, &lease, &json!({"spec": {"holderIdentity": ""}}));
}

/// Runs as a Job does: again, for as long as it says so.
pub(crate) fn again_while_told(run: impl Fn() -> Ended) -> Ended {
    let mut ended = run();
    for _ in 0..3 {
        if ended.status.is_some_and(|status| RETRIED.contains(&status)) {
            ended = run();
        }
    }
    ended
}

/// What the job is told to make of it.
fn changes_in(namespace: &str) -> Value {
    let target = |api_version: &str, kind: &str, name: &str| json!({"apiVersion": api_version, "kind": kind, "namespace": namespace, "name": name});
    let map = |name: &str| target("v1", "ConfigMap", name);
    let widget = |name: &str| target("example.com/v1", "Widget", name);
    let stage = |name: &str, kind: &str, wanted: Value| {
        let undo_at = if kind == "expand" { "post-rollback" } else { "pre-rollback" };
        json!({"name": name, "kind": kind, "undoAt": undo_at, "concurrency": 1, "wanted": wanted})
    };
    let in_namespace = |mut object: Value| {
        object["metadata"]["namespace"] = namespace.into();
        object
    };
    let new_map = in_namespace(object("v1", "ConfigMap", "new", &json!({"data": {"bus": "mesh"}})));
    let new_widget = in_namespace(object("example.com/v1", "Widget", "new", &json!({"spec": {"size": 1}})));
    json!([
        stage(
            "hold",
            "hold",
            json!([{"target": target("apps/v1", "Deployment", "web"), "patch": {"spec": {"replicas": 0}}}])
        ),
        stage(
            "expand",
            "expand",
            json!([
                {"target": map("new"), "object": new_map},
                {"target": map("settings"), "patch": {"data": {"bus": "mesh", "retries": null}, "metadata": {"annotations": {"a": null, "c": "d"}}}},
                {"target": map("guarded"), "patch": {"metadata": {"finalizers": ["example.com/other"]}}},
                {"target": widget("live"), "patch": {"status": {"phase": "Paused"}}},
                {"target": widget("new"), "object": new_widget},
            ])
        ),
        stage("dependents", "contract", json!([{"target": map("owned")}])),
        stage("contract", "contract", json!([{"target": widget("owner")}, {"target": target("v1", "Secret", "old")}])),
    ])
}

/// What kind of write it is, in words.
pub(crate) fn kind(asked: &Asked) -> String {
    let verb = match asked.method.as_str() {
        "POST" => "create",
        "PATCH" => "patch",
        "DELETE" => "delete",
        other => other,
    };
    let path = asked.path.split('?').next().unwrap_or_default();
    let parts: Vec<&str> = path.split('/').collect();
    let after = parts.iter().position(|part| *part == "namespaces").map_or(parts.len(), |at| at + 2);
    let (plural, name) = (parts.get(after).copied().unwrap_or_default(), parts.get(after + 1).copied().unwrap_or_default());
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let name =
        if name.is_empty() { body["metadata"]["name"].as_str().unwrap_or_default().to_owned() } else { name.to_owned() };
    if let Some(phase) = body["metadata"]["labels"]["fairlead.dev/phase"].as_str() {
        return format!("{verb} ticket, phase {phase}");
    }
    if name.ends_with(".outcomes") {
        let is_register = !body["metadata"]["annotations"]["fairlead.dev/sequence"].is_null();
        return format!("{verb} {}", if is_register { "register" } else { "outcomes" });
    }
    if plural == "secrets" && name.starts_with("fairlead.v1.") {
        return format!("{verb} chunk");
    }
    if plural == "leases" {
        let what = match (&body["spec"]["holderIdentity"], &body["spec"]["acquireTime"]) {
            (Value::String(holder), _) if holder.is_empty() => "release",
            (_, Value::Null) => "renew",
            _ => "take",
        };
        return format!("{what} lease");
    }
    let what = if !body["metadata"]["managedFields"].is_null() {
        "managers of "
    } else if !body["metadata"]["finalizers"].is_null() && verb == "patch" {
        "finalizers of "
    } else {
        ""
    };
    let subresource = parts.get(after + 2).map(|part| format!("/{part}")).unwrap_or_default();
    format!("{verb} {what}{plural}{subresource}")
}
