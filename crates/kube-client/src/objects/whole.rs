//! A selector is one value: with one more label it means other pods, or none. In a switch it is compared as a whole, where other maps are
//! compared key by key.

use std::borrow::Cow;

use fairlead_migration::executor::Task;
use fairlead_migration::fields;
use fairlead_migration::stage::StageKind;
use serde_json::{Map, Value, json};

fn selector(object: &Value) -> Option<&Map<String, Value>> {
    object["spec"]["selector"].as_object()
}

/// The keys that one selector has and another one lacks.
fn more<'a>(one: &'a Value, other: &'a Value) -> impl Iterator<Item = &'a String> {
    let known = selector(other);
    selector(one).into_iter().flat_map(Map::keys).filter(move |key| !known.is_some_and(|known| known.contains_key(*key)))
}

/// The patch as it is compared and sent: one that writes the selector of a switch also removes the keys that others have added to it.
pub(super) fn with_removals<'p>(patch: &'p Value, task: &Task<'_>, after: &Value, live: &Value) -> Cow<'p, Value> {
    let is_whole = task.stage.kind == StageKind::Switch && patch["spec"]["selector"].is_object();
    let removals: Map<String, Value> = more(live, after).map(|key| (key.clone(), Value::Null)).collect();
    if !is_whole || removals.is_empty() {
        return Cow::Borrowed(patch);
    }
    let mut patch = patch.clone();
    // Not by `merge`, which would take nulls for removals from the patch itself.
    if let Some(selector) = patch.pointer_mut("/spec/selector").and_then(Value::as_object_mut) {
        selector.extend(removals);
    }
    Cow::Owned(patch)
}

/// What others have added to the selector that a switch has written, while all of ours is still there; none where the switch has ended.
/// `written` is what the switch made of `other`.
pub(super) fn added(task: &Task<'_>, written: &Value, other: &Value, live: &Value) -> Option<String> {
    let [ours, theirs, now] = [written, other, live].map(|image| json!(selector(image)));
    // Where the switch only takes keys away, those are there when it was never made.
    let is_as_before = fields::holds(&ours, &theirs) && fields::holds(&theirs, &now);
    if task.stage.kind != StageKind::Switch || ours == theirs || !fields::holds(&ours, &now) || is_as_before {
        return None;
    }
    let keys: Vec<String> = more(live, written).map(|key| format!("spec.selector.{key}")).collect();
    (!keys.is_empty())
        .then(|| format!("somebody else has added {} since, and a selector counts as a whole", keys.join(", ")))
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::{Change, Images, Target};
    use fairlead_migration::progress::OnDrift;
    use fairlead_migration::stage::{Stage, UndoAt};

    use super::*;

    fn service(selector: &Value) -> Value {
        json!({"spec": {"selector": selector}})
    }

    fn in_stage<T>(kind: StageKind, look: impl Fn(&Task<'_>) -> T) -> T {
        let (target, stage) = (
            Target { api_version: "v1".into(), kind: "Service".into(), namespace: None, name: "it".into() },
            Stage::new("it", kind, UndoAt::PostRollback, 1),
        );
        let change = Change { stage: 0, target, images: Images::Create(json!({})), reason: String::new() };
        look(&Task { change: &change, stage: &stage, mark: "", is_undo: true, on_drift: OnDrift::Stop })
    }

    #[test]
    fn what_is_added_to_a_selector_of_a_switch_is_seen_and_taken_away() {
        let [old, new, both] =
            [json!({"app": "old"}), json!({"app": "new"}), json!({"app": "new", "tier": "x"})].map(|it| service(&it));
        let said = |live: &Value| in_stage(StageKind::Switch, |task| added(task, &new, &old, live));
        assert_eq!(
            said(&both).expect("added"),
            "somebody else has added spec.selector.tier since, and a selector counts as a whole"
        );
        assert_eq!([said(&new), said(&old), said(&service(&json!({"app": "old", "tier": "x"})))], [None, None, None]);
        assert_eq!(in_stage(StageKind::Hold, |task| added(task, &new, &old, &both)), None);
        let patch = fields::diff_by_key(&new, &old).expect("they differ");
        let sent = |kind| in_stage(kind, |task| with_removals(&patch, task, &old, &both).into_owned());
        assert_eq!(sent(StageKind::Switch), service(&json!({"app": "old", "tier": null})));
        assert_eq!(sent(StageKind::Hold), patch);
    }

    #[test]
    fn a_switch_that_takes_keys_away_and_was_never_made_has_no_additions() {
        let [before, after] = [json!({"app": "it", "tier": "old"}), json!({"app": "it"})].map(|it| service(&it));
        let said = |live: &Value| in_stage(StageKind::Switch, |task| added(task, &after, &before, live));
        assert_eq!([said(&before), said(&after)], [None, None]);
        assert!(said(&service(&json!({"app": "it", "zone": "a"}))).is_some());
        // And one that only adds.
        let said = |live: &Value| in_stage(StageKind::Switch, |task| added(task, &before, &after, live));
        assert!(said(&service(&json!({"app": "it", "tier": "old", "zone": "a"}))).is_some());
        assert_eq!(said(&service(&json!({"app": "it", "zone": "a"}))), None);
    }
}
