//! Knative's Subscription, which carries the events of a Channel to a Broker. (It shares its kind with Kyma's Subscription, and
//! nothing else.) Source of the labels: Kyma 1.12.0 `components/application-broker/internal/broker/provision.go`.

use serde_json::{Value, json};

use crate::endpoint::Endpoint;
use crate::object;
use crate::readiness::unready;

/// The group of Subscription and Channel.
pub const GROUP: &str = "messaging.knative.dev";

/// Label of Channel and Subscription: the Application whose events they carry.
pub const APPLICATION_LABEL: &str = "application-name";

/// Label of the Subscription: the namespace of the Broker.
pub const BROKER_NAMESPACE_LABEL: &str = "broker-namespace";

/// Label of the Subscription since Kyma 1.12: the service of the Application that was asked for.
pub const SERVICE_LABEL: &str = "application-service-id";

/// A Channel, by what a Subscription needs to name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// `apiVersion`.
    pub api_version: String,
    /// Name.
    pub name: String,
    /// Label [`APPLICATION_LABEL`].
    pub application: Option<String>,
    /// Why the Channel is not Ready, as far as it says so.
    pub unready: Option<String>,
}

/// A Subscription between a Channel and a Broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Name.
    pub name: String,
    /// Label [`APPLICATION_LABEL`].
    pub application: Option<String>,
    /// Label [`BROKER_NAMESPACE_LABEL`].
    pub broker_namespace: Option<String>,
    /// `spec.channel.name`.
    pub channel: String,
    /// `spec.subscriber.uri`, if it is an address.
    pub subscriber: Option<Endpoint>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
    /// Why the Subscription is not Ready, as far as it says so.
    pub unready: Option<String>,
}

impl Channel {
    /// Reads a Channel.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        Self {
            api_version: object::api_version(object).to_owned(),
            name: object::name(object).to_owned(),
            application: label(object, APPLICATION_LABEL),
            unready: unready(object),
        }
    }
}

impl Subscription {
    /// Reads a Subscription.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        Self {
            name: object::name(object).to_owned(),
            application: label(object, APPLICATION_LABEL),
            broker_namespace: label(object, BROKER_NAMESPACE_LABEL),
            channel: spec["channel"]["name"].as_str().unwrap_or_default().to_owned(),
            subscriber: spec["subscriber"]["uri"].as_str().and_then(|uri| Endpoint::parse(uri).ok()),
            is_terminating: object::is_terminating(object),
            unready: unready(object),
        }
    }
}

/// The `spec` of a Subscription from `channel` to `subscriber`; the same in v1alpha1, v1beta1 and v1.
#[must_use]
pub fn spec(channel: &Channel, subscriber: &Endpoint) -> Value {
    json!({
        "channel": {"apiVersion": channel.api_version, "kind": "Channel", "name": channel.name},
        "subscriber": {"uri": subscriber.as_str()},
    })
}

fn label(object: &Value, key: &str) -> Option<String> {
    object::labels(object).find(|(label, _)| *label == key).map(|(_, value)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let channel = Channel {
            api_version: "messaging.knative.dev/v1".into(),
            name: "shop".into(),
            application: None,
            unready: None,
        };
        let address = Endpoint::parse("http://default-broker.orders").expect("an address");
        let labels = json!({APPLICATION_LABEL: "shop", BROKER_NAMESPACE_LABEL: "orders"});
        let object = json!({"metadata": {"name": "a", "labels": labels}, "spec": spec(&channel, &address)});
        let read = Subscription::read(&object);
        assert_eq!((read.application.as_deref(), read.broker_namespace.as_deref()), (Some("shop"), Some("orders")));
        assert_eq!((read.channel, read.subscriber), ("shop".to_owned(), Some(address)));
    }

    #[test]
    fn a_strange_object_is_read_all_the_same() {
        for spec in [json!(null), json!([]), json!({"channel": 7, "subscriber": {"uri": "no address"}})] {
            let read = Subscription::read(&json!({"metadata": {"name": "a", "labels": 7}, "spec": spec}));
            assert_eq!((read.channel.as_str(), read.subscriber, read.application), ("", None, None));
        }
    }
}
