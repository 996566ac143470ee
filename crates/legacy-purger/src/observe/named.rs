//! Whether what a configuration file names is there. A name that is nobody's would be purged without a word.

use fairlead_job::codes::legacy_purger as codes;
use fairlead_mesh::kinds::NAMESPACE;
use fairlead_migration::change::Images;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::kind::{DEFINITION, Kind};
use fairlead_observe::source::Source;

use super::served_kinds::Served;
use crate::configuration::{Purge, PurgedKind, file_target};
use crate::options::STEP;

/// The runs of a release, where there is a ledger to ask.
#[derive(Clone, Copy)]
pub(crate) struct Earlier<'a> {
    pub(crate) store: &'a dyn Store,
    pub(crate) runs: &'a [RecordedRun],
}

/// Fails with everything that the file names and that is not there, and warns of slips that change nothing. What is built in may find
/// nothing.
pub(crate) async fn check(
    source: &Source<'_>,
    purge: &Purge,
    earlier: Option<Earlier<'_>>,
) -> Result<Vec<Finding>, Obstacle> {
    let mut warnings = Vec::new();
    let Some(file) = &purge.file else { return Ok(warnings) };
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
        return Ok(warnings);
    }
    for Named { at, kind, absence } in named {
        // Files seldom hold everything.
        let may_be_absent = absence != Absence::Refused || matches!(source, Source::Manifests(_));
        let lacks = served.lacks(&kind).filter(|_| !may_be_absent || served.is_slip(&kind));
        let Some(what) = lacks else { continue };
        if is_purged(&kind, earlier).await? {
            continue;
        }
        if absence == Absence::Warned {
            warnings.push(codes::UNMATCHED.finding(file_target(file), format!("nothing fits {at}: {what}")));
        } else {
            wrong.push(format!("{at}: {what}"));
        }
    }
    if wrong.is_empty() {
        return Ok(warnings);
    }
    let message = format!("{}: {}", file.display(), wrong.join("; "));
    Err(Obstacle::Verdict { code: codes::NOT_THERE.id.into(), message })
}

/// A kind that the file names beside those that are purged.
struct Named {
    at: String,
    kind: Kind,
    absence: Absence,
}

/// What is said of a kind that is not there.
#[derive(Clone, Copy, PartialEq)]
enum Absence {
    /// It is refused.
    Refused,
    /// A slip is refused. Otherwise there is none of its objects, and nothing to do about them.
    SlipRefused,
    /// A slip is warned of: nothing happens to its objects anyway.
    Warned,
}

fn named(purge: &Purge) -> Vec<Named> {
    let must = |at: String, kind: Kind| Named { at, kind, absence: Absence::Refused };
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
            let kind = Kind::named(&product.group, &product.kind);
            all.push(Named { at: format!("{at}.deletes[{position}]"), kind, absence: Absence::SlipRefused });
        }
    }
    for (position, staying) in purge.stays.iter().enumerate() {
        let kind = Kind::named(&staying.group, &staying.kind);
        all.push(Named { at: format!("purge.stays[{position}]"), kind, absence: Absence::Warned });
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
