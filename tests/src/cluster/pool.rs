//! Clusters that tests share: started when they are needed, and emptied between two tests.

use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use serde_json::{Value, json};

use super::Cluster;
use crate::program::becomes;
use crate::timing;

/// Clusters that are started when they are needed, each used by one test at a time.
struct Pool {
    clusters: Mutex<Clusters>,
    returned: Condvar,
    size: usize,
    start: fn() -> Cluster,
}

struct Clusters {
    free: Vec<Cluster>,
    started: usize,
}

/// Tests wait for what takes its time: with as many API servers as processors a fifth of these would rest (measured with two).
static CONTROL_PLANES: Pool = Pool::new(4, Cluster::control_plane);

static NODES: Pool = Pool::new(2, Cluster::with_node);

impl Pool {
    const fn new(size: usize, start: fn() -> Cluster) -> Self {
        let clusters = Mutex::new(Clusters { free: Vec::new(), started: 0 });
        Self { clusters, returned: Condvar::new(), size, start }
    }

    fn clusters(&self) -> MutexGuard<'_, Clusters> {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a cluster, and says whether another test has used it.
    fn lease(&'static self) -> (Lease, bool) {
        let mut clusters = self.clusters();
        loop {
            if let Some(cluster) = clusters.free.pop() {
                return (Lease { cluster: Some(cluster), pool: self }, true);
            }
            if clusters.started < self.size {
                clusters.started += 1;
                drop(clusters);
                let place = Place(self);
                let cluster = timing::wait(self.start);
                std::mem::forget(place);
                return (Lease { cluster: Some(cluster), pool: self }, false);
            }
            clusters = timing::wait(|| self.returned.wait(clusters)).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A cluster that nobody else uses until it is dropped.
pub struct Lease {
    cluster: Option<Cluster>,
    pool: &'static Pool,
}

impl Deref for Lease {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.cluster.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A test that failed leaves it as usable as any other.
        self.pool.clusters().free.extend(self.cluster.take());
        self.pool.returned.notify_one();
    }
}

/// A place in the pool whose cluster does not start goes to the next who waits, who will then say why, too.
struct Place(&'static Pool);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.clusters().started -= 1;
        self.0.returned.notify_one();
    }
}

/// Waits for a control plane, empty but for the custom resource definitions.
#[must_use]
pub fn lease() -> Lease {
    let (lease, is_used) = CONTROL_PLANES.lease();
    if is_used {
        clear(&lease);
    }
    lease
}

/// Waits for a cluster with a node.
#[must_use]
pub fn node() -> Lease {
    NODES.lease().0
}

/// As many tests at a time share a node: with more the processors are no busier, and everything takes longer than it may.
const SHARES: usize = 6;

static SHARED: Mutex<usize> = Mutex::new(0);
static LEFT: Condvar = Condvar::new();

/// A place on the shared node.
pub struct Share(&'static Cluster);

impl Deref for Share {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
        self.0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        *SHARED.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        LEFT.notify_one();
    }
}

/// Another one, for several tests at a time that touch nothing outside namespaces of their own. With one node for both, these
/// would have to end before each of those begins, and the processors would rest.
pub fn shared_node() -> Share {
    static NODE: OnceLock<Cluster> = OnceLock::new();
    let cluster = timing::wait(|| NODE.get_or_init(Cluster::with_node));
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shared =
        timing::wait(|| LEFT.wait_while(shared, |shared| *shared >= SHARES)).unwrap_or_else(PoisonError::into_inner);
    *shared += 1;
    Share(cluster)
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

/// Takes away what a test has made, on a cluster with controllers: until they have let go, too.
pub fn empty(cluster: &Cluster) {
    clear(cluster);
    let kinds = installed(cluster);
    let is_empty = || cluster.kubectl(&["get", &kinds, "--all-namespaces", "-o", "name"]).expect(0).stdout.is_empty();
    assert!(becomes(is_empty), "some of {kinds} do not go");
}

/// Custom resources that tests make and that this cluster has.
fn installed(cluster: &Cluster) -> String {
    let crds = cluster.kubectl(&["get", "crds", "-o", "jsonpath={.items[*].metadata.name}"]).expect(0).stdout;
    CUSTOM_KINDS.into_iter().filter(|kind| crds.contains(kind)).collect::<Vec<_>>().join(",")
}

/// Deletes what a test has made. Namespaces stay: without a controller-manager they never go.
fn clear(cluster: &Cluster) {
    let policies = "validatingadmissionpolicybindings,validatingadmissionpolicies";
    let deleted = cluster.kubectl(&["delete", policies, "--all", "--wait=false"]).expect(0).stdout;
    if deleted.contains("deleted") {
        forget_policies(cluster);
    }
    cluster.kubectl(&["delete", &installed(cluster), "--all", "--all-namespaces", "--wait=false"]).expect(0);
    // Elsewhere they belong to the cluster itself, or go with the namespace of the test that made them.
    let kinds = "secrets,configmaps,leases";
    cluster.kubectl(&["delete", kinds, "--all", "--namespace", "default", "--wait=false"]).expect(0);
}

/// A policy that is gone goes on denying for a second. All are read at once: when a new one acts, the old ones are forgotten.
fn forget_policies(cluster: &Cluster) {
    // An old one of the same name may still act.
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let name = &format!("forgotten-{}", COUNT.fetch_add(1, Ordering::Relaxed));
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
