//! Create, update, delete.

use std::borrow::Cow;

use bytes::Bytes;
use fairlead_migration::executor::Task;
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::OnDrift;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use serde_json::{Value, json};

use super::image::{Part, is_marked, managers_of, patches, restored_managers, uid, writable};
use super::owners::has_same_owners;
use super::{Objects, Subject, TICKET_ANNOTATION, is_conflict, may_have_ended, returns_managers, whole};
use crate::cluster::FIELD_MANAGER;
use crate::request::Error;

/// How often an object that others write to is read again before we give up.
pub(super) const CONFLICT_ATTEMPTS: u32 = 10;

const TOO_BUSY: &str = "others write to it so often that no write of ours gets through";

impl Objects<'_> {
    pub(super) async fn create(&self, subject: &Subject<'_>, after: &Value, task: &Task<'_>) -> Result<(), Obstacle> {
        match self.post(subject, writable(after), task.mark).await? {
            Ok(_) => {}
            Err(error) if error.status().is_some_and(Status::is_already_exists) => match self.live(subject).await? {
                Some(live) if is_marked(&live, task.mark) => {}
                Some(_) => return Err(subject.drift("somebody else has created it meanwhile")),
                None => return Err(subject.drift("somebody else has created and deleted it meanwhile")),
            },
            Err(error) => return Err(self.refused(subject, "create", error).await),
        }
        self.wait_until_settled(subject, task).await
    }

    /// The answer is the object as it is stored, which hardly anybody reads.
    pub(super) async fn post(
        &self,
        subject: &Subject<'_>,
        mut object: Value,
        mark: &str,
    ) -> Result<Result<Bytes, Error>, Obstacle> {
        object["metadata"]["annotations"][TICKET_ANNOTATION] = mark.into();
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let request = subject.requests().create(&params, object.to_string().into_bytes());
        self.send_for_bytes(subject, "create", request).await
    }

    pub(super) async fn update(
        &self,
        subject: &Subject<'_>,
        before: &Value,
        after: &Value,
        task: &Task<'_>,
    ) -> Result<(), Obstacle> {
        let parts = patches(before, after, &subject.resource);
        let gets_owners_back = task.is_undo && !has_same_owners(before, after);
        let references = if gets_owners_back { Some(self.references_now(subject, after, task).await?) } else { None };
        let may_have_ended = task.is_undo && may_have_ended(task);
        'again: for _ in 0..CONFLICT_ATTEMPTS {
            // Read first: what is done already, or was never done, must not need a write that may be refused.
            let Some(mut live) = self.live(subject).await? else {
                return match task.on_drift {
                    _ if may_have_ended => Ok(()),
                    OnDrift::Overwrite => Box::pin(self.restore(subject, after, task)).await,
                    OnDrift::Merge => Ok(()),
                    OnDrift::Stop | OnDrift::Keep => Err(subject.drift("somebody else has deleted it")),
                };
            };
            if task.is_undo && is_marked(&live, task.mark) && !is_marked(after, task.mark) {
                // Created again by an undo that ended in the middle.
                return Box::pin(self.restore(subject, after, task)).await;
            }
            // Where one field is somebody else's, the others are of no use without it: a Service would lead nowhere.
            if may_have_ended {
                let as_owned = self.as_owned_in(after, live.clone());
                let stops = Task { on_drift: OnDrift::Stop, ..*task };
                let is_theirs = |patch| wanted(subject, patch, [before, after], &as_owned, &stops).is_err();
                if parts.iter().any(|(_, patch)| is_theirs(patch)) {
                    match (whole::added(task, before, after, &live), task.on_drift) {
                        (None, _) | (_, OnDrift::Merge) => return Ok(()),
                        (Some(what), OnDrift::Stop | OnDrift::Keep) => return Err(subject.drift(&what)),
                        (Some(_), OnDrift::Overwrite) => {}
                    }
                }
            }
            for (part, patch) in &parts {
                let as_owned = self.as_owned_in(after, live.clone());
                let patch = match wanted(subject, patch, [before, after], &as_owned, task) {
                    Ok(Some(patch)) => with_owners(patch, references.as_deref()),
                    Ok(None) => continue,
                    Err(drift) => {
                        let is_begun = !task.is_undo && parts.iter().any(|(_, part)| fields::holds(part, &live));
                        return Err(if is_begun { half_written(subject, drift) } else { drift });
                    }
                };
                match self.patch(subject, *part, patch, &live).await? {
                    Ok(_) if *part == Part::Scale => {
                        // What it answers is not the object.
                        let Some(now) = self.live(subject).await? else { continue 'again };
                        live = now;
                    }
                    Ok(now) => live = now,
                    Err(error) if is_conflict(&error) => continue 'again,
                    Err(error) => return Err(self.refused(subject, "patch", error).await),
                }
            }
            let gives_back = task.is_undo || returns_managers(task.stage);
            let managers = if gives_back { restored_managers(&self.managed(after), &live, FIELD_MANAGER) } else { None };
            let Some(managers) = managers else { return Ok(()) };
            match self.patch(subject, Part::Object, json!({"metadata": {"managedFields": managers}}), &live).await? {
                Ok(_) => return Ok(()),
                Err(error) if is_conflict(&error) => {}
                Err(error) => return Err(self.refused(subject, "patch", error).await),
            }
        }
        Err(subject.drift(TOO_BUSY))
    }

    /// The image with managedFields that name the owners as they are now.
    pub(super) fn managed<'i>(&self, image: &'i Value) -> Cow<'i, Value> {
        if image["metadata"].get("managedFields").is_none() {
            return Cow::Borrowed(image);
        }
        let mut image = image.clone();
        image["metadata"]["managedFields"] = managers_of(&image, &self.renamed.borrow());
        Cow::Owned(image)
    }

    /// A merge patch that fails when somebody has written since `live` was read.
    pub(super) async fn patch(
        &self,
        subject: &Subject<'_>,
        part: Part,
        mut patch: Value,
        live: &Value,
    ) -> Result<Result<Value, Error>, Obstacle> {
        patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let (name, patch) = (&subject.target.name, Patch::Merge(&patch));
        let request = match part.subresource() {
            None => subject.requests().patch(name, &params, &patch),
            Some(subresource) => subject.requests().patch_subresource(subresource, name, &params, &patch),
        };
        self.send(subject, "patch", request).await
    }

    pub(super) async fn delete(&self, subject: &Subject<'_>, before: &Value, task: &Task<'_>) -> Result<(), Obstacle> {
        // What was read is deleted as it was read, or not at all: there is nothing to look at first.
        if uid(before).is_some() && self.delete_exactly(subject, before, task).await? {
            return Ok(());
        }
        let expected = writable(before);
        for _ in 0..CONFLICT_ATTEMPTS {
            let Some(live) = self.live(subject).await? else { return Ok(()) };
            let is_ours = match uid(before) {
                Some(_) => uid(&live) == uid(before),
                // The image is the one that we created from: it has no uid, the object has our mark.
                None => is_marked(&live, task.mark),
            };
            if !is_ours {
                return Ok(());
            }
            if !live["metadata"]["deletionTimestamp"].is_null() {
                return self.wait_until_deleted(subject, &live, task, false).await;
            }
            let is_as_left = match uid(before) {
                Some(_) => writable(&live) == expected,
                // Generation 1: what is different from what we wrote was made so by a webhook when it was created.
                None => fields::holds(&expected, &live) || live["metadata"]["generation"] == 1,
            };
            match task.on_drift {
                OnDrift::Merge if !is_as_left => return Ok(()),
                OnDrift::Stop | OnDrift::Keep if !is_as_left => {
                    return Err(subject.drift("somebody else has changed it since"));
                }
                _ => {}
            }
            if self.delete_exactly(subject, &live, task).await? {
                return Ok(());
            }
        }
        Err(subject.drift(TOO_BUSY))
    }

    /// Deletes the object if it is still in this very version, and waits until it is gone. False when it is not.
    async fn delete_exactly(&self, subject: &Subject<'_>, version: &Value, task: &Task<'_>) -> Result<bool, Obstacle> {
        let text = |field: &str| version["metadata"][field].as_str().map(str::to_owned);
        let preconditions = Preconditions { uid: text("uid"), resource_version: text("resourceVersion") };
        let params = DeleteParams::background().preconditions(preconditions);
        match self.send(subject, "delete", subject.requests().delete(&subject.target.name, &params)).await? {
            Ok(answer) => {
                // The server answers with a Status when it is gone, and with the object when something keeps it.
                let is_gone = answer["kind"] == "Status";
                self.wait_until_deleted(subject, version, task, is_gone).await?;
                Ok(true)
            }
            Err(error) if error.status().is_some_and(Status::is_not_found) => Ok(true),
            Err(error) if is_conflict(&error) => Ok(false),
            Err(error) => Err(self.refused(subject, "delete", error).await),
        }
    }
}

/// A patch that gives an object its owners back, as they are now.
fn with_owners(mut patch: Value, references: Option<&[Value]>) -> Value {
    if let (Some(references), Some(metadata)) = (references, patch["metadata"].as_object_mut())
        && let Some(owners) = metadata.get_mut("ownerReferences")
    {
        *owners = references.into();
    }
    patch
}

/// Drift in one part of an object, of which another part is written already: that one is to be taken back, so this is no drift
/// before the write.
fn half_written(subject: &Subject<'_>, drift: Obstacle) -> Obstacle {
    Obstacle::Refused { operation: subject.operation("patch").to_string(), source: drift.into() }
}

/// What of a patch is still to be written; none when the object has it.
fn wanted(
    subject: &Subject<'_>,
    patch: &Value,
    [before, after]: [&Value; 2],
    live: &Value,
    task: &Task<'_>,
) -> Result<Option<Value>, Obstacle> {
    let completed = whole::with_removals(patch, task, after, live);
    let patch = completed.as_ref();
    if fields::holds(patch, live) {
        return Ok(None);
    }
    if fields::same_where_written(patch, before, live) {
        return Ok(Some(fields::for_object(patch, live, after)));
    }
    // Helm has applied the old manifest, which gives back some of the fields and knows nothing of the others.
    if let Some(rest) = fields::untouched(patch, before, live).filter(|_| task.is_undo) {
        let mut then = live.clone();
        fields::merge(&mut then, &rest);
        if fields::holds(patch, &then) {
            return Ok(Some(fields::for_object(&rest, live, after)));
        }
    }
    match task.on_drift {
        OnDrift::Overwrite => Ok(Some(fields::for_object(patch, live, after))),
        OnDrift::Merge => {
            let rest = fields::untouched(patch, before, live);
            Ok(rest.map(|rest| fields::for_object(&rest, live, after)))
        }
        OnDrift::Stop | OnDrift::Keep => Err(subject.drift("somebody else has written the same fields")),
    }
}
