//! Names of events on Kyma's later backends: what of a type is its prefix, and how sources and types are cleaned.
//!
//! Kyma 2.12 has two rules. Types under a prefix (Subscription v1alpha1, `exact`) are taken apart and put together again. Types without one
//! (v1alpha2, `standard`) stand behind their source, and each backend takes out of both what it does not allow.

use std::fmt::Write as _;

/// Why a type under a prefix cannot be taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The type does not begin with the prefix.
    #[error("prefix not found")]
    NoPrefix,
    /// Behind the prefix there are fewer than four segments, or one is empty.
    #[error("invalid format")]
    Format,
}

/// A backend, and so what it allows in a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// NATS `JetStream`: the name is a subject, in which a dot, `*`, `>` and blanks mean something.
    JetStream,
    /// SAP Event Mesh: letters and digits; a type has three segments.
    EventMesh,
}

impl Backend {
    /// A source as the one segment that it is in a name. It may be empty.
    #[must_use]
    pub fn clean_source(self, source: &str) -> String {
        match self {
            Self::JetStream => without(source, |c| c.is_ascii_whitespace() || ".>*/\\".contains(c)),
            Self::EventMesh => without(source, |c| !c.is_ascii_alphanumeric()),
        }
    }

    /// A type without prefix, as it stands behind the source.
    #[must_use]
    pub fn clean_type(self, event_type: &str) -> String {
        match self {
            Self::JetStream => without(event_type, |c| c.is_ascii_whitespace() || ">*/\\".contains(c)),
            Self::EventMesh => alphanumeric(&merged(event_type, 3)),
        }
    }
}

/// Whether a type stands under a prefix: the next character is a dot. Every type stands under the empty one.
#[must_use]
pub fn has_prefix(event_type: &str, prefix: &str) -> bool {
    behind(event_type, prefix).is_some()
}

/// A type under a prefix, cleaned: `sap.kyma.custom.my-shop.order.item.created.v1` is `sap.kyma.custom.myshop.orderitem.created.v1`.
pub fn clean(event_type: &str, prefix: &str) -> Result<String, Error> {
    let rest = behind(event_type, prefix).ok_or(Error::NoPrefix)?;
    let segments: Vec<&str> = rest.split('.').collect();
    let [application, event @ .., version] = segments.as_slice() else { return Err(Error::Format) };
    if event.len() < 2 || segments.iter().any(|segment| segment.is_empty()) {
        return Err(Error::Format);
    }
    let cleaned = join(prefix, &application_name(application), &merged(&event.join("."), 2), version);
    Ok(alphanumeric(&cleaned))
}

/// The type under a prefix of an event that a legacy API took: its own type has two segments at most.
#[must_use]
pub fn legacy(prefix: &str, application: &str, event_type: &str, version: &str) -> String {
    let event = merged(&alphanumeric(event_type), 2);
    join(&alphanumeric(prefix), &application_name(application), &event, version)
}

/// The name of an Application as it stands in a type under a prefix: letters and digits.
fn application_name(name: &str) -> String {
    without(name, |c| !c.is_ascii_alphanumeric())
}

fn join(prefix: &str, application: &str, event: &str, version: &str) -> String {
    let mut joined = String::new();
    if !prefix.trim().is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(joined, "{prefix}.");
    }
    let _ = write!(joined, "{application}.{event}.{version}");
    joined
}

fn behind<'t>(event_type: &'t str, prefix: &str) -> Option<&'t str> {
    if prefix.is_empty() { Some(event_type) } else { event_type.strip_prefix(prefix)?.strip_prefix('.') }
}

/// At most so many segments: the first ones become one.
fn merged(name: &str, most: usize) -> String {
    let segments: Vec<&str> = name.split('.').collect();
    let Some(more) = segments.len().checked_sub(most).filter(|more| *more > 0) else { return name.to_owned() };
    let (first, others) = segments.split_at(more + 1);
    std::iter::once(first.concat().as_str()).chain(others.iter().copied()).collect::<Vec<_>>().join(".")
}

fn alphanumeric(name: &str) -> String {
    without(name, |c| !c.is_ascii_alphanumeric() && c != '.')
}

fn without(name: &str, is_out: impl Fn(char) -> bool) -> String {
    name.chars().filter(|c| !is_out(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = "sap.kyma.custom";

    #[test]
    fn a_type_under_a_prefix_is_cleaned() {
        for (given, expected) in [
            ("sap.kyma.custom.commercemock.order.created.v1", Ok("sap.kyma.custom.commercemock.order.created.v1")),
            ("sap.kyma.custom.my-shop_1.order.created.v1", Ok("sap.kyma.custom.myshop1.order.created.v1")),
            ("sap.kyma.custom.shop.Account.Root.Created.v1", Ok("sap.kyma.custom.shop.AccountRoot.Created.v1")),
            ("sap.kyma.custom.shop.o$rder.cre ated.v1", Ok("sap.kyma.custom.shop.order.created.v1")),
            ("sap.kyma.custom.order.created.v1", Err(Error::Format)),
            ("sap.kyma.custom.shop..created.v1", Err(Error::Format)),
            ("sap.kyma.custom.shop.order.created.", Err(Error::Format)),
            ("sap.kyma.custom", Err(Error::NoPrefix)),
            // Kyma cuts the prefix also in the middle of a word.
            ("sap.kyma.customer.order.created.v1", Err(Error::NoPrefix)),
            ("order.created.v1", Err(Error::NoPrefix)),
        ] {
            assert_eq!(clean(given, PREFIX).as_deref(), expected.as_ref().map(|text| *text), "{given}");
        }
        assert_eq!(clean("shop.order.created.v1", "").as_deref(), Ok("shop.order.created.v1"));
        // Kyma cuts every occurrence, not only the first.
        assert_eq!(clean("a.shop.a.order.created.v1", "a").as_deref(), Ok("a.shop.aorder.created.v1"));
    }

    #[test]
    fn an_event_of_the_legacy_api_stands_under_the_prefix() {
        for (prefix, application, event_type, version, expected) in [
            (PREFIX, "commercemock", "order.created", "v1", "sap.kyma.custom.commercemock.order.created.v1"),
            ("", "commercemock", "order.created", "v1", "commercemock.order.created.v1"),
            (PREFIX, "my-shop_1", "Account.Root-x.Created", "v2", "sap.kyma.custom.myshop1.AccountRootx.Created.v2"),
            ("sap.my-org", "shop", "created", "v1", "sap.myorg.shop.created.v1"),
        ] {
            assert_eq!(legacy(prefix, application, event_type, version), expected);
        }
    }

    #[test]
    fn each_backend_takes_out_what_it_does_not_allow() {
        for (backend, source, event_type, expected) in [
            (Backend::JetStream, "my.shop-1 *>/\\", "order.cre-ated >*/\\.v1", ["myshop-1", "order.cre-ated.v1"]),
            (Backend::EventMesh, "my.shop-1 *>/\\", "order.cre-ated >*/\\.v1", ["myshop1", "order.created.v1"]),
            (Backend::JetStream, "shop", "account.root.created.v1", ["shop", "account.root.created.v1"]),
            (Backend::EventMesh, "shop", "account.root.created.v1", ["shop", "accountroot.created.v1"]),
            (Backend::EventMesh, "/default/sap.kyma/tunas-develop", "v1", ["defaultsapkymatunasdevelop", "v1"]),
        ] {
            assert_eq!([backend.clean_source(source), backend.clean_type(event_type)], expected, "{backend:?}");
        }
    }
}
