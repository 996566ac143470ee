//! What binds a namespace to the events of an Application: Kyma's Application, ApplicationMapping and EventActivation, and the
//! Service Catalog's ServiceInstance. Sources: Kyma 1.11.0 `resources/application-connector/templates/application.crd.yaml`,
//! `resources/cluster-essentials/templates/event-activation.crd.yaml`, `components/application-broker/internal/broker/provision.go`.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::object;

/// The group of Application, ApplicationMapping and EventActivation.
pub const GROUP: &str = "applicationconnector.kyma-project.io";

/// The group of ServiceInstance.
pub const SERVICE_CATALOG_GROUP: &str = "servicecatalog.k8s.io";

/// EventActivation: a namespace takes part in the events of an Application. Without it the legacy bus delivers nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Activation {
    /// Namespace.
    pub namespace: String,
    /// Its name, which is the id of a service of the Application.
    pub service: String,
    /// `spec.sourceId`, the name of the Application. The CRD does not require it.
    pub application: Option<String>,
    /// Whether it is being deleted: its service is being deprovisioned.
    pub is_terminating: bool,
}

/// Application: a system outside the cluster, with services that send events or offer APIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Name.
    pub name: String,
    /// Ids of the services that send events.
    pub event_services: BTreeSet<String>,
}

/// ApplicationMapping: an Application may be used in a namespace. It has the name of the Application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Namespace.
    pub namespace: String,
    /// Name of the Application.
    pub application: String,
    /// Ids of the services that may be used; none are all of them.
    pub services: Option<BTreeSet<String>>,
}

/// ServiceInstance: somebody in a namespace asked for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Ids of services that it may be an instance of: names of its class and of its plan. For an Application that is registered
    /// by itself the class has the service's id, with API packages the plan has it.
    pub services: BTreeSet<String>,
    /// Whether it is being deleted.
    pub is_terminating: bool,
}

impl Activation {
    /// Reads an EventActivation.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let application = object["spec"]["sourceId"].as_str().filter(|source| !source.trim().is_empty());
        Self {
            namespace: object::namespace(object).to_owned(),
            service: object::name(object).to_owned(),
            application: application.map(str::to_owned),
            is_terminating: object::is_terminating(object),
        }
    }
}

impl Application {
    /// Reads an Application.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let sends_events = |service: &&Value| {
            let entries = service["entries"].as_array();
            entries.into_iter().flatten().any(|entry| entry["type"] == "Events")
        };
        let services = object["spec"]["services"].as_array().into_iter().flatten().filter(sends_events);
        Self { name: object::name(object).to_owned(), event_services: ids(services) }
    }
}

impl Mapping {
    /// Reads an ApplicationMapping.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        Self {
            namespace: object::namespace(object).to_owned(),
            application: object::name(object).to_owned(),
            services: object["spec"]["services"].as_array().map(|services| ids(services.iter())),
        }
    }

    /// Whether the service may be used.
    #[must_use]
    pub fn allows(&self, service: &str) -> bool {
        self.services.as_ref().is_none_or(|services| services.contains(service))
    }
}

impl Instance {
    /// Reads a ServiceInstance.
    #[must_use]
    pub fn read(object: &Value) -> Self {
        let references = ["serviceClassRef", "servicePlanRef"].map(|reference| object["spec"][reference]["name"].as_str());
        Self {
            namespace: object::namespace(object).to_owned(),
            name: object::name(object).to_owned(),
            services: references.into_iter().flatten().map(str::to_owned).collect(),
            is_terminating: object::is_terminating(object),
        }
    }
}

fn ids<'a>(services: impl Iterator<Item = &'a Value>) -> BTreeSet<String> {
    services.filter_map(|service| service["id"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_mapping_without_services_allows_all_and_an_empty_list_none() {
        let mapping = |spec| Mapping::read(&json!({"metadata": {"namespace": "a", "name": "shop"}, "spec": spec}));
        assert!(mapping(json!({})).allows("id"));
        assert!(mapping(json!({"services": [{"id": "id"}]})).allows("id"));
        assert!(!mapping(json!({"services": [{"id": "other"}]})).allows("id"));
        assert!(!mapping(json!({"services": []})).allows("id"));
    }

    #[test]
    fn only_services_with_an_events_entry_send_events() {
        let service = |id: &str, entry: &str| json!({"id": id, "entries": [{"type": entry}]});
        let services = [service("orders", "Events"), service("prices", "API"), json!({"id": "none"}), json!(7)];
        let application = Application::read(&json!({"metadata": {"name": "shop"}, "spec": {"services": services}}));
        assert_eq!(application.event_services, ["orders".to_owned()].into());
    }

    #[test]
    fn the_class_or_the_plan_of_an_instance_is_the_service() {
        let instance = Instance::read(
            &json!({"metadata": {"namespace": "a", "name": "b", "deletionTimestamp": "2020-03-31T00:00:00Z"},
            "spec": {"serviceClassRef": {"name": "id"}, "servicePlanRef": {"name": "id-plan"}}}),
        );
        assert_eq!(instance.services, ["id".to_owned(), "id-plan".to_owned()].into());
        assert!(instance.is_terminating);
    }

    #[test]
    fn an_activation_without_an_application_is_read_all_the_same() {
        for spec in [json!({}), json!({"sourceId": " "}), json!({"sourceId": 7}), json!(null)] {
            let activation = Activation::read(&json!({"metadata": {"namespace": "a", "name": "id"}, "spec": spec}));
            assert_eq!((activation.application, activation.service), (None, "id".to_owned()));
        }
    }
}
