//! Who owns an object, where owners are deleted and come back: a reference names its owner by uid, and that is another one then.

use fairlead_migration::change::{Change, Target, owners};
use fairlead_migration::executor::Task;
use fairlead_migration::obstacle::Obstacle;
use serde_json::{Value, json};

use super::image::{Part, restored_managers, uid};
use super::{Objects, Subject, is_conflict};
use crate::cluster::FIELD_MANAGER;
use crate::resource::Resource;

impl Objects<'_> {
    /// The references of `image` to its owners as they are now.
    ///
    /// # Errors
    ///
    /// [`Obstacle::NotYet`] when an owner comes back, and has not yet; [`Obstacle::Drift`] when it cannot, because their namespace is gone.
    pub(super) async fn references_now(
        &self,
        subject: &Subject<'_>,
        image: &Value,
        task: &Task<'_>,
    ) -> Result<Vec<Value>, Obstacle> {
        let mut kept = Vec::new();
        for owner in owners(image) {
            let target = self.owner_of(task.change, owner);
            // A kind that is not served any more has no objects.
            let live = match self.resource(&target) {
                Ok(resource) => self.live(&Subject { target: &target, resource }).await?,
                Err(_) => None,
            };
            let was = owner["uid"].as_str().unwrap_or_default();
            let comes_back = self.owners.contains(was);
            match live.as_ref().and_then(|live| uid_now(live, was, comes_back)) {
                Some(now) => {
                    let mut reference = owner.clone();
                    reference["uid"] = now.into();
                    self.renamed.borrow_mut().insert(was.to_owned(), now.to_owned());
                    kept.push(reference);
                }
                _ if comes_back => {
                    // There neither comes back.
                    if let Some(drift) = self.homelessness(subject.target).await? {
                        return Err(subject.drift(&drift));
                    }
                    let (operation, what) = (subject.operation("restore").to_string(), format!("its owner {target}"));
                    return Err(Obstacle::NotYet { operation, what });
                }
                // A reference to one that is gone would take the object along: the garbage collector deletes it.
                _ => drop(self.gone_owners.borrow_mut().insert(target)),
            }
        }
        Ok(kept)
    }

    /// Remembers of an object that is back which owners it lacks.
    pub(super) fn note_orphan(&self, image: &Value, task: &Task<'_>) {
        let owners = owners(image).map(|owner| self.owner_of(task.change, owner));
        for owner in owners.filter(|owner| self.gone_owners.borrow().contains(owner)) {
            tracing::warn!(target = %task.change.target, %owner, "restored without its owner, which is gone");
            self.orphans.borrow_mut().entry(task.change.target.clone()).or_default().insert(owner);
        }
    }

    /// An owner lies in the namespace of what it owns, or in none.
    pub(super) fn owner_of(&self, change: &Change, reference: &Value) -> Target {
        let text = |field: &str| reference[field].as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let is_namespaced = match self.discovery.find_version(&api_version, &kind) {
            Some(resource) => resource.is_namespaced,
            None => api_version != "v1" || Resource::unasked(&kind).is_namespaced,
        };
        let namespace = change.target.namespace.clone().filter(|_| is_namespaced);
        Target { api_version, kind, namespace, name: text("name") }
    }

    /// Gives an object that was never deleted its owners back where these were. The garbage collector would delete it otherwise; it deletes
    /// nothing whose owners have changed since it looked. False when the object is to be read again.
    pub(super) async fn keep_owned(
        &self,
        subject: &Subject<'_>,
        image: &Value,
        live: &Value,
        task: &Task<'_>,
    ) -> Result<bool, Obstacle> {
        let comes_back = |owner: &Value| owner["uid"].as_str().is_some_and(|uid| self.owners.contains(uid));
        if !owners(image).any(comes_back) {
            return Ok(true);
        }
        let references = self.references_now(subject, image, task).await?;
        // Who owns which field follows in a write of its own: the server counts what is written with it as ours.
        let managers = live["metadata"]["managedFields"].as_array();
        let is_ours = managers.into_iter().flatten().any(|entry| entry["manager"] == FIELD_MANAGER);
        let patch = if owners(live).eq(&references) {
            if !is_ours {
                return Ok(true);
            }
            match restored_managers(&self.managed(image), live, FIELD_MANAGER) {
                Some(managers) => json!({"metadata": {"managedFields": managers}}),
                None => return Ok(true),
            }
        } else {
            json!({"metadata": {"ownerReferences": references}})
        };
        match self.patch(subject, Part::Object, patch, live).await? {
            Err(error) if !is_conflict(&error) => Err(self.refused(subject, "patch", error).await),
            _ => Ok(false),
        }
    }

    /// The object with the uids that its owners had in `image`, where these have come back since.
    pub(super) fn as_owned_in(&self, image: &Value, mut live: Value) -> Value {
        let key = |owner: &Value| ["apiVersion", "kind", "name"].map(|field| owner[field].clone());
        let references = live.pointer_mut("/metadata/ownerReferences").and_then(Value::as_array_mut);
        for owner in references.into_iter().flatten() {
            let was = owners(image).find(|it| key(it) == key(owner)).map(|it| &it["uid"]);
            if let Some(was) = was.filter(|was| was.as_str().is_some_and(|was| self.owners.contains(was))) {
                owner["uid"] = was.clone();
            }
        }
        live
    }
}

/// Whether both images have the same owners.
pub(super) fn has_same_owners(one: &Value, other: &Value) -> bool {
    owners(one).eq(owners(other))
}

/// The uid of an owner as an object that is given back names it; none where the owner is not there for it.
fn uid_now<'a>(live: &'a Value, was: &str, comes_back: bool) -> Option<&'a str> {
    // One that is on its way out takes along what is given to it: it comes back under another uid.
    let is_leaving = comes_back && !live["metadata"]["deletionTimestamp"].is_null();
    uid(live).filter(|now| !is_leaving && (*now == was || comes_back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_that_comes_back_is_waited_for_and_another_is_the_same_or_gone() {
        let owner = |uid: &str, deleted: Value| json!({"metadata": {"uid": uid, "deletionTimestamp": deleted}});
        let there = |uid: &str| owner(uid, Value::Null);
        let leaving = owner("old", "2026-01-01T00:00:00Z".into());
        assert_eq!(uid_now(&there("new"), "old", true), Some("new"));
        assert_eq!(uid_now(&there("old"), "old", true), Some("old"));
        assert_eq!(uid_now(&leaving, "old", true), None);
        // Outside of the plan nobody brings it back, and one of the same name is another.
        assert_eq!(uid_now(&there("new"), "old", false), None);
        assert_eq!(uid_now(&leaving, "old", false), Some("old"));
    }
}
