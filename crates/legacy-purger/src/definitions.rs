//! The definitions of the kinds that are purged, and what speaks against removing them. Reading is here, the guards are pure.

use std::collections::HashSet;

use fairlead_apis::object;
use fairlead_kube_client::objects::Rehearsal;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Purge, PurgedKind};
use crate::decide::{helm_owned, is_kyma_subscription};
use fairlead_job::codes::legacy_purger as codes;

/// A kind that is served.
pub(crate) struct Definition {
    /// What of it goes.
    pub(crate) entry: PurgedKind,
    /// In the version in which its objects are stored: read in another one, a snapshot would go through a conversion.
    pub(crate) kind: Kind,
    /// Group and version of its objects.
    pub(crate) api_version: String,
    /// The last part of the path of its objects.
    pub(crate) plural: String,
    /// The custom resource definition; none in files that do not hold it.
    pub(crate) image: Option<Value>,
    /// What speaks against it that only reading can tell.
    unreadable: Option<Finding>,
}

/// What the guards say.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

impl Definition {
    /// The definitions of all kinds that are served, in the order of their objects in a plan.
    pub(crate) async fn all(source: &Source<'_>, purge: &Purge) -> Result<Vec<Self>, Obstacle> {
        let mut all = Vec::new();
        for entry in &purge.kinds {
            all.extend(Self::of(source, entry).await?);
        }
        all.sort_by(|a, b| (&a.api_version, &a.kind.kind).cmp(&(&b.api_version, &b.kind.kind)));
        Ok(all)
    }

    async fn of(source: &Source<'_>, entry: &PurgedKind) -> Result<Option<Self>, Obstacle> {
        let kind = entry.observed_kind();
        let Some(served) = source.api_version(&kind) else { return Ok(None) };
        let image = source.definition(&kind).await?;
        let Some(definition) = image else {
            let is_live = matches!(source, Source::Cluster(..));
            let address = kind.target("", "", "*");
            let message = format!("{} of {} has no CustomResourceDefinition", entry.kind, entry.group);
            let unreadable = is_live.then(|| codes::NOT_CUSTOM.finding(address, message));
            let plural = format!("{}s", entry.kind.to_lowercase());
            return Ok(Some(Self { entry: entry.clone(), kind, api_version: served, plural, image: None, unreadable }));
        };
        let version = storage_version(&definition).to_owned();
        let kind = kind.in_version(&version);
        let plural = definition["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
        let mut unreadable = unserved(&definition, source.api_version(&kind).is_none(), &version);
        if unreadable.is_none() && has_webhook(&definition) {
            unreadable = not_converted(source, &kind, &definition).await?;
        }
        // What an older API server has accepted a newer one may refuse: then it would not come back.
        if let (None, Some(Rehearsal::Denied(why))) = (&unreadable, source.rehearse(&definition).await?) {
            unreadable =
                Some(codes::NOT_RESTORABLE.finding(target(&definition), format!("it could not be created again: {why}")));
        }
        let api_version = kind.api_version(&version);
        Ok(Some(Self { entry: entry.clone(), kind, api_version, plural, image: Some(definition), unreadable }))
    }

    /// The address of the definition itself.
    pub(crate) fn target(&self) -> Option<Target> {
        self.image.as_ref().map(target)
    }

    /// Whether it is the one of the legacy bus, and not that of later Kyma which has the same name.
    pub(crate) fn is_legacy(&self) -> bool {
        let Some(image) = &self.image else { return false };
        !is_kyma_subscription(&self.entry) || image["spec"].to_string().contains("\"event_type\"")
    }

    /// Whether its objects cannot be read as they are stored: then they are not looked at.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.is_some()
    }

    /// What speaks against removing its objects, and itself if it goes, and what should be known.
    pub(crate) fn guard(&self, goes: bool, allowed: &HashSet<String>) -> Findings {
        let mut findings = Findings::default();
        findings.refusals.extend(self.unreadable.clone());
        let (Some(image), Some(target)) = (&self.image, self.target()) else { return findings };
        findings.refusals.extend(stored_versions(image, &target));
        if !goes {
            return findings;
        }
        if object::is_terminating(image) {
            findings.refusals.push(codes::TERMINATING.finding(target.clone(), "somebody is deleting it"));
        }
        match helm_owned(image, &target, allowed) {
            Ok(warning) => findings.warnings.extend(warning),
            Err(refusal) => findings.refusals.push(refusal),
        }
        findings
    }

    /// Whether it belongs to a Helm release that was named: then all of it comes back after Helm's manifests.
    pub(crate) fn is_helm_owned(&self, allowed: &HashSet<String>) -> bool {
        let (Some(image), Some(target)) = (&self.image, self.target()) else { return false };
        matches!(helm_owned(image, &target, allowed), Ok(Some(_)))
    }
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

fn stored_versions(definition: &Value, target: &Target) -> Option<Finding> {
    let stored: Vec<&str> =
        definition["status"]["storedVersions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let message = || format!("status.storedVersions has {}", stored.join(", "));
    (stored.len() > 1).then(|| codes::STORED_VERSIONS.finding(target.clone(), message()))
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

    fn definition(changes: impl Fn(&mut Value)) -> Definition {
        let mut image = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "things.a.b"},
            "spec": {"names": {"plural": "things"}, "versions": [{"name": "v1", "storage": true}]},
            "status": {"storedVersions": ["v1"]},
        });
        changes(&mut image);
        let entry: PurgedKind = serde_json::from_value(json!({"group": "a.b", "kind": "Thing"})).expect("valid");
        let (kind, plural) = (entry.observed_kind(), "things".to_owned());
        Definition { entry, kind, api_version: "a.b/v1".into(), plural, image: Some(image), unreadable: None }
    }

    fn refused(definition: &Definition) -> Vec<String> {
        let findings = definition.guard(true, &HashSet::from(["mine".to_owned()]));
        findings.refusals.iter().map(|finding| format!("{}: {}", finding.code, finding.message)).collect()
    }

    #[test]
    fn each_guard_has_its_code() {
        assert_eq!(refused(&definition(|_| {})), Vec::<String>::new());
        let several = definition(|image| image["status"]["storedVersions"] = json!(["v1alpha1", "v1"]));
        assert_eq!(refused(&several), ["LP106: status.storedVersions has v1alpha1, v1"]);
        let going = definition(|image| image["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into());
        assert_eq!(refused(&going), ["LP108: somebody is deleting it"]);
        let of = |release: &str| {
            let annotations = json!({"meta.helm.sh/release-name": release, "meta.helm.sh/release-namespace": "ns"});
            definition(move |image| image["metadata"]["annotations"] = annotations.clone())
        };
        assert_eq!(refused(&of("theirs")), ["LP105: it belongs to Helm release theirs in namespace ns"]);
        assert_eq!(refused(&of("mine")), Vec::<String>::new());
        assert!(of("mine").is_helm_owned(&HashSet::from(["mine".to_owned()])));
    }

    #[test]
    fn the_storage_version_is_that_of_either_form() {
        let version = |spec: Value| storage_version(&json!({ "spec": spec })).to_owned();
        assert_eq!(version(json!({"versions": [{"name": "v2"}, {"name": "v1", "storage": true}]})), "v1");
        assert_eq!(version(json!({"version": "v1alpha1"})), "v1alpha1");
    }
}
