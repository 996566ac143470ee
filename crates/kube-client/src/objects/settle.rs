//! Waits until a write has had its effect.

use std::time::{Duration, Instant};

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use fairlead_migration::change::Target;
use fairlead_migration::executor::{Task, Watcher};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::stage::Pacing;
use serde_json::Value;

use super::image::uid;
use super::{Objects, Subject};

/// How long an effect may take: finalizers and controllers need that time.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);

/// The same where it was waited for in vain before.
pub(super) const LINGERING_TIMEOUT: Duration = Duration::from_secs(1);

pub(super) fn pauses() -> ExponentialBackoff {
    let longest = Duration::from_secs(1);
    let builder = ExponentialBuilder::default().with_min_delay(Duration::from_millis(50)).with_max_delay(longest);
    builder.without_max_times().build()
}

impl Objects<'_> {
    /// Waits until a created object has the condition that its stage asks for.
    pub(super) async fn wait_until_settled(&self, subject: &Subject<'_>, task: &Task<'_>) -> Result<(), Obstacle> {
        let Some(condition) = &task.stage.settled else { return Ok(()) };
        let (deadline, mut pauses) = (Instant::now() + TIMEOUT, pauses());
        loop {
            let live = self.live(subject).await?.unwrap_or_default();
            let Err(message) = condition_of(&live, condition) else { return Ok(()) };
            if Instant::now() >= deadline {
                let operation = format!("see {} become {condition} within {TIMEOUT:?}", subject.target);
                return Err(Obstacle::Late { operation, source: message.into() });
            }
            self.pause(&mut pauses, task).await?;
        }
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
        let (deadline, mut pauses) = (Instant::now() + patience, pauses());
        loop {
            let live = match self.live(subject).await? {
                Some(live) if uid(&live) == uid(deleted) => live,
                _ => return Ok(()),
            };
            if Instant::now() >= deadline {
                let operation = format!("see {} go within {patience:?}", subject.target);
                let what = format!("it is deleted, and kept by its finalizers: {}", live["metadata"]["finalizers"]);
                return Err(Obstacle::Late { operation, source: what.into() });
            }
            self.pause(&mut pauses, task).await?;
        }
    }

    /// A moment, unless the run is to end: what has been begun is looked at by whoever goes on. Going back is not ended here, because
    /// it may be what a failure needs.
    async fn pause(&self, pauses: &mut ExponentialBackoff, task: &Task<'_>) -> Result<(), Obstacle> {
        if let Some(stop) = self.watcher.filter(|_| !task.is_undo).and_then(Watcher::stop) {
            return Err(Obstacle::Stopped(stop));
        }
        tokio::time::sleep(pauses.next().unwrap_or_default()).await;
        Ok(())
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
        let (deadline, mut pauses) = (Instant::now() + patience, pauses());
        loop {
            let live = self.live(&holder).await?.unwrap_or_default();
            let refers = live.pointer(&pacing.holder_field).is_some_and(|field| field.to_string().contains(deleted));
            if !refers {
                self.holding.borrow_mut().remove(&target);
                return Ok(());
            }
            if Instant::now() >= deadline {
                // It is gone, which is what was asked for; events to the holder may hang until somebody repairs it.
                tracing::warn!(deleted = %subject.target, holder = %target, "still refers to it {patience:?} after it was deleted");
                self.holding.borrow_mut().insert(target);
                return Ok(());
            }
            self.pause(&mut pauses, task).await?;
        }
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
