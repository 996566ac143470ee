//! Reads what there is, from a cluster or from files. Nothing is kept here: whoever reads keeps what it needs to decide.

use std::borrow::Cow;

use fairlead_apis::object;
use fairlead_kube_client::cluster::{Cluster, PAGE_SIZE};
use fairlead_kube_client::discovery::{Discovery, Resource};
use fairlead_kube_client::objects::{Objects, Rehearsal, TICKET_ANNOTATION};
use fairlead_migration::change::{Image, Target};
use fairlead_migration::obstacle::Obstacle;
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

/// Objects from files, as a server would have them: without a namespace they are in the default one, and they are listed in
/// the order of their keys in etcd.
pub struct Manifests {
    objects: Vec<Value>,
    /// In which version kinds are served that have had several, where their definition is not among the files.
    assumed_version: &'static str,
}

impl Manifests {
    /// Takes what was read from files. CRDs among them say which versions are served; a kind of several versions without one is
    /// served in `assumed_version`. Which of `kinds` are in namespaces is known without a server.
    #[must_use]
    pub fn new(mut objects: Vec<Value>, kinds: &[&Kind], assumed_version: &'static str) -> Self {
        for object in &mut objects {
            let is_ours = |kind: &&&Kind| kind.is_of(object);
            let is_namespaced = kinds.iter().find(is_ours).is_some_and(|kind| kind.is_namespaced);
            if is_namespaced && object::namespace(object).is_empty() && object["metadata"].is_object() {
                object["metadata"]["namespace"] = "default".into();
            }
        }
        objects.sort_by_cached_key(|object| {
            // What has the same address is ordered by its content.
            (format!("{}/{}", object::namespace(object), object::name(object)), object.to_string())
        });
        Self { objects, assumed_version }
    }

    fn of(&self, kind: &Kind) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(|object| kind.is_of(object))
    }

    fn definition(&self, kind: &Kind) -> Option<&Value> {
        self.objects.iter().find(|object| {
            object::kind(object) == DEFINITION.kind
                && object["spec"]["group"] == *kind.group
                && object["spec"]["names"]["kind"] == *kind.kind
        })
    }

    fn api_version(&self, kind: &Kind) -> Option<String> {
        if let Some(exact) = &kind.exact {
            return Some(kind.api_version(exact));
        }
        match self.definition(kind) {
            Some(crd) => served(crd, kind),
            None if kind.versions.contains(&self.assumed_version) => Some(kind.api_version(self.assumed_version)),
            None => self.of(kind).next().map(|object| object::api_version(object).to_owned()),
        }
    }
}

/// The best version that a CRD says is served.
fn served(crd: &Value, kind: &Kind) -> Option<String> {
    let versions = crd["spec"]["versions"].as_array();
    let served = versions.into_iter().flatten().filter(|version| version["served"] != false);
    let served: Vec<&str> = served.filter_map(|version| version["name"].as_str()).collect();
    // The CRDs of apiextensions/v1beta1 may name one version only.
    let served = if served.is_empty() { crd["spec"]["version"].as_str().into_iter().collect() } else { served };
    let best = match kind.versions {
        [] => served.first(),
        known => known.iter().find(|version| served.contains(version)),
    };
    best.map(|version| kind.api_version(version))
}

/// Where objects come from.
pub enum Source<'a> {
    /// A cluster and what it serves.
    Cluster(&'a Cluster, &'a Discovery),
    /// Files. A kind that is missing among them has no objects; a namespace that is missing is an ordinary one.
    Manifests(&'a Manifests),
}

impl Source<'_> {
    /// The group and version in which objects of a kind are read and written; none when the kind is not served.
    #[must_use]
    pub fn api_version(&self, kind: &Kind) -> Option<String> {
        match self {
            Self::Cluster(_, discovery) => Some(resource(discovery, kind)?.api_version()),
            Self::Manifests(manifests) => manifests.api_version(kind),
        }
    }

    /// Whether objects of a kind have replicas that can be set; of files that is believed.
    #[must_use]
    pub fn has_scale(&self, kind: &Kind) -> bool {
        match self {
            Self::Cluster(_, discovery) => resource(discovery, kind).is_some_and(|resource| resource.has_scale),
            Self::Manifests(_) => true,
        }
    }

    /// Reads all objects of a kind, one after the other, into what `begin` makes; a list that expires is read again, from
    /// another beginning. A kind that is not served has no objects.
    pub async fn fold<S>(&self, kind: &Kind, begin: impl Fn() -> S, add: impl FnMut(&mut S, Value)) -> Result<S, Obstacle> {
        self.fold_in(kind, None, begin, add).await
    }

    /// The same for the objects of one namespace.
    async fn fold_in<S>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        begin: impl Fn() -> S,
        mut add: impl FnMut(&mut S, Value),
    ) -> Result<S, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => match resource(discovery, kind) {
                Some(resource) => cluster.fold(&resource, namespace, kind.page, begin, add).await,
                None => Ok(begin()),
            },
            Self::Manifests(manifests) => {
                let mut found = begin();
                let Some(api_version) = manifests.api_version(kind) else { return Ok(found) };
                let is_there = |object: &&Value| namespace.is_none_or(|namespace| object::namespace(object) == namespace);
                for object in manifests.of(kind).filter(is_there) {
                    let mut object = object.clone();
                    object["apiVersion"] = api_version.as_str().into();
                    add(&mut found, object);
                }
                Ok(found)
            }
        }
    }

    /// One object, if it is there and its kind is served.
    pub async fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Option<Value>, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => match resource(discovery, kind) {
                Some(resource) => {
                    Objects::new(cluster, discovery).get(&kind.target(&resource.version, namespace, name)).await
                }
                None => Ok(None),
            },
            Self::Manifests(manifests) => {
                let is_it = |object: &&Value| object::namespace(object) == namespace && object::name(object) == name;
                Ok(manifests.of(kind).find(is_it).cloned())
            }
        }
    }

    /// What the server would say to the creation of this object; none for files.
    pub async fn rehearse(&self, object: &Value) -> Result<Option<Rehearsal>, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => {
                Objects::new(cluster, discovery).rehearse(&target(object), object).await.map(Some)
            }
            Self::Manifests(_) => Ok(None),
        }
    }

    /// Any one object of a kind, if it is served and there is one.
    pub async fn first(&self, kind: &Kind) -> Result<Option<Value>, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => match resource(discovery, kind) {
                Some(resource) => cluster.first(&resource).await,
                None => Ok(None),
            },
            Self::Manifests(manifests) => Ok(manifests.of(kind).next().cloned()),
        }
    }

    /// The definition of a custom kind; none where it is not served, or not among the files.
    pub async fn definition(&self, kind: &Kind) -> Result<Option<Value>, Obstacle> {
        match self {
            Self::Cluster(_, discovery) => match resource(discovery, kind) {
                Some(resource) => self.get(&DEFINITION, "", &resource.full_name()).await,
                None => Ok(None),
            },
            Self::Manifests(manifests) => Ok(manifests.definition(kind).cloned()),
        }
    }

    /// What `read` makes of the first object of a kind of which it makes anything; nothing of the others is kept.
    pub async fn find<T>(&self, kind: &Kind, read: impl Fn(Value) -> Option<T>) -> Result<Option<T>, Obstacle> {
        self.find_in(kind, None, read).await
    }

    /// The same among the objects of one namespace.
    pub async fn find_in<T>(
        &self,
        kind: &Kind,
        namespace: Option<&str>,
        read: impl Fn(Value) -> Option<T>,
    ) -> Result<Option<T>, Obstacle> {
        let add = |found: &mut Option<T>, object| {
            if found.is_none() {
                *found = read(object);
            }
        };
        self.fold_in(kind, namespace, || None, add).await
    }

    /// What `read` makes of each object of a kind.
    pub async fn list<T>(&self, kind: &Kind, read: impl Fn(Value) -> Option<T>) -> Result<Vec<T>, Obstacle> {
        self.fold(kind, Vec::new, |found, object| found.extend(read(object))).await
    }
}

/// The best version of a kind that the cluster serves.
fn resource(discovery: &Discovery, kind: &Kind) -> Option<Resource> {
    if kind.group.is_empty() {
        // Asked for only where it matters which subresources there are; its plurals are regular.
        let plural = format!("{}s", kind.kind.to_lowercase());
        return Some(Resource::core(&kind.kind, &plural, kind.is_namespaced));
    }
    if let Some(exact) = &kind.exact {
        return discovery.find_version(&kind.api_version(exact), &kind.kind).cloned();
    }
    match kind.versions {
        [] => discovery.find(&kind.group, &kind.kind).cloned(),
        known => known.iter().find_map(|version| discovery.find_version(&kind.api_version(version), &kind.kind)).cloned(),
    }
}

/// The address of an object.
#[must_use]
pub fn target(object: &Value) -> Target {
    let namespace = object::namespace(object);
    Target {
        api_version: object::api_version(object).to_owned(),
        kind: object::kind(object).to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: object::name(object).to_owned(),
    }
}

/// The release that has made an object, if it is another one. A ticket's address is `namespace/fairlead.v1.<release>.<sequence>`.
#[must_use]
pub fn other_release<'a>(image: &'a Image, release: &str) -> Option<&'a str> {
    let ticket = object::annotation(image, TICKET_ANNOTATION)?;
    let (other, _) = ticket.split_once("/fairlead.v1.")?.1.rsplit_once('.')?;
    (other != release).then_some(other)
}
