//! Asks what would become of a create or an update, and stores nothing.

use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use http::header::{self, HeaderValue};
use kube::api::{Patch, PatchParams, PostParams, ValidationDirective};
use serde_json::Value;

use super::image::created_again;
use super::restore::is_unserved;
use super::{Objects, Subject, TICKET_ANNOTATION};
use crate::cluster::FIELD_MANAGER;

/// What the server says to a create that it shall only rehearse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It would create the object.
    Accepted,
    /// Whoever asks may not create such objects: nothing is known.
    NotAllowed,
    /// There is one of that name; validation and admission let it pass.
    Exists,
    /// It cannot be asked: who has a say would act, or the kind is not served. Nothing is known.
    Untried(String),
    /// It would not, in its own words.
    Denied(String),
}

impl Objects<'_> {
    /// Sends a merge patch with `dryRun=All` and strict validation. The object as it would be, or why not; none if nobody can say.
    pub async fn rehearse_update(&self, target: &Target, patch: &Value) -> Result<Option<Result<Value, String>>, Obstacle> {
        let subject = Subject { target, resource: self.resource(target)? };
        let params = PatchParams {
            dry_run: true,
            field_manager: Some(FIELD_MANAGER.to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let request = subject.requests().patch(&target.name, &params, &Patch::Merge(patch));
        let operation = || subject.operation("patch");
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation().to_string(), source: source.into() })?;
        // Not a write: it needs no lock.
        match self.cluster.send(request).await {
            Ok(object) => Ok(Some(Ok(object))),
            Err(error) => match error.status() {
                Some(status) if [400, 422].contains(&status.code) => Ok(Some(Err(status.message.clone()))),
                // Who may not, or would be told otherwise by admission, hears it from the write.
                Some(status) if (400..500).contains(&status.code) && ![401, 429].contains(&status.code) => Ok(None),
                _ => Err(self.cluster.obstacle(operation(), error).await),
            },
        }
    }

    /// Sends a create with `dryRun=All`: validation and admission have their say, and nothing is stored. They come before the look whether
    /// there is one of that name. Without the mark of a ticket it is a create of anybody, and such arrive at any API server: so it has a
    /// connection of its own, because behind one address there may be several.
    pub async fn rehearse(&self, target: &Target, image: &Value, mark: Option<&str>) -> Result<Rehearsal, Obstacle> {
        let subject = Subject { target, resource: self.resource(target)? };
        let mut object = created_again(image, &subject.resource);
        if let Some(mark) = mark {
            object["metadata"]["annotations"][TICKET_ANNOTATION] = mark.into();
        } else if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
            annotations.remove(TICKET_ANNOTATION);
        }
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let mut request = subject.requests().create(&params, object.to_string().into_bytes());
        if let (Ok(request), None) = (&mut request, mark) {
            request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
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
                // Asked last, when all others have let it pass; there is room when the object is gone.
                Some(status) if status.code == 403 && status.message.contains("exceeded quota: ") => Ok(Rehearsal::Exists),
                Some(status) if status.message.ends_with("does not support dry run") || is_unserved(status) => {
                    Ok(Rehearsal::Untried(status.message.clone()))
                }
                Some(status) if (400..500).contains(&status.code) && ![401, 429].contains(&status.code) => {
                    Ok(Rehearsal::Denied(status.message.clone()))
                }
                _ => Err(self.cluster.obstacle(subject.operation("create"), error).await),
            },
        }
    }
}
