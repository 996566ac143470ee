//! What an object says of itself: how much is left. Pure.

use fairlead_backlog::reading::{Left, Reading};
use fairlead_job::redact;
use serde_json::{Value, json};

use super::{Field, Until};

/// What is at a pointer, for the certificate: without what the name of a field says is a credential.
fn shown(pointer: &str, found: &Value) -> Value {
    let name = pointer.rsplit('/').next().unwrap_or_default();
    let mut field = json!({ name: found });
    redact::value(&mut field);
    json!({ pointer: field[name].take() })
}

fn reading(left: u64, seen: Value) -> Reading {
    let left = if left == 0 { Left::Empty } else { Left::Some(left) };
    Reading { left, seen, ..Reading::unknown("") }
}

/// A workload, and how many pods it has.
pub(super) fn stopped(workload: &Value, pods: u64) -> Reading {
    let status = &workload["status"];
    // A workload that does not say how many has one.
    let wanted = workload["spec"]["replicas"].as_u64().unwrap_or(1);
    let known = status["replicas"].as_u64().unwrap_or_default();
    // A status of before the last change may not know of pods that are still to come.
    let is_late = is_of_before(workload);
    let left = pods.max(wanted).max(known).max(u64::from(is_late));
    let mut seen = json!({"replicas": wanted, "pods": pods});
    if left > pods.max(wanted) {
        seen["status"] = json!({"replicas": known, "isOfBefore": is_late});
    }
    reading(left, seen)
}

/// A `CronJob`, and how many of its Jobs are at work.
pub(super) fn idle(cron_job: &Value, jobs: u64) -> Reading {
    let known = cron_job["status"]["active"].as_array().map_or(0, Vec::len) as u64;
    let active = jobs.max(known);
    reading(active, json!({"active": active}))
}

/// Whether a Job of this `CronJob` has not ended.
pub(super) fn is_at_work(job: &Value, cron_job: &Value) -> bool {
    let owners = job["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    let is_its = owners.into_iter().any(|owner| owner["controller"] == true && owner["uid"] == *cron_job);
    let conditions = job["status"]["conditions"].as_array().into_iter().flatten();
    let is_end = |condition: &Value| {
        ["Complete", "Failed"].iter().any(|kind| condition["type"] == *kind) && condition["status"] == "True"
    };
    is_its && !conditions.into_iter().any(is_end)
}

/// Whether the status was written before the last change.
fn is_of_before(object: &Value) -> bool {
    is_older(&object["status"], object)
}

/// Whether this part of the status says that it was written before the last change.
fn is_older(part: &Value, object: &Value) -> bool {
    let seen = part["observedGeneration"].as_i64();
    seen.is_some_and(|seen| object["metadata"]["generation"].as_i64().is_some_and(|generation| seen < generation))
}

/// Any other object.
pub(super) fn judge(until: &Until, object: &Value) -> Reading {
    let condition = |kind: &str| {
        let conditions = object["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().find(|condition| condition["type"] == *kind)
    };
    match until {
        // They take more than the object.
        Until::Stopped | Until::Idle => Reading::unknown("its pods or Jobs are not counted"),
        Until::Finished => {
            let is = |kind: &str| condition(kind).is_some_and(|condition| condition["status"] == "True");
            let active = object["status"]["active"].as_u64().unwrap_or_default();
            let seen = json!({"active": active, "complete": is("Complete")});
            if is("Complete") {
                return reading(0, seen);
            }
            let hopeless = match () {
                () if is("Failed") => Some("the Job has failed".to_owned()),
                () if object["spec"]["suspend"] == true => Some("the Job is suspended".to_owned()),
                () => None,
            };
            Reading { hopeless, ..reading(active.max(1), seen) }
        }
        Until::Condition(kind) => match condition(kind) {
            _ if is_of_before(object) => Reading::unknown("its status is of before its last change"),
            None => Reading::unknown(format!("it has no condition {kind}")),
            Some(condition) if is_older(condition, object) => {
                Reading::unknown(format!("its condition {kind} is of before its last change"))
            }
            Some(condition) if condition["status"] == "Unknown" => {
                Reading::unknown(format!("its condition {kind} is Unknown"))
            }
            Some(condition) => reading(u64::from(condition["status"] != "True"), json!({ kind: condition["status"] })),
        },
        Until::Field(Field { pointer, is }) => match object.pointer(pointer) {
            _ if pointer.starts_with("/status") && is_of_before(object) => {
                Reading::unknown("its status is of before its last change")
            }
            None | Some(Value::Null) if !is.is_null() => Reading::unknown(format!("it has no field {pointer}")),
            found => {
                let found = found.unwrap_or(&Value::Null);
                let seen = shown(pointer, found);
                match (found.as_u64(), is.as_u64()) {
                    _ if found == is || is_same_number(found, is) => reading(0, seen),
                    (Some(found), Some(is)) => reading(found.saturating_sub(is).max(1), seen),
                    _ if is.is_number() && !found.is_number() => {
                        Reading { seen, ..Reading::unknown(format!("its field {pointer} is no number: {found}")) }
                    }
                    _ => reading(1, seen),
                }
            }
        },
    }
}

/// 0.0 is 0.
fn is_same_number(one: &Value, other: &Value) -> bool {
    one.as_f64().zip(other.as_f64()).is_some_and(|(one, other)| (one - other).abs() < f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_field_holds_that_is_named_like_a_credential_is_not_kept() {
        let source = json!({"password": "hunter2", "host": "db"});
        assert_eq!(shown("/spec/source", &source)["/spec/source"]["host"], "db");
        let kept = [shown("/spec/source", &source), shown("/spec/password", &json!("hunter2"))];
        assert!(kept.iter().all(|kept| !kept.to_string().contains("hunter2")), "{kept:?}");
        assert_eq!(shown("/status/left", &json!(3)), json!({"/status/left": 3}));
    }

    fn left(until: &Value, object: &Value) -> Left {
        let until: Until = serde_json::from_value(until.clone()).expect("valid");
        judge(&until, object).left
    }

    #[test]
    fn a_workload_has_stopped_when_not_one_pod_is_left() {
        let workload = |replicas: u64, status: &Value| json!({"metadata": {"generation": 2}, "spec": {"replicas": replicas}, "status": status});
        let seen = json!({"observedGeneration": 2});
        assert_eq!(stopped(&workload(0, &seen), 0).left, Left::Empty);
        // The controller does not count a pod that is ending.
        assert_eq!(stopped(&workload(0, &seen), 1).left, Left::Some(1));
        assert_eq!(stopped(&workload(2, &seen), 0).left, Left::Some(2));
        assert_eq!(stopped(&workload(0, &json!({"observedGeneration": 1})), 0).left, Left::Some(1));
        assert_eq!(stopped(&workload(0, &json!({"replicas": 3})), 0).left, Left::Some(3));
        assert_eq!(stopped(&json!({"spec": {}}), 0).left, Left::Some(1));
    }

    #[test]
    fn a_job_is_finished_when_it_is_complete() {
        let job = |condition: &str, spec: &Value| {
            let conditions = json!([{"type": condition, "status": "True"}]);
            judge(&Until::Finished, &json!({"spec": spec, "status": {"active": 2, "conditions": conditions}}))
        };
        assert_eq!(job("Complete", &json!({})).left, Left::Empty);
        assert_eq!(job("FailureTarget", &json!({})).left, Left::Some(2));
        assert_eq!(job("Failed", &json!({})).hopeless.as_deref(), Some("the Job has failed"));
        assert_eq!(job("Suspended", &json!({"suspend": true})).hopeless.as_deref(), Some("the Job is suspended"));
    }

    #[test]
    fn what_is_missing_or_of_another_type_is_never_zero() {
        let field = json!({"field": {"pointer": "/status/pending", "is": 0}});
        let pending = |value: Value| left(&field, &json!({"status": {"pending": value}}));
        assert_eq!(pending(json!(0)), Left::Empty);
        assert_eq!(pending(json!(0.0)), Left::Empty);
        assert_eq!(pending(json!(7)), Left::Some(7));
        for value in [Value::Null, json!("0"), json!(false), json!([])] {
            assert!(matches!(pending(value.clone()), Left::Unknown(_)), "{value}");
        }
        assert!(matches!(left(&field, &json!({})), Left::Unknown(_)));
        let ready = json!({"condition": "Drained"});
        let condition = |status: &str, generation: u64| {
            let conditions = json!([{"type": "Drained", "status": status}]);
            left(
                &ready,
                &json!({"metadata": {"generation": 2}, "status": {"observedGeneration": generation, "conditions": conditions}}),
            )
        };
        assert_eq!(condition("True", 2), Left::Empty);
        // Most controllers write it into the condition.
        let own = |generation: u64| {
            let conditions = json!([{"type": "Drained", "status": "True", "observedGeneration": generation}]);
            left(&ready, &json!({"metadata": {"generation": 2}, "status": {"conditions": conditions}}))
        };
        assert_eq!(own(2), Left::Empty);
        assert!(matches!(own(1), Left::Unknown(_)));
        let late = json!({"metadata": {"generation": 2}, "status": {"pending": 0, "observedGeneration": 1}});
        assert!(matches!(left(&field, &late), Left::Unknown(_)));
        assert_eq!(condition("False", 2), Left::Some(1));
        assert!(matches!(condition("Unknown", 2), Left::Unknown(_)));
        assert!(matches!(condition("True", 1), Left::Unknown(_)));
        assert!(matches!(left(&ready, &json!({})), Left::Unknown(_)));
    }

    #[test]
    fn a_job_that_somebody_made_from_a_cron_job_is_at_work_until_it_has_ended() {
        let job = |uid: &str, condition: &str| {
            json!({"metadata": {"ownerReferences": [{"controller": true, "uid": uid}]},
                "status": {"conditions": [{"type": condition, "status": "True"}]}})
        };
        assert!(is_at_work(&job("u", "Suspended"), &json!("u")) && is_at_work(&job("u", "SuccessCriteriaMet"), &json!("u")));
        assert!(!is_at_work(&job("u", "Complete"), &json!("u")) && !is_at_work(&job("u", "Failed"), &json!("u")));
        assert!(!is_at_work(&job("other", "Suspended"), &json!("u")) && !is_at_work(&json!({}), &json!("u")));
        let cron_job = json!({"status": {"active": [{}, {}]}});
        assert_eq!((idle(&cron_job, 1).left, idle(&json!({}), 1).left), (Left::Some(2), Left::Some(1)));
        assert_eq!(idle(&json!({}), 0).left, Left::Empty);
    }
}
