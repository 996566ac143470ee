//! What clients use in versions: an API, or a custom resource.

use std::fmt;

/// An API or a custom resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// An API; its name is empty where the matrix has only one.
    Api(String),
    /// A custom resource, by the name of its definition: `orders.shop.example`.
    CustomResource(String),
}

impl Interface {
    /// The words for some versions: `API v1.X, v2.0`.
    #[must_use]
    pub fn with(&self, versions: &[String]) -> String {
        format!("{self} {}", versions.join(", "))
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Api(name) if name.is_empty() => f.write_str("API"),
            Self::Api(name) => write!(f, "API {name}"),
            Self::CustomResource(name) => write!(f, "custom resource {name}"),
        }
    }
}

/// Whether `pattern` includes `version`: `v1.X` includes `v1.0`, `v1.1` and `v1.X`.
#[must_use]
pub fn includes(pattern: &str, version: &str) -> bool {
    let mut parts = without_v(version).split('.');
    for part in without_v(pattern).split('.') {
        if matches!(part, "X" | "x" | "*") {
            return true;
        }
        if parts.next() != Some(part) {
            return false;
        }
    }
    parts.next().is_none()
}

fn without_v(version: &str) -> &str {
    version.strip_prefix('v').unwrap_or(version)
}

/// Whether the two lists have a version in common.
#[must_use]
pub fn overlap(left: &[String], right: &[String]) -> bool {
    left.iter().any(|a| right.iter().any(|b| includes(a, b) || includes(b, a)))
}

/// The versions of `left` that `right` does not include.
#[must_use]
pub fn without(left: &[String], right: &[String]) -> Vec<String> {
    left.iter().filter(|version| !right.iter().any(|other| includes(other, version))).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_includes_what_begins_like_it() {
        for (pattern, version) in [("v1.X", "v1.0"), ("v1.x", "1.12"), ("v1.*", "v1.X"), ("v2.0", "2.0"), ("X", "v7.1")] {
            assert!(includes(pattern, version), "{pattern} {version}");
        }
        for (pattern, version) in [("v1.X", "v2.0"), ("v1.X", "v10.0"), ("v1.0", "v1.X"), ("v2", "v2.0"), ("v2.0", "v2")] {
            assert!(!includes(pattern, version), "{pattern} {version}");
        }
    }

    #[test]
    fn versions_that_go_are_those_that_nobody_includes() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(without(&list("v1.X v2.0"), &list("v2.X")), ["v1.X"]);
        assert_eq!(without(&list("v1.X"), &list("v1.0")), ["v1.X"], "v1.1 would be left without an answer");
        assert!(overlap(&list("v1.X"), &list("v1.0")) && !overlap(&list("v1.X"), &list("v2.0")));
    }
}
