//! Whether an object is ready, whatever its kind.

use serde_json::Value;

use crate::object;
use crate::status::Status;
use crate::workload::unavailable;

/// The condition by which Kyma's legacy Subscriptions say that they are ready.
/// Source: kyma-project/kyma@1.11.0 `components/event-bus/apis/eventing/v1alpha1/types.go`.
const KYMA_READY: &str = "is-ready";

/// Whether an object is ready, or why not; none when it does not say so.
#[must_use]
pub fn readiness(object: &Value) -> Option<Result<(), String>> {
    if ["Deployment", "StatefulSet", "DaemonSet"].contains(&object::kind(object)) {
        return Some(unavailable(object).map_or(Ok(()), Err));
    }
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = |name: &str| conditions.iter().find(|condition| condition["type"] == name);
    if condition("Ready").is_some() {
        return Some(match Status::of(object) {
            Status::Current => Ok(()),
            Status::InProgress(cause) | Status::Failed(cause) => Err(cause.to_string()),
            Status::Terminating => Err("it is being deleted".to_owned()),
        });
    }
    let ready = condition(KYMA_READY)?;
    let reason = ready["message"].as_str().or(ready["reason"].as_str()).unwrap_or("its controller does not say why");
    Some(if ready["status"] == "True" { Ok(()) } else { Err(format!("{KYMA_READY}: {reason}")) })
}

/// Why an object is not ready; none where it is, or does not say.
#[must_use]
pub fn unready(object: &Value) -> Option<String> {
    readiness(object).and_then(Result::err)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_object_is_waited_for_where_it_says_how_it_is() {
        let with = |kind: &str, conditions: Value| {
            readiness(&json!({"kind": "Subscription", "status": {"conditions": [{"type": kind, "status": conditions}]}}))
        };
        assert_eq!(with("Ready", json!("True")), Some(Ok(())));
        assert!(with("Ready", json!("False")).is_some_and(|ready| ready.is_err()));
        assert_eq!(with(KYMA_READY, json!("True")), Some(Ok(())));
        assert_eq!(with(KYMA_READY, json!("False")), Some(Err("is-ready: its controller does not say why".to_owned())));
        assert_eq!(with("events-activated", json!("False")), None);
        assert_eq!(readiness(&json!({"kind": "EventActivation"})), None);
        assert!(readiness(&json!({"kind": "Deployment"})).is_some_and(|ready| ready.is_err()));
    }
}
