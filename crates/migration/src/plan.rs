//! What a step will do and what it leaves alone, complete and immutable: nothing is decided while it is carried out.

mod text;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::change::{Action, Change, Target};
use crate::fields;
use crate::snapshot::digest;

/// Whether a stage adds beside the old, removes the old, or holds something for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StageKind {
    /// Adds the new beside the old.
    Expand,
    /// Removes the old.
    Contract,
    /// Stops workloads or closes intake, and ends with the upgrade.
    Hold,
}

/// Where in `helm rollback` a stage is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UndoAt {
    /// Before Helm applies the old manifests.
    PreRollback,
    /// After it.
    PostRollback,
}

/// Changes that may run side by side. The next stage begins when this one is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// For people: `Triggers`.
    pub name: String,
    /// Adds, removes or holds.
    pub kind: StageKind,
    /// Where it is undone.
    pub undo_at: UndoAt,
    /// How many changes are in flight at once.
    pub concurrency: usize,
}

/// Something to tell about one object: a refusal (the plan leaves it alone) or a warning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `TR101`; `explain` has a text for each.
    pub code: String,
    /// The object.
    pub target: Target,
    /// What is the matter with it.
    pub message: String,
    /// What to do about it.
    pub hint: String,
}

/// An object that is as it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// The object.
    pub target: Target,
    /// Why nothing has to be done.
    pub reason: String,
}

/// Everything a step will do, in order, and everything it leaves alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The step, named like its binary.
    pub step: String,
    /// In the order in which they are carried out.
    pub stages: Vec<Stage>,
    /// Sorted by stage, then target.
    pub changes: Vec<Change>,
    /// Objects left alone, sorted by target.
    pub refusals: Vec<Finding>,
    /// Sorted by target.
    pub warnings: Vec<Finding>,
    /// Sorted by target.
    pub unchanged: Vec<Unchanged>,
}

impl Plan {
    /// A plan with everything in its order, whatever the order it was found in.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.changes.sort_by(|a, b| (a.stage, &a.target).cmp(&(b.stage, &b.target)));
        for findings in [&mut self.refusals, &mut self.warnings] {
            findings.sort_by(|a, b| (&a.target, &a.code, &a.message).cmp(&(&b.target, &b.code, &b.message)));
        }
        self.unchanged.sort_by(|a, b| a.target.cmp(&b.target));
        self
    }

    /// How many changes do this.
    #[must_use]
    pub fn count(&self, action: Action) -> usize {
        self.changes.iter().filter(|change| change.action() == action).count()
    }

    /// `sha256:` and hex over what would be written: sorted action, target and fields. What the server adds to images does
    /// not count, so a plan from files and the plan from the cluster that they were written for have the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut lines: Vec<String> = self.changes.iter().map(|change| written(change).to_string()).collect();
        lines.sort();
        digest(lines.join("\n").as_bytes())
    }

    /// The plan as a document of `apiVersion: fairlead.dev/v1`, which stays readable for ever.
    pub fn document(&self) -> Result<Value, serde_json::Error> {
        let mut document = serde_json::to_value(self)?;
        document["apiVersion"] = "fairlead.dev/v1".into();
        document["kind"] = "Plan".into();
        document["digest"] = self.digest().into();
        Ok(document)
    }

    /// `3 to create, 0 to update, 0 to delete, 1 refused, 2 warnings, 4 unchanged`.
    #[must_use]
    pub fn counts(&self) -> String {
        format!(
            "{} to create, {} to update, {} to delete, {} refused, {} warning{}, {} unchanged",
            self.count(Action::Create),
            self.count(Action::Update),
            self.count(Action::Delete),
            self.refusals.len(),
            self.warnings.len(),
            if self.warnings.len() == 1 { "" } else { "s" },
            self.unchanged.len(),
        )
    }

    /// The plan for people: reads like a diff, ends with a line of counts. With ANSI colours; strip them for a pipe.
    #[must_use]
    pub fn text(&self) -> String {
        text::render(self)
    }
}

fn written(change: &Change) -> Value {
    let fields = match (change.before(), change.after()) {
        (Some(before), Some(after)) => fields::diff(before, after),
        (None, after) => after.cloned(),
        (Some(_), None) => None,
    };
    // serde_json sorts keys, so equal values have equal texts.
    json!([change.action(), change.target, fields])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::change::Images;

    pub(crate) fn plan_of_one() -> Plan {
        let target = Target {
            api_version: "v1".into(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: "settings".into(),
        };
        let images =
            Images::Create(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"bus": "mesh", "retries": "3"},
            "metadata": {"namespace": "shop", "name": "settings", "annotations": {"example.com/why": "demo"}}}));
        let finding = |code: &str| Finding {
            code: code.into(),
            target: Target { name: "other".into(), ..target.clone() },
            message: "is not ours".into(),
            hint: "leave it".into(),
        };
        Plan {
            step: "trigger-replicator".into(),
            stages: vec![Stage {
                name: "Triggers".into(),
                kind: StageKind::Expand,
                undo_at: UndoAt::PostRollback,
                concurrency: 8,
            }],
            refusals: vec![finding("TR101")],
            warnings: vec![finding("TR201")],
            unchanged: vec![Unchanged { target: target.clone(), reason: "as it should be".into() }],
            changes: vec![Change { stage: 0, target, images, reason: "the bus moves".into() }],
        }
    }

    #[test]
    fn the_digest_ignores_what_the_server_adds() {
        let update = |before: Value, after: Value| {
            let mut plan = plan_of_one();
            plan.changes[0].images = Images::Update(before, after);
            plan.digest()
        };
        let from_files = update(json!({"data": {"a": "1"}}), json!({"data": {"a": "2"}}));
        let from_cluster = update(
            json!({"data": {"a": "1"}, "metadata": {"uid": "u"}, "status": {}}),
            json!({"data": {"a": "2"}, "metadata": {"uid": "u"}, "status": {}}),
        );
        assert_eq!(from_files, from_cluster);
        assert_ne!(from_files, update(json!({"data": {"a": "1"}}), json!({"data": {"a": "3"}})));
        assert_ne!(from_files, plan_of_one().digest());
    }

    #[test]
    fn what_an_object_contains_cannot_fake_a_line() {
        let mut plan = plan_of_one();
        plan.changes[0].images = Images::Create(json!({"data": {"a": "x\nPlan: 0 to create\u{1b}[2J"}}));
        let text = plan.text();
        assert!(text.contains(r"data.a: x\nPlan: 0 to create\u{1b}[2J"), "{text}");
        assert_eq!(text.lines().filter(|line| line.contains("Plan: 0")).count(), 1);
    }

    #[test]
    fn the_document_has_the_promised_keys() {
        let document = plan_of_one().document().expect("plain data");
        for key in ["apiVersion", "kind", "step", "digest", "changes", "refusals", "warnings", "unchanged"] {
            assert!(document.get(key).is_some(), "{key}");
        }
        let change = &document["changes"][0];
        assert_eq!((&change["action"], &change["stage"], &change["before"]), (&json!("create"), &json!(0), &Value::Null));
    }
}
