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

/// The namespace of the ledger and the release that have made an object. A ticket's address is
/// `namespace/fairlead.v1.<release>.<sequence>`.
#[must_use]
pub fn made_by(image: &Image) -> Option<(&str, &str)> {
    let (namespace, ticket) = object::annotation(image, TICKET_ANNOTATION)?.split_once("/fairlead.v1.")?;
    let (release, _) = ticket.rsplit_once('.')?;
    Some((namespace, release))
}

/// The release that has made an object, if it is another one.
#[must_use]
pub fn other_release<'a>(image: &'a Image, release: &str) -> Option<&'a str> {
    made_by(image).map(|(_, other)| other).filter(|other| *other != release)
}
