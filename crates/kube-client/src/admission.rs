//! Who has a say when something is written: named when a write is refused, because the message of a webhook often does not say
//! whose it is.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::resource::Resource;

const GROUP: &str = "admissionregistration.k8s.io";

/// Kinds, and where their rules lie.
const KINDS: [(&str, &str, &str); 3] = [
    ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "/webhooks"),
    ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "/webhooks"),
    ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "/spec/matchConstraints/resourceRules"),
];

impl Cluster {
    /// The webhooks and policies whose rules match, in words. None when there is none, or when we may not ask: this is said in
    /// addition to an error, and must not hide it.
    pub(crate) async fn admission(&self, verb: &str, resource: &Resource) -> Option<String> {
        let mut found = Vec::new();
        for (kind, plural, pointer) in KINDS {
            let configuration = Resource { is_namespaced: false, ..Resource::v1(GROUP, kind, plural) };
            let matching = |object: Value| {
                let entries = object.pointer(pointer)?.as_array()?;
                // A webhook holds a list of rules, a policy is one.
                let mut rules = entries
                    .iter()
                    .flat_map(|entry| entry["rules"].as_array().cloned().unwrap_or_else(|| vec![entry.clone()]));
                let name = object["metadata"]["name"].as_str()?;
                rules.any(|rule| is_matched(&rule, verb, resource)).then(|| format!("{} {name}", configuration.kind))
            };
            found.extend(self.list(&configuration, None, None, matching).await.unwrap_or_default());
        }
        (!found.is_empty()).then(|| format!("who has a say there: {}", found.join(", ")))
    }
}

impl Cluster {
    /// The policies that a run of this release has left, as far as they may be read: their names end with its namespace and its name.
    pub async fn policies_left(&self, namespace: &str, release: &str) -> Vec<String> {
        let (kind, plural, _) = KINDS[2];
        let policies = Resource { is_namespaced: false, ..Resource::v1(GROUP, kind, plural) };
        let labels = format!("app.kubernetes.io/part-of=fairlead,app.kubernetes.io/instance={release}");
        let end = format!(".{namespace}.{release}");
        let name =
            |policy: Value| policy["metadata"]["name"].as_str().filter(|name| name.ends_with(&end)).map(str::to_owned);
        // Said in addition to an error, and must not hide it.
        self.list_metadata(&policies, None, Some(&labels), name).await.unwrap_or_default()
    }
}

/// Whether a rule is about this verb and resource. See `RuleWithOperations` in the API reference of admissionregistration.k8s.io.
fn is_matched(rule: &Value, verb: &str, resource: &Resource) -> bool {
    let operation = if verb == "patch" { "UPDATE".to_owned() } else { verb.to_uppercase() };
    let has = |field: &str, wanted: &str| {
        let values = rule[field].as_array();
        values.into_iter().flatten().any(|value| value == "*" || value == "*/*" || value == wanted)
    };
    has("operations", &operation)
        && has("apiGroups", &resource.group)
        && has("apiVersions", &resource.version)
        && has("resources", &resource.plural)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_rule_matches_by_operation_group_version_and_resource() {
        let maps = Resource::core("ConfigMap", "configmaps", true);
        let rule = json!({"operations": ["UPDATE"], "apiGroups": [""], "apiVersions": ["*"], "resources": ["configmaps"]});
        assert!(is_matched(&rule, "patch", &maps));
        assert!(!is_matched(&rule, "create", &maps));
        let mut other = rule.clone();
        other["apiGroups"] = json!(["apps"]);
        assert!(!is_matched(&other, "patch", &maps));
        let all = json!({"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]});
        assert!(is_matched(&all, "delete", &maps));
    }
}
