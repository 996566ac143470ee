//! Which flows there should be. Pure.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_apis::application::{Activation, Instance};
use fairlead_apis::messaging::Channel;
use fairlead_migration::change::Target;
use fairlead_migration::finding::{Finding, Unchanged};

use crate::kinds;
use crate::namespaces::Namespaces;
use crate::observed::Observed;
use fairlead_job::codes::trigger_replicator as codes;

/// One flow that should be.
pub struct Flow {
    /// Where its events go.
    pub namespace: String,
    /// Where they come from.
    pub application: String,
    /// The first service by name that was asked for.
    pub service: String,
    /// The EventActivation of that service, by which findings name the flow.
    pub activation: Target,
    /// The Channel that carries them.
    pub channel: Channel,
    /// Whether the Channel is there: it may come later.
    pub has_channel: bool,
}

/// The flows that should be, and what was found on the way.
#[derive(Default)]
pub struct Flows {
    /// In the order of namespaces and Applications.
    pub all: Vec<Flow>,
    /// Namespaces and Applications that have an EventActivation, whether or not they get a flow.
    activated: BTreeSet<(String, String)>,
    /// Activations that get no flow.
    pub refusals: Vec<Finding>,
    /// Findings that do not keep a flow from being made.
    pub warnings: Vec<Finding>,
    /// Activations that are not ours.
    pub left_out: Vec<Unchanged>,
}

impl Flows {
    /// The number of flows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether no flow should exist.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether events of the Application were let into the namespace.
    #[must_use]
    pub fn has(&self, namespace: &str, application: &str) -> bool {
        self.activated.contains(&(namespace.to_owned(), application.to_owned()))
    }
}

/// Decides which flows there should be.
#[must_use]
pub fn desired(observed: &Observed, namespaces: &Namespaces) -> Flows {
    let mut flows = Flows::default();
    // The first service by name gives the flow its label.
    let mut activations: Vec<&Activation> = observed.activations.iter().collect();
    activations.sort_by(|a, b| (&a.namespace, &a.service).cmp(&(&b.namespace, &b.service)));
    let mut wanted: BTreeMap<(&str, &str), &Activation> = BTreeMap::new();
    for activation in activations {
        match admit(&mut flows, observed, namespaces, activation) {
            Ok(Some(application)) => {
                wanted.entry((&activation.namespace, application)).or_insert(activation);
            }
            Ok(None) => {}
            Err(refusal) => flows.refusals.push(refusal),
        }
    }
    for ((namespace, application), activation) in wanted {
        flows.activated.insert((namespace.to_owned(), application.to_owned()));
        match flow(observed, application, activation) {
            Ok(flow) => flows.all.push(flow),
            Err(refusal) => flows.refusals.push(refusal),
        }
    }
    warn_of_instances(&mut flows, observed, namespaces);
    flows
}

fn target(activation: &Activation) -> Target {
    kinds::ACTIVATION.target("v1alpha1", &activation.namespace, &activation.service)
}

/// The Application whose events the activation lets in.
fn admit<'a>(
    flows: &mut Flows,
    observed: &Observed,
    namespaces: &Namespaces,
    activation: &'a Activation,
) -> Result<Option<&'a str>, Finding> {
    let Activation { namespace, service, application, is_terminating } = activation;
    if let Some(reason) = namespaces.left_out(namespace) {
        flows.left_out.push(Unchanged { target: target(activation), reason });
        return Ok(None);
    }
    if namespaces.is_terminating(namespace) {
        let message = format!("namespace {namespace} is being deleted");
        return Err(codes::NAMESPACE_TERMINATING.finding(target(activation), message));
    }
    let Some(application) = application else {
        return Err(codes::NO_SOURCE_ID.finding(target(activation), "spec.sourceId is missing or empty"));
    };
    let asks = |instance: &&Instance| {
        instance.namespace == *namespace && instance.services.contains(service) && !instance.is_terminating
    };
    if *is_terminating {
        let Some(instance) = observed.instances.iter().find(asks) else {
            let reason = "left out, it is being deleted and no ServiceInstance asks for it".to_owned();
            flows.left_out.push(Unchanged { target: target(activation), reason });
            return Ok(None);
        };
        let message = format!("it is being deleted, and ServiceInstance {} asks for the same service", instance.name);
        flows.warnings.push(codes::DEPROVISIONING.finding(target(activation), message));
    }
    let mapping = observed.mappings.get(&(namespace.clone(), application.clone()));
    if !mapping.is_some_and(|mapping| mapping.allows(service)) {
        let message = format!("no ApplicationMapping lets {namespace} use service {service} of {application}");
        flows.warnings.push(codes::NOT_MAPPED.finding(target(activation), message));
    }
    Ok(Some(application))
}

fn flow(observed: &Observed, application: &str, activation: &Activation) -> Result<Flow, Finding> {
    let of_application = |channel: &&Channel| channel.application.as_deref() == Some(application);
    let channels: Vec<&Channel> = observed.channels.iter().filter(of_application).collect();
    let channel = match channels.as_slice() {
        [channel] => (*channel).clone(),
        // It is named like its Application (Kyma 1.11.0 `components/event-sources/reconciler/httpsource`), so the Subscription
        // can be there before it, and Knative makes it ready when it comes.
        [] if observed.applications.contains_key(application) => Channel {
            api_version: observed.versions.channel.clone().unwrap_or_default(),
            name: application.to_owned(),
            application: Some(application.to_owned()),
            unready: None,
        },
        [] => {
            let message = format!("there is no Application {application}, and no Channel of it");
            return Err(codes::NO_APPLICATION.finding(target(activation), message));
        }
        several => {
            let mut names: Vec<&str> = several.iter().map(|channel| channel.name.as_str()).collect();
            names.sort_unstable();
            let message = format!("Application {application} has more than one Channel: {}", names.join(", "));
            return Err(codes::TWO_CHANNELS.finding(target(activation), message));
        }
    };
    Ok(Flow {
        namespace: activation.namespace.clone(),
        application: application.to_owned(),
        service: activation.service.clone(),
        activation: target(activation),
        channel,
        has_channel: !channels.is_empty(),
    })
}

/// Warns of instances that asked for events and never got any on the legacy bus. The mesh delivers none to them either.
fn warn_of_instances(flows: &mut Flows, observed: &Observed, namespaces: &Namespaces) {
    for instance in observed.instances.iter().filter(|instance| !instance.is_terminating) {
        let Instance { namespace, name, services, .. } = instance;
        if namespaces.left_out(namespace).is_some() {
            continue;
        }
        let sends = observed.applications.values().find(|application| !application.event_services.is_disjoint(services));
        let is_activated =
            |activation: &Activation| activation.namespace == *namespace && services.contains(&activation.service);
        if let Some(application) = sends.filter(|_| !observed.activations.iter().any(is_activated)) {
            let message = format!("it asks for events of {}, and there is no EventActivation for it", application.name);
            let target = kinds::INSTANCE.target("v1beta1", namespace, name);
            flows.warnings.push(codes::NOT_ACTIVATED.finding(target, message));
        }
    }
}
