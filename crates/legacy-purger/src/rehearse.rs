//! Rehearses whether what goes could be created again. An object was valid when it was stored; since then a schema or a policy may have
//! become stricter, and the server would refuse to take it back.
//! Source: kubernetes/kubernetes#94060.

use std::cell::RefCell;
use std::collections::BTreeMap;

use fairlead_kube_client::objects::Rehearsal;
use fairlead_migration::change::{Image, Images, Target};
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::plan::PlanBuilder;
use fairlead_observe::address::target;
use fairlead_observe::kind::DEFINITION;
use fairlead_observe::source::Source;
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::count::count_of;
use crate::fence;
use crate::options::Options;
use crate::ready::is_about_readiness;
use fairlead_job::codes::legacy_purger as codes;

/// So many objects of a kind are rehearsed, of more every second, third and so on. Each takes a third of what its deletion takes.
const LIMIT: usize = 500;

/// Group and version, and kind.
type Kind = (String, String);

/// How many objects of each kind come back, and the first of them.
type Counts = BTreeMap<Kind, (usize, Target)>;

/// Refuses each object that could not be created again as it is. Nothing is rehearsed of files, and while Triggers are waited for.
pub(crate) async fn add(source: &Source<'_>, options: &Options<'_>, plan: &mut PlanBuilder) -> Result<(), Obstacle> {
    let is_waiting = !plan.refusals().is_empty() && plan.refusals().iter().all(is_about_readiness);
    if !options.rehearses || is_waiting || matches!(source, Source::Manifests(_)) {
        return Ok(());
    }
    let (counts, untried) = (counts(plan), RefCell::default());
    let mark = fence::mark(options.namespace, options.release, 0);
    let rehearse = |image: Image| rehearse(source, &mark, &untried, image);
    let refusals: Vec<Option<Finding>> =
        stream::iter(sample(plan, &counts)).map(rehearse).buffer_unordered(options.concurrency).try_collect().await?;
    refusals.into_iter().flatten().for_each(|finding| plan.refuse(finding));
    let large = counts.iter().filter(|(_, (count, _))| *count > LIMIT);
    for ((_, kind), (count, first)) in large {
        let message = format!("{} of {} were tried, evenly spread", count.div_ceil(stride(*count)), count_of(*count, kind));
        plan.warn(codes::NOT_REHEARSED.finding(first.clone(), message));
    }
    untried.into_inner().into_values().for_each(|finding| plan.warn(finding));
    Ok(())
}

/// The refusal of one object. Of a kind that cannot be tried `untried` says why, and no more are.
async fn rehearse(
    source: &Source<'_>,
    mark: &str,
    untried: &RefCell<BTreeMap<Kind, Finding>>,
    image: Image,
) -> Result<Option<Finding>, Obstacle> {
    let target = target(&image);
    let kind = (target.api_version.clone(), target.kind.clone());
    if untried.borrow().contains_key(&kind) {
        return Ok(None);
    }
    let why = match source.rehearse(&image, Some(mark)).await {
        Ok(None | Some(Rehearsal::Accepted | Rehearsal::Exists)) => return Ok(None),
        Ok(Some(Rehearsal::Denied(why))) => return Ok(Some(codes::NOT_RESTORABLE_TODAY.finding(target, why))),
        Ok(Some(Rehearsal::NotAllowed)) => "whoever asks may not create such objects".to_owned(),
        Ok(Some(Rehearsal::Untried(why))) => why,
        // A webhook that does not answer: the others of the kind would wait for it as long.
        Err(obstacle @ Obstacle::Refused { .. }) => {
            let message = chain(&obstacle);
            untried.borrow_mut().insert(kind, codes::NOT_REHEARSED.finding(target.clone(), message.clone()));
            return Ok(Some(codes::NOT_RESTORABLE_TODAY.finding(target, message)));
        }
        Err(obstacle) => return Err(obstacle),
    };
    untried.borrow_mut().entry(kind).or_insert_with(|| codes::NOT_REHEARSED.finding(target, why));
    Ok(None)
}

/// The images that come back one by one. Definitions are tried when they are read; what the plan itself creates was never stored.
fn images(plan: &PlanBuilder) -> impl Iterator<Item = Image> {
    plan.changes().filter_map(|change| match change.images {
        Images::Delete(image) if !image["metadata"]["uid"].is_null() && change.target.kind != DEFINITION.kind => Some(image),
        _ => None,
    })
}

fn counts(plan: &PlanBuilder) -> Counts {
    let mut counts = Counts::new();
    for target in images(plan).map(|image| target(&image)) {
        let kind = (target.api_version.clone(), target.kind.clone());
        counts.entry(kind).or_insert((0, target)).0 += 1;
    }
    counts
}

/// At most [`LIMIT`] of each kind.
fn sample<'a>(plan: &'a PlanBuilder, counts: &'a Counts) -> impl Iterator<Item = Image> + 'a {
    let mut seen: BTreeMap<Kind, usize> = BTreeMap::new();
    images(plan).filter(move |image| {
        let Target { api_version, kind, .. } = target(image);
        let kind = (api_version, kind);
        let stride = counts.get(&kind).map_or(1, |(count, _)| stride(*count));
        let position = seen.entry(kind).or_default();
        *position += 1;
        (*position - 1).is_multiple_of(stride)
    })
}

fn stride(count: usize) -> usize {
    count.div_ceil(LIMIT).max(1)
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::Change;
    use fairlead_migration::stage::{Stage, StageKind, UndoAt};
    use serde_json::json;

    use super::*;

    #[test]
    fn of_many_a_part_is_tried_and_of_few_each() {
        let mut plan = PlanBuilder::new("it", vec![Stage::new("it", StageKind::Contract, UndoAt::PreRollback, 1)]);
        let mut push = |kind: &str, name: String, image: &Image| {
            let mut image = image.clone();
            (image["apiVersion"], image["kind"], image["metadata"]["name"]) = ("a.b/v1".into(), kind.into(), name.into());
            plan.push(&Change { stage: 0, target: target(&image), images: Images::Delete(image), reason: String::new() });
        };
        let read = json!({"metadata": {"uid": "u"}});
        (0..3).for_each(|number| push("Few", number.to_string(), &read));
        (0..=2 * LIMIT).for_each(|number| push("Many", format!("{number:05}"), &read));
        push("Own", "made by the plan".to_owned(), &json!({"metadata": {}}));
        let counts = counts(&plan);
        let mut tried: BTreeMap<String, usize> = BTreeMap::new();
        sample(&plan, &counts).for_each(|image| *tried.entry(target(&image).kind).or_default() += 1);
        assert_eq!(tried, BTreeMap::from([("Few".to_owned(), 3), ("Many".to_owned(), (2 * LIMIT + 1).div_ceil(3))]));
    }
}
