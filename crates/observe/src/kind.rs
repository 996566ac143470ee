//! A kind, as a job names what it reads.

use std::borrow::Cow;

use fairlead_apis::object;
use fairlead_kube_client::cluster::PAGE_SIZE;
use fairlead_migration::change::Target;
use serde_json::Value;

/// A kind, whatever its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Empty for the core group.
    pub group: Cow<'static, str>,
    /// `Trigger`.
    pub kind: Cow<'static, str>,
    /// Whether its objects live in namespaces.
    pub is_namespaced: bool,
    /// The versions that we can read and write, best first; empty for kinds that have had one version only.
    pub versions: &'static [&'static str],
    /// The one version that is read, whatever else is served.
    pub exact: Option<String>,
    /// How many objects are read at once.
    pub page: u32,
}

/// Custom resource definitions.
pub static DEFINITION: Kind = Kind::cluster_wide("apiextensions.k8s.io", "CustomResourceDefinition", &["v1"]);

impl Kind {
    /// A kind whose objects live in namespaces.
    #[must_use]
    pub const fn namespaced(group: &'static str, kind: &'static str, versions: &'static [&'static str]) -> Self {
        let (group, kind) = (Cow::Borrowed(group), Cow::Borrowed(kind));
        Self { group, kind, is_namespaced: true, versions, exact: None, page: PAGE_SIZE }
    }

    /// A kind whose objects live in none.
    #[must_use]
    pub const fn cluster_wide(group: &'static str, kind: &'static str, versions: &'static [&'static str]) -> Self {
        let (group, kind) = (Cow::Borrowed(group), Cow::Borrowed(kind));
        Self { group, kind, is_namespaced: false, versions, exact: None, page: PAGE_SIZE }
    }

    /// The same, of whose objects so many are read at once.
    #[must_use]
    pub const fn in_pages_of(mut self, page: u32) -> Self {
        self.page = page;
        self
    }

    /// A kind that somebody has named.
    #[must_use]
    pub fn named(group: &str, kind: &str) -> Self {
        let [group, kind] = [group, kind].map(|text| Cow::Owned(text.to_owned()));
        Self { group, kind, is_namespaced: true, versions: &[], exact: None, page: PAGE_SIZE }
    }

    /// The kind of an object, in the version that its address names.
    #[must_use]
    pub fn of(target: &Target) -> Self {
        let (group, version) = target.api_version.split_once('/').unwrap_or(("", &target.api_version));
        Self { is_namespaced: target.namespace.is_some(), ..Self::named(group, &target.kind).in_version(version) }
    }

    /// The same, read in this version and no other.
    #[must_use]
    pub fn in_version(self, version: &str) -> Self {
        Self { exact: Some(version.to_owned()), ..self }
    }

    /// The address of an object of this kind.
    #[must_use]
    pub fn target(&self, version: &str, namespace: &str, name: &str) -> Target {
        Target {
            api_version: self.api_version(version),
            kind: self.kind.clone().into_owned(),
            namespace: self.is_namespaced.then(|| namespace.to_owned()),
            name: name.to_owned(),
        }
    }

    /// `eventing.knative.dev/v1` for `v1`.
    #[must_use]
    pub fn api_version(&self, version: &str) -> String {
        if self.group.is_empty() { version.to_owned() } else { format!("{}/{version}", self.group) }
    }

    /// Whether `object` is of this kind.
    #[must_use]
    pub fn is_of(&self, object: &Value) -> bool {
        object::group(object) == self.group && object::kind(object) == self.kind
    }
}

/// The kinds that a reader of files asks for.
#[derive(Clone, Copy)]
pub enum Asked<'a> {
    /// These and definitions; nothing else is kept.
    Only(&'a [&'a Kind]),
    /// These and others.
    AtLeast(&'a [&'a Kind]),
}

impl<'a> Asked<'a> {
    /// Whether objects of this kind have to be kept.
    #[must_use]
    pub fn wants(self, api_version: &str, kind: &str) -> bool {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let is_it = |known: &Kind| known.group == group && known.kind == kind;
        matches!(self, Self::AtLeast(_)) || is_it(&DEFINITION) || self.kinds().iter().any(|known| is_it(known))
    }

    /// The kind of an object, where it is one of those that are named.
    #[must_use]
    pub fn find(self, object: &Value) -> Option<&'a Kind> {
        self.kinds().iter().copied().find(|kind| kind.is_of(object))
    }

    fn kinds(self) -> &'a [&'a Kind] {
        match self {
            Self::Only(kinds) | Self::AtLeast(kinds) => kinds,
        }
    }
}

impl<'a, const N: usize> From<&'a [&'a Kind; N]> for Asked<'a> {
    fn from(kinds: &'a [&'a Kind; N]) -> Self {
        Self::AtLeast(kinds)
    }
}
