//! Makes changes to objects, and takes them back.
//!
//! Every write bears being sent twice, because an answer can be lost after the server has committed:
//! - a create is a POST; when the name is taken, the object is ours if it carries the mark;
//! - an update reads the object, which decides: it has our values (done), it is as before in the fields that we write (a merge
//!   patch of those, with its resourceVersion; after a conflict it is read again), or somebody else wrote them (drift);
//! - a delete names uid and resourceVersion, and is done when that uid is gone.
//!
//! - `image`: what of an image is written, through which endpoint, and whether an object has it
//! - `write`: create, update, delete
//! - `restore`: creates an object again that was deleted, with everything that it was
//! - `needs`: which permissions that takes
//! - `owners`: who owns an object whose owners come back
//! - `namespace`: whether objects can come back where they were
//! - `settle`: waits until a write has had its effect
//! - `sweep`: has every object of a kind stored anew
//! - `wait`: waits until a stage may be undone
//! - `whole`: what of a switch is compared as one value
//! - `rehearse`: asks what would become of a create or an update, and stores nothing

mod image;
mod namespace;
mod needs;
mod owners;
mod rehearse;
mod restore;
mod settle;
mod sweep;
mod wait;
mod whole;
mod write;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fairlead_migration::change::{Action, Images, Target, owners};
use fairlead_migration::executor::{Standing, Task, Watcher, World};
use fairlead_migration::fields;
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Swept;
use fairlead_migration::stage::{Stage, UndoWait};
use fairlead_migration::store::Lock;
use http::Request;
use kube::api::GetParams;
use serde_json::Value;

pub use self::image::writable;
use self::image::{is_back, is_marked, patches, uid};
pub use self::namespace::{Homeless, NamespaceState, namespaces_back};
pub use self::rehearse::Rehearsal;
pub use self::wait::GONE_FOR_GOOD;
use crate::cluster::Cluster;
use crate::discovery::Discovery;
use crate::operation::Operation;
use crate::request::{Error, read};
use crate::resource::Resource;

/// Created objects carry it: namespace and name of the ticket that they can be undone from.
pub const TICKET_ANNOTATION: &str = "fairlead.dev/ticket";

/// The objects of a cluster.
pub struct Objects<'a> {
    cluster: &'a Cluster,
    discovery: Cow<'a, Discovery>,
    /// Held by whoever writes; none for reading.
    lock: Option<&'a dyn Lock>,
    /// The uids of objects that were created again: before and now.
    renamed: RefCell<HashMap<String, String>>,
    /// The uids of objects that own others, where the plan deletes both: they come back first.
    owners: HashSet<String>,
    /// Owners that are gone and that nobody brings back.
    gone_owners: RefCell<HashSet<Target>>,
    /// Objects that are back without an owner that they had.
    orphans: RefCell<BTreeMap<Target, BTreeSet<Target>>>,
    /// How long a deleted object may take until it is gone.
    patience: Duration,
    /// Whether no undo waits for an object that is gone.
    without_gone: bool,
    /// Who tells when waiting is to end.
    watcher: Option<&'a dyn Watcher>,
    /// Kinds that were waited for in vain.
    unserved: RefCell<HashSet<String>>,
    /// Kinds of which the last object that was waited for did not go.
    lingering: RefCell<HashSet<String>>,
    /// Objects that did not let go of the last one that was deleted.
    holding: RefCell<HashSet<Target>>,
    /// What became of the namespaces that were asked for.
    namespaces: RefCell<HashMap<String, NamespaceState>>,
}

/// One object on the way through a change.
struct Subject<'a> {
    target: &'a Target,
    resource: Resource,
}

impl Subject<'_> {
    fn operation(&self, verb: &'static str) -> Operation<'_> {
        let Target { namespace, name, .. } = self.target;
        Operation { namespace: namespace.as_deref(), name: Some(name), ..Operation::new(verb, &self.resource) }
    }

    fn requests(&self) -> kube::core::Request {
        kube::core::Request::new(self.resource.path(self.target.namespace.as_deref()))
    }

    fn drift(&self, what: &str) -> Obstacle {
        Obstacle::Drift { target: self.target.clone(), what: what.to_owned() }
    }
}

#[async_trait(?Send)]
impl World for Objects<'_> {
    /// What may speak against a stage is known to its step.
    async fn admit(&self, _stage: &Stage) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let subject = Subject { target: &task.change.target, resource: self.resource(&task.change.target)? };
        match &task.change.images {
            // Only an image that was read has a uid: this one was deleted, and comes back.
            Images::Create(after) if task.is_undo && uid(after).is_some() => self.restore(&subject, after, task).await,
            Images::Create(after) => self.create(&subject, after, task).await,
            Images::Update(before, after) => self.update(&subject, before, after, task).await,
            Images::Delete(before) => self.delete(&subject, before, task).await,
            // The executor brings a sweep page by page.
            Images::Sweep(..) => Ok(()),
        }
    }

    async fn sweep(&self, task: &Task<'_>, next: Option<&str>) -> Result<Swept, Obstacle> {
        let kind = Subject { target: &task.change.target, resource: self.resource(&task.change.target)? };
        self.sweep_page(&kind, task, next).await
    }

    async fn wait(&self, wait: &UndoWait, stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        self.wait_before_undo(wait, stop).await
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        let orphans = self.orphans.borrow();
        let each = orphans.iter().flat_map(|(target, owners)| owners.iter().map(move |owner| (target, owner)));
        each.map(|(target, owner)| (target.clone(), format!("restored without its owner {owner}, which is gone"))).collect()
    }

    async fn settle(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let Images::Delete(before) = &task.change.images else { return Ok(()) };
        let subject = Subject { target: &task.change.target, resource: self.resource(&task.change.target)? };
        match self.live(&subject).await? {
            Some(live) if uid(&live) == uid(before) && !live["metadata"]["deletionTimestamp"].is_null() => {
                self.wait_until_gone_once(&subject, &live, task).await
            }
            _ => Ok(()),
        }
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        if matches!(task.change.images, Images::Sweep(..)) {
            // Going back sweeps again whatever there is by then.
            return Ok(Standing::After);
        }
        let subject = Subject { target: &task.change.target, resource: self.resource(&task.change.target)? };
        let mut live = self.live(&subject).await?;
        if let Images::Update(before, after) = &task.change.images {
            live = live.map(|live| self.as_owned_in(after, self.as_owned_in(before, live)));
        }
        if let (Images::Update(before, after), Some(live)) = (&task.change.images, &live) {
            let (written, other) = if task.is_undo { (before, after) } else { (after, before) };
            if let Some(what) = whole::added(task, written, other, live) {
                return Ok(Standing::Other(what));
            }
        }
        let standing = standing(&subject, &task.change.images, live.as_ref(), task.mark);
        if let (Images::Delete(_), Standing::After, None) = (&task.change.images, &standing, &live)
            && let Some(drift) = self.homelessness(subject.target).await?
        {
            return Ok(Standing::Other(drift));
        }
        Ok(if may_have_ended(task) && matches!(standing, Standing::Other(_)) { Standing::Before } else { standing })
    }
}

impl<'a> Objects<'a> {
    /// The objects of `cluster`, whose kinds `discovery` has found.
    #[must_use]
    pub fn new(cluster: &'a Cluster, discovery: impl Into<Cow<'a, Discovery>>) -> Self {
        Self {
            cluster,
            discovery: discovery.into(),
            lock: None,
            renamed: RefCell::default(),
            owners: HashSet::new(),
            gone_owners: RefCell::default(),
            orphans: RefCell::default(),
            patience: settle::TIMEOUT,
            without_gone: false,
            watcher: None,
            unserved: RefCell::default(),
            lingering: RefCell::default(),
            holding: RefCell::default(),
            namespaces: RefCell::default(),
        }
    }

    /// The same for carrying out or taking back `plan`.
    #[must_use]
    pub fn of_plan(cluster: &'a Cluster, discovery: impl Into<Cow<'a, Discovery>>, plan: &Plan) -> Self {
        if plan.count(Action::Delete) == 0 {
            return Self::new(cluster, discovery);
        }
        let deleted = || {
            plan.changes().filter_map(|change| if let Images::Delete(before) = change.images { Some(before) } else { None })
        };
        let mut named = HashSet::new();
        for change in plan.changes() {
            let before = change.before().into_iter();
            named.extend(before.flat_map(owners).filter_map(|owner| owner["uid"].as_str()).map(str::to_owned));
        }
        if !named.is_empty() {
            let deleted: HashSet<String> =
                deleted().filter_map(|before| uid(&before).map(str::to_owned)).filter(|uid| named.contains(uid)).collect();
            named = deleted;
        }
        Self { owners: named, ..Self::new(cluster, discovery) }
    }

    /// The same for writing while this lock is held.
    #[must_use]
    pub fn under(self, lock: &'a dyn Lock) -> Self {
        Self { lock: Some(lock), ..self }
    }

    /// The same with another time that a deleted object may take until it is gone: its finalizers are somebody's work.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The same, waiting for no object that is gone before a stage is undone.
    #[must_use]
    pub fn without_gone(self) -> Self {
        Self { without_gone: true, ..self }
    }

    /// The same, ending while it waits when it is told to.
    #[must_use]
    pub fn watched_by(self, watcher: &'a dyn Watcher) -> Self {
        Self { watcher: Some(watcher), ..self }
    }

    /// The object, if there is one.
    pub async fn get(&self, target: &Target) -> Result<Option<Value>, Obstacle> {
        self.live(&Subject { target, resource: self.resource(target)? }).await
    }

    /// Whether the cluster served the kind of an object when it was asked.
    #[must_use]
    pub fn serves(&self, target: &Target) -> bool {
        self.resource(target).is_ok()
    }

    fn resource(&self, target: &Target) -> Result<Resource, Obstacle> {
        if let Some(resource) = self.discovery.find_version(&target.api_version, &target.kind) {
            return Ok(resource.clone());
        }
        if target.api_version == "v1" {
            return Ok(Resource::unasked(&target.kind));
        }
        let what = format!("the cluster does not serve kind {} of {}", target.kind, target.api_version);
        Err(Obstacle::Refused { operation: format!("find {target}"), source: what.into() })
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
        Ok(self.send_for_bytes(subject, verb, request).await?.and_then(|body| read(&body)))
    }

    /// The same without reading what is in a good answer.
    async fn send_for_bytes(
        &self,
        subject: &Subject<'_>,
        verb: &'static str,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> Result<Result<Bytes, Error>, Obstacle> {
        let request = request
            .map_err(|source| Obstacle::Refused { operation: subject.operation(verb).to_string(), source: source.into() })?;
        if verb == "get" {
            return Ok(self.cluster.send_for_bytes(request).await);
        }
        let unlocked = || Obstacle::Refused {
            operation: subject.operation(verb).to_string(),
            source: "nothing is written without the lock of a release".into(),
        };
        Ok(self.cluster.write_for_bytes(request, self.lock.ok_or_else(unlocked)?).await)
    }

    /// Why a write was refused; when admission did it, also who has a say there.
    async fn refused(&self, subject: &Subject<'_>, verb: &'static str, error: Error) -> Obstacle {
        self.cluster.refused(subject.operation(verb), error).await
    }
}

/// An update of a hold or a switch has ended when somebody else has written the same fields: Helm, say, with the chart's replicas.
fn may_have_ended(task: &Task<'_>) -> bool {
    task.stage.kind.may_be_ended() && matches!(task.change.images, Images::Update(..))
}

/// Whether a forward update must leave the owners of the fields as they were: Helm applies the same objects, and would conflict.
fn returns_managers(stage: &Stage) -> bool {
    stage.kind.may_be_ended()
}

fn standing(subject: &Subject<'_>, images: &Images, live: Option<&Value>, mark: &str) -> Standing {
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
        (Images::Update(before, after), Some(live)) => {
            let patches = patches(before, after, &subject.resource);
            let is_theirs = |patch: &Value| !fields::holds(patch, live) && !fields::same_where_written(patch, before, live);
            match patches.iter().find(|(_, patch)| is_theirs(patch)) {
                Some(_) => other("somebody else has changed the same fields since"),
                None if patches.iter().all(|(_, patch)| fields::holds(patch, live)) => Standing::After,
                None => Standing::Before,
            }
        }
        (Images::Delete(_), None) | (Images::Sweep(..), _) => Standing::After,
        (Images::Delete(before), Some(live)) if uid(live) == uid(before) => Standing::Before,
        // As good as gone.
        (Images::Delete(_), Some(live)) if !live["metadata"]["deletionTimestamp"].is_null() => Standing::After,
        // Ours, on the way back: an earlier undo ended in the middle.
        (Images::Delete(_), Some(live)) if is_marked(live, mark) => Standing::After,
        (Images::Delete(before), Some(live)) if is_back(before, live) => Standing::Before,
        (Images::Delete(_), Some(_)) => other("somebody else has created it again since"),
    }
}

fn is_conflict(error: &Error) -> bool {
    error.status().is_some_and(|status| status.is_conflict() || status.is_not_found())
}
