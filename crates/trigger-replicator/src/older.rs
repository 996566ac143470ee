//! The group that Kyma's Subscription had before Kyma 1.0. Nothing converts its objects; that they are there is said.

use std::sync::LazyLock;

use fairlead_job::codes::trigger_replicator as codes;
use fairlead_mesh::kinds;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;

static OLDER: Kind = Kind::namespaced("eventing.kyma.cx", "Subscription", &[]);

/// Every kind that is read of files.
pub(crate) static READ: LazyLock<Vec<&Kind>> = LazyLock::new(|| kinds::ALL.into_iter().chain([&OLDER]).collect());

/// A warning where the older group is served. In a cluster its objects are not counted: that would take a permission of its own.
pub(crate) async fn warning(source: &Source<'_>) -> Result<Option<Finding>, Obstacle> {
    if source.api_version(&OLDER).is_none() {
        return Ok(None);
    }
    let many = match source {
        Source::Cluster(..) => "are not read, if there are any".to_owned(),
        Source::Manifests(_) => format!("are not read: {}", source.list(&OLDER, Some).await?.len()),
    };
    let target = DEFINITION.target("v1", "", "subscriptions.eventing.kyma.cx");
    Ok(Some(codes::OLDER_GROUP.finding(target, format!("Subscriptions of the older group eventing.kyma.cx {many}"))))
}
