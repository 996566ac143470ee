//! Which kinds there are, and which of them somebody may have meant.

use std::collections::BTreeSet;

use fairlead_kube_client::discovery::Discovery;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;

/// So many names of kinds are listed; for more there is a command.
const LISTED: usize = 8;

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

    /// Whether a kind that is not there must be a slip: the cluster serves its group or one of nearly that name, or files hold a kind of
    /// nearly that name.
    pub(super) fn is_slip(&self, kind: &Kind) -> bool {
        let others = self.kinds_of(&kind.group);
        match self.source {
            Source::Cluster(..) => !others.is_empty() || nearest(&kind.group, self.groups().iter()).is_some(),
            Source::Manifests(_) => nearest(&kind.kind, others.iter()).is_some(),
        }
    }

    fn hint(&self, kind: &Kind, others: &BTreeSet<String>) -> String {
        if let Some(version) = self.other_version(kind) {
            return format!("; did you mean {version}?");
        }
        if let Some(near) = nearest(&kind.kind, others.iter()) {
            return format!("; did you mean {near}?");
        }
        let near = nearest(&kind.group, self.groups().iter()).cloned().filter(|near| *near != kind.group);
        match (near, others.len()) {
            (Some(group), _) => format!("; did you mean {group}?"),
            (None, 1..=LISTED) => {
                format!("; {} has {}", name_of(&kind.group), others.iter().cloned().collect::<Vec<_>>().join(", "))
            }
            (None, 0) => "; `kubectl api-resources` lists what there is".to_owned(),
            (None, _) => format!("; `kubectl api-resources --api-group={}` lists what there is", kind.group),
        }
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

/// The name that is nearest to `name`, if it differs by no more than a slip, or the plural.
fn nearest<'n>(name: &str, names: impl Iterator<Item = &'n String>) -> Option<&'n String> {
    let distance = |other: &String| strsim::damerau_levenshtein(&name.to_lowercase(), &other.to_lowercase());
    let near = names.map(|other| (distance(other), other)).min()?;
    (near.0 <= (name.chars().count() / 4).max(1)).then_some(near.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_near_and_another_word_is_not() {
        let names = ["ConfigMap", "Pod", "PodTemplate", "Secret"].map(str::to_owned);
        for (name, expected) in
            [("ConfigMpa", "ConfigMap"), ("configmaps", "ConfigMap"), ("Pods", "Pod"), ("Sercet", "Secret"), ("Gadget", "")]
        {
            assert_eq!(nearest(name, names.iter()).map_or("", String::as_str), expected, "{name}");
        }
    }
}
