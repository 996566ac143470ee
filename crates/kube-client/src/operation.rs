//! What a request is for: named in errors, and with the rule that allows it.

use std::fmt;

use crate::resource::Resource;

/// What a request is for: names it in errors, and says which rule allows it.
#[derive(Clone, Copy)]
pub(crate) struct Operation<'a> {
    /// Verb of RBAC.
    pub(crate) verb: &'static str,
    pub(crate) resource: &'a Resource,
    /// `status` or `scale`.
    pub(crate) subresource: Option<&'static str>,
    pub(crate) namespace: Option<&'a str>,
    /// None for lists.
    pub(crate) name: Option<&'a str>,
}

impl<'a> Operation<'a> {
    /// On all objects of a kind.
    pub(crate) fn new(verb: &'static str, resource: &'a Resource) -> Self {
        Self { verb, resource, subresource: None, namespace: None, name: None }
    }
}

impl fmt::Display for Operation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, namespace, name, .. } = self;
        match (name, namespace) {
            (None, _) => write!(f, "{verb} {}", resource.full_name()),
            (Some(name), None) => write!(f, "{verb} {} {name}", resource.kind),
            (Some(name), Some(namespace)) => write!(f, "{verb} {} {namespace}/{name}", resource.kind),
        }
    }
}

/// The rule that is missing, as it stands in a Role.
pub(crate) fn rule(operation: Operation<'_>) -> String {
    rules(&[operation])
}

/// The same for several: one rule for each place and resource.
pub(crate) fn rules(operations: &[Operation<'_>]) -> String {
    let mut rules: Vec<(String, Vec<&str>)> = Vec::new();
    for Operation { verb, resource, subresource, namespace, .. } in operations {
        let plural = subresource.map_or_else(|| resource.plural.clone(), |part| format!("{}/{part}", resource.plural));
        let kind = namespace.map_or_else(|| "a ClusterRole".to_owned(), |namespace| format!("a Role in {namespace}"));
        let rule = format!("{kind} must have the rule {{apiGroups: [{:?}], resources: [{plural:?}]", resource.group);
        match rules.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, verbs)) if verbs.contains(verb) => {}
            Some((_, verbs)) => verbs.push(verb),
            None => rules.push((rule, vec![verb])),
        }
    }
    let written = rules.into_iter().map(|(rule, verbs)| format!("{rule}, verbs: {verbs:?}}}"));
    written.collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_role_lacks_of_a_resource_is_one_rule() {
        let (secrets, leases) =
            (Resource::core("Secret", "secrets", true), Resource::v1("coordination.k8s.io", "Lease", "leases"));
        let in_shop = |verb| Operation { namespace: Some("shop"), ..Operation::new(verb, &secrets) };
        let told = rules(&[in_shop("get"), Operation::new("get", &leases), in_shop("create"), in_shop("get")]);
        let expected = "a Role in shop must have the rule {apiGroups: [\"\"], resources: [\"secrets\"], verbs: [\"get\", \"create\"]}; \
                        a ClusterRole must have the rule {apiGroups: [\"coordination.k8s.io\"], resources: [\"leases\"], verbs: [\"get\"]}";
        assert_eq!(told, expected);
    }
}
