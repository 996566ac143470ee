//! The definitions of the kinds that are purged, and what speaks against removing them. Pure.

use std::collections::HashSet;

use fairlead_apis::object;
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use serde_json::Value;

use crate::configuration::PurgedKind;
use crate::decide::{helm_owned, is_kyma_subscription};
use fairlead_job::codes::legacy_purger as codes;

/// A kind that is served.
pub(crate) struct Definition {
    /// Its entry in the configuration.
    pub(crate) entry: PurgedKind,
    /// The kind in the version in which objects are stored: read in another one, a snapshot would go through a conversion.
    pub(crate) kind: Kind,
    /// Group and version of its objects.
    pub(crate) api_version: String,
    /// The last part of the path of its objects.
    pub(crate) plural: String,
    /// The custom resource definition; none in files that do not hold it.
    pub(crate) image: Option<Value>,
    /// Why its objects cannot be read or restored, if so.
    pub(crate) unreadable: Option<Finding>,
}

/// Refusals and warnings of guards.
#[derive(Default)]
pub(crate) struct Findings {
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

impl Definition {
    /// The address of the definition itself.
    pub(crate) fn target(&self) -> Option<Target> {
        self.image.as_ref().map(target)
    }

    /// Whether the definition is that of the legacy bus, and not that of later Kyma, which has the same name.
    pub(crate) fn is_legacy(&self) -> bool {
        let Some(image) = &self.image else { return false };
        !is_kyma_subscription(&self.entry) || image["spec"].to_string().contains("\"event_type\"")
    }

    /// Whether its objects cannot be read as they are stored. The purge does not read them then.
    pub(crate) fn is_unreadable(&self) -> bool {
        self.unreadable.is_some()
    }

    /// Refusals and warnings about its objects, and about the definition if that is purged, too.
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

    /// Whether something speaks against deleting the definition itself.
    pub(crate) fn is_refused(&self, allowed: &HashSet<String>) -> bool {
        !self.guard(true, allowed).refusals.is_empty()
    }

    /// Whether the definition belongs to a Helm release that the user named: its objects come back after Helm's manifests.
    pub(crate) fn is_helm_owned(&self, allowed: &HashSet<String>) -> bool {
        let (Some(image), Some(target)) = (&self.image, self.target()) else { return false };
        matches!(helm_owned(image, &target, allowed), Ok(Some(_)))
    }
}

fn stored_versions(definition: &Value, target: &Target) -> Option<Finding> {
    let stored: Vec<&str> =
        definition["status"]["storedVersions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let message = || format!("status.storedVersions has {}", stored.join(", "));
    (stored.len() > 1).then(|| codes::STORED_VERSIONS.finding(target.clone(), message()))
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
}
