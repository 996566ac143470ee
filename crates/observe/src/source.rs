//! Reads what there is, from a cluster or from files. Nothing is kept here: a reader keeps what it needs to decide.

use std::collections::BTreeSet;

use fairlead_apis::object;
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::discovery::Discovery;
use fairlead_kube_client::objects::{Objects, Rehearsal};
use fairlead_kube_client::resource::Resource;
use fairlead_migration::obstacle::Obstacle;
use serde_json::Value;

use crate::address::target;
use crate::kind::{DEFINITION, Kind};
use crate::manifests::Manifests;

/// Where objects come from.
pub enum Source<'a> {
    /// A cluster and what it serves.
    Cluster(&'a Cluster, &'a Discovery),
    /// Files. A kind that is missing among them has no objects; a namespace that is missing is an ordinary one.
    Manifests(&'a Manifests<'a>),
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

    /// Whether objects of a kind live in namespaces; believed where nothing says so.
    #[must_use]
    pub fn is_namespaced(&self, kind: &Kind) -> bool {
        match self {
            _ if kind.group.is_empty() => Resource::unasked(&kind.kind).is_namespaced,
            Self::Cluster(_, discovery) => resource(discovery, kind).is_none_or(|resource| resource.is_namespaced),
            Self::Manifests(manifests) => {
                manifests.definition(kind).is_none_or(|definition| definition["spec"]["scope"] != "Cluster")
            }
        }
    }

    /// The kinds of a group that are served, or that files hold; none for the core group of a cluster.
    #[must_use]
    pub fn kinds_of(&self, group: &str) -> BTreeSet<String> {
        match self {
            Self::Cluster(_, discovery) => discovery.kinds_of(group).map(str::to_owned).collect(),
            Self::Manifests(manifests) => manifests.kinds_of(group),
        }
    }

    /// Whether files hold this namespace, or anything in it; a cluster is asked for its namespaces.
    #[must_use]
    pub fn mentions_namespace(&self, name: &str) -> bool {
        match self {
            Self::Cluster(..) => false,
            Self::Manifests(manifests) => manifests.has_namespace(name),
        }
    }

    /// Groups with their versions of which nobody knows what they serve: their server does not answer.
    #[must_use]
    pub fn silent(&self) -> &[String] {
        match self {
            Self::Cluster(_, discovery) => discovery.silent(),
            Self::Manifests(_) => &[],
        }
    }

    /// Every kind whose objects can be listed, deleted and created.
    pub async fn kinds(&self) -> Result<Vec<Kind>, Obstacle> {
        Ok(match self {
            Self::Cluster(cluster, _) => {
                let resources = cluster.discover_removable().await?;
                resources.iter().map(|resource| Kind::named(&resource.group, &resource.kind)).collect()
            }
            Self::Manifests(manifests) => manifests.kinds(),
        })
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

    /// The same, where `read` makes something of each object without looking at any other: of files, two threads share that.
    pub async fn fold_read<T: Send, S>(
        &self,
        kind: &Kind,
        read: impl Fn(Value) -> T + Sync,
        begin: impl Fn() -> S,
        mut add: impl FnMut(&mut S, T),
    ) -> Result<S, Obstacle> {
        let Self::Manifests(manifests) = self else {
            return self.fold(kind, begin, |found, object| add(found, read(object))).await;
        };
        let mut found = begin();
        if let Some(api_version) = manifests.api_version(kind) {
            let read = |mut object: Value| {
                object["apiVersion"] = api_version.as_str().into();
                read(object)
            };
            manifests.each(kind, read, |made| add(&mut found, made));
        }
        Ok(found)
    }

    /// The same as [`Self::fold`] for the objects of one namespace.
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
                let is_there = |object: &Value| namespace.is_none_or(|namespace| object::namespace(object) == namespace);
                for mut object in manifests.of(kind).filter(is_there) {
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
                    Objects::new(cluster, *discovery).get(&kind.target(&resource.version, namespace, name)).await
                }
                None => Ok(None),
            },
            Self::Manifests(manifests) => {
                let is_it = |object: &Value| object::namespace(object) == namespace && object::name(object) == name;
                Ok(manifests.of(kind).find(is_it))
            }
        }
    }

    /// What the server would say to the creation of this object, with the mark of a ticket or without; none for files.
    pub async fn rehearse(&self, object: &Value, mark: Option<&str>) -> Result<Option<Rehearsal>, Obstacle> {
        match self {
            Self::Cluster(cluster, discovery) => {
                Objects::new(cluster, *discovery).rehearse(&target(object), object, mark).await.map(Some)
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
            Self::Manifests(manifests) => Ok(manifests.of(kind).next()),
        }
    }

    /// The definition of a custom kind; none where it is not served, or not among the files.
    pub async fn definition(&self, kind: &Kind) -> Result<Option<Value>, Obstacle> {
        match self {
            Self::Cluster(_, discovery) => match resource(discovery, kind) {
                Some(resource) => self.get(&DEFINITION, "", &resource.full_name()).await,
                None => Ok(None),
            },
            Self::Manifests(manifests) => Ok(manifests.definition(kind)),
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
        return Some(Resource::unasked(&kind.kind));
    }
    if let Some(exact) = &kind.exact {
        return discovery.find_version(&kind.api_version(exact), &kind.kind).cloned();
    }
    match kind.versions {
        [] => discovery.find(&kind.group, &kind.kind).cloned(),
        known => known.iter().find_map(|version| discovery.find_version(&kind.api_version(version), &kind.kind)).cloned(),
    }
}
