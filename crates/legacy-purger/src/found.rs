//! The result of the first reading: plain data, and what follows from it without another request.

use fairlead_apis::object;
use fairlead_migration::finding::Finding;
use fairlead_observe::kind::Kind;
use serde_json::Value;

use crate::configuration::{Finalizer, Product};
use crate::decide::Mesh;
use crate::definitions::Definition;
use crate::fence::Fence;
use crate::finalizers::finalizers;
use crate::index::Index;
use crate::stages::HelmOwned;
use crate::workloads::Workloads;

/// The result of the first reading.
pub(crate) struct Found {
    /// The purged kinds that are served, in the order of their objects in a plan.
    pub(crate) definitions: Vec<Definition>,
    pub(crate) mesh: Mesh,
    pub(crate) index: Index,
    pub(crate) workloads: Workloads,
    /// The kinds, beside those that are purged, whose objects go or lose an owner; with group and version, in the order of their objects.
    pub(crate) dependents: Vec<(String, Kind)>,
    /// The kinds that owners of finalizers delete and that are served, in the order of their objects.
    pub(crate) products: Vec<ProductKind>,
    /// Whether Helm releases lose objects or definitions.
    pub(crate) helm_owned: HelmOwned,
    /// The fence of this purge, if it has one.
    pub(crate) fence: Option<Fence>,
    /// Groups with their versions in which nobody can look for what purged objects own.
    pub(crate) silent: Vec<String>,
    /// Warnings about what stays around the purge, also where nothing is to be purged.
    pub(crate) around: Vec<Finding>,
}

/// A kind of which owners of finalizers delete objects.
pub(crate) struct ProductKind {
    pub(crate) api_version: String,
    pub(crate) kind: Kind,
    /// Finalizers of purged objects, each with the objects of this kind that its owner deletes.
    pub(crate) candidates: Vec<(Finalizer, Product)>,
}

impl ProductKind {
    /// The finalizer whose owner deletes an object.
    pub(crate) fn finalizer_of(&self, object: &Value) -> Option<&Finalizer> {
        let is_it = |(finalizer, product): &&(Finalizer, Product)| {
            let carries = || finalizers(object).any(|it| it == finalizer.name);
            object::namespace(object) == product.namespace && (product.selector.matches(object) || carries())
        };
        let (finalizer, _) = self.candidates.iter().find(is_it)?;
        is_undeleted(object).then_some(finalizer)
    }
}

impl Found {
    /// Whether a definition is deleted after its objects.
    pub(crate) fn is_definition_purged(&self, position: usize) -> bool {
        let definition = &self.definitions[position];
        let tally = &self.index.tallies[position];
        let is_legacy = tally.purged + tally.refused > 0 || definition.is_legacy();
        definition.image.is_some() && !definition.entry.keep_definition && tally.kept == 0 && is_legacy
    }

    /// Whether there is nothing to purge.
    pub(crate) fn is_idle(&self) -> bool {
        let is_any_purged = (0..self.definitions.len()).any(|position| self.is_definition_purged(position));
        self.index.purged() == 0 && self.index.refusals.is_empty() && !is_any_purged
    }

    /// The definitions whose objects can be read as they are stored.
    pub(crate) fn readable(&self) -> impl Iterator<Item = &Definition> {
        self.definitions.iter().filter(|definition| !definition.is_unreadable())
    }
}

/// Whether nobody has begun to delete an object.
fn is_undeleted(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_null()
}
