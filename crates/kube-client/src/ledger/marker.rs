//! The mark that says in which other store a release keeps its runs. A Secret that holds nothing: it stands in the list of tickets, so that
//! nobody who asks for the runs of the release passes over it.

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::store::Lock;
use serde_json::Value;

use super::{Ledger, PHASE_LABEL, RELEASE_LABEL, is_taken, ticket_name};

/// Stands where tickets have their phase.
const ELSEWHERE: &str = "Elsewhere";
const STORE_ANNOTATION: &str = "fairlead.dev/store";
const TOOL_ANNOTATION: &str = "fairlead.dev/tool";
const MARKER_TYPE: &str = "fairlead.dev/store";

/// Whether a Secret is such a mark, of whatever release.
pub(super) fn is_mark(secret: &Value) -> bool {
    secret["type"] == MARKER_TYPE
}

impl Ledger<'_> {
    fn marker_name(&self) -> String {
        ticket_name(self.release, "store")
    }

    /// Whether this is the mark, and no ticket.
    pub(super) fn is_marker(&self, secret: &Value) -> bool {
        secret["metadata"]["labels"][PHASE_LABEL] == ELSEWHERE && secret["metadata"]["name"] == *self.marker_name()
    }

    /// What it says.
    pub(super) fn elsewhere(&self, marker: &Value) -> Obstacle {
        let text = |key: &str| marker["metadata"]["annotations"][key].as_str().unwrap_or("another store").to_owned();
        let name = self.marker_name();
        let remove = self.cluster.kubectl(&format!("-n {} delete secret {name}", self.namespace));
        let way_on = format!(
            "{} can read them, with the flags that name that store. The mark {name} says so. If that store has none of this release any more: \
             {remove}",
            text(TOOL_ANNOTATION)
        );
        Obstacle::Elsewhere { release: self.release.to_owned(), store: text(STORE_ANNOTATION), way_on }
    }

    /// Notes that the release keeps its runs in the store that people call so, and the image or the binary that can read them. The lock is
    /// that of this ledger.
    pub async fn mark_elsewhere(&self, store: &str, tool: &str, lock: &dyn Lock) -> Result<(), Obstacle> {
        let name = self.marker_name();
        let labels = [(RELEASE_LABEL, self.release), (PHASE_LABEL, ELSEWHERE)];
        let annotations = [(STORE_ANNOTATION, store), (TOOL_ANNOTATION, tool)];
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let mut secret = self.secret(name.clone(), labels.map(owned).into(), "", Vec::new(), None);
        secret.type_ = Some(MARKER_TYPE.to_owned());
        secret.data = None;
        secret.metadata.annotations = Some(annotations.map(owned).into());
        match self.create(&secret, Some(lock)).await? {
            // Ours, and the answer was lost: nobody else creates one while the lock is held.
            Err(error) if !is_taken(&error) => Err(self.cluster.refused(self.operation("create", Some(&name)), error).await),
            _ => Ok(()),
        }
    }
}
