//! The group that Kyma's Subscription had before Kyma 1.0. The purge leaves its objects; that they are there is said.

use fairlead_job::codes::legacy_purger as codes;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;

use crate::configuration::Purge;
use crate::decide::is_kyma_subscription;

static OLDER: Kind = Kind::namespaced("eventing.kyma.cx", "Subscription", &[]);

/// A warning where the older group is served and Kyma's Subscriptions go. In a cluster its objects are not counted: that would take a
/// permission of its own.
pub(super) async fn warning(source: &Source<'_>, purge: &Purge) -> Result<Option<Finding>, Obstacle> {
    let is_purged = purge.kinds.iter().any(|it| it.group == OLDER.group);
    if is_purged || !purge.kinds.iter().any(is_kyma_subscription) || source.api_version(&OLDER).is_none() {
        return Ok(None);
    }
    let many = match source {
        Source::Cluster(..) => "stay, if there are any".to_owned(),
        Source::Manifests(_) => format!("stay: {}", source.list(&OLDER, Some).await?.len()),
    };
    let target = DEFINITION.target("v1", "", "subscriptions.eventing.kyma.cx");
    Ok(Some(codes::OLDER_GROUP.finding(target, format!("Subscriptions of the older group {} {many}", OLDER.group))))
}
