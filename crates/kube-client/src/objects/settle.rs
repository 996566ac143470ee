//! Waits until a write has had its effect.

use std::time::Duration;

use fairlead_migration::change::Target;
use fairlead_migration::executor::{Task, Watcher};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::stage::Pacing;
use serde_json::Value;

use super::image::uid;
use super::{Objects, Subject};
use crate::cluster::Cluster;
use crate::poll::{Look, Poll};
use crate::resource::Resource;

/// How long an effect may take: finalizers and controllers need that time.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The same where it was waited for in vain before.
pub(super) const LINGERING_TIMEOUT: Duration = Duration::from_secs(1);

impl Objects<'_> {
    /// Waits until a created object has the condition that its stage asks for.
    pub(super) async fn wait_until_settled(&self, subject: &Subject<'_>, task: &Task<'_>) -> Result<(), Obstacle> {
        let Some(condition) = &task.stage.settled else { return Ok(()) };
        let look = async || {
            let live = self.live(subject).await?.unwrap_or_default();
            Ok(condition_of(&live, condition).map_or_else(Look::NotYet, Look::Done))
        };
        self.poll(TIMEOUT, task, look).await?.map_err(|why| Obstacle::Late {
            operation: format!("see {} become {condition} within {TIMEOUT:?}", subject.target),
            source: why.into(),
        })
    }

    /// Waits until an object is gone, and until whoever refers to it has let go of it.
    pub(super) async fn wait_until_deleted(
        &self,
        subject: &Subject<'_>,
        deleted: &Value,
        task: &Task<'_>,
        is_gone: bool,
    ) -> Result<(), Obstacle> {
        if !is_gone {
            self.wait_until_gone(subject, deleted, self.patience, task).await?;
        }
        match task.stage.pacing.iter().find(|pacing| pacing.kind == subject.target.kind) {
            Some(pacing) => self.wait_until_forgotten(subject, deleted, pacing, task).await,
            None => Ok(()),
        }
    }

    /// Deleted is not gone: finalizers keep an object for a while.
    pub(super) async fn wait_until_gone(
        &self,
        subject: &Subject<'_>,
        deleted: &Value,
        patience: Duration,
        task: &Task<'_>,
    ) -> Result<(), Obstacle> {
        let look = async || match self.live(subject).await? {
            Some(live) if uid(&live) == uid(deleted) => Ok(Look::NotYet(kept(self.cluster, subject, &live))),
            _ => Ok(Look::Done(())),
        };
        self.poll(patience, task, look).await?.map_err(|why| Obstacle::Late {
            // Going back an object is waited for longer, or again for a moment: another time beside the first would say nothing.
            operation: if task.is_undo {
                format!("see {} go on the way back", subject.target)
            } else {
                format!("see {} go within {patience:?}", subject.target)
            },
            source: why.into(),
        })
    }

    /// Looks until it is so, unless the run is to end: what has been begun is looked at by whoever goes on. Going back is not ended here,
    /// because it may be what a failure needs.
    async fn poll(
        &self,
        patience: Duration,
        task: &Task<'_>,
        look: impl AsyncFnMut() -> Result<Look<()>, Obstacle>,
    ) -> Result<Result<(), String>, Obstacle> {
        let stop = || self.watcher.filter(|_| !task.is_undo).and_then(Watcher::stop);
        Poll::of(patience).until_told(&stop).wait(look).await
    }

    /// Where the holder's kind is not served, or it does not exist, nobody has to let go.
    async fn wait_until_forgotten(
        &self,
        subject: &Subject<'_>,
        deleted: &Value,
        pacing: &Pacing,
        task: &Task<'_>,
    ) -> Result<(), Obstacle> {
        let Some(resource) = self.discovery.find_version(&pacing.holder_api_version, &pacing.holder_kind) else {
            return Ok(());
        };
        let target = Target {
            api_version: pacing.holder_api_version.clone(),
            kind: pacing.holder_kind.clone(),
            namespace: subject.target.namespace.clone(),
            name: filled(&pacing.holder_name, deleted),
        };
        let (holder, deleted) = (Subject { target: &target, resource: resource.clone() }, uid(deleted).unwrap_or_default());
        // Where one was waited for in vain its controller does not work, and there may be thousands.
        let patience = if self.holding.borrow().contains(&target) { LINGERING_TIMEOUT } else { TIMEOUT };
        let look = async || {
            let live = self.live(&holder).await?.unwrap_or_default();
            let refers = live.pointer(&pacing.holder_field).is_some_and(|field| field.to_string().contains(deleted));
            Ok(if refers { Look::NotYet("it still refers to it".to_owned()) } else { Look::Done(()) })
        };
        if self.poll(patience, task, look).await?.is_ok() {
            self.holding.borrow_mut().remove(&target);
        } else {
            // It is gone, which is what was asked for; events to the holder may hang until somebody repairs it.
            tracing::warn!(deleted = %subject.target, holder = %target, "still refers to it {patience:?} after it was deleted");
            self.holding.borrow_mut().insert(target);
        }
        Ok(())
    }
}

/// Whether an object has a condition that is `True`, or why not.
pub(super) fn condition_of(live: &Value, condition: &str) -> Result<(), String> {
    let conditions = live["status"]["conditions"].as_array();
    let found = conditions.into_iter().flatten().find(|found| found["type"] == condition);
    if found.is_some_and(|found| found["status"] == "True") {
        return Ok(());
    }
    Err(found.and_then(|found| found["message"].as_str()).unwrap_or("the condition is not there").to_owned())
}

/// Why an object that is deleted is not gone, and what lets it go.
fn kept(cluster: &Cluster, subject: &Subject<'_>, live: &Value) -> String {
    let names: Vec<&str> =
        live["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if names.is_empty() {
        return "it is deleted, and about to go".to_owned();
    }
    let command = cluster.let_go(&subject.resource, subject.target);
    let (finalizers, names) = (if names.len() == 1 { "finalizer" } else { "finalizers" }, names.join(", "));
    format!("it is deleted, and kept by {finalizers} {names}. If nobody is left who does that work: {command}")
}

impl Cluster {
    /// The command that takes the finalizers of an object away.
    #[must_use]
    pub fn let_go(&self, resource: &Resource, target: &Target) -> String {
        let namespace = target.namespace.as_ref().map(|namespace| format!("-n {namespace} ")).unwrap_or_default();
        let (kind, name) = (resource.full_name(), &target.name);
        self.kubectl(&format!("{namespace}patch {kind} {name} --type=merge -p '{{\"metadata\":{{\"finalizers\":null}}}}'"))
    }
}

/// A name in which `{/spec/broker}` stands for that field of `object`.
fn filled(name: &str, object: &Value) -> String {
    let Some((begin, (pointer, end))) = name.split_once('{').and_then(|(begin, rest)| Some((begin, rest.split_once('}')?)))
    else {
        return name.to_owned();
    };
    format!("{begin}{}{end}", object.pointer(pointer).and_then(Value::as_str).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::filled;

    #[test]
    fn a_name_is_filled_from_the_object() {
        let object = json!({"spec": {"broker": "default"}});
        assert_eq!(filled("{/spec/broker}-kne-trigger", &object), "default-kne-trigger");
        assert_eq!(filled("shop", &object), "shop");
    }
}
