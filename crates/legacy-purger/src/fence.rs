//! The fence: a policy that denies the creation of what is purged while it is purged. It lets pass what carries a ticket of this
//! release, which is the purge itself on its way back. Pure.

use fairlead_apis::object;
use fairlead_apis::subscription::Shape;
use fairlead_kube_client::objects::TICKET_ANNOTATION;
use fairlead_migration::change::{Image, Target};
use serde_json::json;

use crate::configuration::PurgedKind;
use crate::decide::is_kyma_subscription;
use crate::definitions::Definition;
use crate::kinds;
use crate::options::Options;

/// The policy and what puts it in force.
pub(crate) struct Fence {
    /// Address and image of both.
    pub(crate) objects: [(Target, Image); 2],
}

impl Fence {
    /// A fence around those of these kinds that can be told from others; none when there is none.
    pub(crate) fn around(definitions: &[Definition], options: &Options<'_>) -> Option<Self> {
        let Options { namespace, release, .. } = *options;
        let fenced: Vec<&Definition> = definitions.iter().filter(|definition| is_fenced(&definition.entry)).collect();
        if fenced.is_empty() {
            return None;
        }
        let name = name(namespace, release);
        let [policy, binding] = [&kinds::POLICY, &kinds::BINDING].map(|kind| kind.target("v1", "", &name));
        let rules: Vec<_> = fenced
            .iter()
            .map(|definition| {
                json!({"operations": ["CREATE"], "apiGroups": [definition.entry.group], "apiVersions": ["*"],
                    "resources": [definition.plural], "scope": "*"})
            })
            .collect();
        let covered: Vec<String> = fenced.iter().map(|definition| covered(definition)).collect();
        // The object comes back with the ticket that deleted it.
        let ticket = tickets(namespace, release);
        let ours = format!(
            "has(object.metadata.annotations) && '{TICKET_ANNOTATION}' in object.metadata.annotations && \
             object.metadata.annotations['{TICKET_ANNOTATION}'].startsWith('{ticket}')"
        );
        let status = format!("`legacy-purger status --release {release} --ledger-namespace {namespace}`");
        // A message has one line.
        let instead = options.purge.instead.as_ref().map(|it| it.replace('\n', " ")).map_or_else(
            || "it cannot be created until that is over".to_owned(),
            |instead| format!("{instead}, or again when the purge has been rolled back"),
        );
        let message = format!(
            "release {release} in namespace {namespace} is purging this kind from the cluster: {instead} ({status})"
        );
        let metadata = |target: &Target| {
            json!({"name": target.name, "labels": {
                "app.kubernetes.io/part-of": "fairlead", "app.kubernetes.io/instance": release,
                "app.kubernetes.io/managed-by": "legacy-purger",
            }})
        };
        let image = json!({
            "apiVersion": policy.api_version, "kind": policy.kind, "metadata": metadata(&policy),
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": rules},
                "matchConditions": [
                    {"name": "what-is-purged", "expression": covered.join(" || ")},
                    {"name": "not-what-comes-back", "expression": format!("!({ours})")},
                ],
                "validations": [{"expression": "false", "message": message, "reason": "Forbidden"}],
            },
        });
        let bound = json!({
            "apiVersion": binding.api_version, "kind": binding.kind, "metadata": metadata(&binding),
            "spec": {"policyName": policy.name, "validationActions": ["Deny"]},
        });
        Some(Self { objects: [(policy, image), (binding, bound)] })
    }
}

/// Labels are not told apart: the policy would need their selector in its own language.
pub(crate) fn is_fenced(entry: &PurgedKind) -> bool {
    entry.selector.is_empty()
}

/// Whether the fence denies the creation of an object like this one.
pub(crate) fn is_covered(entries: &[PurgedKind], object: &Image) -> bool {
    let is_it = |entry: &&PurgedKind| entry.group == object::group(object) && entry.kind == object::kind(object);
    let Some(entry) = entries.iter().find(is_it) else { return false };
    let namespace = object::namespace(object);
    let is_selected = entry.namespaces.is_empty() || entry.namespaces.iter().any(|it| it == namespace);
    is_fenced(entry) && is_selected && (!is_kyma_subscription(entry) || Shape::of(object) == Shape::Legacy)
}

/// How the addresses of a release's tickets begin.
fn tickets(namespace: &str, release: &str) -> String {
    format!("{namespace}/fairlead.v1.{release}.")
}

/// What the fence lets pass: the address of this ticket.
pub(crate) fn mark(namespace: &str, release: &str, sequence: u64) -> String {
    format!("{}{sequence}", tickets(namespace, release))
}

/// The name of both objects of the fence.
pub(crate) fn name(namespace: &str, release: &str) -> String {
    format!("fairlead-purge.{namespace}.{release}")
}

fn covered(definition: &Definition) -> String {
    let PurgedKind { group, namespaces, .. } = &definition.entry;
    let mut conditions = vec![
        format!("request.resource.group == '{group}'"),
        format!("request.resource.resource == '{}'", definition.plural),
    ];
    if !namespaces.is_empty() {
        conditions.push(format!("object.metadata.namespace in {}", json!(namespaces)));
    }
    if is_kyma_subscription(&definition.entry) {
        conditions.push("has(object.spec) && (has(object.spec.event_type) || has(object.spec.source_id))".to_owned());
    }
    format!("({})", conditions.join(" && "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_with_its_owner_is_outside_the_fence() {
        let entry = |more: &str| -> Vec<PurgedKind> {
            let entry = format!(r#"[{{"group": "a.b", "kind": "Thing"{more}}}]"#);
            serde_json::from_str(&entry).expect("valid")
        };
        let thing = json!({"apiVersion": "a.b/v1", "kind": "Thing", "metadata": {"namespace": "n", "name": "t"}});
        assert!(is_covered(&entry(""), &thing));
        assert!(is_covered(&entry(r#", "namespaces": ["n"]"#), &thing));
        assert!(!is_covered(&entry(r#", "namespaces": ["m"]"#), &thing));
        assert!(!is_covered(&entry(r#", "selector": {"matchLabels": {"a": "b"}}"#), &thing));
    }
}
