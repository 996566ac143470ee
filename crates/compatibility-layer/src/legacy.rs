//! Requests of the legacy APIs: what is in their bodies, and what Kyma's own services found wrong with them, in the same order.
//!
//! Sources: Kyma 1.11 `components/event-service/internal/externalapi/genericeventhandler.go` and
//! `components/event-bus/api/publish/{v1,v2}/validators.go`; Kyma 1.10 `components/event-service/internal/externalapi/v2/eventshandler.go`.

mod fields;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::event::Event;
use crate::fault::{Defect, Fault};
use crate::time::is_time;

use self::fields::Fields;

/// Longest source and type, in bytes.
const LONGEST_NAME: usize = 253;

/// Longest version of a type.
const LONGEST_VERSION: usize = 4;

/// Which of Kyma's services is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service<'r> {
    /// The event service of this Application: `/{application}/v1/events`.
    Application(&'r str),
    /// The event bus's own, with the header `Source-Id`, if any: `/v1/events`.
    Bus(Option<&'r str>),
}

/// Which form the body has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// The attribute that legacy Subscriptions, and so Triggers, ask for beside source and type.
pub(crate) const TYPE_VERSION: &str = "eventtypeversion";

/// A body of either version, as version 2 has it.
struct Body<'b> {
    id: Option<String>,
    source: Option<String>,
    specversion: Option<String>,
    event_type: Option<String>,
    version: Option<String>,
    time: Option<String>,
    data: Option<&'b RawValue>,
}

/// Names of the fields.
struct Names {
    id: &'static str,
    source: &'static str,
    event_type: &'static str,
    version: &'static str,
    time: &'static str,
}

const V1: Names = Names {
    id: "event-id",
    source: "source-id",
    event_type: "event-type",
    version: "event-type-version",
    time: "event-time",
};
const V2: Names = Names { id: "id", source: "source", event_type: "type", version: TYPE_VERSION, time: "time" };

/// Reads and checks a request. The event has the type that the publisher gave it.
pub(crate) fn read(service: Service<'_>, version: Version, body: &Bytes) -> Result<Event, Fault> {
    if body.is_empty() {
        return Err(Fault::Payload("Bad payload syntax".to_owned()));
    }
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Fault::Payload("the body is no JSON object".to_owned()));
    }
    let mut read = body_of(version, body).map_err(Fault::Payload)?;
    let mut is_from_header = false;
    match service {
        Service::Application(application) => read.source = Some(application.to_owned()),
        Service::Bus(Some(header)) if version == Version::V1 && read.source.as_deref().unwrap_or_default().is_empty() => {
            (read.source, is_from_header) = (Some(header.to_owned()), true);
        }
        Service::Bus(_) => {}
    }
    let fault = match service {
        Service::Application(_) => of_application(&read, version),
        Service::Bus(_) => of_bus(&read, version, is_from_header),
    };
    fault.map_or_else(|| Ok(event(read)), Err)
}

/// Reads the fields of this version. The names of the other one are unknown here.
fn body_of(version: Version, body: &[u8]) -> Result<Body<'_>, String> {
    let fields: Fields<'_> = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let (names, is_v2) = names(version);
    Ok(Body {
        id: fields.text(names.id)?,
        source: fields.text(names.source)?,
        specversion: if is_v2 { fields.text("specversion")? } else { None },
        event_type: fields.text(names.event_type)?,
        version: fields.text(names.version)?,
        time: fields.text(names.time)?,
        data: fields.value("data"),
    })
}

fn event(body: Body<'_>) -> Event {
    let Body { id, source, specversion: _, event_type, version, time, data } = body;
    let version = version.map(|version| (TYPE_VERSION.to_owned(), version));
    let time = time.map(|time| ("time".to_owned(), time));
    let attributes: BTreeMap<String, String> = version.into_iter().chain(time).collect();
    Event {
        id: id.filter(|id| !id.is_empty()).unwrap_or_else(|| Uuid::new_v4().to_string()),
        source: source.unwrap_or_default(),
        name: event_type.unwrap_or_default(),
        spec_version: "1.0".to_owned(),
        content_type: Some("application/json".to_owned()),
        attributes,
        data: data.map(|data| Bytes::copy_from_slice(data.get().as_bytes())).unwrap_or_default(),
    }
}

/// The first thing that the event service of an Application finds wrong.
fn of_application(body: &Body<'_>, version: Version) -> Option<Fault> {
    let Looked { id, event_type, type_version, time, has_data, is_0_3, .. } = Looked::at(body);
    let (names, is_v2) = names(version);
    first([
        (names.id, is_v2 && id.is_empty(), Defect::Missing),
        (names.event_type, event_type.is_empty(), Defect::Missing),
        (names.version, type_version.is_empty(), Defect::Missing),
        (names.version, !is_type_version(type_version), Defect::Invalid),
        (names.time, time.is_empty(), Defect::Missing),
        (names.time, !is_time(time), Defect::Invalid),
        (names.id, !id.is_empty() && !is_id(id), Defect::Invalid),
        ("specversion", is_v2 && !is_0_3, Defect::Invalid),
        ("data", !has_data, Defect::Missing),
    ])
}

/// The first thing that the event bus finds wrong.
fn of_bus(body: &Body<'_>, version: Version, is_from_header: bool) -> Option<Fault> {
    let Looked { id, source, event_type, type_version, time, has_data, is_0_3, has_spec_version } = Looked::at(body);
    let (names, is_v2) = names(version);
    let no_source = if is_v2 { Defect::Missing } else { Defect::MissingEverywhere };
    let wrong_source = if is_from_header { Defect::InvalidHeader } else { Defect::Invalid };
    let (name, short) = (Defect::TooLong(LONGEST_NAME), Defect::TooLong(LONGEST_VERSION));
    first([
        (names.id, is_v2 && id.is_empty(), Defect::Missing),
        (names.source, source.is_empty(), no_source),
        ("specversion", is_v2 && !has_spec_version, Defect::Missing),
        (names.event_type, event_type.is_empty(), Defect::Missing),
        (names.version, type_version.is_empty(), Defect::Missing),
        (names.time, time.is_empty(), Defect::Missing),
        ("data", !has_data, Defect::Missing),
        (names.source, source.len() > LONGEST_NAME, name),
        (names.event_type, event_type.len() > LONGEST_NAME, name),
        (names.version, type_version.len() > LONGEST_VERSION, short),
        (names.source, !is_name(source), wrong_source),
        (names.event_type, !is_name(event_type), Defect::Invalid),
        (names.version, !is_type_version(type_version), Defect::Invalid),
        ("specversion", is_v2 && !is_0_3, Defect::Invalid),
        (names.time, !is_time(time), Defect::Invalid),
        (names.id, !id.is_empty() && !is_id(id), Defect::Invalid),
    ])
}

fn names(version: Version) -> (Names, bool) {
    match version {
        Version::V1 => (V1, false),
        Version::V2 => (V2, true),
    }
}

fn first<const N: usize>(checks: [(&'static str, bool, Defect); N]) -> Option<Fault> {
    checks.into_iter().find(|(_, is_wrong, _)| *is_wrong).map(|(name, _, defect)| Fault::Field(name, defect))
}

/// A body as the checks look at it: what is missing is empty.
struct Looked<'b> {
    id: &'b str,
    source: &'b str,
    event_type: &'b str,
    type_version: &'b str,
    time: &'b str,
    has_data: bool,
    has_spec_version: bool,
    is_0_3: bool,
}

impl<'b> Looked<'b> {
    fn at(body: &'b Body<'_>) -> Self {
        let spec_version = body.specversion.as_deref().unwrap_or_default();
        Self {
            id: body.id.as_deref().unwrap_or_default(),
            source: body.source.as_deref().unwrap_or_default(),
            event_type: body.event_type.as_deref().unwrap_or_default(),
            type_version: body.version.as_deref().unwrap_or_default(),
            time: body.time.as_deref().unwrap_or_default(),
            has_data: body.data.is_some_and(|data| data.get() != "\"\""),
            has_spec_version: !spec_version.is_empty(),
            is_0_3: spec_version == "0.3",
        }
    }
}

/// Kyma's event service looks only for one letter or digit in it; no legacy Subscription can ask for another version than these.
fn is_type_version(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A UUID as it is written with hyphens.
fn is_id(text: &str) -> bool {
    text.len() == 36 && Uuid::try_parse(text).is_ok()
}

/// Labels of letters, digits and inner hyphens, with dots between them.
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.').all(is_label)
}

#[cfg(test)]
mod tests;
