//! Objects from files, in the place of a cluster.

mod shelf;
mod validate;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fairlead_apis::object;
use serde_json::Value;

use self::shelf::{Place, Shelf};
use crate::kind::{Asked, DEFINITION, Kind};

/// Objects from files, as a server would have them: without a namespace they are in the default one, and they are listed in
/// the order of their keys in etcd. Each is there once, however many files show it.
pub struct Manifests<'a> {
    asked: Asked<'a>,
    /// By group and kind.
    shelves: BTreeMap<(String, String), Shelf>,
    /// In which objects are, or that are there themselves.
    namespaces: BTreeSet<String>,
    /// The versions that a definition says are served, by group and kind.
    served: BTreeMap<(String, String), Vec<String>>,
    /// In which version kinds are served that have had several, where their definition is not among the files.
    assumed_version: &'static str,
}

impl<'a> Manifests<'a> {
    /// Takes what will be [added](Self::add). CRDs among them say which versions are served; a kind of several versions without
    /// one is served in `assumed_version`. Which of the kinds that are asked for are in namespaces is known without a server.
    #[must_use]
    pub fn new(asked: impl Into<Asked<'a>>, assumed_version: &'static str) -> Self {
        let (shelves, namespaces, served) = Default::default();
        Self { asked: asked.into(), shelves, namespaces, served, assumed_version }
    }

    /// Adds an object of a document of a file.
    ///
    /// # Errors
    ///
    /// What is wrong with it: a field of the wrong type, or another file says otherwise.
    pub fn add(&mut self, file: &Arc<str>, document: usize, mut object: Value) -> Result<(), String> {
        let kind = self.asked.find(&object);
        if kind.is_none() && validate::is_elsewhere(&object) {
            return Ok(());
        }
        validate::validate(&object)?;
        if kind.is_some_and(|kind| kind.is_namespaced) && object::namespace(&object).is_empty() {
            object["metadata"]["namespace"] = "default".into();
        }
        if DEFINITION.is_of(&object) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let spec = &object["spec"];
            self.served.entry((text(&spec["group"]), text(&spec["names"]["kind"]))).or_insert_with(|| served(spec));
        }
        let is_namespace = object::api_version(&object) == "v1" && object::kind(&object) == "Namespace";
        let namespace = if is_namespace { object::name(&object) } else { object::namespace(&object) };
        if !self.namespaces.contains(namespace) {
            self.namespaces.insert(namespace.to_owned());
        }
        let key = (object::group(&object).to_owned(), object::kind(&object).to_owned());
        self.shelves.entry(key).or_default().add(&object, Place { file: file.clone(), document })
    }

    /// Ends the adding.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.shelves.values_mut().for_each(Shelf::sort);
        self
    }

    pub(crate) fn of(&self, kind: &Kind) -> impl Iterator<Item = Value> {
        self.shelves.get(&key(kind)).into_iter().flat_map(Shelf::objects)
    }

    /// Takes what `make` makes of each object of a kind, in their order.
    pub(crate) fn each<T: Send>(&self, kind: &Kind, make: impl Fn(Value) -> T + Sync, take: impl FnMut(T)) {
        if let Some(shelf) = self.shelves.get(&key(kind)) {
            shelf.each(make, take);
        }
    }

    pub(crate) fn has_namespace(&self, name: &str) -> bool {
        self.namespaces.contains(name)
    }

    pub(crate) fn kinds(&self) -> Vec<Kind> {
        self.shelves.keys().map(|(group, kind)| Kind::named(group, kind)).collect()
    }

    pub(crate) fn kinds_of(&self, group: &str) -> BTreeSet<String> {
        let there = self.shelves.keys().chain(self.served.keys()).filter(|(its, _)| its == group);
        there.map(|(_, kind)| kind.clone()).collect()
    }

    pub(crate) fn definition(&self, kind: &Kind) -> Option<Value> {
        let is_it = |crd: &Value| crd["spec"]["group"] == *kind.group && crd["spec"]["names"]["kind"] == *kind.kind;
        self.of(&DEFINITION).find(is_it)
    }

    pub(crate) fn api_version(&self, kind: &Kind) -> Option<String> {
        if let Some(exact) = &kind.exact {
            return Some(kind.api_version(exact));
        }
        let best = |served: &'_ Vec<String>| match kind.versions {
            [] => served.first().cloned(),
            known => known.iter().copied().find(|known| served.iter().any(|version| version == known)).map(str::to_owned),
        };
        match self.served.get(&key(kind)) {
            Some(served) => best(served).map(|version| kind.api_version(&version)),
            None if kind.versions.contains(&self.assumed_version) => Some(kind.api_version(self.assumed_version)),
            None => self.of(kind).next().map(|object| object::api_version(&object).to_owned()),
        }
    }
}

fn key(kind: &Kind) -> (String, String) {
    (kind.group.clone().into_owned(), kind.kind.clone().into_owned())
}

/// The versions that a CRD says are served.
fn served(spec: &Value) -> Vec<String> {
    let versions = spec["versions"].as_array().into_iter().flatten();
    let served = versions.filter(|version| version["served"] != false).filter_map(|version| version["name"].as_str());
    let mut served: Vec<String> = served.map(str::to_owned).collect();
    if served.is_empty() {
        // The CRDs of apiextensions/v1beta1 may name one version only.
        served.extend(spec["version"].as_str().map(str::to_owned));
    }
    served
}

#[cfg(test)]
mod tests;
