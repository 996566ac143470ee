//! Reads the definitions of the kinds that are purged.

use fairlead_kube_client::objects::Rehearsal;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Purge, PurgedKind};
use crate::definitions::Definition;
use fairlead_job::codes::legacy_purger as codes;

/// The definitions of all kinds that are served, in the order of their objects in a plan.
pub(super) async fn read(source: &Source<'_>, purge: &Purge) -> Result<Vec<Definition>, Obstacle> {
    let mut all = Vec::new();
    for entry in &purge.kinds {
        all.extend(read_one(source, entry).await?);
    }
    all.sort_by(|a, b| (&a.api_version, &a.kind.kind).cmp(&(&b.api_version, &b.kind.kind)));
    Ok(all)
}

async fn read_one(source: &Source<'_>, entry: &PurgedKind) -> Result<Option<Definition>, Obstacle> {
    let kind = entry.observed_kind();
    let Some(served) = source.api_version(&kind) else { return Ok(None) };
    let image = source.definition(&kind).await?;
    let Some(definition) = image else {
        let is_live = matches!(source, Source::Cluster(..));
        let address = kind.target("", "", "*");
        let message = format!("{} of {} has no CustomResourceDefinition", entry.kind, entry.group);
        let unreadable = is_live.then(|| codes::NOT_CUSTOM.finding(address, message));
        let plural = format!("{}s", entry.kind.to_lowercase());
        return Ok(Some(Definition { entry: entry.clone(), kind, api_version: served, plural, image: None, unreadable }));
    };
    let version = storage_version(&definition).to_owned();
    let kind = kind.in_version(&version);
    let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
    let mut unreadable = unserved(&definition, source.api_version(&kind).is_none(), &version);
    if unreadable.is_none() && has_webhook(&definition) {
        unreadable = not_converted(source, &kind, &definition).await?;
    }
    // What an older API server has accepted a newer one may refuse: then it would not come back.
    if let (None, Some(Rehearsal::Denied(why))) = (&unreadable, source.rehearse(&definition, None).await?) {
        unreadable =
            Some(codes::NOT_RESTORABLE.finding(target(&definition), format!("it could not be created again: {why}")));
    }
    let api_version = kind.api_version(&version);
    Ok(Some(Definition { entry: entry.clone(), kind, api_version, plural, image: Some(definition), unreadable }))
}

/// The version in which objects are stored. Definitions of apiextensions/v1beta1 may name one version only.
fn storage_version(definition: &Value) -> &str {
    let versions = definition["spec"]["versions"].as_array();
    let storage = versions.into_iter().flatten().find(|version| version["storage"] == true);
    storage.and_then(|version| version["name"].as_str()).or(definition["spec"]["version"].as_str()).unwrap_or_default()
}

fn unserved(definition: &Value, is_unserved: bool, version: &str) -> Option<Finding> {
    let message = format!("its objects are stored as {version}, which is not served");
    is_unserved.then(|| codes::STORED_VERSIONS.finding(target(definition), message))
}

fn has_webhook(definition: &Value) -> bool {
    definition["spec"]["conversion"]["strategy"] == "Webhook"
}

/// Asks for one object in every version that is served: its webhook has to answer.
async fn not_converted(source: &Source<'_>, kind: &Kind, definition: &Value) -> Result<Option<Finding>, Obstacle> {
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    for version in versions.filter(|version| version["served"] != false).filter_map(|version| version["name"].as_str()) {
        match source.first(&kind.clone().in_version(version)).await {
            Ok(_) => {}
            Err(obstacle @ (Obstacle::Stopped(_) | Obstacle::Forbidden { .. })) => return Err(obstacle),
            // The server answers 500 for as long as it is asked; no other request of ours has failed so far.
            Err(obstacle) => {
                let message = format!("it cannot be read as {version}: {}", chain(&obstacle));
                return Ok(Some(codes::CONVERSION_DOWN.finding(target(definition), message)));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_storage_version_is_that_of_either_form() {
        let version = |spec: Value| storage_version(&json!({ "spec": spec })).to_owned();
        assert_eq!(version(json!({"versions": [{"name": "v2"}, {"name": "v1", "storage": true}]})), "v1");
        assert_eq!(version(json!({"version": "v1alpha1"})), "v1alpha1");
    }
}
