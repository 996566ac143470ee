//! Whether an object is well, computed from the object alone, by the rules of kstatus and of Knative's conditions.
//! Sources: kubernetes-sigs/cli-utils `pkg/kstatus/status/generic.go`; Knative's `apis/condition_set.go`.

use std::fmt;

use serde_json::Value;

use crate::object;

/// How an object is. There is no other word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// As it should be: its controller has seen this generation and says `Ready`.
    Current,
    /// Its controller is not done, or has not begun.
    InProgress(Cause),
    /// Its controller says that it cannot be done. It may heal.
    Failed(Cause),
    /// It is being deleted.
    Terminating,
}

/// What keeps an object from being current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Type of the condition, `BrokerReady`.
    pub condition: String,
    /// What the condition says.
    pub message: String,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.condition, self.message)
    }
}

impl Status {
    /// Reads `metadata` and `status` of an object with conditions.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        if object::is_terminating(object) {
            return Self::Terminating;
        }
        let cause = |condition: &str, message: &str| Cause { condition: condition.into(), message: message.into() };
        let observed = object["status"]["observedGeneration"].as_i64();
        let is_behind = |observed| object["metadata"]["generation"].as_i64().is_some_and(|now| observed < now);
        // Looked at before any condition: an old generation's conditions say nothing about this one. As in kstatus, a kind that
        // does not say which generation it has seen is believed.
        if observed.is_some_and(is_behind) {
            return Self::InProgress(cause("Ready", "its controller has not seen the last change yet"));
        }
        let empty = Vec::new();
        let conditions = object["status"]["conditions"].as_array().unwrap_or(&empty);
        match conditions.iter().find(|condition| condition["type"] == "Ready").map(|ready| &ready["status"]) {
            None if conditions.is_empty() => Self::InProgress(cause("Ready", "no controller has looked at it yet")),
            None => Self::InProgress(cause("Ready", "the condition is missing")),
            Some(Value::String(status)) if status == "True" => Self::Current,
            Some(Value::String(status)) if status == "False" => Self::Failed(first(conditions, "False")),
            Some(_) => Self::InProgress(first(conditions, "Unknown")),
        }
    }
}

/// The first condition with this status that is not the summary of the others: it is the cause, they follow from it.
fn first(conditions: &[Value], status: &str) -> Cause {
    let with_status = || conditions.iter().filter(|condition| condition["status"] == status);
    let condition = with_status().find(|condition| condition["type"] != "Ready").or_else(|| with_status().next());
    let text = |field: &str| condition.and_then(|condition| condition[field].as_str()).unwrap_or_default();
    let message = match (text("reason"), text("message")) {
        ("", "") => format!("is {status}"),
        ("", message) => message.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, message) => format!("{reason}: {message}"),
    };
    Cause { condition: text("type").to_owned(), message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(observed: i64, conditions: &Value) -> Value {
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
    }

    #[test]
    fn ready_counts_only_for_the_generation_that_was_seen() {
        let ready = json!([{"type": "Ready", "status": "True"}]);
        assert_eq!(Status::of(&object(2, &ready)), Status::Current);
        assert!(matches!(Status::of(&object(1, &ready)), Status::InProgress(_)));
        assert_eq!(Status::of(&json!({"metadata": {"generation": 2}, "status": {"conditions": ready}})), Status::Current);
    }

    #[test]
    fn what_says_nothing_is_not_ready() {
        for object in [
            json!({}),
            json!({"status": {}}),
            object(2, &json!([])),
            object(2, &json!([{"type": "Ready"}])),
            object(2, &json!(7)),
        ] {
            assert!(matches!(Status::of(&object), Status::InProgress(_)), "{object}");
        }
    }

    #[test]
    fn the_cause_is_the_condition_from_which_the_others_follow() {
        let conditions = json!([
            {"type": "BrokerReady", "status": "True"},
            {"type": "Ready", "status": "False", "reason": "Unable", "message": "summary"},
            {"type": "SubscriberResolved", "status": "False", "reason": "NotFound", "message": "no service mail"},
            {"type": "SubscriptionReady", "status": "Unknown"},
        ]);
        let failed = Status::of(&object(2, &conditions));
        assert!(
            matches!(&failed, Status::Failed(cause) if cause.to_string() == "SubscriberResolved: NotFound: no service mail"),
            "{failed:?}"
        );
        let unknown = json!([{"type": "Ready", "status": "Unknown"}, {"type": "Addressable", "status": "Unknown"}]);
        let waiting = Status::of(&object(2, &unknown));
        assert!(
            matches!(&waiting, Status::InProgress(cause) if cause.to_string() == "Addressable: is Unknown"),
            "{waiting:?}"
        );
    }

    #[test]
    fn an_object_that_is_being_deleted_is_terminating_whatever_its_conditions() {
        let mut going = object(2, &json!([{"type": "Ready", "status": "True"}]));
        going["metadata"]["deletionTimestamp"] = json!("2020-03-31T00:00:00Z");
        assert_eq!(Status::of(&going), Status::Terminating);
    }
}
