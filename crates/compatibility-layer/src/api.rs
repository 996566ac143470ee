//! The API that a publisher asks: how its requests are read, and in whose words it is answered.

use bytes::Bytes;
use http::header::HeaderMap;

use crate::answer::Dialect;
use crate::cloud_event;
use crate::event::Event;
use crate::fault::Fault;
use crate::legacy::{self, Service, Version};
use crate::naming::Origin;

/// The API that a publisher asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api<'r> {
    /// Of the event bus, or of the event service of an Application.
    Legacy(Service<'r>, Version),
    /// `/publish`.
    CloudEvents,
}

/// Whether an Application can have this name: then it becomes the source of its events, as it stands in the path.
fn is_name(application: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    !application.is_empty() && application.bytes().all(is_plain)
}

impl<'r> Api<'r> {
    /// The API that this path leads to, if any.
    pub(crate) fn at(path: &[&'r str], source_id: Option<&'r str>) -> Option<Self> {
        Some(match *path {
            ["publish"] => Self::CloudEvents,
            ["v1", "events"] => Self::Legacy(Service::Bus(source_id), Version::V1),
            ["v2", "events"] => Self::Legacy(Service::Bus(None), Version::V2),
            [application, "v1", "events"] if is_name(application) => {
                Self::Legacy(Service::Application(application), Version::V1)
            }
            [application, "v2", "events"] if is_name(application) => {
                Self::Legacy(Service::Application(application), Version::V2)
            }
            _ => return None,
        })
    }

    /// The events of a request. Either all are good, or none is taken.
    pub(crate) fn read(self, headers: &HeaderMap, body: &Bytes) -> Result<Vec<Event>, Fault> {
        match self {
            Self::Legacy(service, version) => {
                let mut event = legacy::read(service, version, body)?;
                if let Service::Bus(_) = service {
                    for (name, value) in cloud_event::extensions(headers) {
                        event.attributes.entry(name).or_insert(value);
                    }
                }
                Ok(vec![event])
            }
            Self::CloudEvents => cloud_event::read(headers, body),
        }
    }

    pub(crate) fn origin(self) -> Origin {
        match self {
            Self::Legacy(..) => Origin::Legacy,
            Self::CloudEvents => Origin::CloudEvent,
        }
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Legacy(Service::Application(_), _) => Dialect::Application,
            Self::Legacy(Service::Bus(_), _) => Dialect::Bus,
            Self::CloudEvents => Dialect::CloudEvents,
        }
    }

    /// The Application that the path or a header names.
    pub(crate) fn application(self) -> &'r str {
        match self {
            Self::Legacy(Service::Application(application) | Service::Bus(Some(application)), _) => application,
            _ => "",
        }
    }
}
