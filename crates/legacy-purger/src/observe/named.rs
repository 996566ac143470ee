//! Whether what a configuration file names is there. A name that is nobody's would be purged without a word.

use fairlead_job::codes::legacy_purger as codes;
use fairlead_mesh::kinds::NAMESPACE;
use fairlead_migration::change::Images;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;

use super::served_kinds::Served;
use crate::configuration::{Purge, PurgedKind};
use crate::options::STEP;

/// The runs of a release, where there is a ledger to ask.
#[derive(Clone, Copy)]
pub(crate) struct Earlier<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) runs: &'a [RecordedRun],
}

/// Fails with everything that the file names and that is not there. What is built in may find nothing.
pub(crate) async fn check(source: &Source<'_>, purge: &Purge, earlier: Option<Earlier<'_>>) -> Result<(), Obstacle> {
    let Some(file) = &purge.file else { return Ok(()) };
    let named = named(purge);
    let served = Served::of(source, named.iter().map(|it| &it.kind)).await?;
    let mut wrong = Vec::new();
    let mut purged = 0;
    for (position, entry) in purge.kinds.iter().enumerate() {
        let at = format!("purge.kinds[{position}]");
        let kind = entry.observed_kind();
        match served.lacks(&kind) {
            Some(what) if !is_purged(&kind, earlier).await? => wrong.push(format!("{at}: {what}")),
            Some(_) => purged += 1,
            None => wrong.extend(wrong_namespaces(source, entry, &kind, &at).await?),
        }
    }
    // Nothing is left to do, so nothing of the rest is needed.
    if purged == purge.kinds.len() {
        return Ok(());
    }
    for Named { at, kind, may_be_absent } in named {
        // Files seldom hold everything.
        let may_be_absent = may_be_absent || matches!(source, Source::Manifests(_));
        let lacks = served.lacks(&kind).filter(|_| !may_be_absent || served.is_slip(&kind));
        if let Some(what) = lacks
            && !is_purged(&kind, earlier).await?
        {
            wrong.push(format!("{at}: {what}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("{}: {}", file.display(), wrong.join("; "));
    Err(Obstacle::Verdict { code: codes::NOT_THERE.id.into(), message })
}

/// A kind that the file names beside those that are purged.
struct Named {
    at: String,
    kind: Kind,
    /// Whether the file may name the kind of an add-on that this cluster does not have.
    may_be_absent: bool,
}

fn named(purge: &Purge) -> Vec<Named> {
    let must = |at: String, kind: Kind| Named { at, kind, may_be_absent: false };
    let mut all = Vec::new();
    for (position, named) in purge.dependents.iter().enumerate() {
        all.push(must(format!("purge.dependents[{position}]"), Kind::named(&named.group, &named.kind)));
    }
    for (position, consumer) in purge.consumers.iter().enumerate() {
        all.push(must(format!("purge.consumers[{position}].workload"), consumer.workload.observed_kind()));
    }
    for (position, finalizer) in purge.finalizers.iter().enumerate() {
        let at = format!("purge.finalizers[{position}]");
        all.push(must(format!("{at}.owner"), finalizer.owner.observed_kind()));
        for (position, product) in finalizer.deletes.iter().enumerate() {
            all.push(must(format!("{at}.deletes[{position}]"), Kind::named(&product.group, &product.kind)));
        }
    }
    for (position, staying) in purge.stays.iter().enumerate() {
        let kind = Kind::named(&staying.group, &staying.kind);
        all.push(Named { at: format!("purge.stays[{position}]"), kind, may_be_absent: true });
    }
    all
}

/// What is wrong with the namespaces of an entry. Of files nobody knows which namespaces there are.
async fn wrong_namespaces(source: &Source<'_>, entry: &PurgedKind, kind: &Kind, at: &str) -> Result<Vec<String>, Obstacle> {
    if entry.namespaces.is_empty() {
        return Ok(Vec::new());
    }
    if !source.is_namespaced(kind) {
        return Ok(vec![format!("{at}.namespaces: objects of {} are in no namespace", entry.kind)]);
    }
    let mut wrong = Vec::new();
    if let Source::Cluster(..) = source {
        for namespace in &entry.namespaces {
            if source.get(&NAMESPACE, "", namespace).await?.is_none() {
                wrong.push(format!("{at}.namespaces: there is no namespace {namespace:?}"));
            }
        }
    }
    Ok(wrong)
}

/// Whether a run in force has removed the kind: then the same configuration finds nothing to do.
async fn is_purged(kind: &Kind, earlier: Option<Earlier<'_>>) -> Result<bool, Obstacle> {
    let Some(Earlier { store, runs }) = earlier else { return Ok(false) };
    for run in runs.iter().rev().filter(|run| run.step == STEP && run.is_in_force()) {
        let plan = store.read(&run.name).await?.plan;
        let mut deleted = plan.changes().filter_map(|change| match change.images {
            Images::Delete(image) if change.target.kind == DEFINITION.kind => Some(image),
            _ => None,
        });
        let is_it = |image: &serde_json::Value| {
            image["spec"]["group"] == *kind.group && image["spec"]["names"]["kind"] == *kind.kind
        };
        if deleted.any(|image| is_it(&image)) {
            return Ok(true);
        }
    }
    Ok(false)
}
