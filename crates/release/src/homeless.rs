//! What cannot come back, because its namespace has gone since. Told before the first change: nobody would expect it half way.

use std::collections::BTreeSet;

use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::Target;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;

use crate::place::Place;
use crate::session::Session;

/// What this run has removed and cannot bring back, each with the reason.
pub(crate) async fn homeless(
    session: &Session<'_>,
    plan: &Plan,
    progress: &Progress,
) -> Result<Vec<(Target, String)>, Failure> {
    let objects = Objects::new(session.cluster, &session.discovery);
    Ok(session.watch.guard_patiently(objects.homeless(plan, progress)).await?)
}

/// The commands that create their namespaces, a line for each.
pub(crate) fn create_namespaces(place: Place<'_>, homeless: &[(Target, String)]) -> String {
    let namespaces: BTreeSet<&str> = homeless.iter().filter_map(|(target, _)| target.namespace.as_deref()).collect();
    let commands: Vec<String> = namespaces.iter().map(|name| place.kubectl(&format!("create namespace {name}"))).collect();
    commands.join("\n")
}
