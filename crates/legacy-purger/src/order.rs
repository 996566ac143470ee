//! In which order everything goes. Pure: the images of objects are not kept, so the order of a purge says which kinds are read once more,
//! and what becomes of each of their objects.

use fairlead_apis::object;
use fairlead_job::codes::legacy_purger as codes;
use fairlead_migration::change::{Change, Images};
use fairlead_migration::fields;
use fairlead_migration::finding::Finding;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use serde_json::{Value, json};

use crate::count::count_that;
use crate::decide::{Verdict, decide, decide_along};
use crate::definitions::Definition;
use crate::finalizers::{has_finalizer_of, without_finalizers};
use crate::found::{Found, ProductKind};
use crate::options::Options;
use crate::owned::Fate;
use crate::stages::{
    DEFINITIONS, DEPENDENTS, FENCE, FINALIZERS, HELM_DEFINITIONS, HELM_OBJECTS, HOLDS, HelmOwned, NO_FENCE, OBJECTS,
    PRODUCTS, RELEASED, STRIPPED_PRODUCTS,
};

/// One part of the order.
pub(crate) enum Part<'a> {
    /// Changes of what was kept from the first reading.
    Changes(Vec<Change>),
    /// Changes of objects that are read once more.
    Pass(Pass<'a>),
}

/// The objects of one kind, for one stage.
pub(crate) struct Pass<'a> {
    /// Which objects are read.
    pub(crate) kind: &'a Kind,
    stage: usize,
    scope: Scope<'a>,
    options: &'a Options<'a>,
    found: &'a Found,
}

/// Which objects of a kind belong to a purge.
#[derive(Clone, Copy)]
enum Scope<'a> {
    /// Objects that the garbage collector deletes with their owners.
    Dependents,
    /// Objects of a purged kind.
    Purged(&'a Definition),
    /// Objects that the owner of a finalizer deletes.
    Products(&'a ProductKind),
}

/// All parts, in the order of a plan.
pub(crate) fn order<'a>(options: &'a Options<'a>, found: &'a Found) -> Vec<Part<'a>> {
    let pass = |stage, kind, scope| Part::Pass(Pass { kind, stage, scope, options, found });
    let mut parts = vec![Part::Changes(holds(found)), Part::Changes(fence(found))];
    parts.extend(released(found).map(|(kind, scope)| pass(RELEASED, kind, scope)));
    parts.extend(found.dependents.iter().map(|(_, kind)| pass(DEPENDENTS, kind, Scope::Dependents)));
    if !options.stripped.is_empty() {
        parts.extend(finalized(found).map(|(kind, scope)| pass(FINALIZERS, kind, scope)));
    }
    let stages: &[usize] = if found.helm_owned > HelmOwned::Nothing { &[OBJECTS, HELM_OBJECTS] } else { &[OBJECTS] };
    for stage in stages {
        parts.extend(found.readable().map(|it| pass(*stage, &it.kind, Scope::Purged(it))));
    }
    for stage in [PRODUCTS, STRIPPED_PRODUCTS] {
        parts.extend(found.products.iter().map(|it| pass(stage, &it.kind, Scope::Products(it))));
    }
    parts.push(Part::Changes(definitions(options, found, false)));
    parts.push(Part::Changes(definitions(options, found, true)));
    parts.push(Part::Changes(end_of_fence(found)));
    parts
}

fn deletion(stage: usize, image: Value, reason: String) -> Change {
    Change { stage, target: target(&image), images: Images::Delete(image), reason }
}

fn holds(found: &Found) -> Vec<Change> {
    let hold = |(target, before): (&_, &Value)| {
        let mut after = before.clone();
        // A file may say anything, a list in the place of `spec`, too.
        fields::merge(&mut after, &json!({"spec": {"replicas": 0}}));
        let reason = "held: it breaks without these kinds, or creates their objects".to_owned();
        let images = Images::Update(before.clone(), after);
        Change { stage: HOLDS, target: Clone::clone(target), images, reason }
    };
    found.workloads.held.iter().map(hold).collect()
}

fn fence(found: &Found) -> Vec<Change> {
    let objects = found.fence.iter().flat_map(|fence| fence.objects.clone());
    let create = |(target, image)| {
        let reason = "denies the creation of what is purged, until it is gone".to_owned();
        Change { stage: FENCE, target, images: Images::Create(image), reason }
    };
    objects.map(create).collect()
}

fn end_of_fence(found: &Found) -> Vec<Change> {
    let objects = found.fence.iter().flat_map(|fence| fence.objects.clone());
    let delete = |(target, image)| {
        let reason = "nothing is left that could be created".to_owned();
        Change { stage: NO_FENCE, target, images: Images::Delete(image), reason }
    };
    objects.map(delete).collect()
}

/// The kinds whose objects may carry a finalizer that was named, in the order of their objects. A kind that is purged and deleted by the
/// owner of a finalizer as well counts as purged.
fn finalized(found: &Found) -> impl Iterator<Item = (&Kind, Scope<'_>)> {
    let purged = found.readable().map(|it| (&it.api_version, &it.kind, Scope::Purged(it)));
    let products = found.products.iter().map(|it| (&it.api_version, &it.kind, Scope::Products(it)));
    let mut all: Vec<(&String, &Kind, Scope<'_>)> = purged.chain(products).collect();
    all.sort_by_key(|(api_version, kind, _)| (*api_version, &kind.kind));
    all.dedup_by_key(|(api_version, kind, _)| (*api_version, &kind.kind));
    all.into_iter().map(|(_, kind, scope)| (kind, scope))
}

/// The kinds whose objects may lose an owner and stay, in the order of their objects.
fn released(found: &Found) -> impl Iterator<Item = (&Kind, Scope<'_>)> {
    let dependents = found.dependents.iter().map(|(api_version, kind)| (api_version, kind, Scope::Dependents));
    let purged = found.readable().filter(|_| !found.index.owned.living.is_empty());
    let purged = purged.map(|it| (&it.api_version, &it.kind, Scope::Purged(it)));
    let mut all: Vec<(&String, &Kind, Scope<'_>)> = dependents.chain(purged).collect();
    all.sort_by_key(|(api_version, kind, _)| (*api_version, &kind.kind));
    all.into_iter().map(|(_, kind, scope)| (kind, scope))
}

fn definitions(options: &Options<'_>, found: &Found, is_helm_owned: bool) -> Vec<Change> {
    let stage = if is_helm_owned { HELM_DEFINITIONS } else { DEFINITIONS };
    let mut changes: Vec<Change> = Vec::new();
    for (position, definition) in found.definitions.iter().enumerate() {
        let is_refused = || found.index.tallies[position].refused > 0 || definition.is_refused(&options.helm_releases);
        let is_listed = found.is_definition_purged(position) && !is_refused();
        let Some(image) = definition.image.clone().filter(|_| is_listed) else { continue };
        if definition.is_helm_owned(&options.helm_releases) == is_helm_owned {
            let reason = match found.index.tallies[position].purged {
                0 => "it has no objects".to_owned(),
                purged => format!("its {} before", count_that(purged, &definition.entry.kind, "goes", "go")),
            };
            changes.push(deletion(stage, image, reason));
        }
    }
    changes.sort_by(|a, b| a.target.cmp(&b.target));
    changes
}

impl Pass<'_> {
    /// Why an object must not go along with its owner: what it stands for would not come back.
    pub(crate) fn refusal(&self, object: &Value) -> Option<Finding> {
        if self.stage != DEPENDENTS || !self.is_purged(object) {
            return None;
        }
        let target = target(object);
        let is_volume = ["PersistentVolumeClaim", "PersistentVolume"].contains(&target.kind.as_str())
            || object::group(object) == "snapshot.storage.k8s.io";
        if is_volume {
            return Some(codes::VOLUME.finding(target, "it goes with its owner, and its data with it"));
        }
        let finalizer = self.options.unknown_finalizer(object)?;
        let message = format!("it goes with its owner, and carries {finalizer}, whose owner is not configured");
        Some(codes::UNKNOWN_FINALIZER.finding(target, message))
    }

    /// The change of an object, if it has one in this stage.
    pub(crate) fn change(&self, object: Value) -> Option<Change> {
        let stripped = &self.options.stripped;
        if self.stage == FINALIZERS {
            if !self.is_purged(&object) || !has_finalizer_of(&object, stripped) {
                return None;
            }
            let after = without_finalizers(object.clone(), stripped);
            let reason = "its finalizer was named with --strip-finalizers".to_owned();
            return Some(Change {
                stage: FINALIZERS,
                target: target(&object),
                images: Images::Update(object, after),
                reason,
            });
        }
        if self.stage == RELEASED {
            return self.release(object);
        }
        let reason = match self.scope {
            Scope::Dependents => {
                let reason = || "the garbage collector deletes it with its owner".to_owned();
                // The finalizers of dependents are their own.
                return self.is_purged(&object).then(|| deletion(self.stage, object, reason()));
            }
            Scope::Purged(definition) => self.purged(&object, definition)?,
            Scope::Products(kind) => self.product(&object, kind)?,
        };
        Some(deletion(self.stage, without_finalizers(object, stripped), reason))
    }

    /// Whether the purge deletes an object in any of its stages.
    fn is_purged(&self, object: &Value) -> bool {
        match self.scope {
            Scope::Dependents => self.found.index.owned.fate(object) == Fate::Goes,
            Scope::Purged(definition) => matches!(self.decide(object, definition), Verdict::Purge { .. }),
            Scope::Products(kind) => kind.finalizer_of(object).is_some(),
        }
    }

    fn decide(&self, object: &Value, definition: &Definition) -> Verdict {
        let known = self.options.known(&self.found.mesh);
        match decide(object, &definition.entry, &known) {
            Verdict::Keep(_) | Verdict::NotSelected(_) if self.found.index.owned.fate(object) == Fate::Goes => {
                decide_along(object, &definition.entry, &known)
            }
            verdict => verdict,
        }
    }

    /// Takes the references to what goes from an object that another owner keeps.
    fn release(&self, object: Value) -> Option<Change> {
        let owned = &self.found.index.owned;
        if self.is_purged(&object) || owned.fate(&object) != Fate::Released {
            return None;
        }
        let (target, after) = (target(&object), owned.released(&object));
        let reason = "another owner keeps it".to_owned();
        Some(Change { stage: RELEASED, target, images: Images::Update(object, after), reason })
    }

    /// Why an object of a purged kind goes in this stage.
    fn purged(&self, object: &Value, definition: &Definition) -> Option<String> {
        let Verdict::Purge { reason, is_helm_owned, .. } = self.decide(object, definition) else { return None };
        let is_late = is_helm_owned || definition.is_helm_owned(&self.options.helm_releases);
        (is_late == (self.stage == HELM_OBJECTS)).then_some(reason)
    }

    /// Why an object that the owner of a finalizer deletes goes in this stage.
    fn product(&self, object: &Value, kind: &ProductKind) -> Option<String> {
        let finalizer = kind.finalizer_of(object)?;
        match (self.options.stripped.contains(&finalizer.name), self.stage) {
            (true, STRIPPED_PRODUCTS) => Some(format!("nobody else deletes it without {}", finalizer.name)),
            (false, PRODUCTS) => Some(format!("{} deletes it with the last object that needs it", finalizer.owner)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
