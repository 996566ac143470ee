//! Creates an object again that was deleted, with everything that it was.
//!
//! It is created with our mark, so that a crash finds it again. Its status follows through its own endpoint. The last write
//! takes the mark away and says who owned which field: without that Helm 4 would meet our ownership for ever. An object that
//! carries no mark and is what it was is done.

use std::cell::RefCell;
use std::time::Duration;

use fairlead_migration::executor::Task;
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::OnDrift;
use kube::core::Status;
use serde_json::{Value, json};

use super::image::{Part, clamped_status, created_again, is_back, is_marked, is_restored, managers_of, uid, writable};
use super::write::CONFLICT_ATTEMPTS;
use super::{Objects, Subject, TICKET_ANNOTATION, is_conflict, namespace, settle};
use crate::poll::{Look, Poll};
use crate::request::{Error, read};

impl Objects<'_> {
    pub(super) async fn restore(&self, subject: &Subject<'_>, image: &Value, task: &Task<'_>) -> Result<(), Obstacle> {
        let mut has_status = false;
        // Its namespace is gone: there is nothing that others have left as it was.
        let is_left = |error: &Obstacle| matches!(error, Obstacle::Drift { .. }) && task.on_drift == OnDrift::Merge;
        // Nearly always it is gone, and its name is free: where it is not, the server says so.
        let mut last = match self.create_again(subject, image, task).await {
            Err(error) if is_left(&error) => return Ok(()),
            created => created?,
        };
        // What is different later was made so by a controller, which works on it as soon as it is there.
        let is_stored = last.as_ref().is_some_and(|created| {
            content(created) == content(image) && (subject.resource.has_status || created["status"] == image["status"])
        });
        for _ in 0..CONFLICT_ATTEMPTS {
            let read = match last.take() {
                Some(written) => Some(written),
                None => self.live(subject).await?,
            };
            let Some(live) = read else {
                last = match self.create_again(subject, image, task).await {
                    Err(error) if is_left(&error) => return Ok(()),
                    created => created?,
                };
                continue;
            };
            if uid(&live) == uid(image) {
                if !live["metadata"]["deletionTimestamp"].is_null() {
                    self.wait_until_gone_once(subject, &live, task).await?;
                } else if self.keep_owned(subject, image, &live, task).await? {
                    // It was never deleted.
                    return Ok(());
                }
                continue;
            }
            if !live["metadata"]["deletionTimestamp"].is_null() {
                // Put back, and taken away again by whoever was still at it; or somebody else's that makes room.
                self.wait_until_gone_once(subject, &live, task).await?;
                continue;
            }
            if !is_marked(&live, task.mark) {
                if is_back(image, &live) {
                    self.note(image, &live);
                    self.note_orphan(image, task);
                    self.give_status(subject, image, &live, task).await?;
                    return self.wait_until_settled(subject, task).await;
                }
                return match task.on_drift {
                    OnDrift::Overwrite => {
                        self.update(subject, &live, &over(image, &live), &Task { is_undo: false, ..*task }).await
                    }
                    OnDrift::Merge => Ok(()),
                    OnDrift::Stop | OnDrift::Keep => Err(subject.drift("somebody else has created it again")),
                };
            }
            // Once: a controller that has other ideas of it is right. Not at all where the stage waits for a condition: whoever sets
            // that has the whole status.
            if let Some(status) = clamped_status(image, &live["metadata"]["generation"])
                && subject.resource.has_status
                && task.stage.settled.is_none()
                && !has_status
                && !fields::holds(&status, &live["status"])
            {
                match self.patch(subject, Part::Status, json!({ "status": status }), &live).await? {
                    Ok(written) if fields::holds(&status, &written["status"]) => (has_status, last) = (true, Some(written)),
                    Ok(written) => return Err(different(subject, image, &written)),
                    Err(error) if is_conflict(&error) => {}
                    Err(error) => return Err(self.refused(subject, "patch", error).await),
                }
                continue;
            }
            self.note(image, &live);
            let mark = image["metadata"]["annotations"][TICKET_ANNOTATION].clone();
            let mut finish = json!({"metadata": {"annotations": {TICKET_ANNOTATION: mark}}});
            // Admission may have said there who has created it: Knative's does, and lets it be corrected.
            for field in ["labels", "annotations"] {
                for (key, value) in corrections(&image["metadata"][field], &live["metadata"][field]) {
                    finish["metadata"][field][key] = value;
                }
            }
            finish["metadata"]["managedFields"] = managers_of(image, &self.renamed.borrow());
            match self.patch(subject, Part::Object, finish, &live).await? {
                Ok(restored) => {
                    let is_same = is_restored(image, &restored)
                        && (subject.resource.has_status || image["status"] == restored["status"]);
                    // What has a second generation has been changed since it was created.
                    let was_same = is_stored || live["metadata"]["generation"].as_u64().is_some_and(|now| now > 1);
                    if is_same || was_same && is_named(image, &restored) {
                        self.note_orphan(image, task);
                        return self.wait_until_settled(subject, task).await;
                    }
                    return Err(different(subject, image, &restored));
                }
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.refused(subject, "patch", error).await),
            }
        }
        Err(subject.drift("others write to it so often that it cannot be put back"))
    }

    /// Whoever was impatient going forward has more time going back; but when one of a kind does not go, the others hardly will.
    pub(super) async fn wait_until_gone_once(
        &self,
        subject: &Subject<'_>,
        live: &Value,
        task: &Task<'_>,
    ) -> Result<(), Obstacle> {
        let kind = subject.resource.full_name();
        let is_in_vain = self.lingering.borrow().contains(&kind);
        let patience = if is_in_vain { settle::LINGERING_TIMEOUT } else { self.patience.max(settle::TIMEOUT) };
        let gone = self.wait_until_gone(subject, live, patience, task).await;
        match &gone {
            Err(Obstacle::Late { .. }) => self.lingering.borrow_mut().insert(kind),
            _ => self.lingering.borrow_mut().remove(&kind),
        };
        gone
    }

    /// Helm creates objects without their status. Whoever waits for it should not wait for a controller that has long gone.
    async fn give_status(
        &self,
        subject: &Subject<'_>,
        image: &Value,
        live: &Value,
        task: &Task<'_>,
    ) -> Result<(), Obstacle> {
        let is_ours_to_give = task.stage.settled.is_none() && live["status"].is_null();
        let part = if subject.resource.has_status { Part::Status } else { Part::Object };
        let Some(status) = clamped_status(image, &live["metadata"]["generation"]).filter(|_| is_ours_to_give) else {
            return Ok(());
        };
        match self.patch(subject, part, json!({ "status": status }), live).await? {
            // Its controller was quicker.
            Err(error) if !is_conflict(&error) => Err(self.refused(subject, "patch", error).await),
            _ => Ok(()),
        }
    }

    /// The object as it was created; none when there is one already.
    async fn create_again(&self, subject: &Subject<'_>, image: &Value, task: &Task<'_>) -> Result<Option<Value>, Obstacle> {
        let mut object = created_again(image, &subject.resource);
        let kept = self.references_now(subject, image, task).await?;
        if !kept.is_empty() {
            object["metadata"]["ownerReferences"] = kept.into();
        } else if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("ownerReferences");
        }
        match self.post_when_served(subject, object, task.mark).await? {
            Ok(created) => Ok(Some(created)),
            // An earlier answer was lost, or it is somebody else's, or it was never deleted, or not to the end.
            Err(error) if error.status().is_some_and(Status::is_already_exists) => Ok(None),
            // A quota or a webhook may refuse to create what is there.
            Err(_) if self.live(subject).await?.is_some() => Ok(None),
            Err(error) => match error.status().and_then(namespace::refusal).and_then(|state| state.drift()) {
                Some(drift) => Err(subject.drift(&drift)),
                None => Err(self.refused(subject, "create", error).await),
            },
        }
    }

    /// A kind whose definition has just come back is served a moment after it is established.
    async fn post_when_served(
        &self,
        subject: &Subject<'_>,
        object: Value,
        mark: &str,
    ) -> Result<Result<Value, Error>, Obstacle> {
        let kind = subject.resource.full_name();
        // Waited for once in vain, it is not waited for again with each of its objects.
        let patience = if self.unserved.borrow().contains(&kind) { Duration::ZERO } else { settle::TIMEOUT };
        let last = RefCell::new(None);
        let look = async || match self.post(subject, object.clone(), mark).await? {
            Err(error) if error.status().is_some_and(is_unserved) => {
                let why = error.to_string();
                last.replace(Some(error));
                Ok(Look::NotYet(why))
            }
            other => Ok(Look::Done(other.and_then(|body| read(&body)))),
        };
        match Poll::of(patience).wait(look).await? {
            Ok(answer) => Ok(answer),
            Err(why) => {
                self.unserved.borrow_mut().insert(kind);
                let late = || Obstacle::Refused { operation: subject.operation("create").to_string(), source: why.into() };
                last.into_inner().map(Err).ok_or_else(late)
            }
        }
    }

    /// Remembers its new uid for what it owns.
    fn note(&self, image: &Value, live: &Value) {
        if let (Some(old), Some(now)) = (uid(image), uid(live))
            && self.owners.contains(old)
        {
            self.renamed.borrow_mut().insert(old.to_owned(), now.to_owned());
        }
    }
}

/// The object is there again, and not as it was.
fn different(subject: &Subject<'_>, image: &Value, restored: &Value) -> Obstacle {
    let [before, now] = [image, restored].map(|object| {
        let mut content = writable(object);
        content["status"] = object["status"].clone();
        content
    });
    let different = fields::diff(&before, &now).unwrap_or_default();
    let paths = fields::leaves(&different).into_iter().map(|(path, _)| path);
    // An owner that was created again has another uid.
    let paths: Vec<String> = paths.filter(|path| path != "metadata.ownerReferences").collect();
    let what = format!("created again, but the API server has stored something else in {}", paths.join(", "));
    Obstacle::Refused { operation: format!("put {} back", subject.target), source: what.into() }
}

/// Everything but metadata and status.
fn content(object: &Value) -> Value {
    let mut content = writable(object);
    content.as_object_mut().map(|content| content.remove("metadata"));
    content
}

/// Whether labels and annotations are what they were.
fn is_named(image: &Value, restored: &Value) -> bool {
    ["labels", "annotations"]
        .iter()
        .all(|field| corrections(&image["metadata"][field], &restored["metadata"][field]).is_empty())
}

/// What a map of texts lacks, or has too much, to be what it was; null takes an entry away.
fn corrections(was: &Value, is: &Value) -> Vec<(String, Value)> {
    let entries = |map: &Value| map.as_object().cloned().unwrap_or_default();
    let (was, is) = (entries(was), entries(is));
    let gone = is.keys().filter(|key| !was.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let different =
        was.iter().filter(|(key, value)| is.get(*key) != Some(*value)).map(|(key, value)| (key.clone(), value.clone()));
    gone.chain(different).collect()
}

/// Whether the kind itself is not there: a namespace that is not would be named in the details.
pub(super) fn is_unserved(status: &Status) -> bool {
    status.is_not_found() && status.details.as_ref().is_none_or(|details| details.name.is_empty())
}

/// The image as what `live` becomes when it is overwritten: identity and what the server sets stay.
fn over(image: &Value, live: &Value) -> Value {
    let mut after = writable(image);
    after["status"] = live["status"].clone();
    if live.get("status").is_none()
        && let Some(object) = after.as_object_mut()
    {
        object.remove("status");
    }
    after
}
