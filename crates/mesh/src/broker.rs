//! The Broker of a namespace.

use fairlead_apis::endpoint::Endpoint;
use fairlead_apis::object;
use fairlead_apis::readiness::unready;
pub use fairlead_apis::trigger::DEFAULT_BROKER as BROKER;
use fairlead_migration::change::Target;
use serde_json::Value;

use crate::kinds;

/// The Broker of a namespace.
pub struct Broker {
    /// Whether somebody is deleting it.
    pub is_terminating: bool,
    /// `status.address.url`, where its controller has given it one.
    pub address: Option<Endpoint>,
    /// Why the Broker is not Ready, as far as it says so.
    pub unready: Option<String>,
}

impl Broker {
    /// Reads a Broker with its namespace; none of any other name than [`BROKER`].
    pub(crate) fn read(object: &Value) -> Option<(String, Self)> {
        let url = &object["status"]["address"]["url"];
        // v1alpha1 also had `hostname`, which says the same with less.
        let address = url.as_str().and_then(|url| Endpoint::parse(url).ok());
        let broker = Self { is_terminating: object::is_terminating(object), address, unready: unready(object) };
        (object::name(object) == BROKER).then(|| (object::namespace(object).to_owned(), broker))
    }
}

/// The address of the Broker of a namespace.
#[must_use]
pub fn broker(api_version: &str, namespace: &str) -> Target {
    Target {
        api_version: api_version.to_owned(),
        kind: kinds::BROKER.kind.to_string(),
        namespace: Some(namespace.to_owned()),
        name: BROKER.to_owned(),
    }
}

/// Whether a Broker of this group and version is made as an object. Before v1 a Broker needed `ServiceAccounts` that only
/// Knative's own namespace controller made, and that was asked for with a label.
#[must_use]
pub fn is_made_as_object(broker_version: &str) -> bool {
    broker_version.ends_with("/v1")
}
