//! Decides about one object. Pure: each guard looks at the object and at known facts, and has a code.

use std::collections::HashSet;

use fairlead_apis::delivery::Delivery;
use fairlead_apis::object;
use fairlead_apis::subscription::{self, Legacy, Shape};
use fairlead_mesh::deliveries::{Carried, Deliveries};
use fairlead_migration::change::Target;
use fairlead_migration::finding::Finding;
use fairlead_observe::address::{other_release, target};
use serde_json::Value;

use crate::configuration::PurgedKind;
use fairlead_job::codes::legacy_purger as codes;

/// Helm's mark on what belongs to a release: <https://helm.sh/docs/howto/charts_tips_and_tricks/>
const HELM_RELEASE: &str = "meta.helm.sh/release-name";

/// Why the purge deletes an object that a guard would refuse.
pub(crate) const ALLOWED: &str = "allowed by name";

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
    /// The deliveries of Triggers.
    pub(crate) deliveries: &'a Deliveries,
    /// Subscriptions that need no Trigger.
    pub(crate) unreplicated: &'a HashSet<String>,
    /// Helm releases whose objects may go.
    pub(crate) helm_releases: &'a HashSet<String>,
}

/// Decides about one object.
pub(crate) fn decide(object: &Value, kind: &PurgedKind, known: &Known<'_>) -> Verdict {
    let target = target(object);
    if let Some(reason) = not_selected(object, kind) {
        return Verdict::NotSelected(reason);
    }
    let replaced = if is_kyma_subscription(kind) {
        match Shape::of(object) {
            Shape::Filter | Shape::Types => {
                return Verdict::Keep("left alone, it is not of the legacy bus but of later Kyma".to_owned());
            }
            Shape::Legacy => replaced(object, &target, known),
            Shape::Unknown => Err(codes::UNKNOWN_SHAPE.finding(target.clone(), "spec has none of the known shapes")),
        }
    } else {
        Ok("its kind goes".to_owned())
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
        Ok(reason) => Verdict::Purge { reason, warnings, is_helm_owned },
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

fn address(object: &Value) -> String {
    format!("{}/{}", object::namespace(object), object::name(object))
}

fn not_selected(object: &Value, kind: &PurgedKind) -> Option<String> {
    let namespace = object::namespace(object);
    if !kind.namespaces.is_empty() && !kind.namespaces.iter().any(|it| it == namespace) {
        return Some(format!("left alone, the configuration does not name {namespace}"));
    }
    (!kind.selector.matches(object)).then(|| "left alone, its labels are not selected".to_owned())
}

/// The Trigger that delivers instead, in words.
pub(crate) fn replaced(object: &Value, target: &Target, known: &Known<'_>) -> Result<String, Finding> {
    let unreplicated = |message: String| codes::UNREPLICATED.finding(target.clone(), message);
    let legacy = Legacy::read(object)
        .map_err(|errors| unreplicated(errors.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")))?;
    let delivery =
        Delivery::asked_for(object::namespace(object), &legacy).map_err(|error| unreplicated(error.to_string()))?;
    match known.deliveries.get(&delivery) {
        Carried::Ready => Ok("a Trigger that is Ready delivers the same".to_owned()),
        Carried::NotReady(why) => Err(codes::NOT_READY.finding(target.clone(), why)),
        Carried::Missing => {
            let Delivery { source, event_type, event_type_version: version, endpoint, .. } = &delivery;
            Err(unreplicated(format!("no Trigger delivers {event_type} {version} of {source} to {endpoint}")))
        }
    }
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
    let Some(release) = object::annotation(object, HELM_RELEASE) else { return Ok(None) };
    let namespace = object::annotation(object, "meta.helm.sh/release-namespace").unwrap_or_default();
    let message = format!("it belongs to Helm release {release} in namespace {namespace}");
    if allowed.contains(release) || allowed.contains(&format!("{namespace}/{release}")) {
        Ok(Some(codes::GOES_WITH_HELM.finding(target.clone(), message)))
    } else {
        Err(codes::HELM_OWNED.finding(target.clone(), message))
    }
}

#[cfg(test)]
mod tests;
