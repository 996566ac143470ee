//! What goes, in which order, and what speaks against it. The same for a cluster and for files, and whatever the order of the input.

use std::collections::{BTreeMap, HashSet};

use fairlead_apis::object;
use fairlead_migration::change::{Change, Images};
use fairlead_migration::finding::Unchanged;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::run::RecordedRun;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Finalizer, Product, Purge};
use crate::decide::{Known, Verdict, decide};
use crate::definitions::Definition;
use crate::fence::Fence;
use crate::findings::add_findings;
use crate::index::{Index, counted, finalizers, is_stripped, without_finalizers};
use crate::replicas::Replicas;
use crate::stages::{
    DEFINITIONS, DEPENDENTS, FENCE, FINALIZERS, HELM_DEFINITIONS, HELM_OBJECTS, HOLDS, HelmOwned, NO_FENCE, OBJECTS,
    PRODUCTS, STRIPPED_PRODUCTS, stages,
};
use crate::workloads::Workloads;
use crate::{decide, kinds};

/// The step, named like the binary.
pub const STEP: &str = "legacy-purger";

/// What a plan must keep to.
pub(crate) struct Options<'a> {
    pub(crate) purge: &'a Purge,
    pub(crate) unreplicated: HashSet<String>,
    pub(crate) helm_releases: HashSet<String>,
    pub(crate) stripped: HashSet<String>,
    pub(crate) has_fence: bool,
    pub(crate) required_steps: &'a [String],
    pub(crate) release: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) helm_revision: Option<u32>,
    pub(crate) concurrency: usize,
}

/// What was found.
pub(crate) struct Found {
    pub(crate) definitions: Vec<Definition>,
    replicas: Replicas,
    pub(crate) index: Index,
    pub(crate) workloads: Workloads,
}

impl Found {
    pub(crate) async fn of(source: &Source<'_>, options: &Options<'_>) -> Result<Self, Obstacle> {
        let definitions = Definition::all(source, options.purge).await?;
        let has_subscriptions = definitions.iter().any(|it| decide::is_kyma_subscription(&it.entry));
        let replicas = if has_subscriptions { Replicas::of(source).await? } else { Replicas::default() };
        let has_dependents = !options.purge.dependents.is_empty();
        let mut index = Index::of(source, &definitions, &options.known(&replicas), has_dependents).await?;
        if has_dependents {
            index.follow(source, &options.dependents(source)).await?;
        }
        let workloads =
            if definitions.is_empty() { Workloads::default() } else { Workloads::of(source, options.purge).await? };
        Ok(Self { definitions, replicas, index, workloads })
    }

    /// Whether the definition goes with its objects.
    pub(crate) fn goes(&self, position: usize) -> bool {
        let definition = &self.definitions[position];
        let tally = &self.index.tallies[position];
        let is_legacy = tally.purged + tally.refused > 0 || definition.is_legacy();
        definition.image.is_some() && !definition.entry.keep_definition && tally.kept == 0 && is_legacy
    }

    /// Whether there is nothing to purge.
    pub(crate) fn is_idle(&self) -> bool {
        let goes = (0..self.definitions.len()).any(|position| self.goes(position));
        self.index.purged() == 0 && self.index.refusals.is_empty() && !goes
    }

    fn helm_owned(&self, options: &Options<'_>) -> HelmOwned {
        let of_definition = |definition: &Definition| definition.is_helm_owned(&options.helm_releases);
        if self.definitions.iter().any(of_definition) {
            HelmOwned::Definitions
        } else if self.index.tallies.iter().any(|tally| tally.helm_owned > 0) {
            HelmOwned::Objects
        } else {
            HelmOwned::Nothing
        }
    }
}

impl Options<'_> {
    pub(crate) fn known<'k>(&'k self, replicas: &'k Replicas) -> Known<'k> {
        Known { release: self.release, replicas, unreplicated: &self.unreplicated, helm_releases: &self.helm_releases }
    }

    /// The kinds whose objects the garbage collector deletes with their owners.
    pub(crate) fn dependents(&self, source: &Source<'_>) -> Vec<Kind> {
        served(source, self.purge.dependents.iter().map(|named| Kind::named(&named.group, &named.kind)))
    }

    /// Finalizers that objects which go carry, and what their owners delete.
    pub(crate) fn products(&self, index: &Index) -> BTreeMap<(String, String), Vec<(&Finalizer, &Product)>> {
        let mut products: BTreeMap<(String, String), Vec<(&Finalizer, &Product)>> = BTreeMap::new();
        for finalizer in self.purge.finalizers.iter().filter(|it| index.finalizers.contains_key(&it.name)) {
            for product in &finalizer.deletes {
                products.entry((product.group.clone(), product.kind.clone())).or_default().push((finalizer, product));
            }
        }
        products
    }
}

/// Decides what goes. `runs` are the earlier runs of the release, where there is a ledger to ask.
pub(crate) async fn make(
    source: &Source<'_>,
    options: &Options<'_>,
    runs: Option<&[RecordedRun]>,
) -> Result<Plan, Obstacle> {
    let found = Found::of(source, options).await?;
    let mut plan = PlanBuilder::new(STEP, stages(options.concurrency, found.helm_owned(options)));
    found.index.unchanged.iter().for_each(|unchanged| plan.keep(&unchanged));
    if found.is_idle() {
        return Ok(plan.build());
    }
    let plan = push_holds_and_fence(plan, source, options, &found);
    let plan = push_dependents(plan, source, options, &found).await?;
    let plan = push_stripped(plan, source, options, &found).await?;
    let plan = push_objects(plan, source, options, &found).await?;
    let plan = push_products(plan, source, options, &found).await?;
    let mut plan = push_definitions(plan, options, &found);
    if let Some(fence) = fence(source, options, &found) {
        for (target, image) in fence.objects {
            let reason = "nothing is left that could be created".to_owned();
            plan.push(&Change { stage: NO_FENCE, target, images: Images::Delete(image), reason });
        }
    }
    add_instances(&mut plan, source).await?;
    add_findings(&mut plan, source, options, &found, runs);
    Ok(plan.build())
}

/// The fence of this purge, where there is one.
pub(crate) fn fence(source: &Source<'_>, options: &Options<'_>, found: &Found) -> Option<Fence> {
    // Files are of a cluster that has it, whatever else it has in which version.
    let is_served = matches!(source, Source::Manifests(_)) || source.api_version(&kinds::POLICY).is_some();
    let has_fence = options.has_fence && is_served;
    has_fence.then(|| Fence::around(&found.definitions, options.namespace, options.release)).flatten()
}

fn push_holds_and_fence(mut plan: PlanBuilder, source: &Source<'_>, options: &Options<'_>, found: &Found) -> PlanBuilder {
    for (target, before) in &found.workloads.held {
        let mut after = before.clone();
        after["spec"]["replicas"] = 0.into();
        let reason = "held: it breaks without these kinds, or creates their objects".to_owned();
        let images = Images::Update(before.clone(), after);
        plan.push(&Change { stage: HOLDS, target: target.clone(), images, reason });
    }
    if let Some(fence) = fence(source, options, found) {
        for (target, image) in fence.objects {
            let reason = "denies the creation of what is purged, until it is gone".to_owned();
            plan.push(&Change { stage: FENCE, target, images: Images::Create(image), reason });
        }
    }
    plan
}

/// Adds what `make` makes of the objects of one kind.
async fn push_from(
    plan: PlanBuilder,
    source: &Source<'_>,
    kind: &Kind,
    make: impl Fn(Value) -> Option<Change>,
) -> Result<PlanBuilder, Obstacle> {
    let add = |plan: &mut PlanBuilder, object: Value| {
        // Files may hold the same object twice.
        if let Some(change) = make(object).filter(|change| !plan.ends_with(change)) {
            plan.push(&change);
        }
    };
    source.fold(kind, || plan.clone(), add).await
}

fn deletion(stage: usize, image: Value, reason: String) -> Change {
    Change { stage, target: target(&image), images: Images::Delete(image), reason }
}

async fn push_dependents(
    mut plan: PlanBuilder,
    source: &Source<'_>,
    options: &Options<'_>,
    found: &Found,
) -> Result<PlanBuilder, Obstacle> {
    for kind in options.dependents(source) {
        let make = |object: Value| {
            let goes = found.index.owns(&object) && object["metadata"]["deletionTimestamp"].is_null();
            goes.then(|| deletion(DEPENDENTS, object, "the garbage collector deletes it with its owner".to_owned()))
        };
        plan = push_from(plan, source, &kind, make).await?;
    }
    Ok(plan)
}

/// Those that are served, in the order of their objects in a plan.
pub(crate) fn served(source: &Source<'_>, kinds: impl Iterator<Item = Kind>) -> Vec<Kind> {
    let mut served: Vec<(String, Kind)> = kinds.filter_map(|kind| Some((source.api_version(&kind)?, kind))).collect();
    served.sort_by(|(a, one), (b, other)| (a, &one.kind).cmp(&(b, &other.kind)));
    served.dedup_by(|(a, one), (b, other)| a == b && one.kind == other.kind);
    served.into_iter().map(|(_, kind)| kind).collect()
}

async fn push_stripped(
    mut plan: PlanBuilder,
    source: &Source<'_>,
    options: &Options<'_>,
    found: &Found,
) -> Result<PlanBuilder, Obstacle> {
    if options.stripped.is_empty() {
        return Ok(plan);
    }
    let known = options.known(&found.replicas);
    let products = options.products(&found.index);
    let purged = found.definitions.iter().filter(|it| !it.is_unreadable()).map(|it| it.kind.clone());
    let others = products.keys().map(|(group, kind)| Kind::named(group, kind));
    for kind in served(source, purged.chain(others)) {
        let make = |before: Value| {
            let definition = found.definitions.iter().find(|it| it.kind == kind);
            let goes = match definition {
                Some(definition) => matches!(decide(&before, &definition.entry, &known), Verdict::Purge { .. }),
                None => product_of(&before, &products, &kind).is_some(),
            };
            if !goes || !is_stripped(&before, &options.stripped) {
                return None;
            }
            let after = without_finalizers(before.clone(), &options.stripped);
            let reason = "its finalizer was named with --strip-finalizers".to_owned();
            let target = target(&before);
            Some(Change { stage: FINALIZERS, target, images: Images::Update(before, after), reason })
        };
        plan = push_from(plan, source, &kind, make).await?;
    }
    Ok(plan)
}

async fn push_objects(
    mut plan: PlanBuilder,
    source: &Source<'_>,
    options: &Options<'_>,
    found: &Found,
) -> Result<PlanBuilder, Obstacle> {
    let known = options.known(&found.replicas);
    let passes: &[usize] =
        if found.helm_owned(options) > HelmOwned::Nothing { &[OBJECTS, HELM_OBJECTS] } else { &[OBJECTS] };
    for stage in passes {
        for definition in found.definitions.iter().filter(|definition| !definition.is_unreadable()) {
            let is_late = definition.is_helm_owned(&options.helm_releases);
            let make = |object: Value| match decide(&object, &definition.entry, &known) {
                Verdict::Purge { reason, is_helm_owned, .. } if (is_helm_owned || is_late) == (*stage == HELM_OBJECTS) => {
                    Some(deletion(*stage, without_finalizers(object, &options.stripped), reason))
                }
                _ => None,
            };
            plan = push_from(plan, source, &definition.kind, make).await?;
        }
    }
    Ok(plan)
}

/// The finalizer whose owner deletes an object.
pub(crate) fn product_of<'a>(
    object: &Value,
    products: &BTreeMap<(String, String), Vec<(&'a Finalizer, &'a Product)>>,
    kind: &Kind,
) -> Option<&'a Finalizer> {
    let candidates = products.get(&(kind.group.to_string(), kind.kind.to_string()))?;
    let is_it = |(finalizer, product): &&(&Finalizer, &Product)| {
        let carries = || finalizers(object).any(|it| it == finalizer.name);
        object::namespace(object) == product.namespace && (product.selector.matches(object) || carries())
    };
    candidates
        .iter()
        .find(is_it)
        .filter(|_| object["metadata"]["deletionTimestamp"].is_null())
        .map(|(finalizer, _)| *finalizer)
}

async fn push_products(
    mut plan: PlanBuilder,
    source: &Source<'_>,
    options: &Options<'_>,
    found: &Found,
) -> Result<PlanBuilder, Obstacle> {
    let products = options.products(&found.index);
    let kinds = served(source, products.keys().map(|(group, kind)| Kind::named(group, kind)));
    for (stage, is_stripped) in [(PRODUCTS, false), (STRIPPED_PRODUCTS, true)] {
        for kind in &kinds {
            let make = |object: Value| {
                let finalizer = product_of(&object, &products, kind)?;
                if options.stripped.contains(&finalizer.name) != is_stripped {
                    return None;
                }
                let reason = if is_stripped {
                    format!("nobody else deletes it without {}", finalizer.name)
                } else {
                    format!("{} deletes it with the last object that needs it", finalizer.owner)
                };
                Some(deletion(stage, without_finalizers(object, &options.stripped), reason))
            };
            plan = push_from(plan, source, kind, make).await?;
        }
    }
    Ok(plan)
}

fn push_definitions(mut plan: PlanBuilder, options: &Options<'_>, found: &Found) -> PlanBuilder {
    for (stage, is_late) in [(DEFINITIONS, false), (HELM_DEFINITIONS, true)] {
        let mut changes: Vec<Change> = Vec::new();
        for (position, definition) in found.definitions.iter().enumerate() {
            let Some(image) = definition.image.clone().filter(|_| found.goes(position)) else { continue };
            if definition.is_helm_owned(&options.helm_releases) == is_late {
                let reason = match found.index.tallies[position].purged {
                    0 => "it has no objects".to_owned(),
                    purged => format!("its {} went before", counted(purged, &definition.entry.kind)),
                };
                changes.push(deletion(stage, image, reason));
            }
        }
        changes.sort_by(|a, b| a.target.cmp(&b.target));
        for change in &changes {
            plan.push(change);
        }
    }
    plan
}

/// Their effects are outside the cluster: they are never deleted, and said to stay.
async fn add_instances(plan: &mut PlanBuilder, source: &Source<'_>) -> Result<(), Obstacle> {
    let reason = "stays: what it provisioned is outside the cluster".to_owned();
    let instances = source.list(&kinds::INSTANCE, |object| Some(target(&object))).await?;
    instances.into_iter().for_each(|target| plan.keep(&Unchanged { target, reason: reason.clone() }));
    Ok(())
}
