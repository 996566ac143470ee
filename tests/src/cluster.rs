//! Clusters of `tests/cluster` that end with the test: they live as long as we hold their standard input, so that a test that
//! is killed takes them along.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};
use std::sync::{Mutex, Once, OnceLock, PoisonError};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::access;
use crate::program::{Ended, becomes, binaries, builder, job, root, run, tool};
use crate::{servers, timing};

mod pool;

pub use pool::{Lease, Share, empty, lease, node, shared_node};

/// Kyma's legacy kinds, which have no controller here.
const LEGACY_DEFINITIONS: &str = "examples/kyma-event-bus/legacy/crds.yaml";

/// Kinds of Istio and of Kyma's event-sources, which some clusters have.
const OPTIONAL_DEFINITIONS: &str = "tests/definitions/istio-and-sources.yaml";

/// The jobs that pods of the tests run.
const IMAGES: [&str; 4] = ["trigger-replicator", "drain-waiter", "legacy-purger", "schema-migrator"];

/// The address of a node, for its pods.
pub const NODE_ADDRESS: &str = "192.0.2.2";

/// How long a cluster may take to start. Several with Knative start at once, on two processors.
pub const START: &str = "15m";

/// A running cluster.
pub struct Cluster {
    name: String,
    kubeconfig: PathBuf,
    /// The first process of its box.
    pid: u64,
    /// Whether it has the images of the jobs.
    jobs: Once,
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

    /// etcd, the API server and Kubernetes' controllers, the garbage collector among them; no custom resources.
    #[must_use]
    pub fn with_controllers() -> Self {
        Self::start(&["control-plane", "--attach", "--controller-manager"])
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
        timing::begin();
        // Read by the test `audit`, when all others have run.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let audit = root().join("target/audit");
        std::fs::create_dir_all(&audit).expect("the folder of audit logs");
        let unique = folder.path().file_name().expect("it has a name");
        let mut command = tool("cluster");
        command.arg(args[0]).args(["--timeout", START]).arg("--audit-log").arg(audit.join(unique).with_extension("log"));
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
        Self {
            name,
            kubeconfig,
            pid,
            jobs: Once::new(),
            accounts: Mutex::default(),
            folder,
            child,
            _messages: stderr,
            alive,
        }
    }

    fn with_definitions(self, files: &[&str]) -> Self {
        for definitions in files {
            self.define(&root().join(definitions));
        }
        self
    }

    /// Applies the definitions in a file, and waits until their kinds are served.
    #[track_caller]
    pub fn define(&self, file: &Path) {
        let file = file.to_str().expect("a path of ours is UTF-8");
        let applied = self.kubectl(&["apply", "--server-side", "-o", "name", "-f", file]).expect(0).stdout;
        let names: Vec<&str> = applied.lines().filter_map(|line| line.split_once('/').map(|(_, name)| name)).collect();
        self.serves(&names);
    }

    /// Waits until the kinds with these definitions are served and found.
    #[track_caller]
    pub fn serves(&self, definitions: &[&str]) {
        // kubectl fails for a definition that has no conditions yet.
        let wait = [&["wait", "--for=condition=Established", "--timeout=60s", "crd"], definitions].concat();
        assert!(becomes(|| self.kubectl(&wait).status == Some(0)), "not established: {definitions:?}");
        // A kind that is established is not served at once.
        let get = ["get", &definitions.join(","), "--all-namespaces"];
        assert!(becomes(|| self.kubectl(&get).status == Some(0)), "not served: {definitions:?}");
    }

    /// Loads the images of the jobs, if they are not there, made of the binaries that the tests build anyway, with the tag `dev`.
    pub fn load_jobs(&self) {
        self.jobs.call_once_force(|_| {
            for job in IMAGES {
                self.load_binary(&binaries().join(job));
            }
        });
    }

    /// Loads the images of NATS Streaming and of the legacy event bus that is played on it.
    pub fn load_bus(&self) {
        for program in ["nats-streaming-server", "legacy-bus"] {
            self.load_binary(&servers::file(program));
        }
    }

    /// Loads the image of one of our programs that is no job.
    pub fn load_program(&self, name: &str) {
        self.load_binary(&binaries().join(name));
    }

    /// Makes an image of a binary, with the tag `dev`, and loads it.
    fn load_binary(&self, binary: &Path) {
        let name = binary.file_name().and_then(|name| name.to_str()).expect("it has a name");
        let archive = self.folder.path().join(name).with_extension("tar");
        let mut image = tool("cluster");
        image.arg("image").arg("--binary").arg(binary).arg("--output").arg(&archive);
        let reference = format!("docker.io/fairlead/{name}:dev");
        run(image.args(["--compressed=false", "--reference", &reference]), "").expect(0);
        self.load_image(&archive);
    }

    /// Loads the release images of the jobs, with the tag `release`. Making them takes minutes.
    pub fn load_release(&self) {
        for job in RELEASED {
            self.load_image(&release_images().join(job).with_extension("tar"));
        }
    }

    /// Loads the image of the subscriber that notes what it gets.
    pub fn load_mailbox(&self) {
        self.load_image(&root().join("target/images/mailbox.tar"));
    }

    /// Loads an image.
    fn load_image(&self, archive: &Path) {
        run(tool("cluster").args(["load-image", "--name", self.name()]).arg(archive), "").expect(0);
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
        self.inside(|| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
    }

    /// Does something in the network of the cluster, where addresses of Services lead to their pods. Sockets and processes stay where they
    /// were made.
    pub fn inside<T: Send>(&self, what: impl FnOnce() -> T + Send) -> T {
        let namespace = std::fs::File::open(format!("/proc/{}/ns/net", self.pid)).expect("the box is there");
        // A thread that has moved cannot be used for anything else.
        std::thread::scope(|scope| {
            let moved = scope.spawn(move || {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("root may enter it");
                what()
            });
            moved.join().expect("it does not fail")
        })
    }

    /// A kubeconfig of an administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> &str {
        self.kubeconfig.to_str().expect("a path of ours is UTF-8")
    }

    /// kubectl, which keeps what it learns of this cluster apart: another one may have had its port.
    fn kubectl_command(&self) -> Command {
        let mut kubectl = tool("kubectl");
        kubectl.env("KUBECACHEDIR", self.folder.path().join("cache")).arg("--kubeconfig").arg(&self.kubeconfig);
        kubectl
    }

    /// Runs kubectl.
    #[track_caller]
    pub fn kubectl(&self, args: &[&str]) -> Ended {
        run(self.kubectl_command().args(args), "")
    }

    /// Creates or changes objects.
    #[track_caller]
    pub fn apply(&self, manifests: &Value) {
        let list = match manifests {
            Value::Array(items) => serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}),
            one => one.clone(),
        };
        run(self.kubectl_command().args(["apply", "--server-side", "-f", "-"]), &list.to_string()).expect(0);
    }

    /// Creates objects that do not exist yet: one request each.
    #[track_caller]
    pub fn create(&self, objects: impl Iterator<Item = Value>) {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects.collect::<Vec<Value>>()});
        run(self.kubectl_command().args(["create", "-f", "-"]), &list.to_string()).expect(0);
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
            let access = access::rendered("fairlead", job);
            self.apply(&Value::Array(access.clone()));
            access::wait_until_allowed(self, &format!("fairlead-{job}"), &access);
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

/// The jobs whose release images a test runs: those of all would be compiled for minutes, beside tests that need the processors.
const RELEASED: [&str; 2] = ["trigger-replicator", "legacy-purger"];

/// Makes the release images of `RELEASED`, behind everything else on this machine: tests wait more than they work.
pub fn release_images() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = root().join("target/images/release");
        let mut make = builder("nice");
        make.args(["-n", "10", "make", "images", "TAG=release"]).arg(format!("JOBS={}", RELEASED.join(" ")));
        make.arg(format!("IMAGES={}", folder.display()));
        run(&mut make, "").expect(0);
        folder
    })
}
