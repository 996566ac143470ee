//! Reads the cluster or files, and decides about each object while it is at hand. Images are not kept, so what goes is read twice: once
//! to find what speaks against a purge, and once more for its snapshot, by the passes of the order.

mod definitions;
mod left;
pub(crate) mod mesh;
pub(crate) mod named;
mod older;
mod owned;
mod served_kinds;
mod workloads;

use std::collections::BTreeMap;

use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::PlanBuilder;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Finalizer, Owned, Product, Staying};
use crate::decide::Known;
use crate::definitions::Definition;
use crate::fence::Fence;
use crate::found::{Found, ProductKind};
use crate::index::Index;
use crate::kinds;
use crate::options::Options;
use crate::order::Pass;
use crate::stages::HelmOwned;
use crate::unmatched::Unmatched;
use crate::workloads::Workloads;

pub(crate) use workloads::get;

/// The first reading.
pub(crate) async fn observe(source: &Source<'_>, options: &Options<'_>) -> Result<Found, Obstacle> {
    let definitions = definitions::read(source, options.purge).await?;
    let mesh = mesh::read(source, options, &definitions).await?;
    let known = options.known(&mesh);
    let mut dependents = owned::kinds(source, options, &definitions).await?;
    let unmatched = Unmatched::new(options);
    let mut index = read_index(source, &definitions, &known, &unmatched, !dependents.is_empty()).await?;
    let has_open = index.tallies.iter().any(|tally| tally.open > 0);
    if has_open && dependents.is_empty() {
        // Whether they go depends on what goes. That they have owners at all is rare, so uids are not kept before.
        index = read_index(source, &definitions, &known, &unmatched, true).await?;
    }
    if has_open || !dependents.is_empty() {
        index.owned.named.clone_from(&options.purge.dependents);
        let readable: Vec<&Definition> = definitions.iter().filter(|it| !it.is_unreadable()).collect();
        owned::follow(source, &mut index.owned, &readable, &mut dependents).await?;
    }
    let mut index = settle_open(source, index, &definitions, &known).await?;
    let workloads =
        if definitions.is_empty() { Workloads::default() } else { workloads::read(source, options.purge).await? };
    let products = products(source, options, &index);
    let helm_owned = helm_owned(&definitions, &index, options);
    let fence = fence(source, &definitions, options);
    if index.unmatched.has_finalizers() {
        // Objects that go with their owners have finalizers of their own.
        for (_, kind) in &dependents {
            let before = index.unmatched;
            index.unmatched = source.fold(kind, || before.clone(), |unmatched, object| unmatched.see(&object)).await?;
        }
    }
    definitions.iter().filter_map(|it| it.image.as_ref()).for_each(|image| index.unmatched.see(image));
    let mut around: Vec<Finding> = older::warning(source, options.purge).await?.into_iter().collect();
    around.extend(left::read(source, options, &definitions, &index).await?);
    let silent = if options.purge.owned == Some(Owned::All) { source.silent().to_vec() } else { Vec::new() };
    Ok(Found { definitions, mesh, index, workloads, dependents, products, helm_owned, fence, silent, around })
}

/// The second reading of one kind: adds a change for each object of which the pass makes one.
pub(crate) async fn stream(source: &Source<'_>, plan: PlanBuilder, pass: &Pass<'_>) -> Result<PlanBuilder, Obstacle> {
    let add = |plan: &mut PlanBuilder, object: Value| {
        if let Some(refusal) = pass.refusal(&object) {
            plan.refuse(refusal);
        }
        // Files may hold the same object twice.
        if let Some(change) = pass.change(object).filter(|change| !plan.ends_with(change)) {
            plan.push(&change);
        }
    };
    source.fold(pass.kind, || plan.clone(), add).await
}

/// Objects that stay although one may expect otherwise.
pub(crate) async fn stays(source: &Source<'_>, options: &Options<'_>) -> Result<Vec<Unchanged>, Obstacle> {
    let mut all = Vec::new();
    for Staying { group, kind, reason } in &options.purge.stays {
        let stays = |object: Value| Some(Unchanged { target: target(&object), reason: format!("stays: {reason}") });
        all.extend(source.list(&Kind::named(group, kind), stays).await?);
    }
    Ok(all)
}

/// Reads all objects of the kinds that can be read; `keeps_uids` is whether the uids of what goes will be asked for.
async fn read_index(
    source: &Source<'_>,
    definitions: &[Definition],
    known: &Known<'_>,
    unmatched: &Unmatched,
    keeps_uids: bool,
) -> Result<Index, Obstacle> {
    let mut index = Index { unmatched: unmatched.clone(), ..Index::default() };
    for definition in definitions {
        index.begin_kind();
        if definition.is_unreadable() {
            continue;
        }
        let before = index;
        let add = |index: &mut Index, object: Value| index.add(&object, &definition.entry, known, keeps_uids);
        index = source.fold(&definition.kind, || before.clone(), add).await?;
    }
    Ok(index)
}

/// Decides about what has owners and is not selected, where what goes is known by now.
async fn settle_open(
    source: &Source<'_>,
    mut index: Index,
    definitions: &[Definition],
    known: &Known<'_>,
) -> Result<Index, Obstacle> {
    for (position, definition) in definitions.iter().enumerate() {
        if index.tallies[position].open > 0 {
            let before = index;
            let add = |index: &mut Index, object: Value| index.settle(position, &object, &definition.entry, known);
            index = source.fold(&definition.kind, || before.clone(), add).await?;
        }
    }
    Ok(index)
}

/// The kinds that are served, each with its group and version, in the order of their objects in a plan.
fn served(source: &Source<'_>, kinds: impl Iterator<Item = Kind>) -> Vec<(String, Kind)> {
    let mut served: Vec<(String, Kind)> = kinds.filter_map(|kind| Some((source.api_version(&kind)?, kind))).collect();
    served.sort_by(|(a, one), (b, other)| (a, &one.kind).cmp(&(b, &other.kind)));
    served.dedup_by(|(a, one), (b, other)| a == b && one.kind == other.kind);
    served
}

/// The kinds of which owners delete objects, by the finalizers that purged objects carry.
fn products(source: &Source<'_>, options: &Options<'_>, index: &Index) -> Vec<ProductKind> {
    let mut products: BTreeMap<(String, String), Vec<(Finalizer, Product)>> = BTreeMap::new();
    for (finalizer, product) in options.products().filter(|(it, _)| index.finalizers.contains_key(&it.name)) {
        let candidates = products.entry((product.group.clone(), product.kind.clone())).or_default();
        candidates.push((finalizer.clone(), product.clone()));
    }
    let kinds = served(source, products.keys().map(|(group, kind)| Kind::named(group, kind)));
    let product_kind = |(api_version, kind): (String, Kind)| {
        let candidates = products.remove(&(kind.group.to_string(), kind.kind.to_string())).unwrap_or_default();
        ProductKind { api_version, kind, candidates }
    };
    kinds.into_iter().map(product_kind).collect()
}

fn helm_owned(definitions: &[Definition], index: &Index, options: &Options<'_>) -> HelmOwned {
    if definitions.iter().any(|definition| definition.is_helm_owned(&options.helm_releases)) {
        HelmOwned::Definitions
    } else if index.tallies.iter().any(|tally| tally.helm_owned > 0) {
        HelmOwned::Objects
    } else {
        HelmOwned::Nothing
    }
}

fn fence(source: &Source<'_>, definitions: &[Definition], options: &Options<'_>) -> Option<Fence> {
    // Files are of a cluster that has policies, whatever else it has in which version.
    let is_served = matches!(source, Source::Manifests(_)) || source.api_version(&kinds::POLICY).is_some();
    let has_fence = options.has_fence && is_served;
    has_fence.then(|| Fence::around(definitions, options)).flatten()
}
