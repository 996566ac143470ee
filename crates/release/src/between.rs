//! What somebody has changed between two runs that are taken back together. The older one does not meet the object as it is now, but as the
//! newer one found it.

use std::collections::HashMap;

use fairlead_kube_client::objects::writable;
use fairlead_migration::change::{Image, Images, Target, Targets};
use fairlead_migration::fields;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::progress::Progress;
use fairlead_migration::store::Store;

/// What of an older run is not as it was left, by what newer runs found, the newest of them first.
pub(crate) async fn drifted(
    store: &dyn Store,
    newer: &[String],
    plan: &Plan,
    progress: &Progress,
) -> Result<Vec<(Target, String)>, Obstacle> {
    let mut ours = Targets::default();
    begun(plan, progress).for_each(|(target, _)| ours.insert(&target));
    let mut found: HashMap<Target, Option<Image>> = HashMap::new();
    for name in newer {
        let run = store.read(name).await?;
        let both = begun(&run.plan, &run.progress).filter(|(target, _)| ours.contains(target));
        found.extend(both.filter(|(_, images)| !matches!(images, Images::Sweep(..))).map(|(target, images)| {
            let before = match images {
                Images::Update(before, _) | Images::Delete(before) => Some(before),
                Images::Create(_) | Images::Sweep(..) => None,
            };
            (target, before)
        }));
    }
    let what = |(target, images): (Target, Images)| {
        let what = difference(&images, found.get(&target)?.as_ref())?;
        Some((target, what.to_owned()))
    };
    Ok(begun(plan, progress).filter_map(what).collect())
}

/// The changes that are to be taken back.
fn begun(plan: &Plan, progress: &Progress) -> impl Iterator<Item = (Target, Images)> {
    let is_left = |position: &usize| progress.untouched.contains(position) || progress.ended.contains(position);
    let changes = plan.changes().take(progress.begun).enumerate().filter(move |(position, _)| !is_left(position));
    changes.map(|(_, change)| (change.target, change.images))
}

/// How an object that was left so by a change, and was found so later, is another one.
fn difference(images: &Images, found: Option<&Image>) -> Option<&'static str> {
    match (images, found) {
        (Images::Update(..), None) => Some("somebody else has deleted it between the two runs"),
        (Images::Update(before, after), Some(found)) => {
            let patch = fields::diff(&writable(before), &writable(after))?;
            let is_theirs = !fields::holds(&patch, found) && !fields::same_where_written(&patch, before, found);
            is_theirs.then_some("somebody else has changed the same fields between the two runs")
        }
        (Images::Create(after), Some(found)) => {
            // Generation 1: what is different was made so by a webhook when it was created.
            let is_as_made = fields::holds(&writable(after), found) || found["metadata"]["generation"] == 1;
            (!is_as_made).then_some("somebody else has changed it between the two runs")
        }
        (Images::Create(_), None) | (Images::Delete(_) | Images::Sweep(..), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_others_have_written_in_between_is_seen_and_nothing_else() {
        let bus = |bus: &str| json!({"metadata": {"name": "it"}, "data": {"bus": bus, "retries": "3"}});
        let update = Images::Update(bus("old"), bus("new"));
        let others = json!({"data": {"bus": "new", "retries": "9"}});
        assert_eq!([bus("new"), bus("old"), others].map(|found| difference(&update, Some(&found))), [None; 3]);
        assert!(difference(&update, Some(&bus("theirs"))).is_some() && difference(&update, None).is_some());
        let create = Images::Create(bus("new"));
        assert!(difference(&create, Some(&bus("theirs"))).is_some());
        assert_eq!([difference(&create, Some(&bus("new"))), difference(&create, None)], [None; 2]);
        assert_eq!(difference(&Images::Delete(bus("old")), Some(&bus("theirs"))), None);
    }
}
