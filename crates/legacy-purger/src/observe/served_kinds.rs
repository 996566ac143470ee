//! Which kinds there are, and which of them somebody may have meant.

use std::collections::BTreeSet;

use fairlead_kube_client::discovery::Discovery;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;

use crate::count::plural;
use crate::near::{edits, nearest};

/// So many names of kinds are listed; for more there is a command.
const LISTED: usize = 8;

/// Words of so many letters are other words when one letter differs: `sns`, `sqs`.
const SHORT: usize = 3;

/// What a cluster serves, or files hold.
pub(super) struct Served<'a> {
    source: &'a Source<'a>,
    /// The core group of a cluster, where a kind of it is named.
    core: Option<Discovery>,
}

impl<'a> Served<'a> {
    /// Asks for the core group only where one of `named` belongs to it.
    pub(super) async fn of(source: &'a Source<'a>, mut named: impl Iterator<Item = &Kind>) -> Result<Self, Obstacle> {
        let core = match source {
            Source::Cluster(cluster, _) if named.any(|kind| kind.group.is_empty()) => Some(cluster.discover_core().await?),
            _ => None,
        };
        Ok(Self { source, core })
    }

    /// What is wrong with a kind that is not there. Files may hold none of its objects; if they hold others of its group, its name is wrong.
    pub(super) fn lacks(&self, kind: &Kind) -> Option<String> {
        let others = self.kinds_of(&kind.group);
        let is_there = match (self.source, &self.core) {
            (Source::Cluster(..), Some(core)) if kind.group.is_empty() => is_in(core, kind),
            (Source::Cluster(_, discovery), _) => is_in(discovery, kind),
            (Source::Manifests(_), _) => others.is_empty() || others.contains(&*kind.kind),
        };
        let api = kind.exact.as_ref().map_or_else(|| name_of(&kind.group), |version| kind.api_version(version));
        (!is_there).then(|| format!("there is no kind {} of {api}{}", kind.kind, self.hint(kind, &others)))
    }

    /// Whether a kind that is not there must be a slip: its group has a kind of nearly that name, or a group of nearly that name has it.
    pub(super) fn is_slip(&self, kind: &Kind) -> bool {
        self.kinds_of(&kind.group).iter().any(|other| is_slip_of(&kind.kind, other)) || self.near_group(kind).is_some()
    }

    fn hint(&self, kind: &Kind, others: &BTreeSet<String>) -> String {
        let near = || nearest(&kind.kind, others.iter().map(String::as_str)).map(str::to_owned);
        if let Some(meant) = self.other_version(kind).or_else(near).or_else(|| self.near_group(kind)) {
            return format!("; did you mean {meant}?");
        }
        match others.len() {
            0 => "; `kubectl api-resources` lists what there is".to_owned(),
            1..=LISTED => {
                format!("; {} has {}", name_of(&kind.group), others.iter().cloned().collect::<Vec<_>>().join(", "))
            }
            _ => format!("; `kubectl api-resources --api-group={}` lists what there is", kind.group),
        }
    }

    /// The group of nearly the same name that has the kind, or one of nearly that name.
    fn near_group(&self, kind: &Kind) -> Option<String> {
        let has_it = |group: &String| self.kinds_of(group).iter().any(|it| *it == *kind.kind || is_slip_of(&kind.kind, it));
        self.groups().into_iter().find(|group| is_near_group(&kind.group, group) && has_it(group))
    }

    /// The version in which a kind is served that was named in another one.
    fn other_version(&self, kind: &Kind) -> Option<String> {
        let (Source::Cluster(_, discovery), Some(_)) = (self.source, &kind.exact) else { return None };
        let core = self.core.as_ref().filter(|_| kind.group.is_empty());
        Some(core.unwrap_or(discovery).find(&kind.group, &kind.kind)?.api_version())
    }

    fn kinds_of(&self, group: &str) -> BTreeSet<String> {
        match &self.core {
            Some(core) if group.is_empty() => core.kinds_of("").map(str::to_owned).collect(),
            _ => self.source.kinds_of(group),
        }
    }

    fn groups(&self) -> BTreeSet<String> {
        match self.source {
            Source::Cluster(_, discovery) => discovery.groups().map(str::to_owned).collect(),
            Source::Manifests(_) => BTreeSet::new(),
        }
    }
}

fn is_in(discovery: &Discovery, kind: &Kind) -> bool {
    match &kind.exact {
        Some(version) => discovery.find_version(&kind.api_version(version), &kind.kind).is_some(),
        None => discovery.find(&kind.group, &kind.kind).is_some(),
    }
}

fn name_of(group: &str) -> String {
    if group.is_empty() { "the core group".to_owned() } else { group.to_owned() }
}

/// Whether a name can hardly be anything but a slip of the other: one edit, or the plural. `TLSRoute` is none of
/// `TCPRoute`.
fn is_slip_of(name: &str, other: &str) -> bool {
    let is_form = [other, &plural(other)].iter().any(|form| name.eq_ignore_ascii_case(form));
    name != other && (is_form || edits(name, other) <= 1 && other.len() > SHORT && is_same_number(name, other))
}

/// Whether two groups differ in one of their labels, and there by a slip of at most two edits.
fn is_near_group(name: &str, other: &str) -> bool {
    let [name, other] = [name, other].map(|group| group.split('.').collect::<Vec<_>>());
    let mut different = name.iter().zip(&other).filter(|(label, other)| label != other);
    let (Some((label, meant)), None) = (different.next(), different.next()) else { return false };
    let limit = (label.len().max(meant.len()) / (SHORT + 1)).min(2);
    name.len() == other.len() && edits(label, meant) <= limit && is_same_number(label, meant)
}

/// Another number is another version, or another product: `apigateway`, `apigatewayv2`.
fn is_same_number(name: &str, other: &str) -> bool {
    let digits = |name: &str| name.chars().filter(char::is_ascii_digit).collect::<String>();
    digits(name) == digits(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_a_slip_of_another_only_where_it_can_be_nothing_else() {
        for (name, other) in [
            ("Daemonset", "DaemonSet"),
            ("Deployement", "Deployment"),
            ("ConfigMpa", "ConfigMap"),
            ("Jobs", "Job"),
            ("pod", "Pod"),
            ("NetworkPolicies", "NetworkPolicy"),
        ] {
            assert!(is_slip_of(name, other), "{name} {other}");
        }
        for (name, other) in [
            ("GitHubSource", "GitLabSource"),
            ("TLSRoute", "TCPRoute"),
            ("KafkaConnect", "KafkaConnector"),
            ("ClusterV1", "ClusterV2"),
            ("Pod", "Pad"),
            ("Channel", "Channel"),
        ] {
            assert!(!is_slip_of(name, other), "{name} {other}");
        }
    }

    #[test]
    fn a_group_is_near_where_one_label_is_a_slip() {
        for (name, other) in [
            ("exampel.com", "example.com"),
            ("app", "apps"),
            ("Apps", "apps"),
            ("eventing.kantive.dev", "eventing.knative.dev"),
            ("messging.knative.dev", "messaging.knative.dev"),
            ("messagign.knative.dev", "messaging.knative.dev"),
        ] {
            assert!(is_near_group(name, other), "{name} {other}");
        }
        for (name, other) in [
            ("serving.knative.dev", "eventing.knative.dev"),
            ("bindings.knative.dev", "serving.knative.dev"),
            ("bindings.knative.dev", "eventing.knative.dev"),
            ("kafka.eventing.knative.dev", "eventing.knative.dev"),
            ("authentication.istio.io", "authentication.k8s.io"),
            ("flows.knative.dev", "sinks.knative.dev"),
            ("sns.services.k8s.aws", "sqs.services.k8s.aws"),
            ("apigateway.aws.upbound.io", "apigatewayv2.aws.upbound.io"),
            ("x.getambassador.io", "getambassador.io"),
            ("", "apps"),
            ("apps", "apps"),
        ] {
            assert!(!is_near_group(name, other), "{name} {other}");
        }
    }
}
