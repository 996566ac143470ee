//! Reads what there is, from a cluster or from files. Nothing is kept here: whoever reads keeps what it needs to decide.

use fairlead_apis::object;
use fairlead_kube_client::cluster::{Cluster, PAGE_SIZE};
use fairlead_kube_client::discovery::{Discovery, Resource};
use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use serde_json::Value;

use crate::kinds::{self, Kind};

/// Objects from files, as a server would have them: without a namespace they are in the default one, and they are listed in
/// the order of their keys in etcd.
pub struct Manifests {
    objects: Vec<Value>,
    /// Of Knative's kinds whose definition is not among them.
    knative_version: &'static str,
}

impl Manifests {
    /// Takes what was read from files. CRDs among them say which versions are served; Knative's kinds without one are served in
    /// `knative_version`.
    #[must_use]
    pub fn new(mut objects: Vec<Value>, knative_version: &'static str) -> Self {
        for object in &mut objects {
            let is_ours = |kind: &&&Kind| kind.group == object::group(object) && kind.kind == object::kind(object);
            let is_namespaced = kinds::ALL.iter().find(is_ours).is_some_and(|kind| kind.is_namespaced);
            if is_namespaced && object::namespace(object).is_empty() && object["metadata"].is_object() {
                object["metadata"]["namespace"] = "default".into();
            }
        }
        objects.sort_by_cached_key(|object| {
            // What has the same address is ordered by its content.
            (format!("{}/{}", object::namespace(object), object::name(object)), object.to_string())
        });
        Self { objects, knative_version }
    }

    fn of(&self, kind: &Kind) -> impl Iterator<Item = &Value> {
        let (group, kind) = (kind.group, kind.kind);
        self.objects.iter().filter(move |object| object::group(object) == group && object::kind(object) == kind)
    }

    fn api_version(&self, kind: &Kind) -> Option<String> {
        let mut crds = self.objects.iter().filter(|object| {
            object::kind(object) == "CustomResourceDefinition"
                && object["spec"]["group"] == kind.group
                && object["spec"]["names"]["kind"] == kind.kind
        });
        match crds.next() {
            Some(crd) => served(crd, kind),
            None if kind.is_knative() => Some(kind.api_version(self.knative_version)),
            None => self.of(kind).next().map(|object| object::api_version(object).to_owned()),
        }
    }
}

/// The best version that a CRD says is served.
fn served(crd: &Value, kind: &Kind) -> Option<String> {
    let versions = crd["spec"]["versions"].as_array();
    let served = versions.into_iter().flatten().filter(|version| version["served"] != false);
    let served: Vec<&str> = served.filter_map(|version| version["name"].as_str()).collect();
    // The CRDs of apiextensions/v1beta1 may name one version only.
    let served = if served.is_empty() { crd["spec"]["version"].as_str().into_iter().collect() } else { served };
    let best = match kind.versions {
        [] => served.first(),
        known => known.iter().find(|version| served.contains(version)),
    };
    best.map(|version| kind.api_version(version))
}

/// Where objects come from.
pub enum Source<'a> {
    /// A cluster and what it serves.
    Cluster(&'a Cluster, &'a Discovery),
    /// Files. A kind that is missing among them has no objects; a namespace that is missing is an ordinary one.
    Manifests(&'a Manifests),
}

impl Source<'_> {
    /// The group and version in which objects of a kind are read and written; none when the kind is not served.
    #[must_use]
    pub fn api_version(&self, kind: &Kind) -> Option<String> {
        match self {
            Self::Cluster(_, discovery) => Some(resource(discovery, kind)?.api_version()),
            Self::Manifests(manifests) => manifests.api_version(kind),
        }
    }

    /// Reads all objects of a kind, one after the other, into what `begin` makes; a list that expires is read again, from
    /// another beginning. A kind that is not served has no objects.
    pub async fn fold<S>(
        &self,
        kind: &Kind,
        begin: impl Fn() -> S,
        mut add: impl FnMut(&mut S, Value),
    ) -> Result<S, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => match resource(discovery, kind) {
                Some(resource) => cluster.fold(&resource, None, page(kind), begin, add).await,
                None => Ok(begin()),
            },
            Self::Manifests(manifests) => {
                let mut found = begin();
                let Some(api_version) = manifests.api_version(kind) else { return Ok(found) };
                for object in manifests.of(kind) {
                    let mut object = object.clone();
                    object["apiVersion"] = api_version.as_str().into();
                    add(&mut found, object);
                }
                Ok(found)
            }
        }
    }

    /// What `read` makes of each object of a kind.
    pub async fn list<T>(&self, kind: &Kind, read: impl Fn(Value) -> Option<T>) -> Result<Vec<T>, Obstacle> {
        self.fold(kind, Vec::new, |found, object| found.extend(read(object))).await
    }
}

/// How many objects are read at once. A channel holds all its subscribers: up to a megabyte.
fn page(kind: &Kind) -> u32 {
    if *kind == kinds::IN_MEMORY_CHANNEL { 20 } else { PAGE_SIZE }
}

/// The best version of a kind that the cluster serves.
fn resource(discovery: &Discovery, kind: &Kind) -> Option<Resource> {
    if *kind == kinds::NAMESPACE {
        return Some(Resource::core(kind.kind, "namespaces", false));
    }
    match kind.versions {
        [] => discovery.find(kind.group, kind.kind).cloned(),
        known => known.iter().find_map(|version| discovery.find_version(&kind.api_version(version), kind.kind)).cloned(),
    }
}

/// The address of an object.
pub(crate) fn target(object: &Value) -> Target {
    let namespace = object::namespace(object);
    Target {
        api_version: object::api_version(object).to_owned(),
        kind: object::kind(object).to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: object::name(object).to_owned(),
    }
}
