//! Namespaces that somebody has deleted since: nothing comes back there, and whoever goes back must be told before the first change.

use std::collections::BTreeSet;

use fairlead_migration::change::{Action, Target};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;
use fairlead_migration::stage::UndoAt;
use kube::core::Status;
use serde_json::Value;

use super::Objects;

/// Conditions by which a namespace says why it is still there.
/// Source: Kubernetes' `staging/src/k8s.io/api/core/v1/types.go`.
const HOLDING: [&str; 5] = [
    "NamespaceDeletionDiscoveryFailure",
    "NamespaceDeletionGroupVersionParsingFailure",
    "NamespaceDeletionContentFailure",
    "NamespaceContentRemaining",
    "NamespaceFinalizersRemaining",
];

/// What became of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamespaceState {
    /// It is there, or nobody may ask.
    There,
    /// Somebody has deleted it, and it is not gone yet; with what holds it, as far as it says so.
    Going(Option<String>),
    /// It is gone.
    Gone,
}

/// An object that cannot come back, because its namespace is not there to take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homeless {
    /// The object.
    pub target: Target,
    /// What became of its namespace; never [`NamespaceState::There`].
    pub namespace: NamespaceState,
}

impl NamespaceState {
    fn of(live: Option<&Value>) -> Self {
        match live {
            None => Self::Gone,
            Some(live) if live["metadata"]["deletionTimestamp"].is_null() => Self::There,
            Some(live) => Self::Going(held_by(live)),
        }
    }

    /// What drift says of an object in it that does not come back; none where it could.
    #[must_use]
    pub fn drift(&self) -> Option<String> {
        match self {
            Self::There => None,
            Self::Gone => Some("its namespace has been deleted since: create it again, or leave the object".to_owned()),
            Self::Going(_) => {
                Some(format!("its namespace {self}: wait until it is gone and create it again, or leave the object"))
            }
        }
    }
}

impl std::fmt::Display for NamespaceState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::There => f.write_str("is there"),
            Self::Gone => f.write_str("does not exist"),
            Self::Going(None) => f.write_str("is being deleted"),
            Self::Going(Some(held_by)) => write!(f, "is being deleted, and held by: {held_by}"),
        }
    }
}

/// What a namespace that is being deleted says of why it is still there.
fn held_by(live: &Value) -> Option<String> {
    let conditions = live["status"]["conditions"].as_array().into_iter().flatten();
    let is_holding = |it: &&Value| it["status"] == "True" && HOLDING.iter().any(|name| it["type"] == *name);
    let messages: Vec<&str> = conditions.filter(is_holding).filter_map(|it| it["message"].as_str()).collect();
    if !messages.is_empty() {
        return Some(messages.join("; "));
    }
    let lists = [&live["spec"]["finalizers"], &live["metadata"]["finalizers"]];
    let finalizers: Vec<&str> = lists.into_iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
    (!finalizers.is_empty()).then(|| format!("finalizers {}", finalizers.join(", ")))
}

/// What of a run has been removed, and is to come back.
fn removed<'p>(plan: &'p Plan, progress: &'p Progress) -> impl Iterator<Item = Target> + use<'p> {
    let is_left = move |position: usize, stage: usize| {
        let may_be_made = position < progress.begun || progress.begun > 0 && plan.stages()[stage].cascaded;
        let is_back = progress.is_undone_before_helm() && plan.undo_at(stage, position) == UndoAt::PreRollback;
        may_be_made && !is_back && !progress.untouched.contains(&position)
    };
    let changes = plan.changes().enumerate().filter(move |(position, change)| is_left(*position, change.stage));
    changes.filter(|(_, change)| change.action() == Action::Delete).map(|(_, change)| change.target)
}

/// The namespaces that come back when a run is taken back.
#[must_use]
pub fn namespaces_back(plan: &Plan, progress: &Progress) -> BTreeSet<String> {
    removed(plan, progress).filter(|it| it.api_version == "v1" && it.kind == "Namespace").map(|it| it.name).collect()
}

impl Objects<'_> {
    /// What a run has removed and cannot bring back, because its namespace is gone or going, and is none of those that `come_back`: see
    /// [`namespaces_back`], of this run and of those that are taken back before it.
    pub async fn homeless(
        &self,
        plan: &Plan,
        progress: &Progress,
        come_back: &BTreeSet<String>,
    ) -> Result<Vec<Homeless>, Obstacle> {
        let mut homeless = Vec::new();
        for target in removed(plan, progress) {
            let Some(name) = target.namespace.as_ref().filter(|name| !come_back.contains(*name)) else { continue };
            let namespace = self.namespace_state(name).await?;
            if namespace != NamespaceState::There {
                homeless.push(Homeless { target, namespace });
            }
        }
        Ok(homeless)
    }

    /// What became of a namespace; asked once for each. Who may not ask takes it to be there.
    pub async fn namespace_state(&self, namespace: &str) -> Result<NamespaceState, Obstacle> {
        if let Some(state) = self.namespaces.borrow().get(namespace) {
            return Ok(state.clone());
        }
        let [api_version, kind] = ["v1", "Namespace"].map(str::to_owned);
        let target = Target { api_version, kind, namespace: None, name: namespace.to_owned() };
        let state = match self.get(&target).await {
            Err(Obstacle::Forbidden { .. }) => NamespaceState::There,
            live => NamespaceState::of(live?.as_ref()),
        };
        self.namespaces.borrow_mut().insert(namespace.to_owned(), state.clone());
        Ok(state)
    }

    /// What drift says of an object whose namespace cannot take it; none where it can.
    pub(super) async fn homelessness(&self, target: &Target) -> Result<Option<String>, Obstacle> {
        let Some(namespace) = &target.namespace else { return Ok(None) };
        Ok(self.namespace_state(namespace).await?.drift())
    }
}

/// What became of the namespace where a create was refused because of it.
/// Source: Kubernetes' `plugin/pkg/admission/namespace/lifecycle/admission.go`.
pub(super) fn refusal(status: &Status) -> Option<NamespaceState> {
    let details = status.details.as_ref()?;
    if details.causes.iter().any(|cause| cause.reason == "NamespaceTerminating") {
        return Some(NamespaceState::Going(None));
    }
    (status.is_not_found() && details.kind == "namespaces").then_some(NamespaceState::Gone)
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::{Change, Images};
    use fairlead_migration::plan::PlanBuilder;
    use fairlead_migration::stage::{Stage, StageKind};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_namespace_that_a_run_has_removed_comes_back_with_it() {
        let stage = Stage::new("Objects", StageKind::Contract, UndoAt::PreRollback, 8);
        let mut builder = PlanBuilder::new("step", vec![stage]);
        for (api_version, kind, name, images) in [
            ("a.b/v1", "Namespace", "of-another-group", Images::Delete(json!({}))),
            ("v1", "Namespace", "changed", Images::Update(json!({}), json!({"a": 1}))),
            ("v1", "Namespace", "removed", Images::Delete(json!({}))),
            ("v1", "Namespace", "till-left", Images::Delete(json!({}))),
        ] {
            let [api_version, kind, name] = [api_version, kind, name].map(str::to_owned);
            let target = Target { api_version, kind, namespace: None, name };
            builder.push(&Change { stage: 0, target, images, reason: "it is legacy".to_owned() });
        }
        let plan = builder.build();
        let position = |name: &str| plan.changes().position(|change| change.target.name == name).expect("it is in the plan");
        let progress = Progress { begun: position("till-left"), ..Progress::planned() };
        assert_eq!(namespaces_back(&plan, &progress), BTreeSet::from(["removed".to_owned()]));
        assert_eq!(namespaces_back(&plan, &Progress::planned()), BTreeSet::new());
    }

    #[test]
    fn a_namespace_is_there_or_gone_or_going_and_then_says_what_holds_it() {
        let going = |status: Value| {
            let deleted = json!({"name": "shop", "deletionTimestamp": "2026-11-27T04:00:00Z"});
            json!({"metadata": deleted, "spec": {"finalizers": ["kubernetes"]}, "status": status})
        };
        let drift = |live: Option<&Value>| NamespaceState::of(live).drift().unwrap_or_default();
        assert_eq!(NamespaceState::of(Some(&json!({"metadata": {"name": "shop"}}))).drift(), None);
        assert_eq!(drift(None), "its namespace has been deleted since: create it again, or leave the object");
        let wait = "wait until it is gone and create it again, or leave the object";
        let held = |by: &str| format!("its namespace is being deleted, and held by: {by}: {wait}");
        assert_eq!(drift(Some(&going(json!({"phase": "Terminating"})))), held("finalizers kubernetes"));
        let condition =
            |name: &str, status: &str, message: &str| json!({"type": name, "status": status, "message": message});
        let conditions = [
            condition("NamespaceDeletionDiscoveryFailure", "False", "All resources successfully discovered"),
            condition(
                "NamespaceContentRemaining",
                "True",
                "Some resources are remaining: gadgets.a.b has 1 resource instances",
            ),
            condition(
                "NamespaceFinalizersRemaining",
                "True",
                "Some content has finalizers remaining: a.b/c in 1 resource instances",
            ),
        ];
        let both = "Some resources are remaining: gadgets.a.b has 1 resource instances; Some content has finalizers remaining: a.b/c in 1 \
                    resource instances";
        assert_eq!(drift(Some(&going(json!({"conditions": conditions})))), held(both));
    }
}
