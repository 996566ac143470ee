//! What a legacy Subscription asks for: this event, in this namespace, to this endpoint. Subscriptions that ask for the same
//! delivery are served by one Trigger, because two would deliver twice.

use crate::endpoint::{self, Endpoint};
use crate::subscription::Legacy;

/// One event type to one endpoint in one namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Namespace of the Subscription, and so of the Trigger.
    pub namespace: String,
    /// Name of the Application.
    pub source: String,
    /// Type of the event.
    pub event_type: String,
    /// Version of the type.
    pub event_type_version: String,
    /// Where it is delivered to.
    pub endpoint: Endpoint,
}

/// Why nothing can be delivered to the endpoint of a legacy Subscription.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undeliverable {
    /// There is none. The CRD does not require it.
    #[error("spec.endpoint is missing")]
    NoEndpoint,
    /// Events cannot be posted there.
    #[error("spec.endpoint {0:?} {1}")]
    BadEndpoint(String, endpoint::Error),
}

impl Delivery {
    /// What a legacy Subscription in `namespace` asks for.
    pub fn asked_for(namespace: &str, subscription: &Legacy) -> Result<Self, Undeliverable> {
        let Legacy { source, event_type, event_type_version, endpoint, .. } = subscription.clone();
        let written = endpoint.ok_or(Undeliverable::NoEndpoint)?;
        let endpoint = Endpoint::parse(&written).map_err(|error| Undeliverable::BadEndpoint(written, error))?;
        Ok(Self { namespace: namespace.to_owned(), source, event_type, event_type_version, endpoint })
    }

    /// Equal exactly for equal deliveries, and sortable.
    #[must_use]
    pub fn key(&self) -> [&str; 5] {
        [&self.namespace, self.endpoint.canonical(), &self.source, &self.event_type, &self.event_type_version]
    }

    /// The attributes of the events. Source: Kyma 1.11.0 `components/event-service/internal/events/mesh/send.go` (what the
    /// events carry) and `components/event-bus/cmd/mesh-namespaces-migration` (what Kyma's own Triggers ask for).
    #[must_use]
    pub fn attributes(&self) -> [(&'static str, &str); 3] {
        [("source", &self.source), ("type", &self.event_type), ("eventtypeversion", &self.event_type_version)]
    }
}
