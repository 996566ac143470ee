//! Names of an event on a backend of Kyma's later releases: its subject or type, and its source.
//!
//! Sources: the proposal "refactoring eventing subscription CRD filters"; Kyma 2.12 `components/event-publisher-proxy/pkg/legacy/legacy.go`,
//! `…/cloudevents/{builder/generic.go,eventtype/clean.go}`, `…/sender/jetstream/jetstream.go`.

use fairlead_apis::event_type::{self, Backend};
use serde::Deserialize;

use crate::event::Event;
use crate::fault::Fault;
use crate::legacy::TYPE_VERSION;

/// The extension that holds the type before it was changed. Kyma's controller gives it back to the subscriber.
const ORIGINAL_TYPE: &str = "originaltype";

/// Longest source that Event Mesh takes, in characters, as SAP's specification of events says.
const LONGEST_SOURCE: usize = 64;

/// Longest type that it takes.
const LONGEST_TYPE: usize = 127;

/// Longest subject, in bytes. A line of NATS has at most 4,096 (`max_control_line`); a longer one ends the connection, with the events of others.
const LONGEST_SUBJECT: usize = 1024;

/// Which API an event came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A legacy API: types have neither prefix nor version, and the source is an Application.
    Legacy,
    /// `/publish`: the publisher has named the event.
    CloudEvent,
}

/// The form of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Flow {
    /// Every type stands under the prefix (Subscription v1alpha1).
    Current,
    /// A type stands behind its source; one that has the prefix is as in the current flow (Subscription v1alpha2).
    Proposed,
}

/// How events are named for a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Naming {
    pub(crate) backend: Backend,
    pub(crate) flow: Flow,
    /// `sap.kyma.custom`.
    pub(crate) type_prefix: String,
    /// `JetStream` only: what every subject begins with, `kyma`.
    pub(crate) subject_prefix: String,
    /// Source of legacy events in the current flow, and in Event Mesh always: `/default/sap.kyma/tunas-develop`.
    pub(crate) namespace: String,
}

impl Naming {
    /// The event as it is called there.
    pub(crate) fn name(&self, origin: Origin, event: &Event) -> Result<Event, Fault> {
        // Whoever publishes an event again that he has received has it, too.
        let event = &event.without(ORIGINAL_TYPE);
        let version = event.attributes.get(TYPE_VERSION).map_or("", String::as_str);
        let has_prefix = event_type::has_prefix(&event.name, &self.type_prefix);
        let named = match (origin, self.flow) {
            (Origin::Legacy, Flow::Current) => {
                let name = event_type::legacy(&self.type_prefix, &event.source, &event.name, version);
                Event { name, source: self.namespace.clone(), ..event.clone() }
            }
            (Origin::Legacy, Flow::Proposed) => self.behind_source(event, format!("{}.{version}", event.name))?,
            (Origin::CloudEvent, Flow::Proposed) if !has_prefix => self.behind_source(event, event.name.clone())?,
            (Origin::CloudEvent, _) => {
                let name = event_type::clean(&event.name, &self.type_prefix).map_err(|why| {
                    let (given, prefix) = (&event.name, &self.type_prefix);
                    Fault::Payload(format!("failed to parse event-type={given} with prefix={prefix}: {why}"))
                })?;
                Event { name, ..event.clone() }
            }
        };
        self.check(&named)?;
        Ok(named)
    }

    /// The subject of a named event.
    pub(crate) fn subject(&self, named: &Event) -> String {
        // A type behind its source has the prefix already, as Kyma's controller expects.
        if named.attributes.contains_key(ORIGINAL_TYPE) {
            return named.name.clone();
        }
        format!("{}.{}", self.subject_prefix, named.name)
    }

    fn behind_source(&self, event: &Event, original: String) -> Result<Event, Fault> {
        let prefix = match self.backend {
            Backend::JetStream => &self.subject_prefix,
            Backend::EventMesh => &self.type_prefix,
        };
        let source = self.backend.clean_source(&event.source);
        let name = format!("{prefix}.{source}.{}", self.backend.clean_type(&original));
        if name.split('.').any(str::is_empty) {
            return Err(Fault::Payload(format!("event type cannot have empty segments after cleaning: {name}")));
        }
        let mut named = Event { name, ..event.clone() };
        named.attributes.insert(ORIGINAL_TYPE.to_owned(), original);
        if self.backend == Backend::EventMesh {
            named.source.clone_from(&self.namespace);
        }
        Ok(named)
    }

    fn check(&self, named: &Event) -> Result<(), Fault> {
        let limits = [("source", &named.source, LONGEST_SOURCE), ("type", &named.name, LONGEST_TYPE)];
        match limits.into_iter().find(|(_, name, most)| name.chars().count() > *most) {
            Some((what, name, most)) if self.backend == Backend::EventMesh => {
                Err(Fault::Payload(format!("{what} {name} must not exceed {most} characters")))
            }
            _ if self.backend == Backend::JetStream && self.subject(named).len() > LONGEST_SUBJECT => {
                Err(Fault::Payload(format!("source and type are longer than a subject of {LONGEST_SUBJECT} bytes")))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
