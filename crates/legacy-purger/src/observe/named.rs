//! Whether what a configuration file names is there. A name that is nobody's would be purged without a word.

use fairlead_job::codes::legacy_purger as codes;
use fairlead_mesh::kinds::NAMESPACE;
use fairlead_migration::change::Images;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;

use crate::configuration::{Purge, PurgedKind, Workload};
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
    let mut wrong = Vec::new();
    let mut purged = 0;
    for (position, entry) in purge.kinds.iter().enumerate() {
        let at = format!("purge.kinds[{position}]");
        let kind = entry.observed_kind();
        match unserved(source, &kind) {
            Some(what) if !is_purged(&kind, earlier).await? => wrong.push(format!("{at}: {what}")),
            Some(_) => purged += 1,
            None => wrong.extend(wrong_namespaces(source, entry, &kind, &at).await?),
        }
    }
    // Nothing is left to do, so nothing of the rest is needed.
    if purged == purge.kinds.len() {
        return Ok(());
    }
    for (position, named) in purge.dependents.iter().enumerate() {
        let kind = Kind::named(&named.group, &named.kind);
        if let Some(what) = unserved(source, &kind)
            && !is_purged(&kind, earlier).await?
        {
            wrong.push(format!("purge.dependents[{position}]: {what}"));
        }
    }
    let consumers =
        purge.consumers.iter().enumerate().map(|(at, it)| (format!("purge.consumers[{at}].workload"), &it.workload));
    let owners = purge.finalizers.iter().enumerate().map(|(at, it)| (format!("purge.finalizers[{at}].owner"), &it.owner));
    wrong.extend(consumers.chain(owners).filter_map(|(at, workload)| unserved_workload(source, &at, workload)));
    if wrong.is_empty() {
        return Ok(());
    }
    let message = format!("{}: {}", file.display(), wrong.join("; "));
    Err(Obstacle::Verdict { code: codes::NOT_THERE.id.into(), message })
}

/// What is wrong with a kind that is not served. Files may hold none of its objects; if they hold others of its group, its name is wrong.
fn unserved(source: &Source<'_>, kind: &Kind) -> Option<String> {
    let others = source.kinds_of(&kind.group);
    let is_unknown = source.api_version(kind).is_none() && (matches!(source, Source::Cluster(..)) || !others.is_empty());
    is_unknown.then(|| {
        let served = if others.is_empty() {
            format!("`kubectl api-resources --api-group={}` lists what there is", kind.group)
        } else {
            format!("{} has {}", kind.group, others.into_iter().collect::<Vec<_>>().join(", "))
        };
        format!("there is no kind {} of {}; {served}", kind.kind, kind.group)
    })
}

fn unserved_workload(source: &Source<'_>, at: &str, workload: &Workload) -> Option<String> {
    let is_unknown = source.api_version(&workload.observed_kind()).is_none();
    let Workload { api_version, kind, .. } = workload;
    is_unknown.then(|| format!("{at}: there is no kind {kind} of {api_version}"))
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
