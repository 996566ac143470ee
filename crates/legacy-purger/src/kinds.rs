//! The kinds that are read beside those that are purged.

use fairlead_apis::application::{self, SERVICE_CATALOG_GROUP};
use fairlead_apis::subscription;
use fairlead_apis::trigger::{self, KNATIVE_VERSIONS};
use fairlead_observe::kind::Kind;

pub(crate) static TRIGGER: Kind = Kind::namespaced(trigger::GROUP, trigger::KIND, KNATIVE_VERSIONS);
pub(crate) static INSTANCE: Kind = Kind::namespaced(SERVICE_CATALOG_GROUP, "ServiceInstance", &[]);
pub(crate) static AUTOSCALER: Kind = Kind::namespaced("autoscaling", "HorizontalPodAutoscaler", &["v2"]);
pub(crate) static POLICY: Kind = Kind::cluster_wide("admissionregistration.k8s.io", "ValidatingAdmissionPolicy", &["v1"]);
pub(crate) static BINDING: Kind =
    Kind::cluster_wide("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding", &["v1"]);

static SUBSCRIPTION: Kind = Kind::namespaced(subscription::GROUP, subscription::KIND, &[]);
static ACTIVATION: Kind = Kind::namespaced(application::GROUP, "EventActivation", &[]);

/// Those of which manifests need to know that they are in namespaces.
pub(crate) static ALL: [&Kind; 5] = [&TRIGGER, &INSTANCE, &AUTOSCALER, &SUBSCRIPTION, &ACTIVATION];
