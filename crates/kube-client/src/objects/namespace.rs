//! Namespaces that somebody has deleted since: nothing comes back there, and whoever goes back must be told before the first change.

use std::collections::HashSet;

use fairlead_migration::change::{Action, Target};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;
use fairlead_migration::stage::UndoAt;
use kube::core::Status;

use super::Objects;

/// What drift says of an object whose namespace is gone.
pub(super) const GONE: &str = "its namespace has been deleted since: create it again, or leave the object";

impl Objects<'_> {
    /// What a run has removed and cannot bring back, because its namespace is gone or going: each with what drift says of it.
    pub async fn homeless(&self, plan: &Plan, progress: &Progress) -> Result<Vec<(Target, String)>, Obstacle> {
        let is_left = |position: usize, stage: usize| {
            let may_be_made = position < progress.begun || progress.begun > 0 && plan.stages()[stage].cascaded;
            let is_back = progress.is_undone_before_helm() && plan.undo_at(stage, position) == UndoAt::PreRollback;
            may_be_made && !is_back && !progress.untouched.contains(&position)
        };
        let removed = || {
            let changes = plan.changes().enumerate().filter(|(position, change)| is_left(*position, change.stage));
            changes.filter(|(_, change)| change.action() == Action::Delete).map(|(_, change)| change.target)
        };
        let come_back = removed().filter(|it| it.api_version == "v1" && it.kind == "Namespace").map(|it| it.name);
        let come_back: HashSet<String> = come_back.collect();
        let mut homeless = Vec::new();
        for target in removed() {
            if let Some(namespace) = target.namespace.as_ref().filter(|namespace| !come_back.contains(*namespace))
                && self.is_namespace_gone(namespace).await?
            {
                homeless.push((target, GONE.to_owned()));
            }
        }
        Ok(homeless)
    }

    /// Whether a namespace is gone or going; asked once for each. Who may not ask does not know.
    pub async fn is_namespace_gone(&self, namespace: &str) -> Result<bool, Obstacle> {
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
