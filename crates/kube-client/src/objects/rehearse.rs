//! Asks what would become of a create, and stores nothing.

use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use kube::api::PostParams;
use serde_json::Value;

use super::image::writable;
use super::{Objects, Subject, TICKET_ANNOTATION};
use crate::cluster::FIELD_MANAGER;

/// What the server says to a create that it shall only rehearse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It would create the object.
    Accepted,
    /// Whoever asks may not create such objects: nothing is known.
    NotAllowed,
    /// There is one of that name; admission and validation let it pass.
    Exists,
    /// It would not, in its own words.
    Denied(String),
}

impl Objects<'_> {
    /// Sends a create with `dryRun=All`: admission has its say, and nothing is stored.
    pub async fn rehearse(&self, target: &Target, image: &Value) -> Result<Rehearsal, Obstacle> {
        let subject = Subject { target, resource: self.resource(target)? };
        let mut object = writable(image);
        object["metadata"]["name"] = target.name.as_str().into();
        if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(TICKET_ANNOTATION);
        }
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let request = subject.requests().create(&params, object.to_string().into_bytes());
        let request = request.map_err(|source| Obstacle::Refused {
            operation: subject.operation("create").to_string(),
            source: source.into(),
        })?;
        // Not a write: it needs no lock.
        match self.cluster.send(request).await {
            Ok(_) => Ok(Rehearsal::Accepted),
            Err(error) => match error.status() {
                Some(status) if status.is_already_exists() => Ok(Rehearsal::Exists),
                // A policy that denies answers 403, too.
                Some(status)
                    if status.code == 403 && !self.cluster.review(subject.operation("create")).await.unwrap_or(true) =>
                {
                    Ok(Rehearsal::NotAllowed)
                }
                Some(status) if (400..500).contains(&status.code) && ![401, 429].contains(&status.code) => {
                    Ok(Rehearsal::Denied(status.message.clone()))
                }
                _ => Err(self.cluster.obstacle(subject.operation("create"), error).await),
            },
        }
    }
}
