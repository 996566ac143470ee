//! A pod that is started to see whether its image can be pulled and runs here.

use std::time::Duration;

use fairlead_migration::obstacle::{Obstacle, Stop};
use k8s_openapi::jiff::Timestamp;
use kube::api::{DeleteParams, GetParams, PostParams};
use serde_json::{Map, Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::cluster::Cluster;
use crate::operation::Operation;
use crate::poll::{Look, Poll};
use crate::resource::Resource;

/// Reasons for which a container that waits does not begin.
/// Source: Kubernetes' `pkg/kubelet/images/types.go`.
const IN_VAIN: [&str; 6] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
    "RunContainerError",
];

/// What decides whether and where a container is admitted, and runs.
const OF_CONTAINER: [&str; 4] = ["image", "imagePullPolicy", "resources", "securityContext"];

/// The same of a pod.
const OF_POD: [&str; 10] = [
    "affinity",
    "hostUsers",
    "imagePullSecrets",
    "nodeSelector",
    "priorityClassName",
    "runtimeClassName",
    "schedulerName",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
];

/// Labels by which a controller knows its pods.
const OF_CONTROLLER: [&str; 3] = ["controller-uid", "job-name", "pod-template-hash"];

/// A sidecar would not end.
const NO_ISTIO: (&str, &str) = ("sidecar.istio.io/inject", "false");
const NO_LINKERD: (&str, &str) = ("linkerd.io/inject", "disabled");

impl Cluster {
    /// Runs the image of this pod template, with other arguments, to its end, and deletes the pod, also when this process is told to end. The
    /// inner error says why it did not run.
    ///
    /// # Errors
    ///
    /// [`Obstacle::Stopped`] when this process is told to end. From the first pod on only who waits here hears of that.
    pub async fn try_pod(
        &self,
        namespace: &str,
        template: &Value,
        args: &[&str],
        timeout: Duration,
    ) -> Result<Result<(), String>, Obstacle> {
        let pods = Resource::core("Pod", "pods", true);
        let name = format!("fairlead-check-{:x}", Timestamp::now().as_nanosecond());
        let mut pod = trial(template, args);
        pod["metadata"]["name"] = name.as_str().into();
        // Where this process dies without a word, it ends all the same.
        pod["spec"]["activeDeadlineSeconds"] = timeout.as_secs().max(1).into();
        let requests = kube::core::Request::new(pods.path(Some(namespace)));
        let operation = |verb| Operation { namespace: Some(namespace), name: Some(&name), ..Operation::new(verb, &pods) };
        let refuse = |verb, source: kube::core::request::Error| Obstacle::Refused {
            operation: operation(verb).to_string(),
            source: source.into(),
        };
        let unheard =
            |error: std::io::Error| Obstacle::Refused { operation: "listen for signals".to_owned(), source: error.into() };
        let [mut terminate, mut interrupt] = signals().map_err(unheard)?;
        let create = requests.create(&PostParams::default(), pod.to_string().into_bytes());
        if let Err(error) = self.send(create.map_err(|error| refuse("create", error))?).await {
            return Err(self.refused(operation("create"), error).await);
        }
        let look = async || {
            let get = requests.get(&name, &GetParams::default()).map_err(|error| refuse("get", error))?;
            match self.send(get).await {
                Ok(live) => Ok(end_of(&live).map_or_else(|| Look::NotYet(why(&live)), Look::Done)),
                Err(error) => Err(self.obstacle(operation("get"), error).await),
            }
        };
        let late = |why: String| Err(format!("it has not ended within {timeout:?}: {why}"));
        let ended = Poll::of(timeout).telling("the pod to end").wait(look);
        let ended = tokio::select! {
            ended = ended => ended.map(|ended| ended.unwrap_or_else(late)),
            _ = terminate.recv() => Err(Obstacle::Stopped(Stop::Interrupted)),
            _ = interrupt.recv() => Err(Obstacle::Stopped(Stop::Interrupted)),
        };
        let delete = requests.delete(&name, &DeleteParams::background()).map_err(|error| refuse("delete", error))?;
        if let Err(error) = self.send(delete).await {
            tracing::warn!(%error, pod = name, namespace, "the pod stays behind");
        }
        ended
    }
}

/// A pod that is admitted and scheduled as those of the template are, and does nothing. A `ServiceAccount` of hooks may not be there
/// between two upgrades, and what is mounted is not needed.
fn trial(template: &Value, args: &[&str]) -> Value {
    let some_of = |object: &Value, fields: &[&str]| -> Map<String, Value> {
        let there = fields.iter().filter(|field| !object[**field].is_null());
        there.map(|field| ((*field).to_owned(), object[*field].clone())).collect()
    };
    let container = some_of(&template["spec"]["containers"][0], &OF_CONTAINER);
    let mut spec = Value::Object(some_of(&template["spec"], &OF_POD));
    spec["containers"] = json!([container]);
    spec["containers"][0]["name"] = "check".into();
    spec["containers"][0]["args"] = json!(args);
    spec["restartPolicy"] = "Never".into();
    spec["automountServiceAccountToken"] = false.into();
    // Never ready: a Service whose selector the labels fit sends nothing to it.
    spec["readinessGates"] = json!([{"conditionType": "fairlead.dev/never"}]);
    let with = |field: &str, ours: &[(&str, &str)]| {
        let mut entries = template["metadata"][field].as_object().cloned().unwrap_or_default();
        entries.retain(|key, _| !OF_CONTROLLER.contains(&key.trim_start_matches("batch.kubernetes.io/")));
        entries.extend(ours.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())));
        entries
    };
    let part_of = ("app.kubernetes.io/part-of", "fairlead");
    let labels = with("labels", &[part_of, ("app.kubernetes.io/component", "check"), NO_ISTIO]);
    let annotations = with("annotations", &[NO_ISTIO, NO_LINKERD]);
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
}

fn signals() -> std::io::Result<[Signal; 2]> {
    Ok([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?])
}

/// How a pod ended, if it has, or never will begin.
fn end_of(pod: &Value) -> Option<Result<(), String>> {
    match pod["status"]["phase"].as_str() {
        Some("Succeeded") => return Some(Ok(())),
        Some("Failed") => return Some(Err(why(pod))),
        _ => {}
    }
    let mut waiting = containers(pod).filter_map(|status| status["state"]["waiting"]["reason"].as_str());
    waiting.any(|reason| IN_VAIN.contains(&reason)).then(|| Err(why(pod)))
}

/// Why a pod does not run, where nobody will change that but a person.
pub(crate) fn not_running(pod: &Value) -> Option<String> {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut unscheduled = conditions.filter(|it| it["type"] == "PodScheduled" && it["status"] == "False");
    match end_of(pod) {
        Some(Err(why)) if pod["status"]["phase"] != "Failed" => Some(why),
        None if unscheduled.next().is_some() => Some(why(pod)),
        _ => None,
    }
}

fn why(pod: &Value) -> String {
    let states = containers(pod).filter_map(|status| {
        let state =
            ["waiting", "terminated"].into_iter().map(|state| &status["state"][state]).find(|state| !state.is_null())?;
        let text = |field: &str| state[field].as_str().unwrap_or_default().trim().to_owned();
        Some(format!("{} {}", text("reason"), text("message")))
    });
    let states: Vec<String> = states.collect();
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let unmet = conditions.filter(|condition| condition["status"] == "False").filter_map(|it| it["message"].as_str());
    match states.as_slice() {
        [] => unmet.map(str::to_owned).next().unwrap_or_else(|| "no kubelet has begun with it".to_owned()),
        states => states.join("; "),
    }
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    pod["status"]["containerStatuses"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_tried_as_those_of_the_job_are_and_nobody_takes_it_for_one() {
        let limits = json!({"limits": {"cpu": "1"}});
        let template = json!({
            "metadata": {"labels": {"team": "shop", "job-name": "j", "batch.kubernetes.io/controller-uid": "u",
                "app.kubernetes.io/component": "job"}, "annotations": {"linkerd.io/inject": "enabled", "note": "x"}},
            "spec": {"serviceAccountName": "gone", "nodeSelector": {"disk": "fast"}, "volumes": [{"name": "v"}], "restartPolicy": "OnFailure",
                "containers": [{"name": "main", "image": "i", "args": ["apply"], "resources": limits, "envFrom": [{}]}]},
        });
        let expected = json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "labels": {"team": "shop", "app.kubernetes.io/part-of": "fairlead", "app.kubernetes.io/component": "check",
                    "sidecar.istio.io/inject": "false"},
                "annotations": {"linkerd.io/inject": "disabled", "sidecar.istio.io/inject": "false", "note": "x"}},
            "spec": {"nodeSelector": {"disk": "fast"}, "restartPolicy": "Never", "automountServiceAccountToken": false,
                "readinessGates": [{"conditionType": "fairlead.dev/never"}],
                "containers": [{"name": "check", "image": "i", "args": ["--version"], "resources": limits}]}});
        assert_eq!(trial(&template, &["--version"]), expected);
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_not_waited_for() {
        let pod = |phase: &str, state: Value| json!({"status": {"phase": phase, "containerStatuses": [{"state": state}]}});
        assert_eq!(end_of(&pod("Succeeded", json!({}))), Some(Ok(())));
        assert_eq!(end_of(&pod("Pending", json!({"waiting": {"reason": "ContainerCreating"}}))), None);
        let waiting = json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}});
        assert_eq!(end_of(&pod("Pending", waiting)), Some(Err("ErrImagePull not found".to_owned())));
        let unscheduled = json!({"status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes"}]}});
        assert_eq!(why(&unscheduled), "0/1 nodes");
    }
}
