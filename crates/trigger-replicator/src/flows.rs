//! Compares the desired flows with those that exist. Pure: `fairlead_mesh` reads flows, and decides which are desired.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use fairlead_apis::endpoint::Endpoint;
use fairlead_apis::limits;
use fairlead_apis::messaging::{self, APPLICATION_LABEL, BROKER_NAMESPACE_LABEL, SERVICE_LABEL};
use fairlead_mesh::broker::{BROKER, broker, is_made_as_object};
use fairlead_mesh::flows::{Flow, Flows};
use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::{INJECTION_LABELS, Namespaces};
use fairlead_mesh::observed::{INTEGRATION_NAMESPACE, Observed};
use fairlead_migration::change::{Change, Image, Images, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::plan::PlanBuilder;
use fairlead_observe::address::other_release;
use serde_json::{Value, json};

use crate::naming;
use fairlead_job::codes::trigger_replicator as codes;

/// The changes that flows need, by stage, each in the order of targets.
#[derive(Default)]
pub(crate) struct FlowChanges {
    /// Brokers, and what lies around them.
    pub(crate) brokers: BTreeMap<Target, Change>,
    pub(crate) subscriptions: BTreeMap<Target, Change>,
    unchanged: BTreeMap<Target, String>,
    /// Namespaces that will have a Broker, though there is none yet.
    pub(crate) with_broker: Vec<String>,
    /// Namespaces and Applications whose events will arrive.
    pub(crate) carried: BTreeSet<(String, String)>,
}

/// Stages of the plan, by position.
pub(crate) const BROKERS: usize = 0;
pub(crate) const TRIGGERS: usize = 1;

impl FlowChanges {
    /// Compares. Findings go to the plan.
    pub(crate) fn of(
        plan: &mut PlanBuilder,
        flows: &Flows,
        observed: &Observed,
        namespaces: &Namespaces,
        release: &str,
    ) -> Self {
        let mut changes = Self::default();
        for flow in &flows.all {
            match changes
                .add_broker(flow, observed, namespaces)
                .and_then(|()| changes.add_subscription(plan, flow, observed, release))
                .and_then(|()| changes.add_surroundings(flow, observed))
            {
                Ok(()) => {
                    changes.carried.insert((flow.namespace.clone(), flow.application.clone()));
                }
                Err(refusal) => plan.refuse(refusal),
            }
        }
        for (target, reason) in std::mem::take(&mut changes.unchanged) {
            plan.keep(&Unchanged { target, reason });
        }
        changes
    }

    fn add_broker(&mut self, flow: &Flow, observed: &Observed, namespaces: &Namespaces) -> Result<(), Finding> {
        let namespace = flow.namespace.as_str();
        let Some(api_version) = &observed.versions.broker else { return Ok(()) };
        let target = broker(api_version, namespace);
        match observed.brokers.get(namespace) {
            Some(broker) if broker.is_terminating => {
                let message = format!("it is being deleted, and the events of {} need it", flow.application);
                return Err(codes::TERMINATING.finding(target, message));
            }
            Some(broker) => {
                let unready = broker.unready.as_ref().map(|why| format!(", but is not Ready: {why}"));
                self.unchanged.insert(target, format!("is there{}", unready.unwrap_or_default()));
                return Ok(());
            }
            None => {}
        }
        let known = namespaces.get(namespace);
        let injection = known.and_then(|namespace| namespace.injection.as_deref());
        if injection == Some("disabled") {
            let message = format!("namespace {namespace} has a label that says it must have no Broker");
            return Err(codes::BROKER_DISABLED.finding(flow.activation.clone(), message));
        }
        self.with_broker.push(namespace.to_owned());
        let reason = format!("Triggers in {namespace} get their events from it");
        if is_made_as_object(api_version) {
            let image = object(&target, None);
            return self.create(BROKERS, target, image, reason, flow);
        }
        let target = Target {
            api_version: "v1".to_owned(),
            kind: kinds::NAMESPACE.kind.to_string(),
            namespace: None,
            name: namespace.to_owned(),
        };
        let label = INJECTION_LABELS[0];
        if injection.is_some() {
            self.unchanged.insert(target, "asks for a Broker".to_owned());
            return Ok(());
        }
        // A namespace that files do not hold has nothing that could be lost.
        let before = known.and_then(|namespace| namespace.image.clone()).unwrap_or_else(|| object(&target, None));
        let mut after = before.clone();
        after["metadata"]["labels"][label] = "enabled".into();
        let change = Change { stage: BROKERS, target: target.clone(), images: Images::Update(before, after), reason };
        self.brokers.insert(target, change);
        Ok(())
    }

    fn add_subscription(
        &mut self,
        plan: &mut PlanBuilder,
        flow: &Flow,
        observed: &Observed,
        release: &str,
    ) -> Result<(), Finding> {
        let Some(api_version) = &observed.versions.subscription else { return Ok(()) };
        let Flow { namespace, application, service, channel, .. } = flow;
        let carries = |subscription: &messaging::Subscription| {
            subscription.application.as_ref() == Some(application)
                && subscription.broker_namespace.as_ref() == Some(namespace)
                && !subscription.is_terminating
        };
        let mut existing: Vec<_> = observed.subscriptions.iter().filter(|(it, _)| carries(it)).collect();
        existing.sort_by(|a, b| a.0.name.cmp(&b.0.name));
        let name = naming::name(&format!("{application}-to-{namespace}"), &[application, namespace]);
        let target = |name: &str| Target {
            api_version: api_version.clone(),
            kind: kinds::SUBSCRIPTION.kind.to_string(),
            namespace: Some(INTEGRATION_NAMESPACE.to_owned()),
            name: name.to_owned(),
        };
        if let [first, others @ ..] = existing.as_slice() {
            if !others.is_empty() {
                let names: Vec<&str> = others.iter().map(|(it, _)| it.name.as_str()).collect();
                let message = format!("{} carries the same events to {namespace}, so they arrive twice", names.join(", "));
                plan.warn(codes::TWO_SUBSCRIPTIONS.finding(target(&first.0.name), message));
            }
            return self.keep(flow, observed, release, &first.0, &first.1, target(&first.0.name));
        }
        if let Some((taken, _)) = observed.subscriptions.iter().find(|(it, _)| it.name == name) {
            return Err(if taken.is_terminating {
                codes::TERMINATING
                    .finding(target(&name), format!("it is being deleted, and the events of {application} need it"))
            } else {
                let (label, value) = match &taken.application {
                    Some(other) if other == application => (BROKER_NAMESPACE_LABEL, &taken.broker_namespace),
                    other => (APPLICATION_LABEL, other),
                };
                let is = value.as_ref().map_or("missing".to_owned(), |value| format!("{value:?}"));
                let message =
                    format!("its label {label} is {is}, so it does not carry the events of {application} to {namespace}");
                codes::NAME_TAKEN.finding(target(&name), message)
            });
        }
        let labels = json!({BROKER_NAMESPACE_LABEL: namespace, APPLICATION_LABEL: application, SERVICE_LABEL: service});
        let mut image = object(&target(&name), Some(labels));
        image["spec"] = messaging::spec(channel, &address(flow, observed)?);
        let mut reason = format!("carries the events of {application} to {namespace}");
        if !flow.has_channel {
            // Writing to a String cannot fail.
            let _ = write!(reason, ", once Channel {INTEGRATION_NAMESPACE}/{} is there: it is missing", channel.name);
        }
        self.create(TRIGGERS, target(&name), image, reason, flow)
    }

    /// A Subscription that somebody else has made stays; only an address that the Broker does not have is corrected.
    fn keep(
        &mut self,
        flow: &Flow,
        observed: &Observed,
        release: &str,
        existing: &messaging::Subscription,
        image: &Image,
        target: Target,
    ) -> Result<(), Finding> {
        let Flow { namespace, application, channel, .. } = flow;
        if existing.channel != channel.name {
            let message =
                format!("it carries from Channel {}, and that of {application} is {}", existing.channel, channel.name);
            return Err(codes::OTHER_CHANNEL.finding(target, message));
        }
        let address = observed.brokers.get(namespace).and_then(|broker| broker.address.as_ref());
        let moved = existing.subscriber.as_ref().zip(address).filter(|(now, address)| now != address);
        let Some((_, address)) = moved else {
            let mut reason = format!("already carries the events of {application} to {namespace}");
            if let Some(unready) = unready(flow, observed, existing) {
                reason.extend([", but ", &unready]);
            }
            self.unchanged.insert(target, reason);
            return Ok(());
        };
        if let Some(other) = other_release(image, release) {
            let message = format!("release {other} has made it, and its Broker has another address now");
            return Err(codes::OTHER_RELEASE.finding(target, message));
        }
        let mut after = image.clone();
        after["spec"]["subscriber"]["uri"] = address.as_str().into();
        let (images, reason) =
            (Images::Update(image.clone(), after), format!("the Broker in {namespace} has another address"));
        self.subscriptions.insert(target.clone(), Change { stage: TRIGGERS, target, images, reason });
        Ok(())
    }

    fn add_surroundings(&mut self, flow: &Flow, observed: &Observed) -> Result<(), Finding> {
        let Flow { namespace, application, .. } = flow;
        if let Some(api_version) = &observed.versions.policy {
            // Kyma's own, so that Prometheus, which is outside the mesh, can ask the Broker's pods (kyma-project/kyma#6988).
            let name = format!("{namespace}-broker");
            let target = Target {
                api_version: api_version.clone(),
                kind: kinds::POLICY.kind.to_string(),
                namespace: Some(namespace.clone()),
                name: name.clone(),
            };
            let mut image = object(&target, Some(json!({"eventing.knative.dev/broker": BROKER})));
            image["spec"] = json!({
                "targets": [{"name": "default-broker"}, {"name": "default-broker-filter"}],
                "peers": [{"mtls": {"mode": "PERMISSIVE"}}],
            });
            let is_there = observed.policies.contains(&(namespace.clone(), name));
            let reason = "Prometheus asks the pods of the Broker, from outside the Istio mesh";
            self.ensure(is_there, target, image, reason, flow)?;
        }
        if let Some(api_version) = &observed.versions.http_source {
            let target = Target {
                api_version: api_version.clone(),
                kind: kinds::HTTP_SOURCE.kind.to_string(),
                namespace: Some(INTEGRATION_NAMESPACE.to_owned()),
                name: application.clone(),
            };
            let mut image = object(&target, None);
            image["spec"] = json!({"source": application});
            let is_there = observed.http_sources.contains(application);
            self.ensure(is_there, target, image, &format!("{application} sends its events to it"), flow)?;
        }
        Ok(())
    }

    fn ensure(&mut self, is_there: bool, target: Target, image: Image, reason: &str, flow: &Flow) -> Result<(), Finding> {
        if is_there {
            self.unchanged.insert(target, "is there".to_owned());
            return Ok(());
        }
        self.create(BROKERS, target, image, reason.to_owned(), flow)
    }

    fn create(&mut self, stage: usize, target: Target, image: Image, reason: String, flow: &Flow) -> Result<(), Finding> {
        if let Some(violation) = limits::violation(&image) {
            let message = format!("{violation}, in {target}, which it needs");
            return Err(codes::NOT_TAKEN.finding(flow.activation.clone(), message));
        }
        let changes = if stage == BROKERS { &mut self.brokers } else { &mut self.subscriptions };
        changes.insert(target.clone(), Change { stage, target, images: Images::Create(image), reason });
        Ok(())
    }
}

/// The first link of a way that says it is not Ready, causes before what follows from them.
fn unready(flow: &Flow, observed: &Observed, existing: &messaging::Subscription) -> Option<String> {
    let Flow { namespace, channel, has_channel, .. } = flow;
    let broker = observed.brokers.get(namespace).and_then(|broker| broker.unready.as_ref());
    if !has_channel {
        return Some(format!("Channel {INTEGRATION_NAMESPACE}/{} is missing", channel.name));
    }
    broker
        .map(|why| format!("Broker {namespace}/{BROKER} is not Ready: {why}"))
        .or_else(|| {
            Some(format!("Channel {INTEGRATION_NAMESPACE}/{} is not Ready: {}", channel.name, channel.unready.as_ref()?))
        })
        .or_else(|| Some(format!("is not Ready: {}", existing.unready.as_ref()?)))
}

fn object(target: &Target, labels: Option<Value>) -> Image {
    let mut image = json!({"apiVersion": target.api_version, "kind": target.kind, "metadata": {}});
    if let Some(labels) = labels {
        image["metadata"]["labels"] = labels;
    }
    image["metadata"]["name"] = target.name.as_str().into();
    if let Some(namespace) = &target.namespace {
        image["metadata"]["namespace"] = namespace.as_str().into();
    }
    image
}

/// Where the Broker takes events: what its status says; for one that has no status yet, what is usual, until it is written.
fn address(flow: &Flow, observed: &Observed) -> Result<Endpoint, Finding> {
    let namespace = flow.namespace.as_str();
    if let Some(address) = observed.brokers.get(namespace).and_then(|broker| broker.address.clone()) {
        return Ok(address);
    }
    // A Broker of another namespace shows how this Knative writes addresses.
    let elsewhere = observed.brokers.iter().find_map(|(other, broker)| {
        let address = broker.address.as_ref()?.as_str().strip_suffix(&format!("/{other}/{BROKER}"))?;
        Endpoint::parse(&format!("{address}/{namespace}/{BROKER}")).ok()
    });
    let usual = if observed.versions.broker.as_deref().is_some_and(is_made_as_object) {
        format!("http://broker-ingress.knative-eventing.svc.cluster.local/{namespace}/{BROKER}")
    } else {
        format!("http://{BROKER}-broker.{namespace}.svc.cluster.local")
    };
    elsewhere.map_or_else(|| Endpoint::parse(&usual), Ok).map_err(|error| {
        // No server has such a namespace; files may.
        codes::BAD_FIELDS.finding(flow.activation.clone(), format!("the Broker's address {usual:?} {error}"))
    })
}

#[cfg(test)]
pub(crate) mod tests;
