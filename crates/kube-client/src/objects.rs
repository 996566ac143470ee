//! Makes changes to objects.
//!
//! Every write bears being sent twice, because an answer can be lost after the server has committed:
//! - a create is a POST; when the name is taken, the object is ours if it carries the mark;
//! - an update reads the object, which decides: it has our values (done), it is as before in the fields that we write (a merge
//!   patch of those, with its resourceVersion; after a conflict it is read again), or somebody else wrote them (drift);
//! - a delete names uid and resourceVersion, and is done when that uid is gone.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBuilder};
use fairlead_migration::change::{Action, Change, Images, Target};
use fairlead_migration::executor::{Standing, World};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use http::Request;
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Map, Value};

use crate::cluster::Cluster;
use crate::discovery::{Discovery, Resource};
use crate::permission::Need;
use crate::request::{Error, Operation};

/// Created objects carry it: namespace and name of the ticket that they can be undone from.
pub const TICKET_ANNOTATION: &str = "fairlead.dev/ticket";

/// Set by the server; never part of what is written.
const SERVER_SET: [&str; 7] =
    ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "deletionTimestamp", "selfLink"];

/// How often an object that others write to is read again before we give up.
const CONFLICT_ATTEMPTS: u32 = 10;

/// How long a deleted object may take to be gone; its finalizers need that time.
const GONE_TIMEOUT: Duration = Duration::from_secs(30);

/// The objects of a cluster.
pub struct Objects<'a> {
    cluster: &'a Cluster,
    discovery: &'a Discovery,
}

/// One object on the way through a change.
struct Subject<'a> {
    target: &'a Target,
    resource: Resource,
}

impl Subject<'_> {
    fn operation(&self, verb: &'static str) -> Operation<'_> {
        let Target { namespace, name, .. } = self.target;
        Operation { verb, resource: &self.resource, namespace: namespace.as_deref(), name: Some(name) }
    }

    fn requests(&self) -> kube::core::Request {
        kube::core::Request::new(self.resource.path(self.target.namespace.as_deref()))
    }

    fn drift(&self, what: &str) -> Obstacle {
        Obstacle::Drift { target: self.target.clone(), what: what.to_owned() }
    }
}

impl World for Objects<'_> {
    async fn bring(&self, change: &Change, mark: &str) -> Result<(), Obstacle> {
        let subject = Subject { target: &change.target, resource: self.resource(&change.target)? };
        match &change.images {
            Images::Create(after) => self.create(&subject, after, mark).await,
            Images::Update(before, after) => self.update(&subject, before, after).await,
            Images::Delete(before) => self.delete(&subject, before, mark).await,
        }
    }

    async fn look(&self, change: &Change, mark: &str) -> Result<Standing, Obstacle> {
        let subject = Subject { target: &change.target, resource: self.resource(&change.target)? };
        let live = self.live(&subject).await?;
        Ok(standing(&change.images, live.as_ref(), mark))
    }
}

fn standing(images: &Images, live: Option<&Value>, mark: &str) -> Standing {
    let other = |what: &str| Standing::Other(what.to_owned());
    match (images, live) {
        (Images::Create(_), None) => Standing::Before,
        (Images::Create(after), Some(live)) => match (is_marked(live, mark), fields::holds(&writable(after), live)) {
            // Somebody else's of the same name; ours is gone.
            (false, _) => Standing::Before,
            // Generation 1: what is different was made so by a webhook when it was created.
            (true, holds) if holds || live["metadata"]["generation"] == 1 => Standing::After,
            (true, _) => other("somebody else has changed it since"),
        },
        (Images::Update(..), None) => other("somebody else has deleted it since"),
        (Images::Update(before, after), Some(live)) => match fields::diff(&writable(before), &writable(after)) {
            Some(patch) if fields::holds(&patch, live) => Standing::After,
            Some(patch) if !fields::same_where_written(&patch, &writable(before), live) => {
                other("somebody else has changed the same fields since")
            }
            _ => Standing::Before,
        },
        (Images::Delete(_), None) => Standing::After,
        (Images::Delete(before), Some(live)) if live["metadata"]["uid"] == before["metadata"]["uid"] => Standing::Before,
        (Images::Delete(_), Some(_)) => other("somebody else has created it again since"),
    }
}

impl<'a> Objects<'a> {
    /// The objects of `cluster`, whose kinds `discovery` has found.
    #[must_use]
    pub fn new(cluster: &'a Cluster, discovery: &'a Discovery) -> Self {
        Self { cluster, discovery }
    }

    /// What carrying out and taking back these changes takes.
    pub fn needs(&self, changes: impl Iterator<Item = Change>) -> Result<Vec<Need>, Obstacle> {
        let mut needs: Vec<Need> = Vec::new();
        for change in changes {
            let resource = self.resource(&change.target)?;
            let verbs: &[&str] = match change.action() {
                Action::Create | Action::Delete => &["create", "get", "delete"],
                Action::Update => &["patch", "get"],
            };
            for verb in verbs {
                let position = needs.iter().position(|need| need.verb == *verb && need.resource == resource);
                let position = position.unwrap_or_else(|| {
                    needs.push(Need { resource: resource.clone(), verb, namespaces: BTreeSet::new() });
                    needs.len() - 1
                });
                if let Some(namespace) = &change.target.namespace
                    && !needs[position].namespaces.contains(namespace)
                {
                    needs[position].namespaces.insert(namespace.clone());
                }
            }
        }
        Ok(needs)
    }

    /// The object, if there is one.
    pub async fn get(&self, target: &Target) -> Result<Option<Value>, Obstacle> {
        self.live(&Subject { target, resource: self.resource(target)? }).await
    }

    fn resource(&self, target: &Target) -> Result<Resource, Obstacle> {
        if let Some(resource) = self.discovery.find_version(&target.api_version, &target.kind) {
            return Ok(resource.clone());
        }
        // The core group is not part of /apis; its plurals are regular.
        if target.api_version == "v1" {
            let plural = format!("{}s", target.kind.to_lowercase());
            return Ok(Resource::core(&target.kind, &plural, target.namespace.is_some()));
        }
        let what = format!("the cluster does not serve kind {} of {}", target.kind, target.api_version);
        Err(Obstacle::Refused { operation: format!("find {target}"), source: what.into() })
    }

    async fn create(&self, subject: &Subject<'_>, after: &Value, mark: &str) -> Result<(), Obstacle> {
        let mut object = writable(after);
        object["metadata"]["annotations"][TICKET_ANNOTATION] = mark.into();
        let params = PostParams { field_manager: Some(self.cluster.field_manager.to_owned()), ..PostParams::default() };
        let request = subject.requests().create(&params, object.to_string().into_bytes());
        match self.send(subject, "create", request).await? {
            Ok(_) => Ok(()),
            Err(error) if error.status().is_some_and(kube::core::Status::is_already_exists) => {
                match self.live(subject).await? {
                    Some(live) if is_marked(&live, mark) => Ok(()),
                    Some(_) => Err(subject.drift("somebody else has created it meanwhile")),
                    None => Err(subject.drift("somebody else has created and deleted it meanwhile")),
                }
            }
            Err(error) => Err(self.cluster.obstacle(subject.operation("create"), error).await),
        }
    }

    async fn update(&self, subject: &Subject<'_>, before: &Value, after: &Value) -> Result<(), Obstacle> {
        let Some(patch) = fields::diff(&writable(before), &writable(after)) else { return Ok(()) };
        for _ in 0..CONFLICT_ATTEMPTS {
            // Read first: what is done already, or was never done, must not need a write that may be refused.
            let Some(live) = self.live(subject).await? else { return Err(subject.drift("somebody else has deleted it")) };
            if fields::holds(&patch, &live) {
                return Ok(());
            }
            if !fields::same_where_written(&patch, &writable(before), &live) {
                return Err(subject.drift("somebody else has written the same fields"));
            }
            let mut body = patch.clone();
            body["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
            let params =
                PatchParams { field_manager: Some(self.cluster.field_manager.to_owned()), ..PatchParams::default() };
            let request = subject.requests().patch(&subject.target.name, &params, &Patch::Merge(&body));
            match self.send(subject, "patch", request).await? {
                Ok(_) => return Ok(()),
                Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => {}
                Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => {}
                Err(error) => return Err(self.cluster.obstacle(subject.operation("patch"), error).await),
            }
        }
        Err(subject.drift("others write to it so often that no write of ours gets through"))
    }

    async fn delete(&self, subject: &Subject<'_>, before: &Value, mark: &str) -> Result<(), Obstacle> {
        let expected = writable(before);
        for _ in 0..CONFLICT_ATTEMPTS {
            let Some(live) = self.live(subject).await? else { return Ok(()) };
            let is_ours = match before["metadata"]["uid"].as_str() {
                Some(uid) => live["metadata"]["uid"] == uid,
                // The image is the one that we created from: it has no uid, the object has our mark.
                None => is_marked(&live, mark),
            };
            if !is_ours {
                return Ok(());
            }
            if !live["metadata"]["deletionTimestamp"].is_null() {
                return self.wait_until_gone(subject, &live).await;
            }
            // Generation 1: what is different from what we wrote was made so by a webhook when it was created.
            if !fields::holds(&expected, &live) && live["metadata"]["generation"] != 1 {
                return Err(subject.drift("somebody else has changed it since"));
            }
            let text = |field: &str| live["metadata"][field].as_str().map(str::to_owned);
            let preconditions = Preconditions { uid: text("uid"), resource_version: text("resourceVersion") };
            let request =
                subject.requests().delete(&subject.target.name, &DeleteParams::background().preconditions(preconditions));
            match self.send(subject, "delete", request).await? {
                Ok(_) => return self.wait_until_gone(subject, &live).await,
                Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => return Ok(()),
                Err(error) if error.status().is_some_and(kube::core::Status::is_conflict) => {}
                Err(error) => return Err(self.cluster.obstacle(subject.operation("delete"), error).await),
            }
        }
        Err(subject.drift("others write to it so often that no write of ours gets through"))
    }

    /// Deleted is not gone: finalizers keep an object for a while.
    async fn wait_until_gone(&self, subject: &Subject<'_>, deleted: &Value) -> Result<(), Obstacle> {
        let deadline = Instant::now() + GONE_TIMEOUT;
        let mut pauses = ExponentialBuilder::default().with_max_delay(Duration::from_secs(1)).without_max_times().build();
        loop {
            let live = match self.live(subject).await? {
                Some(live) if live["metadata"]["uid"] == deleted["metadata"]["uid"] => live,
                _ => return Ok(()),
            };
            if Instant::now() >= deadline {
                let finalizers = &live["metadata"]["finalizers"];
                let what = format!("still there {GONE_TIMEOUT:?} after it was deleted; finalizers: {finalizers}");
                return Err(Obstacle::Refused { operation: subject.operation("delete").to_string(), source: what.into() });
            }
            tokio::time::sleep(pauses.next().unwrap_or(Duration::from_secs(1))).await;
        }
    }

    async fn live(&self, subject: &Subject<'_>) -> Result<Option<Value>, Obstacle> {
        let request = subject.requests().get(&subject.target.name, &GetParams::default());
        match self.send(subject, "get", request).await? {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.cluster.obstacle(subject.operation("get"), error).await),
        }
    }

    /// The outer error: there is no such request; the inner one: the server's answer, which may be a good one to the caller.
    async fn send(
        &self,
        subject: &Subject<'_>,
        verb: &'static str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Result<Value, Error>, Obstacle> {
        let request = request
            .map_err(|source| Obstacle::Refused { operation: subject.operation(verb).to_string(), source: source.into() })?;
        Ok(if verb == "get" { self.cluster.send(request).await } else { self.cluster.write(request).await })
    }
}

fn is_marked(live: &Value, mark: &str) -> bool {
    live["metadata"]["annotations"][TICKET_ANNOTATION] == mark
}

/// The image without what only the server writes.
fn writable(image: &Value) -> Value {
    let mut image = image.clone();
    if let Some(object) = image.as_object_mut() {
        object.remove("status");
        let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.retain(|key, _| !SERVER_SET.contains(&key.as_str()));
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_the_server_sets_is_not_written() {
        let image = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "1", "managedFields": []}, "spec": {}, "status": {}});
        assert_eq!(writable(&image), json!({"metadata": {"name": "a"}, "spec": {}}));
    }
}
