//! Reads how events travel on the mesh, where Subscriptions lose the legacy bus.

use std::collections::BTreeMap;

use fairlead_apis::subscription::{Legacy, Shape};
use fairlead_mesh::deliveries::Deliveries;
use fairlead_mesh::kinds::LEGACY_SUBSCRIPTION;
use fairlead_mesh::ways::Ways;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::target;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::PurgedKind;
use crate::decide::{Mesh, carried, is_kyma_activation, is_kyma_subscription, not_selected};
use crate::definitions::Definition;
use crate::options::Options;

/// The mesh, as far as what is purged has to do with it.
pub(super) async fn read(source: &Source<'_>, options: &Options<'_>, definitions: &[Definition]) -> Result<Mesh, Obstacle> {
    let of = |is_it: fn(&_) -> bool| definitions.iter().find(|it| is_it(&it.entry));
    let (subscriptions, activations) = (of(is_kyma_subscription), of(is_kyma_activation));
    // What cannot be read is refused, and everything with it.
    if subscriptions.or(activations).is_none() || subscriptions.is_some_and(Definition::is_unreadable) {
        return Ok(Mesh::default());
    }
    let kind = subscriptions.map_or(&LEGACY_SUBSCRIPTION, |it| &it.kind);
    if source.first(kind).await?.is_none() {
        return Ok(Mesh::default());
    }
    let mut mesh = observe(source).await?;
    let entry = subscriptions.map(|it| &it.entry);
    let may_stay = entry.is_none_or(PurgedKind::is_narrowed);
    if activations.is_some() && may_stay {
        let stays = |object: &Value| entry.is_none_or(|entry| not_selected(object, entry).is_some());
        let add = |stranded: &mut BTreeMap<(String, String), String>, object: Value| {
            if stays(&object)
                && let Some((pair, why)) = stranded_by(&object, options, &mesh)
            {
                stranded.entry(pair).or_insert(why);
            }
        };
        mesh.stranded = source.fold(kind, BTreeMap::new, add).await?;
    }
    Ok(mesh)
}

/// How events travel now, and who gets them.
pub(crate) async fn observe(source: &Source<'_>) -> Result<Mesh, Obstacle> {
    Ok(Mesh { deliveries: Deliveries::of(source).await?, ways: Ways::of(source).await?, ..Mesh::default() })
}

/// How events travel when their Subscriptions have gone.
pub(crate) async fn after(source: &Source<'_>) -> Result<Mesh, Obstacle> {
    Ok(Mesh { deliveries: Deliveries::of(source).await?, ways: Ways::links(source).await?, ..Mesh::default() })
}

/// The namespace and the Application of a Subscription to which only the legacy bus delivers, and why.
fn stranded_by(object: &Value, options: &Options<'_>, mesh: &Mesh) -> Option<((String, String), String)> {
    let target = target(object);
    let namespace = target.namespace.clone().unwrap_or_default();
    if Shape::of(object) != Shape::Legacy || options.unreplicated.contains(&format!("{namespace}/{}", target.name)) {
        return None;
    }
    let source = Legacy::read(object).ok()?.source;
    let refused = carried(object, &target, mesh).err().filter(|_| mesh.ways.is_activated(&namespace, &source))?;
    Some(((namespace, source), format!("{target} stays and gets its events by it: {}", refused.message)))
}
