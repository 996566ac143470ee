//! What cannot come back, because its namespace has gone since. Told before the first change: nobody would expect it half way.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::{Homeless, NamespaceState, Objects, namespaces_back};
use fairlead_migration::change::Target;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;

use crate::place::Place;
use crate::session::Session;

/// What this run has removed and cannot bring back. `come_back` are the namespaces that runs bring back which are taken back before it; those
/// of this run are added.
pub(crate) async fn homeless(
    session: &Session<'_>,
    plan: &Plan,
    progress: &Progress,
    come_back: &mut BTreeSet<String>,
) -> Result<Vec<Homeless>, Failure> {
    come_back.extend(namespaces_back(plan, progress));
    let objects = Objects::new(session.cluster, &session.discovery);
    Ok(session.watch.guard_patiently(objects.homeless(plan, progress, come_back)).await?)
}

/// What drift says of each.
pub(crate) fn drifted(homeless: Vec<Homeless>) -> Vec<(Target, String)> {
    homeless.into_iter().filter_map(|it| Some((it.target, it.namespace.drift()?))).collect()
}

/// The commands by which their namespaces can take them again, a line for each: one that is going has to be gone first.
pub(crate) fn commands(place: Place<'_>, homeless: &[Homeless]) -> String {
    let namespaces: BTreeMap<&str, &NamespaceState> =
        homeless.iter().filter_map(|it| Some((it.target.namespace.as_deref()?, &it.namespace))).collect();
    let command = |(name, state): (&str, &NamespaceState)| match state {
        NamespaceState::Going(_) => place.kubectl(&format!("wait --for=delete namespace/{name} --timeout=10m")),
        NamespaceState::There | NamespaceState::Gone => place.kubectl(&format!("create namespace {name}")),
    };
    namespaces.into_iter().map(command).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::PLACE;

    #[test]
    fn nobody_is_told_to_create_a_namespace_that_is_still_going() {
        let homeless = |namespace: &str, state: NamespaceState| Homeless {
            target: Target {
                api_version: "v1".into(),
                kind: "A".into(),
                namespace: Some(namespace.into()),
                name: "a".into(),
            },
            namespace: state,
        };
        let all = [homeless("gone", NamespaceState::Gone), homeless("going", NamespaceState::Going(None))];
        let expected =
            "kubectl -n shops wait --for=delete namespace/going --timeout=10m\nkubectl -n shops create namespace gone";
        assert_eq!(commands(PLACE, &all), expected);
    }
}
