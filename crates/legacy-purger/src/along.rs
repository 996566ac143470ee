//! What others delete along with what is purged, compared with the snapshot: none of it is our write, so no precondition guards it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use fairlead_kube_client::objects::writable;
use fairlead_migration::change::{Change, Image};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_release::observe::Source;

use crate::plan::{Found, Options, along};
use crate::stages::{DEPENDENTS, HELM_OBJECTS, OBJECTS};

/// Fails where something would go along that is not in the snapshot, or is there as something else.
///
/// What the owners of finalizers delete is worked on by their controllers all the time, and what is left of a purge that was
/// interrupted is on its way: of those only whether they are the same objects is compared.
pub(crate) async fn check(source: &Source<'_>, options: &Options<'_>, plan: &Plan) -> Result<(), Obstacle> {
    let found = Found::of(source, options).await?;
    let is_untouched = found.index.purged() == plan.positions(OBJECTS).len() + plan.positions(HELM_OBJECTS).len();
    let is_along = |change: &Change| plan.stages[change.stage].cascaded;
    // Hashes: there may be as much of it as of what is purged.
    let known: HashMap<u64, [u64; 2]> = plan
        .changes()
        .filter(is_along)
        .filter_map(|change| Some((change.target.short(), hashes(change.before()?))))
        .collect();
    for change in along(source, options, &found).await?.changes().filter(is_along) {
        let Some([uid, content]) = change.before().map(hashes) else { continue };
        let is_compared = is_untouched && change.stage == DEPENDENTS;
        let what = match known.get(&change.target.short()) {
            Some([known_uid, _]) if *known_uid != uid => "it was created since the snapshot",
            Some([_, known]) if is_compared && *known != content => "it was changed since the snapshot",
            Some(_) => continue,
            None => "it was created since the snapshot",
        };
        let what = format!("{what}, and would go along with what is purged");
        return Err(Obstacle::Drift { target: change.target, what });
    }
    Ok(())
}

/// Of an object's uid, and of everything that is not the server's.
fn hashes(image: &Image) -> [u64; 2] {
    let hash = |text: String| {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        hasher.finish()
    };
    [hash(image["metadata"]["uid"].to_string()), hash(writable(image).to_string())]
}
