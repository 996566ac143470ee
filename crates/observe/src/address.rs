//! Whose an object is: its address, and the release that made it.

use fairlead_apis::object;
use fairlead_kube_client::objects::TICKET_ANNOTATION;
use fairlead_migration::change::{Image, Target};
use serde_json::Value;

/// The address of an object.
#[must_use]
pub fn target(object: &Value) -> Target {
    let namespace = object::namespace(object);
    Target {
        api_version: object::api_version(object).to_owned(),
        kind: object::kind(object).to_owned(),
        namespace: (!namespace.is_empty()).then(|| namespace.to_owned()),
        name: object::name(object).to_owned(),
    }
}

/// The release that has made an object, if it is another one. A ticket's address is `namespace/fairlead.v1.<release>.<sequence>`.
#[must_use]
pub fn other_release<'a>(image: &'a Image, release: &str) -> Option<&'a str> {
    let ticket = object::annotation(image, TICKET_ANNOTATION)?;
    let (other, _) = ticket.split_once("/fairlead.v1.")?.1.rsplit_once('.')?;
    (other != release).then_some(other)
}
