//! Clusters of `tests/cluster` that end with the test: they live as long as we hold their standard input, so that a test that
//! is killed takes them along.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access;
use crate::program::{Ended, becomes, job, root, run, tool};

/// Kyma's legacy kinds, which have no controller here.
const LEGACY_DEFINITIONS: &str = "examples/kyma-event-bus/legacy/crds.yaml";

/// Kinds of Istio and of Kyma's event-sources, which some clusters have.
const OPTIONAL_DEFINITIONS: &str = "tests/definitions/istio-and-sources.yaml";

/// A running cluster.
pub struct Cluster {
    name: String,
    kubeconfig: PathBuf,
    /// The first process of its box.
    pid: u64,
    /// Kubeconfigs of jobs with the chart's permissions, each made when its job first runs.
    accounts: Mutex<BTreeMap<String, PathBuf>>,
    folder: TempDir,
    child: Child,
    /// Kept open: a program that cannot write its messages is killed by them.
    _messages: ChildStderr,
    /// Closing it ends the cluster.
    alive: Option<ChildStdin>,
}

impl Cluster {
    /// etcd and the API server, with the custom resources that the jobs work on.
    #[must_use]
    pub fn control_plane() -> Self {
        let knative = "target/tools/knative/crds.yaml";
        Self::start(&["control-plane", "--attach"]).with_definitions(&[knative, LEGACY_DEFINITIONS, OPTIONAL_DEFINITIONS])
    }

    /// The same with Knative's kinds of another version: their names and scopes, no schema, and no controller anywhere.
    #[must_use]
    pub fn old_control_plane(version: &str) -> Self {
        let definition = |group: &str, kind: &str| {
            let plural = format!("{}s", kind.to_lowercase());
            let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
            let version =
                json!({"name": version, "served": true, "storage": true, "subresources": {"status": {}}, "schema": schema});
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": format!("{plural}.{group}")},
                "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural}, "versions": [version]}})
        };
        let cluster = Self::start(&["control-plane", "--attach"]);
        cluster.apply(&json!([
            definition("eventing.knative.dev", "Broker"),
            definition("eventing.knative.dev", "Trigger"),
            definition("messaging.knative.dev", "Channel"),
            definition("messaging.knative.dev", "Subscription"),
        ]));
        cluster.with_definitions(&[LEGACY_DEFINITIONS, OPTIONAL_DEFINITIONS])
    }

    /// A cluster with a node that runs pods, with Knative Eventing and the legacy custom resources.
    #[must_use]
    pub fn with_node() -> Self {
        Self::start(&["up", "--attach", "--knative"]).with_definitions(&[LEGACY_DEFINITIONS])
    }

    /// A cluster with a node that runs pods, and nothing of ours in it.
    #[must_use]
    pub fn bare_node() -> Self {
        Self::start(&["up", "--attach"])
    }

    fn start(args: &[&str]) -> Self {
        // Read by the test `audit`, when all others have run.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let audit = root().join("target/audit");
        std::fs::create_dir_all(&audit).expect("the folder of audit logs");
        let unique = folder.path().file_name().expect("it has a name");
        let mut command = tool("cluster");
        command.arg(args[0]).arg("--audit-log").arg(audit.join(unique).with_extension("log"));
        let mut child = command
            .args(&args[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("failed to start {command:?}: {error}; `make cluster` builds what the tests need")
            });
        let alive = child.stdin.take();
        let mut line = String::new();
        let stdout = child.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the cluster's first line can be read");
        let mut stderr = child.stderr.take().expect("it is piped");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut why = String::new();
            let _ = stderr.read_to_string(&mut why);
            panic!("{command:?} did not become ready:\n{why}")
        });
        let text =
            |field: &str| ready[field].as_str().unwrap_or_else(|| panic!("{command:?}: no {field}: {line}")).to_owned();
        let (name, kubeconfig) = (text("name"), text("kubeconfig").into());
        let pid = ready["pid"].as_u64().unwrap_or_else(|| panic!("{command:?}: no pid: {line}"));
        Self { name, kubeconfig, pid, accounts: Mutex::default(), folder, child, _messages: stderr, alive }
    }

    fn with_definitions(self, files: &[&str]) -> Self {
        for definitions in files {
            let path = root().join(definitions);
            self.kubectl(&["apply", "--server-side", "-f", path.to_str().expect("a path of ours is UTF-8")]).expect(0);
        }
        self.kubectl(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).expect(0);
        self
    }

    /// The first process of its box.
    #[must_use]
    pub fn pid(&self) -> u64 {
        self.pid
    }

    /// Its name, for commands of `cluster`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A socket in the network of the cluster, which is a namespace of its own: only there its API server can reach us.
    #[must_use]
    pub fn listen(&self) -> std::net::TcpListener {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.pid)).expect("the box is there");
        // A thread that has moved cannot be used for anything else; the socket stays where it was made.
        let listen = move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
            std::net::TcpListener::bind("127.0.0.1:0").expect("a free port")
        };
        std::thread::spawn(listen).join().expect("it listens")
    }

    /// A kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        self.kubeconfig.to_str().expect("a path of ours is UTF-8")
    }

    /// Runs kubectl.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> Ended {
        run(tool("kubectl").arg("--kubeconfig").arg(&self.kubeconfig).args(args), "")
    }

    /// Creates or changes objects.
    #[track_caller]
    pub fn apply(&self, manifests: &Value) {
        let list = match manifests {
            Value::Array(items) => serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
            one => one.clone(),
        };
        let mut kubectl = tool("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(["apply", "--server-side", "-f", "-"]);
        run(&mut kubectl, &list.to_string()).expect(0);
    }

    /// Creates objects that do not exist yet: one request each.
    #[track_caller]
    pub fn create(&self, objects: impl Iterator<Item = Value>) {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<Value>>()});
        let mut kubectl = tool("kubectl");
        kubectl.arg("--kubeconfig").arg(&self.kubeconfig).args(["create", "-f", "-"]);
        run(&mut kubectl, &list.to_string()).expect(0);
    }

    /// One object.
    #[track_caller]
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.kubectl(&["get", kind, "--namespace", namespace, name, "-o", "json"]).expect(0).json()
    }

    /// All objects of a kind, in all namespaces.
    #[track_caller]
    pub fn list(&self, kind: &str) -> Vec<Value> {
        let list = self.kubectl(&["get", kind, "--all-namespaces", "-o", "json"]).expect(0).json();
        list["items"].as_array().expect("kubectl prints a list").clone()
    }

    /// A job that works on this cluster, with exactly the permissions that the chart gives it for its ledger in namespace
    /// default; ready to be run or started.
    #[must_use]
    pub fn job(&self, name: &str, args: &[&str]) -> Command {
        let mut command = job(name);
        command.args(args).arg("--kubeconfig").arg(self.account(name));
        command
    }

    /// A kubeconfig with the permissions of a job.
    pub fn account(&self, job: &str) -> PathBuf {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            self.apply(&Value::Array(access::rendered("fairlead", job)));
            access::kubeconfig(self, "fairlead", job, self.folder.path())
        };
        accounts.entry(job.to_owned()).or_insert_with(make).clone()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        drop(self.alive.take());
        // It ends by itself now; what it leaves when it does not is swept by the next start.
        let _ = self.child.wait();
    }
}

/// Tests wait for what takes its time: with as many API servers as processors a fifth of these would rest (measured with two).
const POOL_SIZE: usize = 4;

struct Pool {
    free: Vec<Cluster>,
    started: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: Vec::new(), started: 0 });
static RETURNED: Condvar = Condvar::new();

/// A control plane that nobody else uses until it is dropped, empty but for the custom resource definitions.
pub struct Lease(Option<Cluster>);

impl Deref for Lease {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut pool = pool();
        pool.free.extend(self.0.take());
        RETURNED.notify_one();
    }
}

/// A place in the pool whose control plane does not start goes to the next who waits, who will then say why, too.
struct Place;

impl Drop for Place {
    fn drop(&mut self) {
        pool().started -= 1;
        RETURNED.notify_one();
    }
}

/// Waits for a control plane.
#[must_use]
pub fn lease() -> Lease {
    let mut pool = pool();
    loop {
        if let Some(cluster) = pool.free.pop() {
            drop(pool);
            empty(&cluster);
            return Lease(Some(cluster));
        }
        if pool.started < POOL_SIZE {
            pool.started += 1;
            drop(pool);
            let place = Place;
            let cluster = Cluster::control_plane();
            std::mem::forget(place);
            return Lease(Some(cluster));
        }
        pool = RETURNED.wait(pool).unwrap_or_else(PoisonError::into_inner);
    }
}

/// The one cluster with a node, for one test at a time.
pub fn node() -> RwLockWriteGuard<'static, Cluster> {
    // A test that failed while it held the node leaves it as usable as any other.
    the_node().write().unwrap_or_else(PoisonError::into_inner)
}

/// The same for tests that touch nothing outside namespaces of their own: several at a time.
pub fn shared_node() -> RwLockReadGuard<'static, Cluster> {
    the_node().read().unwrap_or_else(PoisonError::into_inner)
}

fn the_node() -> &'static RwLock<Cluster> {
    static NODE: OnceLock<RwLock<Cluster>> = OnceLock::new();
    NODE.get_or_init(|| RwLock::new(Cluster::with_node()))
}

fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Custom resources that tests make.
const CUSTOM_KINDS: [&str; 11] = [
    "subscriptions.eventing.kyma-project.io",
    "eventactivations.applicationconnector.kyma-project.io",
    "applications.applicationconnector.kyma-project.io",
    "applicationmappings.applicationconnector.kyma-project.io",
    "serviceinstances.servicecatalog.k8s.io",
    "triggers.eventing.knative.dev",
    "brokers.eventing.knative.dev",
    "subscriptions.messaging.knative.dev",
    "channels.messaging.knative.dev",
    "policies.authentication.istio.io",
    "httpsources.sources.kyma-project.io",
];

/// Takes away what a test has made. Namespaces stay: without a controller-manager they never go.
pub fn empty(cluster: &Cluster) {
    let policies = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    let deleted = cluster.kubectl(&["delete", policies, "--all", "--wait=false"]).expect(0).stdout;
    if deleted.contains("deleted") {
        forget_policies(cluster);
    }
    let crds = cluster.kubectl(&["get", "crds", "-o", "jsonpath={.items[*].metadata.name}"]).expect(0).stdout;
    let kinds: Vec<&str> = CUSTOM_KINDS.into_iter().filter(|kind| crds.contains(kind)).collect();
    cluster.kubectl(&["delete", &kinds.join(","), "--all", "--all-namespaces", "--wait=false"]).expect(0);
    // Elsewhere they belong to the cluster itself, or go with the namespace of the test that made them.
    let kinds = "secrets,configmaps,leases";
    cluster.kubectl(&["delete", kinds, "--all", "--namespace", "default", "--wait=false"]).expect(0);
}

/// A policy that is gone goes on denying for a second. All are read at once: when a new one acts, the old ones are forgotten.
fn forget_policies(cluster: &Cluster) {
    let name = "forgotten";
    let of_kind = |kind: &str, spec: Value| json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"], "resourceNames": [name]}]);
    cluster.apply(&json!([
        of_kind(
            "ValidatingAdmissionPolicy",
            json!({"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "false"}]})
        ),
        of_kind("ValidatingAdmissionPolicyBinding", json!({"policyName": name, "validationActions": ["Deny"]})),
    ]));
    let acts = || cluster.kubectl(&["create", "configmap", name, "--dry-run=server"]).status != Some(0);
    assert!(becomes(acts), "no policy acts");
    cluster.kubectl(&["delete", "validatingadmissionpolicybindings,validatingadmissionpolicies", name]).expect(0);
}
