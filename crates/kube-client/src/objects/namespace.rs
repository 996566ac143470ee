//! Namespaces that somebody has deleted since: nothing comes back there, and whoever goes back must be told before the first change.

use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use kube::core::Status;

use super::Objects;

/// What drift says of an object whose namespace is gone.
pub(super) const GONE: &str = "its namespace has been deleted since: create it again, or leave the object";

impl Objects<'_> {
    /// Whether a namespace is gone or going; asked once for each. Who may not ask does not know.
    pub(super) async fn is_namespace_gone(&self, namespace: &str) -> Result<bool, Obstacle> {
        if let Some(is_gone) = self.gone_namespaces.borrow().get(namespace) {
            return Ok(*is_gone);
        }
        let [api_version, kind] = ["v1", "Namespace"].map(str::to_owned);
        let target = Target { api_version, kind, namespace: None, name: namespace.to_owned() };
        let is_gone = match self.get(&target).await {
            Err(Obstacle::Forbidden { .. }) => false,
            live => live?.is_none_or(|live| !live["metadata"]["deletionTimestamp"].is_null()),
        };
        self.gone_namespaces.borrow_mut().insert(namespace.to_owned(), is_gone);
        Ok(is_gone)
    }
}

/// Whether a create was refused because there is no such namespace, or not much longer.
/// Source: Kubernetes' `plugin/pkg/admission/namespace/lifecycle/admission.go`.
pub(super) fn is_refused_by(status: &Status) -> bool {
    let Some(details) = &status.details else { return false };
    let is_terminating = details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating");
    is_terminating || status.is_not_found() && details.kind == "namespaces"
}
