//! Whether a workload has the pods that it should have, computed from the object alone.
//! Source: the rules of kstatus for the kinds of `apps`, kubernetes-sigs/cli-utils `pkg/kstatus/status/core.go`.

use serde_json::Value;

/// Why a Deployment, `StatefulSet` or `DaemonSet` is not available; none when it is, or when it is none of these.
#[must_use]
pub fn unavailable(object: &Value) -> Option<String> {
    let status = &object["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let wanted = match object["kind"].as_str()? {
        // A workload that does not say how many has one.
        "Deployment" | "StatefulSet" => object["spec"]["replicas"].as_i64().unwrap_or(1),
        "DaemonSet" => count("desiredNumberScheduled"),
        _ => return None,
    };
    let is_seen = status["observedGeneration"].as_i64() >= object["metadata"]["generation"].as_i64();
    if !is_seen {
        return Some("its controller has not seen the last change yet".to_owned());
    }
    let [updated, available] = match object["kind"].as_str()? {
        "DaemonSet" => ["updatedNumberScheduled", "numberAvailable"],
        _ => ["updatedReplicas", "availableReplicas"],
    };
    // A StatefulSet whose pods are replaced by hand, or from some number on, has old ones for as long as somebody wishes.
    let strategy = &object["spec"]["updateStrategy"];
    let keeps_old = strategy["type"] == "OnDelete" || strategy["rollingUpdate"]["partition"].as_i64() > Some(0);
    if count(updated) < wanted && !keeps_old {
        return Some(format!("{} of {wanted} pods are of the last change", count(updated)));
    }
    // Available may be old ones: a Deployment ends them only when the new ones are.
    let old = count("replicas") - count(updated);
    if object["kind"] == "Deployment" && old > 0 {
        return Some(format!("old pods are still there ({old}): they go when the new ones are available"));
    }
    (count(available) < wanted).then(|| format!("{} of {wanted} pods are available", count(available)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn workload(kind: &str, spec: &Value, status: &Value) -> Value {
        json!({"kind": kind, "metadata": {"generation": 2}, "spec": spec, "status": status})
    }

    #[test]
    fn a_workload_is_available_when_all_its_pods_are() {
        let two = json!({"replicas": 2});
        let good = json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(unavailable(&workload("Deployment", &two, &good)), None);
        assert_eq!(unavailable(&workload("StatefulSet", &two, &good)), None);
        let every =
            json!({"observedGeneration": 2, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3});
        assert_eq!(unavailable(&workload("DaemonSet", &json!({}), &every)), None);
        assert_eq!(unavailable(&json!({"kind": "ConfigMap"})), None);
        // None are wanted, and none are there.
        assert_eq!(unavailable(&workload("Deployment", &json!({"replicas": 0}), &json!({"observedGeneration": 2}))), None);
    }

    #[test]
    fn what_is_missing_is_said() {
        let two = json!({"replicas": 2});
        let old = json!({"observedGeneration": 1, "updatedReplicas": 2, "availableReplicas": 2});
        let said =
            |kind, spec: &Value, status: &Value| unavailable(&workload(kind, spec, status)).expect("it is not available");
        assert!(said("Deployment", &two, &old).contains("not seen"));
        assert!(said("Deployment", &two, &json!({})).contains("not seen"));
        let begun = json!({"observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 2});
        assert_eq!(said("Deployment", &two, &begun), "1 of 2 pods are of the last change");
        let broken = json!({"observedGeneration": 2, "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2});
        assert!(said("Deployment", &two, &broken).starts_with("old pods are still there (1)"));
        let starting = json!({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 1});
        assert_eq!(said("StatefulSet", &two, &starting), "1 of 2 pods are available");
        assert_eq!(said("Deployment", &json!({}), &json!({"observedGeneration": 2})), "0 of 1 pods are of the last change");
        let by_hand = json!({"replicas": 2, "updateStrategy": {"type": "OnDelete"}});
        assert_eq!(
            unavailable(&workload("StatefulSet", &by_hand, &json!({"observedGeneration": 2, "availableReplicas": 2}))),
            None
        );
    }
}
