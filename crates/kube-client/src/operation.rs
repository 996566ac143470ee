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
    let Operation { verb, resource, subresource, namespace, .. } = operation;
    let plural = subresource.map_or_else(|| resource.plural.clone(), |part| format!("{}/{part}", resource.plural));
    let kind = namespace.map_or_else(|| "a ClusterRole".to_owned(), |namespace| format!("a Role in {namespace}"));
    format!("{kind} must have the rule {{apiGroups: [{:?}], resources: [{plural:?}], verbs: [{verb:?}]}}", resource.group)
}
