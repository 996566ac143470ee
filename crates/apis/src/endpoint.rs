//! Addresses of subscribers, and when two are the same.

use std::fmt;

use fluent_uri::Uri;

/// A subscriber's http or https address.
///
/// Two are equal up to the default port, the three ways to write a Service's host (`svc.ns`, `svc.ns.svc`,
/// `svc.ns.svc.cluster.local`) and an empty path, which is `/`. Nothing else is equal: no case folding, no trailing slash, no
/// percent-decoding, because a server may tell those apart.
#[derive(Clone, Debug, Eq)]
pub struct Endpoint {
    written: String,
    /// Host in its longest form.
    host: String,
    /// Everything, in one form.
    canonical: String,
}

/// Why a text is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not a URI by RFC 3986.
    #[error("is not a URL: {0}")]
    Malformed(String),
    /// A URI, but events cannot be posted there.
    #[error("is neither http nor https but {0}")]
    Scheme(String),
    /// There is no scheme, or something else is written like one: the text may begin with a user and a password.
    #[error("begins with neither http:// nor https://")]
    NoScheme,
    /// There is no host to connect to.
    #[error("has no host")]
    NoHost,
    /// A port that no server can have. It is not named: it may be the beginning of a password.
    #[error("has an impossible port")]
    Port,
}

impl Error {
    /// Without the position: of what is shown, credentials are taken out, and it is another one there.
    fn malformed(why: &str) -> Self {
        Self::Malformed(why.split(" at index ").next().unwrap_or_default().to_owned())
    }
}

impl Endpoint {
    /// Reads an endpoint as somebody wrote it.
    pub fn parse(written: &str) -> Result<Self, Error> {
        let uri = Uri::parse(written).map_err(|error| Error::malformed(&error.to_string()))?;
        let default_port = match uri.scheme().as_str() {
            "http" => "80",
            "https" => "443",
            other if uri.authority().is_some() => return Err(Error::Scheme(other.to_owned())),
            _ => return Err(Error::NoScheme),
        };
        let authority = uri.authority().ok_or(Error::NoHost)?;
        if authority.host().is_empty() {
            return Err(Error::NoHost);
        }
        let port = authority.port().map_or(default_port, |port| port.as_str());
        // RFC 3986 allows an empty port, which means the default one.
        let port = if port.is_empty() { default_port } else { port };
        if !port.parse::<u16>().is_ok_and(|number| number > 0) {
            return Err(Error::Port);
        }
        let user = authority.userinfo().map(|user| format!("{user}@")).unwrap_or_default();
        let host = longest_host(authority.host());
        let path = if uri.path().is_empty() { "/" } else { uri.path().as_str() };
        let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let fragment = uri.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
        let canonical = format!("{}://{user}{host}:{port}{path}{query}{fragment}", uri.scheme());
        Ok(Self { written: written.to_owned(), host, canonical })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// The one form that equal endpoints share.
    #[must_use]
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// The host in its longest form; for a Service `svc.ns.svc.cluster.local`.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.canonical == other.canonical
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

/// In a pod's resolver a name of two labels is looked up as `svc.ns` + `.svc.cluster.local` first (`ndots:5`).
fn longest_host(host: &str) -> String {
    let labels: Vec<&str> = host.split('.').collect();
    match labels.as_slice() {
        [_, namespace] if !namespace.is_empty() && *namespace != "svc" => format!("{host}.svc.cluster.local"),
        [_, _, "svc"] => format!("{host}.cluster.local"),
        _ => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(one: &str, other: &str) -> bool {
        Endpoint::parse(one).expect(one) == Endpoint::parse(other).expect(other)
    }

    #[test]
    fn the_default_port_may_be_left_out() {
        assert!(equal("http://a.b/x", "http://a.b:80/x"));
        assert!(equal("http://a.b:/x", "http://a.b:80/x"));
        assert!(equal("https://a.b/x", "https://a.b:443/x"));
        assert!(!equal("http://a.b:443/x", "https://a.b:443/x"));
        assert!(!equal("https://a.b:80/x", "https://a.b/x"));
        assert!(!equal("http://a.b:8080/x", "http://a.b/x"));
    }

    #[test]
    fn a_service_has_three_names() {
        for written in ["http://svc.ns.svc/", "http://svc.ns.svc.cluster.local/", "http://svc.ns.svc.cluster.local:80"] {
            assert!(equal("http://svc.ns/", written), "{written}");
        }
        assert!(!equal("http://svc/", "http://svc.ns/"));
        assert!(!equal("http://svc.ns.svc.example.com/", "http://svc.ns/"));
        assert!(!equal("http://10.0.0.1/", "http://10.0.0.1.svc.cluster.local/"));
    }

    #[test]
    fn an_empty_path_is_the_root() {
        assert!(equal("http://a.b", "http://a.b/"));
        assert!(equal("http://a.b?q=1", "http://a.b/?q=1"));
    }

    #[test]
    fn nothing_else_is_equal() {
        for (one, other) in [
            ("http://a.b/x", "http://a.b/x/"),
            ("http://a.b/x", "http://a.b/X"),
            ("http://a.b/%7Ex", "http://a.b/~x"),
            ("http://a.b/x/../y", "http://a.b/y"),
            ("http://a.b/", "http://A.b/"),
            ("http://a.b/?", "http://a.b/"),
            ("http://a.b/#f", "http://a.b/"),
            ("http://u@a.b/", "http://a.b/"),
            ("http://a.b/?x=1&y=2", "http://a.b/?y=2&x=1"),
        ] {
            assert!(!equal(one, other), "{one} {other}");
        }
    }

    #[test]
    fn what_is_no_endpoint_says_why() {
        let unplaced = "is not a URL: unexpected character".to_owned();
        assert_eq!(Endpoint::parse("http://me:hunter2 x@a.b/").map_err(|error| error.to_string()), Err(unplaced));
        assert!(matches!(Endpoint::parse("a b"), Err(Error::Malformed(_))));
        assert!(matches!(Endpoint::parse("svc.ns/path"), Err(Error::Malformed(_))));
        assert_eq!(Endpoint::parse("ftp://a.b/"), Err(Error::Scheme("ftp".into())));
        assert_eq!(Endpoint::parse("user:password@a.b/"), Err(Error::NoScheme));
        assert_eq!(Endpoint::parse("http:/a.b"), Err(Error::NoHost));
        assert_eq!(Endpoint::parse("http:///x"), Err(Error::NoHost));
        assert_eq!(Endpoint::parse("http://a.b:0/"), Err(Error::Port));
        assert_eq!(Endpoint::parse("http://a.b:70000/"), Err(Error::Port));
        assert!(matches!(Endpoint::parse("http://a.b:8o/"), Err(Error::Malformed(_))));
    }
}
