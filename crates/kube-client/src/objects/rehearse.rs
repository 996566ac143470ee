//! Asks what would become of a create, and stores nothing.

use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use kube::api::PostParams;
use serde_json::Value;

use super::image::writable;
use super::{Objects, Subject};
use crate::cluster::FIELD_MANAGER;

/// What the server says to a create that it shall only rehearse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// It would create the object.
    Accepted,
    /// It would not, in its own words.
    Denied(String),
}

impl Objects<'_> {
    /// Sends a create with `dryRun=All`: admission has its say, and nothing is stored.
    pub async fn rehearse(&self, target: &Target, image: &Value) -> Result<Rehearsal, Obstacle> {
        let subject = Subject { target, resource: self.resource(target)? };
        let mut object = writable(image);
        object["metadata"]["name"] = target.name.as_str().into();
        let params = PostParams { dry_run: true, field_manager: Some(FIELD_MANAGER.to_owned()) };
        let request = subject.requests().create(&params, object.to_string().into_bytes());
        match self.send(&subject, "create", request).await? {
            Ok(_) => Ok(Rehearsal::Accepted),
            Err(error) => match error.status() {
                Some(status) => Ok(Rehearsal::Denied(status.message.clone())),
                None => Err(self.cluster.obstacle(subject.operation("create"), error).await),
            },
        }
    }
}
