//! Decides about one object. Pure: each guard looks at the object and at known facts, and has a code.

use std::collections::{BTreeMap, HashSet};

use fairlead_apis::application::Activation;
use fairlead_apis::delivery::Delivery;
use fairlead_apis::object;
use fairlead_apis::subscription::{self, Legacy, Shape};
use fairlead_mesh::deliveries::{Carried, Deliveries};
use fairlead_mesh::kinds;
use fairlead_mesh::ways::{Gap, Ways};
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_observe::address::{other_release, target};
use serde_json::Value;

use crate::configuration::PurgedKind;
use fairlead_job::codes::legacy_purger as codes;

/// Helm's mark on what belongs to a release: <https://helm.sh/docs/howto/charts_tips_and_tricks/>
const HELM_RELEASE: &str = "meta.helm.sh/release-name";

/// What charts say of who installed them, in labels. Until Helm 3.2 nothing else did: <https://github.com/helm/helm/pull/7649>
const OLD_HELM: [&str; 2] = ["Tiller", "Helm"];

/// Why the purge deletes an object that a guard would refuse.
pub(crate) const ALLOWED: &str = "allowed by name";

/// Why the purge deletes an object that nobody has selected.
pub(crate) const ALONG: &str = "its owner goes, and the garbage collector would delete it";

/// Why the purge deletes a Subscription that nothing replaces, and nothing has to.
pub(crate) const NO_EVENTS: &str = "it gets no events today";

/// The decision about one object.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The purge deletes the object.
    Purge {
        /// Why the purge may delete the object.
        reason: String,
        /// Warnings about the object.
        warnings: Vec<Finding>,
        /// Whether the object belongs to a Helm release, and so comes back after Helm's manifests.
        is_helm_owned: bool,
    },
    /// The object stays, because nobody has selected it.
    NotSelected(String),
    /// The object stays: the purge is not about objects like it.
    Keep(String),
    /// A guard refuses to delete the object.
    Refuse(Finding),
}

/// The facts that guards know.
pub(crate) struct Known<'a> {
    /// The release that purges.
    pub(crate) release: &'a str,
    /// How events travel on the mesh.
    pub(crate) mesh: &'a Mesh,
    /// Subscriptions that need no Trigger.
    pub(crate) unreplicated: &'a HashSet<String>,
    /// Helm releases whose objects may go.
    pub(crate) helm_releases: &'a HashSet<String>,
}

/// How events travel on the mesh. Read only where Subscriptions lose the legacy bus.
#[derive(Default)]
pub(crate) struct Mesh {
    pub(crate) deliveries: Deliveries,
    pub(crate) ways: Ways,
    /// Namespaces and Applications of Subscriptions that the purge leaves, with why only the legacy bus delivers to one of them.
    pub(crate) stranded: BTreeMap<(String, String), String>,
}

/// Decides about one object.
pub(crate) fn decide(object: &Value, kind: &PurgedKind, known: &Known<'_>) -> Verdict {
    let target = target(object);
    match not_selected(object, kind) {
        Some(reason) => Verdict::NotSelected(reason),
        None => decide_selected(object, target, kind, known),
    }
}

/// Decides about an object that goes with its owner, whether or not it is selected.
pub(crate) fn decide_along(object: &Value, kind: &PurgedKind, known: &Known<'_>) -> Verdict {
    let reason = ALONG.to_owned();
    match decide_selected(object, target(object), kind, known) {
        Verdict::Purge { warnings, is_helm_owned, .. } => Verdict::Purge { reason, warnings, is_helm_owned },
        Verdict::Keep(_) => Verdict::Purge { reason, warnings: Vec::new(), is_helm_owned: false },
        verdict => verdict,
    }
}

fn decide_selected(object: &Value, target: Target, kind: &PurgedKind, known: &Known<'_>) -> Verdict {
    let replaced = if is_kyma_subscription(kind) {
        match Shape::of(object) {
            Shape::Filter | Shape::Types => {
                return Verdict::Keep("left alone, it is not of the legacy bus but of later Kyma".to_owned());
            }
            Shape::Legacy => replaced(object, &target, known),
            Shape::Unknown => Err(codes::UNKNOWN_SHAPE.finding(target.clone(), "spec has none of the known shapes")),
        }
    } else if is_kyma_activation(kind) {
        needed(object, &target, known).map_or_else(|| Ok(Replacement::NotNeeded), Err)
    } else {
        Ok(Replacement::NotNeeded)
    };
    if let Some(finding) = terminating(object, &target).or_else(|| of_other_release(object, &target, known)) {
        return Verdict::Refuse(finding);
    }
    let mut warnings = Vec::new();
    let is_helm_owned = match helm_owned(object, &target, known.helm_releases) {
        Ok(warning) => {
            let is_helm_owned = warning.is_some();
            warnings.extend(warning);
            is_helm_owned
        }
        Err(finding) => return Verdict::Refuse(finding),
    };
    match replaced {
        Ok(replacement) => {
            let reason = match replacement {
                Replacement::Trigger => "a Trigger that is Ready delivers the same".to_owned(),
                Replacement::NoEvents(warning) => {
                    warnings.push(warning);
                    NO_EVENTS.to_owned()
                }
                Replacement::NotNeeded if kind.keep_definition || kind.is_narrowed() => {
                    "the configuration selects it".to_owned()
                }
                Replacement::NotNeeded => "its kind goes".to_owned(),
            };
            Verdict::Purge { reason, warnings, is_helm_owned }
        }
        Err(finding) if known.unreplicated.contains(&address(object)) => {
            let message = format!("allowed by name: {}", finding.message);
            warnings.push(codes::GOES_UNREPLICATED.finding(target, message));
            Verdict::Purge { reason: ALLOWED.to_owned(), warnings, is_helm_owned }
        }
        Err(finding) => Verdict::Refuse(finding),
    }
}

/// Whether the kind is Kyma's Subscription, whose shapes share one definition.
pub(crate) fn is_kyma_subscription(kind: &PurgedKind) -> bool {
    kind.group == subscription::GROUP && kind.kind == subscription::KIND
}

/// Whether the kind is Kyma's EventActivation, without which the legacy bus delivers nothing into a namespace.
pub(crate) fn is_kyma_activation(kind: &PurgedKind) -> bool {
    kind.group == kinds::ACTIVATION.group && kind.kind == kinds::ACTIVATION.kind
}

fn address(object: &Value) -> String {
    format!("{}/{}", object::namespace(object), object::name(object))
}

pub(crate) fn not_selected(object: &Value, kind: &PurgedKind) -> Option<String> {
    let namespace = object::namespace(object);
    if !kind.namespaces.is_empty() && !kind.namespaces.iter().any(|it| it == namespace) {
        return Some(format!("left alone, the configuration does not name {namespace}"));
    }
    (!kind.selector.matches(object)).then(|| "left alone, its labels are not selected".to_owned())
}

/// What comes in the place of an object.
enum Replacement {
    /// A Trigger that is Ready delivers what a Subscription asks for, and events arrive there.
    Trigger,
    /// The legacy bus delivers nothing to a Subscription either.
    NoEvents(Finding),
    /// Nothing has to replace it.
    NotNeeded,
}

fn replaced(object: &Value, target: &Target, known: &Known<'_>) -> Result<Replacement, Finding> {
    let unreplicated = |message: String| codes::UNREPLICATED.finding(target.clone(), message);
    let legacy = Legacy::read(object)
        .map_err(|errors| unreplicated(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))?;
    let (namespace, source) = (object::namespace(object), &legacy.source);
    if !known.mesh.ways.is_activated(namespace, source) {
        let message = format!("no EventActivation lets the events of {source} into {namespace}, so it gets none today");
        return Ok(Replacement::NoEvents(codes::NO_EVENTS.finding(target.clone(), message)));
    }
    carried(object, target, known.mesh).map(|()| Replacement::Trigger)
}

/// Whether the mesh carries what a Subscription asks for, on the whole way from the Application to the subscriber.
pub(crate) fn carried(object: &Value, target: &Target, mesh: &Mesh) -> Result<(), Finding> {
    let unreplicated = |message: String| codes::UNREPLICATED.finding(target.clone(), message);
    let legacy = Legacy::read(object)
        .map_err(|errors| unreplicated(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))?;
    let delivery =
        Delivery::asked_for(object::namespace(object), &legacy).map_err(|error| unreplicated(error.to_string()))?;
    let Delivery { namespace, source, event_type, event_type_version: version, endpoint } = &delivery;
    let carried = mesh.deliveries.get(&delivery);
    if carried == Carried::Missing {
        return Err(unreplicated(format!("no Trigger delivers {event_type} {version} of {source} to {endpoint}")));
    }
    let gap = mesh.ways.gap(namespace, source);
    match (gap, carried) {
        // A link that is missing may be why the Trigger is not Ready.
        (Some(Gap::Missing(what)), _) => Err(codes::NO_WAY.finding(target.clone(), what)),
        (_, Carried::NotReady(why)) => Err(codes::NOT_READY.finding(target.clone(), why)),
        (Some(Gap::NotReady(why)), _) => Err(codes::WAY_NOT_READY.finding(target.clone(), why)),
        (None, _) => Ok(()),
    }
}

/// Refuses an EventActivation that Subscriptions need which stay.
fn needed(object: &Value, target: &Target, known: &Known<'_>) -> Option<Finding> {
    let Activation { namespace, application, .. } = Activation::read(object);
    let why = known.mesh.stranded.get(&(namespace, application?))?;
    Some(codes::NEEDED.finding(target.clone(), why))
}

fn terminating(object: &Value, target: &Target) -> Option<Finding> {
    let finalizers = &object["metadata"]["finalizers"];
    object::is_terminating(object)
        .then(|| codes::TERMINATING.finding(target.clone(), format!("it is being deleted; finalizers: {finalizers}")))
}

fn of_other_release(object: &Value, target: &Target, known: &Known<'_>) -> Option<Finding> {
    let other = other_release(object, known.release)?;
    Some(codes::OTHER_RELEASE.finding(target.clone(), format!("release {other} has made it")))
}

/// Warns of an object of a Helm release that the user named, refuses one of another release.
pub(crate) fn helm_owned(object: &Value, target: &Target, allowed: &HashSet<String>) -> Result<Option<Finding>, Finding> {
    let Some((release, namespace, message)) = helm_release(object) else { return Ok(None) };
    if allowed.contains(release) || allowed.contains(&format!("{namespace}/{release}")) {
        Ok(Some(codes::GOES_WITH_HELM.finding(target.clone(), message)))
    } else {
        Err(codes::HELM_OWNED.finding(target.clone(), message))
    }
}

/// How the command line may name the Helm release of an object.
pub(crate) fn helm_names(object: &Value) -> Vec<String> {
    helm_release(object)
        .map_or_else(Vec::new, |(release, namespace, _)| vec![release.to_owned(), format!("{namespace}/{release}")])
}

/// The Helm release of an object, its namespace, and how that is known.
fn helm_release(object: &Value) -> Option<(&str, &str, String)> {
    if let Some(release) = object::annotation(object, HELM_RELEASE) {
        let namespace = object::annotation(object, "meta.helm.sh/release-namespace").unwrap_or_default();
        return Some((release, namespace, format!("it belongs to Helm release {release} in namespace {namespace}")));
    }
    let label = |key: &str| object::labels(object).find(|(label, _)| *label == key).map(|(_, value)| value);
    let pairs = [("heritage", "release"), ("app.kubernetes.io/managed-by", "app.kubernetes.io/instance")];
    let is_helms = |key: &str| label(key).is_some_and(|value| OLD_HELM.contains(&value));
    let release = pairs.into_iter().filter(|(by, _)| is_helms(by)).find_map(|(_, release)| label(release))?;
    let message = format!("it belongs to Helm release {release} by its labels, as Helm 2 and Helm 3.0 leave them");
    Some((release, object::namespace(object), message))
}

#[cfg(test)]
mod tests;
