//! Which namespaces take part.

use std::collections::BTreeMap;

use fairlead_apis::object;
use fairlead_migration::change::Image;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;

use crate::broker::is_made_as_object;
use crate::kinds;

/// Source: Kyma 1.11.0 `components/event-bus/cmd/mesh-namespaces-migration`, hard coded there, too.
const SYSTEM_NAMESPACES: [&str; 10] = [
    "istio-system",
    "knative-eventing",
    "knative-serving",
    "kube-node-lease",
    "kube-public",
    "kube-system",
    "kyma-installer",
    "kyma-integration",
    "kyma-system",
    "natss",
];

/// Asks Knative for a Broker: the spelling up to 0.18, and the one since 0.16.
pub const INJECTION_LABELS: [&str; 2] = ["knative-eventing-injection", "eventing.knative.dev/injection"];

/// All namespaces that the server told of. One that is missing is an ordinary one.
pub struct Namespaces {
    known: BTreeMap<String, Namespace>,
    excluded: Vec<String>,
}

/// One namespace.
#[derive(Default)]
pub struct Namespace {
    /// Whether somebody is deleting it.
    pub is_terminating: bool,
    /// The value of one of [`INJECTION_LABELS`].
    pub injection: Option<String>,
    /// The whole object, where its labels may have to be changed.
    pub image: Option<Image>,
}

impl Namespaces {
    /// Reads the namespaces.
    pub async fn of(source: &Source<'_>, excluded: &[String]) -> Result<Self, Obstacle> {
        let may_be_labelled = !source.api_version(&kinds::BROKER).is_some_and(|version| is_made_as_object(&version));
        let add = |known: &mut BTreeMap<String, Namespace>, object| {
            let name = object::name(&object).to_owned();
            let is_terminating = object::is_terminating(&object) || object["status"]["phase"] == "Terminating";
            let label = |label: &&str| Some(object["metadata"]["labels"].get(label)?.as_str()?.to_owned());
            let injection = INJECTION_LABELS.iter().find_map(label);
            known.insert(name, Namespace { is_terminating, injection, image: may_be_labelled.then_some(object) });
        };
        let known = source.fold(&kinds::NAMESPACE, BTreeMap::new, add).await?;
        // Files need not hold the namespaces of their objects.
        let unknown = excluded.iter().filter(|name| !known.contains_key(*name) && !source.mentions_namespace(name));
        for namespace in unknown {
            tracing::warn!(namespace, "--exclude-namespace names one that is not there");
        }
        Ok(Self { known, excluded: excluded.to_vec() })
    }

    /// Why the namespace does not take part.
    #[must_use]
    pub fn left_out(&self, name: &str) -> Option<String> {
        if SYSTEM_NAMESPACES.contains(&name) {
            Some(format!("left out, {name} is a system namespace"))
        } else if self.excluded.iter().any(|excluded| excluded == name) {
            Some(format!("left out, {name} is excluded"))
        } else {
            None
        }
    }

    /// Whether somebody is deleting the namespace.
    #[must_use]
    pub fn is_terminating(&self, name: &str) -> bool {
        self.get(name).is_some_and(|namespace| namespace.is_terminating)
    }

    /// The namespace, if the server told of it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Namespace> {
        self.known.get(name)
    }
}
