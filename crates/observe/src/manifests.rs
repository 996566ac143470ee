//! Objects from files, in the place of a cluster.

use fairlead_apis::object;
use serde_json::Value;

use crate::kind::{DEFINITION, Kind};

/// Objects from files, as a server would have them: without a namespace they are in the default one, and they are listed in
/// the order of their keys in etcd.
pub struct Manifests {
    objects: Vec<Value>,
    /// In which version kinds are served that have had several, where their definition is not among the files.
    assumed_version: &'static str,
}

impl Manifests {
    /// Takes what was read from files. CRDs among them say which versions are served; a kind of several versions without one is
    /// served in `assumed_version`. Which of `kinds` are in namespaces is known without a server.
    #[must_use]
    pub fn new(mut objects: Vec<Value>, kinds: &[&Kind], assumed_version: &'static str) -> Self {
        for object in &mut objects {
            let is_ours = |kind: &&&Kind| kind.is_of(object);
            let is_namespaced = kinds.iter().find(is_ours).is_some_and(|kind| kind.is_namespaced);
            if is_namespaced && object::namespace(object).is_empty() && object["metadata"].is_object() {
                object["metadata"]["namespace"] = "default".into();
            }
        }
        objects.sort_by_cached_key(|object| {
            // What has the same address is ordered by its content.
            (format!("{}/{}", object::namespace(object), object::name(object)), object.to_string())
        });
        Self { objects, assumed_version }
    }

    pub(crate) fn of(&self, kind: &Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|object| kind.is_of(object))
    }

    pub(crate) fn definition(&self, kind: &Kind) -> Option<&Value> {
        self.objects.iter().find(|object| {
            object::kind(object) == DEFINITION.kind
                && object["spec"]["group"] == *kind.group
                && object["spec"]["names"]["kind"] == *kind.kind
        })
    }

    pub(crate) fn api_version(&self, kind: &Kind) -> Option<String> {
        if let Some(exact) = &kind.exact {
            return Some(kind.api_version(exact));
        }
        match self.definition(kind) {
            Some(crd) => served(crd, kind),
            None if kind.versions.contains(&self.assumed_version) => Some(kind.api_version(self.assumed_version)),
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
