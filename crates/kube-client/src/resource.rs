//! A kind as the cluster serves it, and where its objects are.

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
