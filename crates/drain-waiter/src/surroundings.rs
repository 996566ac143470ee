//! What is around the objects of the intake: autoscalers of what is scaled, and the pods on both sides of a redirect.

use std::cell::{Cell, RefCell};

use fairlead_apis::object;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_kube_client::selector::Selector;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::target;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::{Map, Value, json};

use crate::entry::{Intake, Redirect};
use crate::sources::kubernetes::POD;

pub(crate) static AUTOSCALER: Kind = Kind::namespaced("autoscaling", "HorizontalPodAutoscaler", &["v2", "v1"]);
pub(crate) static SCALED_OBJECT: Kind = Kind::namespaced("keda.sh", "ScaledObject", &["v1alpha1"]);

/// Findings about autoscalers of workloads that are scaled to zero.
pub(crate) async fn autoscalers(source: &Source<'_>, scaled: &[Target]) -> Result<Vec<Finding>, Obstacle> {
    if scaled.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = source.list(&AUTOSCALER, |autoscaler| autoscaled(scaled, &autoscaler)).await?;
    findings.extend(source.list(&SCALED_OBJECT, |scaler| scaled_by_events(scaled, &scaler)).await?);
    Ok(findings)
}

/// The workload that an autoscaler scales, if it is one of these.
fn scaled_target<'t>(scaled: &'t [Target], autoscaler: &Value) -> Option<&'t Target> {
    let reference = &autoscaler["spec"]["scaleTargetRef"];
    // KEDA takes a Deployment where nothing is said.
    let kind = reference["kind"].as_str().unwrap_or("Deployment");
    scaled.iter().find(|target| {
        let namespace = target.namespace.as_deref();
        target.kind == kind && reference["name"] == *target.name && namespace == Some(object::namespace(autoscaler))
    })
}

fn autoscaled(scaled: &[Target], autoscaler: &Value) -> Option<Finding> {
    let workload = scaled_target(scaled, autoscaler)?;
    if autoscaler["spec"]["minReplicas"] == 0 {
        let message = format!("it has minReplicas 0, and so starts {workload} from zero, which is to be held at 0");
        return Some(codes::SCALED_BY_EVENTS.finding(target(autoscaler), message));
    }
    Some(codes::AUTOSCALED.finding(target(autoscaler), format!("it scales {workload}, which is held at 0")))
}

fn scaled_by_events(scaled: &[Target], keda: &Value) -> Option<Finding> {
    let workload = scaled_target(scaled, keda)?;
    let annotation = |key: &str| object::annotation(keda, key);
    // Where both are there, KEDA takes the number.
    let is_paused = match annotation("autoscaling.keda.sh/paused-replicas") {
        Some(replicas) => replicas == "0",
        None => annotation("autoscaling.keda.sh/paused") == Some("true"),
    };
    let message = format!("it starts {workload} again, which is to be held at 0");
    (!is_paused).then(|| codes::SCALED_BY_EVENTS.finding(target(keda), message))
}

/// Both sides of a redirect.
#[derive(Debug, Default)]
pub(crate) struct Sides {
    pub(crate) refusals: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
    /// Workloads behind the Service that are scaled in the same run: they stop when new connections lead elsewhere.
    pub(crate) old: Vec<Target>,
    /// Whether every pod of the old side ends with these workloads, and every connection to it.
    pub(crate) ends: bool,
}

/// Looks at both sides of a redirect.
pub(crate) async fn sides(
    source: &Source<'_>,
    intake: &Intake,
    redirect: &Redirect,
    service: &Image,
    scaled: &[(Target, Image)],
) -> Result<Sides, Obstacle> {
    let target = intake.target();
    let namespace = target.namespace.as_deref();
    let new = selector(&Value::Object(redirect.selector.clone()));
    let is_new = |pod: &Value| new.as_ref().is_some_and(|new| new.matches(pod));
    let of = |is_meant: &dyn Fn(&Value) -> bool| -> Vec<&(Target, Image)> {
        let has_such_pods = |(workload, image): &&(Target, Image)| {
            let template = json!({"metadata": image["spec"]["template"]["metadata"]});
            workload.namespace.as_deref() == namespace && is_meant(&template)
        };
        scaled.iter().filter(has_such_pods).collect()
    };
    let mut sides = Sides::default();
    for (workload, _) in of(&is_new) {
        let message = format!("{target} is redirected to its pods in the same run");
        sides.refusals.push(codes::SAME_BREATH.finding(workload.clone(), message));
    }
    // Files hold no pods.
    if matches!(source, Source::Cluster(..)) {
        sides.refusals.extend(new_side(source, &target, service, redirect).await?);
    }
    if service["spec"]["selector"] == Value::Object(redirect.selector.clone()) {
        // It leads there already: there is no old side any more.
        return Ok(sides);
    }
    let old = selector(&service["spec"]["selector"]);
    let is_old = |pod: &Value| old.as_ref().is_some_and(|old| old.matches(pod));
    let stops = of(&|pod| is_old(pod) && !is_new(pod)).into_iter().filter(|(_, image)| image["spec"]["replicas"] != 0);
    let stops: Vec<&(Target, Image)> = stops.collect();
    let ending: Vec<Selector> = stops.iter().filter_map(|(_, image)| selector_of(image)).collect();
    let (stays, leaves, outlives) = (RefCell::new(None), Cell::new(false), Cell::new(false));
    let look = |pod: Value| {
        if is_old(&pod) && is_new(&pod) {
            stays.borrow_mut().get_or_insert_with(|| object::name(&pod).to_owned());
        } else if is_old(&pod) {
            leaves.set(true);
            outlives.set(outlives.get() || !ending.iter().any(|ending| ending.matches(&pod)));
        }
        None::<()>
    };
    source.find_in(&POD, namespace, look).await?;
    let stays = stays.into_inner();
    sides.ends = !stops.is_empty() && stays.is_none() && !outlives.get();
    sides.old = stops.into_iter().map(|(workload, _)| workload.clone()).collect();
    let same = stays.filter(|_| !leaves.get()).map(|pod| {
        let message = format!("every pod that it leads to today, like {pod}, is one of the new side as well");
        codes::SAME_PODS.finding(target.clone(), message)
    });
    let abrupt = |pod: Value| (is_old(&pod) && !has_pre_stop(&pod)).then(|| object::name(&pod).to_owned());
    let abrupt = source.find_in(&POD, namespace, abrupt).await?;
    let warning = |pod: String| {
        let reset = if sides.old.is_empty() { "" } else { ", and it stops in this run: its publishers may see a reset" };
        codes::ABRUPT.finding(target.clone(), format!("no container of its pod {pod} has a preStop hook{reset}"))
    };
    sides.warnings = abrupt.map(warning).into_iter().chain(same).collect();
    Ok(sides)
}

/// The pods of a workload.
fn selector_of(workload: &Image) -> Option<Selector> {
    serde_json::from_value(workload["spec"]["selector"].clone()).ok()
}

/// Whether an object of the intake is not there, and need not be.
pub(crate) async fn is_absent(source: &Source<'_>, intake: &Intake) -> Result<bool, Obstacle> {
    let target = intake.target();
    let get = async || source.get(&Kind::of(&target), target.namespace.as_deref().unwrap_or_default(), &target.name).await;
    Ok(intake.may_be_absent() && get().await?.is_none())
}

/// What speaks against the new side of a redirect: no pod is ready, or a ready one lacks a port that the Service names.
pub(crate) async fn new_side(
    source: &Source<'_>,
    service: &Target,
    image: &Image,
    redirect: &Redirect,
) -> Result<Option<Finding>, Obstacle> {
    let new = selector(&Value::Object(redirect.selector.clone()));
    let (has_ready, lacking, waiting) = (Cell::new(false), RefCell::new(None), RefCell::new(None));
    let look = |pod: Value| {
        if new.as_ref().is_some_and(|new| new.matches(&pod) && is_ready(&pod)) {
            has_ready.set(true);
            let port = named_ports(image).find(|port| !has_port(&pod, port))?;
            *lacking.borrow_mut() = Some(format!("{} has no port that is called {port}", object::name(&pod)));
        } else if new.as_ref().is_some_and(|new| new.matches(&pod)) {
            waiting.borrow_mut().get_or_insert_with(|| format!("; pod {}{}", object::name(&pod), why_waiting(&pod)));
        }
        None::<()>
    };
    source.find_in(&POD, service.namespace.as_deref(), look).await?;
    let labels: Vec<String> = redirect.selector.iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
    let message = match lacking.into_inner() {
        Some(pod) => format!("pod {pod}, and the Service leads to that port"),
        None if has_ready.get() => return Ok(None),
        None => format!("no pod with {} is ready{}", labels.join(","), waiting.into_inner().unwrap_or_default()),
    };
    Ok(Some(codes::NEW_SIDE.finding(service.clone(), message)))
}

/// What the kubelet says of the first container that does not run.
fn why_waiting(pod: &Value) -> String {
    let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
    let mut reasons = containers.filter_map(|container| container["state"]["waiting"]["reason"].as_str());
    reasons.next().map_or_else(|| " is not ready".to_owned(), |reason| format!(" waits: {reason}"))
}

/// The ports of pods that a Service names.
fn named_ports(service: &Image) -> impl Iterator<Item = &str> {
    let ports = service["spec"]["ports"].as_array().into_iter().flatten();
    ports.filter_map(|port| port["targetPort"].as_str())
}

fn has_port(pod: &Value, name: &str) -> bool {
    // A container that is started first may go on beside the others.
    let containers = ["containers", "initContainers"].into_iter().filter_map(|part| pod["spec"][part].as_array());
    containers.flatten().filter_map(|container| container["ports"].as_array()).flatten().any(|port| port["name"] == name)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The pods that a Service means by its labels.
fn selector(labels: &Value) -> Option<Selector> {
    let labels: Map<String, Value> = labels.as_object().filter(|labels| !labels.is_empty())?.clone();
    serde_json::from_value(json!({ "matchLabels": labels })).ok()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    let mut ready = conditions.into_iter().filter(|condition| condition["type"] == "Ready" && condition["status"] == "True");
    ready.next().is_some() && pod["metadata"]["deletionTimestamp"].is_null()
}

fn has_pre_stop(pod: &Value) -> bool {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    containers.into_iter().any(|container| !container["lifecycle"]["preStop"].is_null())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_autoscaler_that_would_start_a_workload_is_refused_and_one_that_rests_is_named() {
        let [api_version, kind, name] = ["apps/v1", "Deployment", "b"].map(str::to_owned);
        let scaled = [Target { api_version, kind, namespace: Some("a".to_owned()), name }];
        let scaling = |namespace: &str, reference: Value, annotations: Value| {
            json!({"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "spec": {"scaleTargetRef": reference},
                "metadata": {"namespace": namespace, "name": "s", "annotations": annotations}})
        };
        let is_seen = |object: &Value| scaled_by_events(&scaled, object).is_some();
        assert!(is_seen(&scaling("a", json!({"name": "b"}), json!({}))));
        assert!(!is_seen(&scaling("x", json!({"name": "b"}), json!({}))));
        assert!(!is_seen(&scaling("a", json!({"name": "b", "kind": "StatefulSet"}), json!({}))));
        assert!(!is_seen(&scaling("a", json!({"name": "b"}), json!({"autoscaling.keda.sh/paused-replicas": "0"}))));
        assert!(is_seen(&scaling("a", json!({"name": "b"}), json!({"autoscaling.keda.sh/paused-replicas": "2"}))));
        let both = json!({"autoscaling.keda.sh/paused-replicas": "2", "autoscaling.keda.sh/paused": "true"});
        assert!(is_seen(&scaling("a", json!({"name": "b"}), both)));
        assert!(!is_seen(&scaling("a", json!({"name": "b"}), json!({"autoscaling.keda.sh/paused": "true"}))));
        let mut autoscaler = scaling("a", json!({"name": "b", "kind": "Deployment"}), json!({}));
        assert_eq!(autoscaled(&scaled, &autoscaler).expect("seen").code, "DW202");
        autoscaler["spec"]["minReplicas"] = 0.into();
        assert_eq!(autoscaled(&scaled, &autoscaler).expect("seen").code, "DW107");
    }

    #[test]
    fn a_port_that_the_service_names_is_looked_for() {
        let service = json!({"spec": {"ports": [{"targetPort": 80}, {"targetPort": "http"}]}});
        assert_eq!(named_ports(&service).collect::<Vec<_>>(), ["http"]);
        let pod = |part: &str, name: &str| json!({"spec": {part: [{"ports": [{"name": name}]}]}});
        assert!(has_port(&pod("containers", "http"), "http") && has_port(&pod("initContainers", "http"), "http"));
        assert!(!has_port(&pod("containers", "web"), "http") && !has_port(&json!({}), "http"));
    }

    #[test]
    fn a_pod_that_is_ending_is_not_ready() {
        let pod = |status: &str| json!({"metadata": {}, "status": {"conditions": [{"type": "Ready", "status": status}]}});
        assert!(is_ready(&pod("True")) && !is_ready(&pod("False")) && !is_ready(&json!({})));
        let mut ending = pod("True");
        ending["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert!(!is_ready(&ending));
    }
}
