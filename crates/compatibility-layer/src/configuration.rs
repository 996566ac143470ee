//! The section `layer` of the configuration file: where events go.

use std::collections::BTreeMap;
use std::path::Path;

use fairlead_apis::event_type::Backend;
use fairlead_job::codes::shared;
use fairlead_job::configuration::{section, section_of_text};
use fairlead_job::failure::Failure;
use http::Uri;
use serde::Deserialize;

use crate::naming::{Flow, Naming};

/// The built-in configuration: Kyma's case.
const BUILT_IN: &str = include_str!("kyma-event-mesh.yaml");

/// The placeholder for the name of the Application in an address.
pub(crate) const APPLICATION: &str = "{application}";

/// The section.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Layer {
    /// Where events go whose Application is not named below; without it there is no channel for those.
    pub(crate) target: Option<Target>,
    /// Applications whose events go elsewhere.
    #[serde(default)]
    pub(crate) applications: BTreeMap<String, Application>,
}

/// Settings of one Application.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Application {
    pub(crate) target: Target,
}

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    /// Knative: the entrance of an Application, a Broker, or whatever takes CloudEvents over HTTP.
    Http(Http),
    /// NATS with a stream.
    JetStream(JetStream),
    /// SAP Event Mesh, or what speaks like it.
    EventMesh(EventMesh),
}

/// An address.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Http {
    /// `http://{application}.kyma-integration.svc.cluster.local`; in the place of `{application}` stands the event's source.
    pub(crate) url: String,
}

/// A cluster of NATS.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct JetStream {
    /// `nats://eventing-nats.kyma-system:4222`.
    pub(crate) servers: Vec<String>,
    /// The beginning of every subject of the stream.
    #[serde(default = "kyma")]
    pub(crate) subject_prefix: String,
    #[serde(default = "type_prefix")]
    pub(crate) event_type_prefix: String,
    #[serde(default = "proposed")]
    pub(crate) flow: Flow,
    /// Source of legacy events in the current flow.
    #[serde(default = "kyma")]
    pub(crate) namespace: String,
}

/// An endpoint of Event Mesh.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct EventMesh {
    /// Where events are posted.
    pub(crate) url: String,
    /// Source of what is published.
    pub(crate) namespace: String,
    #[serde(default = "type_prefix")]
    pub(crate) event_type_prefix: String,
    #[serde(default = "proposed")]
    pub(crate) flow: Flow,
}

fn kyma() -> String {
    "kyma".to_owned()
}

fn type_prefix() -> String {
    "sap.kyma.custom".to_owned()
}

fn proposed() -> Flow {
    Flow::Proposed
}

impl Layer {
    /// Reads the section of the file; without one the built-in configuration.
    pub(crate) fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let name = file.map_or_else(|| "kyma-event-mesh.yaml".to_owned(), |file| file.display().to_string());
        let said = file.map(|file| section(file, "layer")).transpose()?.flatten();
        let layer = match said {
            Some(section) => Some(section.content),
            None => section_of_text("kyma-event-mesh.yaml", BUILT_IN, "layer")?.map(|section| section.content),
        };
        let layer: Self = layer.ok_or_else(|| invalid(&name, "layer", "it says nothing"))?;
        layer.check().map_err(|(field, why)| invalid(&name, &field, &why))?;
        Ok(layer)
    }

    /// The targets, each with the field that names it.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (String, &Target)> {
        let common = self.target.iter().map(|target| ("layer.target".to_owned(), target));
        let own = self
            .applications
            .iter()
            .map(|(name, application)| (format!("layer.applications.{name}.target"), &application.target));
        common.chain(own)
    }

    /// The field that cannot be used, and why.
    fn check(&self) -> Result<(), (String, String)> {
        if self.target.is_none() && self.applications.is_empty() {
            return Err(("layer".to_owned(), "it names neither `target` nor `applications`; name one".to_owned()));
        }
        for (field, target) in self.targets() {
            target.check().map_err(|(name, why)| (format!("{field}.{name}"), why))?;
        }
        Ok(())
    }
}

impl Target {
    fn check(&self) -> Result<(), (&'static str, String)> {
        match self {
            Self::Http(Http { url }) => address(url).map_err(|why| ("http.url", why)),
            Self::EventMesh(EventMesh { url, namespace, .. }) => {
                address(url).map_err(|why| ("eventMesh.url", why))?;
                if namespace.is_empty() { Err(("eventMesh.namespace", "is empty".to_owned())) } else { Ok(()) }
            }
            Self::JetStream(JetStream { servers, subject_prefix, .. }) => {
                let is_server = |server: &String| server.starts_with("nats://") && !server.contains('@');
                if servers.is_empty() || !servers.iter().all(is_server) {
                    let why = "must name servers like nats://eventing-nats.kyma-system:4222, without credentials";
                    return Err(("jetStream.servers", why.to_owned()));
                }
                let is_subject = !subject_prefix.split('.').any(str::is_empty) && !subject_prefix.contains([' ', '*', '>']);
                if is_subject { Ok(()) } else { Err(("jetStream.subjectPrefix", "is no subject".to_owned())) }
            }
        }
    }
}

impl JetStream {
    pub(crate) fn naming(&self) -> Naming {
        Naming {
            backend: Backend::JetStream,
            flow: self.flow,
            type_prefix: self.event_type_prefix.clone(),
            subject_prefix: self.subject_prefix.clone(),
            namespace: self.namespace.clone(),
        }
    }
}

impl EventMesh {
    pub(crate) fn naming(&self) -> Naming {
        Naming {
            backend: Backend::EventMesh,
            flow: self.flow,
            type_prefix: self.event_type_prefix.clone(),
            subject_prefix: String::new(),
            namespace: self.namespace.clone(),
        }
    }
}

/// Whether events can be posted there.
fn address(url: &str) -> Result<(), String> {
    if url.contains('@') {
        return Err("must hold no credentials".to_owned());
    }
    let uri: Option<Uri> = url.replace(APPLICATION, "application").parse().ok();
    let is_http = uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some_and(|host| !host.is_empty()));
    if is_http { Ok(()) } else { Err(format!("{url:?} is no URL that begins with http://")) }
}

fn invalid(file: &str, field: &str, why: &str) -> Failure {
    Failure::new(&shared::INVALID_CONFIGURATION, format!("{file}: {field}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(layer: &str) -> Result<Layer, String> {
        let text = format!("apiVersion: fairlead.dev/v1\nkind: Configuration\nlayer: {layer}\n");
        let read = section_of_text::<Layer>("f.yaml", &text, "layer").map_err(|failure| failure.to_string())?;
        let layer = read.expect("a section").content;
        layer.check().map(|()| layer).map_err(|(field, why)| format!("{field}: {why}"))
    }

    #[test]
    fn what_is_built_in_leads_to_the_entrance_of_each_application() {
        let built_in = Layer::read(None).expect("it can be read");
        let url = "http://{application}.kyma-integration.svc.cluster.local".to_owned();
        assert_eq!(built_in, Layer { target: Some(Target::Http(Http { url })), applications: BTreeMap::new() });
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (layer, expected) in [
            ("{}", "layer: it names neither `target` nor `applications`"),
            (
                "{target: {http: {url: 'https://a'}}}",
                "layer.target.http.url: \"https://a\" is no URL that begins with http://",
            ),
            ("{target: {http: {url: 'http://u:p@a'}}}", "layer.target.http.url: must hold no credentials"),
            ("{target: {http: {url: '/events'}}}", "layer.target.http.url: "),
            ("{target: {jetStream: {servers: []}}}", "layer.target.jetStream.servers: must name servers"),
            (
                "{target: {jetStream: {servers: ['nats://a'], subjectPrefix: 'a..b'}}}",
                "layer.target.jetStream.subjectPrefix: is no subject",
            ),
            (
                "{target: {jetStream: {servers: ['nats://a'], flow: other}}}",
                "layer.target.jetStream.flow: unknown variant `other`",
            ),
            (
                "{applications: {shop: {target: {eventMesh: {url: 'http://a', namespace: ''}}}}}",
                "layer.applications.shop.target.eventMesh.namespace: is empty",
            ),
            ("{targets: {}}", "unknown field `targets`"),
        ] {
            let error = read(layer).expect_err(layer);
            assert!(error.contains(expected), "{error}");
        }
        let layer = read("{target: {jetStream: {servers: ['nats://a']}}}").expect("it can be used");
        let Some(Target::JetStream(target)) = layer.target else { panic!("{layer:?}") };
        assert_eq!((target.naming().subject_prefix.as_str(), target.flow), ("kyma", Flow::Proposed));
    }
}
