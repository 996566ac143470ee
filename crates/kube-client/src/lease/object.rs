//! The Lease of a release as an object: what is asked of the API server.

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::store::Scope;
use http::Request;
use kube::api::{GetParams, Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::core::request::Error as Unmade;
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::operation::Operation;
use crate::permission::Need;
use crate::request::Error;
use crate::resource::Resource;

/// The Lease of a release, whoever holds it.
pub(super) struct LeaseObject<'a> {
    cluster: &'a Cluster,
    /// Namespace of the ledger.
    namespace: &'a str,
    resource: Resource,
    pub(super) name: String,
}

/// What holding a lease takes.
#[must_use]
pub(crate) fn needs(namespace: &str) -> Vec<Need> {
    let need = |verb| Need { resource: resource(), verb, subresource: None, namespaces: [namespace.to_owned()].into() };
    ["get", "create", "patch"].map(need).into()
}

fn resource() -> Resource {
    Resource::v1("coordination.k8s.io", "Lease", "leases")
}

impl<'a> LeaseObject<'a> {
    /// Of no two releases the names are the same: the one prefix ends with a hyphen, the other has a dot there.
    pub(super) fn of(cluster: &'a Cluster, namespace: &'a str, release: &str, scope: Scope) -> Self {
        let name = match scope {
            Scope::Release => format!("fairlead-{release}"),
            Scope::Background => format!("fairlead.background-{release}"),
        };
        Self { cluster, namespace, resource: resource(), name }
    }

    fn operation(&self, verb: &'static str) -> Operation<'_> {
        Operation { namespace: Some(self.namespace), name: Some(&self.name), ..Operation::new(verb, &self.resource) }
    }

    fn requests(&self) -> kube::core::Request {
        kube::core::Request::new(self.resource.path(Some(self.namespace)))
    }

    fn request(&self, verb: &'static str, request: Result<Request<Vec<u8>>, Unmade>) -> Result<Request<Vec<u8>>, Obstacle> {
        request.map_err(|source| Obstacle::Refused { operation: self.operation(verb).to_string(), source: source.into() })
    }

    pub(super) async fn obstacle(&self, verb: &'static str, error: Error) -> Obstacle {
        self.cluster.obstacle(self.operation(verb), error).await
    }

    pub(super) async fn get(&self) -> Result<Option<Value>, Obstacle> {
        let request = self.requests().get(&self.name, &GetParams::default());
        match self.cluster.send(self.request("get", request)?).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(Status::is_not_found) => Ok(None),
            Err(error) => Err(self.obstacle("get", error).await),
        }
    }

    /// None when somebody else was quicker.
    pub(super) async fn create(&self, spec: &Value) -> Result<Option<Value>, Obstacle> {
        let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace}, "spec": spec});
        let request = self.requests().create(&PostParams::default(), lease.to_string().into_bytes());
        match self.cluster.send(self.request("create", request)?).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(Status::is_already_exists) => Ok(None),
            Err(error) => Err(self.obstacle("create", error).await),
        }
    }

    pub(super) async fn patch(&self, patch: &Value) -> Result<Value, Error> {
        let request = self.requests().patch(&self.name, &PatchParams::default(), &Patch::Merge(patch));
        // Not one of the writes that the lease allows: it is what allows them.
        self.cluster.send(request.map_err(Error::Build)?).await
    }
}
