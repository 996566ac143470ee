//! Knative's Trigger: v1, v1beta1 and v1alpha1, which differ in how a filter may be written.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::delivery::Delivery;
use crate::endpoint::Endpoint;
use crate::object;

/// The group.
pub const GROUP: &str = "eventing.knative.dev";

/// Knative's kinds have had these versions, the best first, in which the fields that are written here are the same. Knative served
/// v1alpha1 until 0.15, v1beta1 from 0.14, v1 from 0.16.
pub const KNATIVE_VERSIONS: &[&str] = &["v1", "v1beta1", "v1alpha1"];

/// The kind.
pub const KIND: &str = "Trigger";

/// The Broker of every namespace on the new mesh.
pub const DEFAULT_BROKER: &str = "default";

/// Knative's webhook sets this label from `spec.broker`.
pub const BROKER_LABEL: &str = "eventing.knative.dev/broker";

/// What is known of a Trigger when it is compared. Nothing of the object's size is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `spec.broker`; `default` where there is none.
    pub broker: String,
    /// `spec.filter.attributes`, or what `spec.filters` say where they only ask for exact values; empty is everything.
    pub attributes: BTreeMap<String, String>,
    /// Whether there are conditions that are not attributes. Where `spec.filters` is set, Knative does not look at
    /// `spec.filter`.
    pub has_further_filters: bool,
    /// Where events go.
    pub subscriber: Subscriber,
    /// Whether it is being deleted.
    pub is_terminating: bool,
}

/// Where a Trigger delivers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subscriber {
    /// An absolute address.
    Uri(Endpoint),
    /// A Service, Kubernetes' or Knative's; the host in its longest form.
    Service(String),
    /// Anything that cannot be compared: another kind, no subscriber, an address that is none.
    Other,
}

/// How a Trigger and a delivery relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// It carries out exactly this delivery.
    Equal,
    /// It may deliver the same event to the same subscriber, but is not equal.
    Overlapping,
    /// It has nothing to do with it.
    Unrelated,
}

impl Trigger {
    /// Reads a Trigger. Every object can be read; what cannot be compared is [`Subscriber::Other`] or a further filter.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let spec = &object["spec"];
        let namespace = object::namespace(object);
        let filters = spec["filters"].as_array().filter(|filters| !filters.is_empty());
        let (attributes, is_plain) = match filters {
            Some(filters) => exact(filters).map_or((BTreeMap::new(), false), |attributes| (attributes, true)),
            None => attributes(&spec["filter"]),
        };
        Self {
            namespace: namespace.to_owned(),
            name: object::name(object).to_owned(),
            broker: spec["broker"].as_str().filter(|broker| !broker.is_empty()).unwrap_or(DEFAULT_BROKER).to_owned(),
            attributes,
            has_further_filters: !is_plain,
            subscriber: Subscriber::read(&spec["subscriber"], namespace),
            is_terminating: object::is_terminating(object),
        }
    }

    /// What it delivers, if that is exactly what a [`Delivery`] can say.
    #[must_use]
    pub fn delivery(&self) -> Option<Delivery> {
        let Subscriber::Uri(endpoint) = &self.subscriber else { return None };
        let attribute = |key: &str| self.attributes.get(key).filter(|value| !value.is_empty()).cloned();
        let delivery = Delivery {
            namespace: self.namespace.clone(),
            source: attribute("source")?,
            event_type: attribute("type")?,
            event_type_version: attribute("eventtypeversion")?,
            endpoint: endpoint.clone(),
        };
        (self.relation(&delivery, &self.broker) == Relation::Equal).then_some(delivery)
    }

    /// The first field by which it does not carry out exactly `delivery` through `broker`, and what it says.
    #[must_use]
    pub fn difference(&self, delivery: &Delivery, broker: &str) -> Option<String> {
        if self.broker != broker {
            return Some(format!("spec.broker is {:?}, not {broker:?}", self.broker));
        }
        if self.has_further_filters {
            return Some("its filter says more than attributes can".to_owned());
        }
        let wanted: BTreeMap<&str, &str> = delivery.attributes().into();
        let filter = "the filter's attribute";
        for (key, value) in &wanted {
            match self.attributes.get(*key) {
                Some(written) if written == value => {}
                Some(written) => return Some(format!("{filter} {key} is {written:?}, not {value:?}")),
                None => return Some(format!("{filter} {key} is missing")),
            }
        }
        if let Some(more) = self.attributes.keys().find(|key| !wanted.contains_key(key.as_str())) {
            return Some(format!("{filter} {more} is one more than there should be"));
        }
        match &self.subscriber {
            Subscriber::Uri(endpoint) if *endpoint == delivery.endpoint => None,
            Subscriber::Uri(endpoint) => {
                Some(format!("spec.subscriber.uri is \"{endpoint}\", not \"{}\"", delivery.endpoint))
            }
            _ => Some(format!("spec.subscriber has not the uri \"{}\"", delivery.endpoint)),
        }
    }

    /// How this Trigger relates to `delivery` through `broker`.
    #[must_use]
    pub fn relation(&self, delivery: &Delivery, broker: &str) -> Relation {
        let reaches = match &self.subscriber {
            Subscriber::Uri(endpoint) => *endpoint == delivery.endpoint,
            // A Service may listen on several ports; one that asks for the same events on another port is a double too.
            Subscriber::Service(host) => host == delivery.endpoint.host(),
            Subscriber::Other => false,
        };
        if self.namespace != delivery.namespace || self.broker != broker || self.is_terminating || !reaches {
            return Relation::Unrelated;
        }
        let wanted: BTreeMap<&str, &str> = delivery.attributes().into();
        let is_same_filter = !self.has_further_filters
            && self.attributes.len() == wanted.len()
            && self.attributes.iter().all(|(key, value)| wanted.get(key.as_str()) == Some(&value.as_str()));
        if is_same_filter && matches!(self.subscriber, Subscriber::Uri(_)) {
            return Relation::Equal;
        }
        // An empty value is any; a key that the delivery does not name may or may not be on the event.
        let excludes = |(key, value): (&String, &String)| {
            !value.is_empty() && wanted.get(key.as_str()).is_some_and(|wanted| wanted != value)
        };
        if !self.has_further_filters && self.attributes.iter().any(excludes) {
            return Relation::Unrelated;
        }
        Relation::Overlapping
    }
}

impl Subscriber {
    fn read(subscriber: &Value, namespace: &str) -> Self {
        let uri = subscriber["uri"].as_str();
        match (subscriber["ref"].as_object(), uri) {
            (None, Some(uri)) => Endpoint::parse(uri).map_or(Self::Other, Self::Uri),
            (Some(reference), _) if reference.get("kind").and_then(Value::as_str) == Some("Service") => {
                let field = |field| reference.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
                let namespace = field("namespace").unwrap_or(namespace);
                match field("name") {
                    Some(name) => Self::Service(format!("{name}.{namespace}.svc.cluster.local")),
                    None => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }
}

/// The attributes of `filters` that ask for nothing but exact values, each for another attribute: all of them must hold.
/// Source: Knative 1.17 `pkg/apis/eventing/v1/trigger_types.go`, `SubscriptionsAPIFilter`.
fn exact(filters: &[Value]) -> Option<BTreeMap<String, String>> {
    let mut attributes = BTreeMap::new();
    for filter in filters {
        let (dialect, content) = filter.as_object().filter(|filter| filter.len() == 1)?.iter().next()?;
        let more = match dialect.as_str() {
            "exact" => {
                let entry = |(key, value): (&String, &Value)| {
                    let value = value.as_str().filter(|value| !value.is_empty())?;
                    Some((key.clone(), value.to_owned()))
                };
                content.as_object()?.iter().map(entry).collect::<Option<_>>()?
            }
            "all" => exact(content.as_array()?)?,
            _ => return None,
        };
        for (key, value) in more {
            if attributes.insert(key, value.clone()).is_some_and(|other| other != value) {
                return None;
            }
        }
    }
    Some(attributes)
}

/// The attributes of `filter`, and whether they are all that it says.
fn attributes(filter: &Value) -> (BTreeMap<String, String>, bool) {
    let Some(filter) = filter.as_object() else { return (BTreeMap::new(), filter.is_null()) };
    // v1alpha1 has two ways to write the same, of which a Trigger may use one.
    let mut is_plain = filter.keys().all(|key| key == "attributes" || key == "sourceAndType");
    let mut attributes = BTreeMap::new();
    let written = ["sourceAndType", "attributes"].map(|key| filter.get(key).and_then(Value::as_object));
    for (key, value) in written.into_iter().flatten().flatten() {
        match value.as_str() {
            Some(value) => drop(attributes.insert(key.clone(), value.to_owned())),
            None => is_plain = false,
        }
    }
    (attributes, is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn delivery() -> Delivery {
        Delivery {
            namespace: "orders".into(),
            source: "shop".into(),
            event_type: "order.created".into(),
            event_type_version: "v1".into(),
            endpoint: Endpoint::parse("http://mail.orders:8080/events").expect("an endpoint"),
        }
    }

    fn relation(edit: impl FnOnce(&mut Value)) -> Relation {
        let mut object = equal();
        edit(&mut object);
        Trigger::read(&object).relation(&delivery(), "default")
    }

    fn equal() -> Value {
        json!({
            "apiVersion": "eventing.knative.dev/v1", "kind": "Trigger",
            "metadata": {"namespace": "orders", "name": "somebody-made-it"},
            "spec": {
                "broker": "default",
                "filter": {"attributes": {"source": "shop", "type": "order.created", "eventtypeversion": "v1"}},
                "subscriber": {"uri": "http://mail.orders.svc.cluster.local:8080/events"},
            },
        })
    }

    #[test]
    fn the_same_broker_attributes_and_subscriber_are_equal() {
        assert_eq!(relation(|_| {}), Relation::Equal);
        assert_eq!(relation(|object| object["metadata"]["labels"] = json!({"a": "b"})), Relation::Equal);
        assert_eq!(relation(|object| object["spec"]["filters"] = json!([])), Relation::Equal);
    }

    #[test]
    fn a_trigger_of_v1alpha1_for_another_source_is_unrelated() {
        let filter = json!({"sourceAndType": {"source": "crm", "type": "order.created"}});
        assert_eq!(relation(|object| object["spec"]["filter"] = filter), Relation::Unrelated);
    }

    #[test]
    fn a_wider_or_narrower_filter_overlaps() {
        for filter in [
            json!(null),
            json!({}),
            json!({"attributes": {}}),
            json!({"attributes": {"type": "order.created"}}),
            json!({"attributes": {"source": "", "type": "order.created", "eventtypeversion": "v1"}}),
            json!({"attributes": {"source": "shop", "type": "order.created", "eventtypeversion": "v1", "more": "x"}}),
            json!({"sourceAndType": {"source": "shop", "type": ""}}),
        ] {
            assert_eq!(relation(|object| object["spec"]["filter"] = filter.clone()), Relation::Overlapping, "{filter}");
        }
        let filters = json!([{"exact": {"type": "order.created"}}]);
        assert_eq!(relation(|object| object["spec"]["filters"] = filters), Relation::Overlapping);
    }

    #[test]
    fn filters_that_ask_for_the_same_exact_values_are_equal() {
        let all = json!({"source": "shop", "type": "order.created", "eventtypeversion": "v1"});
        for (filters, expected) in [
            (json!([{"exact": all}]), Relation::Equal),
            (
                json!([{"exact": {"source": "shop"}}, {"exact": {"type": "order.created", "eventtypeversion": "v1"}}]),
                Relation::Equal,
            ),
            (json!([{"all": [{"exact": all}]}]), Relation::Equal),
            (json!([{"exact": {"type": "order.paid"}}]), Relation::Unrelated),
            (json!([{"exact": {"type": ""}}]), Relation::Overlapping),
            (json!([{"exact": all}, {"exact": {"type": "order.paid"}}]), Relation::Overlapping),
            (json!([{"any": [{"exact": all}]}]), Relation::Overlapping),
            (json!([{"exact": all, "prefix": {"type": "order"}}]), Relation::Overlapping),
            (json!([{"cesql": "true"}]), Relation::Overlapping),
            (json!(["odd"]), Relation::Overlapping),
        ] {
            // Knative does not look at `filter` then.
            let edit = |object: &mut Value| {
                object["spec"]["filters"] = filters.clone();
                object["spec"]["filter"]["attributes"]["type"] = json!("other");
            };
            assert_eq!(relation(edit), expected, "{filters}");
        }
    }

    #[test]
    fn the_field_that_differs_is_named() {
        for (pointer, value, expected) in [
            ("/spec/broker", json!("other"), r#"spec.broker is "other", not "default""#),
            ("/spec/filter/attributes/type", json!("x"), r#"the filter's attribute type is "x", not "order.created""#),
            ("/spec/filter/attributes", json!({}), "the filter's attribute eventtypeversion is missing"),
            (
                "/spec/subscriber/uri",
                json!("http://a.b/"),
                r#"spec.subscriber.uri is "http://a.b/", not "http://mail.orders:8080/events""#,
            ),
            ("/spec/subscriber", json!({}), r#"spec.subscriber has not the uri "http://mail.orders:8080/events""#),
            ("/spec/filter", json!({"cel": "true"}), "its filter says more than attributes can"),
        ] {
            let mut object = equal();
            *object.pointer_mut(pointer).expect(pointer) = value;
            assert_eq!(Trigger::read(&object).difference(&delivery(), "default").as_deref(), Some(expected));
        }
        assert_eq!(Trigger::read(&equal()).difference(&delivery(), "default"), None);
    }

    #[test]
    fn another_event_or_address_or_broker_is_unrelated() {
        for (pointer, value) in [
            ("/spec/filter/attributes/type", json!("order.paid")),
            ("/spec/filter/attributes/eventtypeversion", json!("v2")),
            ("/spec/subscriber/uri", json!("http://mail.orders:8080/other")),
            ("/spec/subscriber/uri", json!("not an address")),
            ("/spec/subscriber", json!({})),
            ("/spec/broker", json!("other")),
            ("/metadata/namespace", json!("payments")),
        ] {
            let edit = |object: &mut Value| *object.pointer_mut(pointer).expect(pointer) = value.clone();
            assert_eq!(relation(edit), Relation::Unrelated, "{pointer} {value}");
        }
    }

    #[test]
    fn a_reference_to_the_same_service_overlaps() {
        let to = |reference: Value| relation(|object| object["spec"]["subscriber"] = json!({"ref": reference}));
        assert_eq!(to(json!({"apiVersion": "v1", "kind": "Service", "name": "mail"})), Relation::Overlapping);
        assert_eq!(to(json!({"kind": "Service", "name": "mail", "namespace": "orders"})), Relation::Overlapping);
        assert_eq!(to(json!({"kind": "Service", "name": "mail", "namespace": "other"})), Relation::Unrelated);
        assert_eq!(to(json!({"kind": "Channel", "name": "mail"})), Relation::Unrelated);
        assert_eq!(to(json!({"kind": "Service"})), Relation::Unrelated);
    }

    #[test]
    fn a_trigger_that_is_being_deleted_carries_nothing() {
        let edit = |object: &mut Value| object["metadata"]["deletionTimestamp"] = json!("2020-03-31T00:00:00Z");
        assert_eq!(relation(edit), Relation::Unrelated);
    }

    #[test]
    fn a_strange_object_is_read_all_the_same() {
        for spec in
            [json!(null), json!("x"), json!({"filter": 7, "subscriber": []}), json!({"filter": {"attributes": {"a": 1}}})]
        {
            let trigger = Trigger::read(&json!({"metadata": {"namespace": "orders"}, "spec": spec}));
            assert_eq!(trigger.relation(&delivery(), "default"), Relation::Unrelated);
        }
    }
}
