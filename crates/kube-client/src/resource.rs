//! A kind as the cluster serves it, and where its objects are.

/// Kinds of the core group that live in no namespace.
const CLUSTER_WIDE: [&str; 3] = ["Namespace", "Node", "PersistentVolume"];

/// A kind in one version, as the cluster serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Trigger`.
    pub kind: String,
    /// `triggers`, the last part of the path.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
    /// Whether the status is written through a subresource of its own.
    pub has_status: bool,
    /// Whether replicas are written through a subresource of their own.
    pub has_scale: bool,
}

impl Resource {
    /// A namespaced kind of this group in version `v1`, without subresources.
    pub(crate) fn v1(group: &str, kind: &str, plural: &str) -> Self {
        let [group, version, kind, plural] = [group, "v1", kind, plural].map(str::to_owned);
        Self { group, version, kind, plural, is_namespaced: true, has_status: false, has_scale: false }
    }

    /// A kind of the core group, which needs no discovery where only its objects' content is written.
    #[must_use]
    pub fn core(kind: &str, plural: &str, is_namespaced: bool) -> Self {
        Self { is_namespaced, ..Self::v1("", kind, plural) }
    }

    /// A kind of the core group as it has always been. The group is asked for only where it matters which subresources there are.
    #[must_use]
    pub fn unasked(kind: &str) -> Self {
        let singular = kind.to_lowercase();
        let plural = if singular.ends_with('s') { singular } else { format!("{singular}s") };
        Self::core(kind, &plural, !CLUSTER_WIDE.contains(&kind))
    }

    /// `eventing.knative.dev/v1`.
    #[must_use]
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// `triggers.eventing.knative.dev`, as kubectl takes it.
    #[must_use]
    pub fn full_name(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The path of the collection; all namespaces without one.
    pub(crate) fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let namespace = namespace.map(|namespace| format!("/namespaces/{namespace}")).unwrap_or_default();
        format!("{root}/{}{namespace}/{}", self.api_version(), self.plural)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_the_core_group_are_found_where_they_are() {
        let path = |kind: &str| {
            let resource = Resource::unasked(kind);
            resource.path(Some("a").filter(|_| resource.is_namespaced))
        };
        for kind in CLUSTER_WIDE {
            assert_eq!(path(kind), format!("/api/v1/{}s", kind.to_lowercase()));
        }
        assert_eq!(path("ConfigMap"), "/api/v1/namespaces/a/configmaps");
        assert_eq!(path("Endpoints"), "/api/v1/namespaces/a/endpoints");
    }
}
