//! The kinds that are read beside those that are purged.

use fairlead_mesh::kinds::{ACTIVATION, BROKER, CHANNEL, INSTANCE, LEGACY_SUBSCRIPTION, SUBSCRIPTION, TRIGGER};
use fairlead_observe::kind::Kind;

pub(crate) static AUTOSCALER: Kind = Kind::namespaced("autoscaling", "HorizontalPodAutoscaler", &["v2"]);
pub(crate) static POLICY: Kind = Kind::cluster_wide("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", &["v1"]);
pub(crate) static BINDING: Kind =
    Kind::cluster_wide("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", &["v1"]);

/// The kinds of which manifests need to know that they are in namespaces.
pub(crate) static ALL: [&Kind; 8] =
    [&TRIGGER, &BROKER, &CHANNEL, &SUBSCRIPTION, &INSTANCE, &AUTOSCALER, &LEGACY_SUBSCRIPTION, &ACTIVATION];
