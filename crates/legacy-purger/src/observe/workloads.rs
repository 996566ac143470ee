//! Reads the workloads around the purge.

use fairlead_apis::object;
use fairlead_job::codes::{legacy_purger as codes, shared};
use fairlead_mesh::kinds::NAMESPACE;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Purge, Workload};
use crate::definitions::Findings;
use crate::kinds;
use crate::near::{meant_beside, nearest};
use crate::workloads::{Running, Workloads, autoscaled};

/// What to write where a consumer is not a slip.
const IF_OPTIONAL: &str = "If it need not exist here, write beside it: `optional: true`";

/// Reads consumers, their autoscalers, and the owners of finalizers.
pub(super) async fn read(source: &Source<'_>, purge: &Purge) -> Result<Workloads, Obstacle> {
    let mut workloads = Workloads::default();
    for (position, consumer) in purge.consumers.iter().enumerate() {
        let image = get(source, &consumer.workload).await?;
        if image.is_none() && !consumer.optional {
            add_absent(source, purge, position, &mut workloads.findings).await?;
        }
        workloads.add_consumer(consumer, source.has_scale(&consumer.workload.observed_kind()), image);
    }
    if !workloads.held.is_empty() {
        let autoscalers = source.list(&kinds::AUTOSCALER, Some).await?;
        workloads.findings.warnings.extend(autoscalers.iter().filter_map(|it| autoscaled(&workloads.held, it)));
    }
    for finalizer in &purge.finalizers {
        let image = get(source, &finalizer.owner).await?;
        let running = Running::of(image.as_ref());
        workloads.owners.insert(finalizer.name.clone(), (finalizer.owner.clone(), running));
    }
    Ok(workloads)
}

/// Says of a consumer that it does not exist. Files seldom hold everything: there, only a name that is nearly that of another is refused.
async fn add_absent(source: &Source<'_>, purge: &Purge, position: usize, findings: &mut Findings) -> Result<(), Obstacle> {
    let workload = &purge.consumers[position].workload;
    let names = match names_beside(source, workload).await {
        // To get the one that is named takes less permission than to list all.
        Err(Obstacle::Forbidden { .. }) => None,
        names => Some(names?),
    };
    let names = names.as_ref().map(|names| names.iter().map(String::as_str).collect::<Vec<_>>());
    let elsewhere = named_elsewhere(purge, position);
    let free = |name: &&str| !elsewhere.contains(name);
    let place = format!("purge.consumers[{position}].workload names it");
    match (source, &names) {
        (Source::Manifests(_), Some(names)) if nearest(&workload.name, names.iter().copied().filter(free)).is_none() => {
            let message = format!("{place}, and it is not among the files");
            findings.warnings.push(codes::UNMATCHED.finding(workload.target(), message));
        }
        (Source::Cluster(..), _) if !is_namespace_there(source, workload).await? => {
            let message = format!("{place}, and there is no namespace {:?}. {IF_OPTIONAL}", workload.namespace);
            findings.refusals.push(codes::NO_CONSUMER.finding(workload.target(), message));
        }
        (_, names) => {
            let (kind, namespace) = (&workload.kind, &workload.namespace);
            let meant = names.as_ref().map_or_else(
                || format!("`kubectl get {} -n {namespace}` lists what there is", kind.to_lowercase()),
                |names| {
                    let has = format!("of kind {kind}, namespace {namespace} has");
                    meant_beside(&workload.name, &has, names, &elsewhere)
                },
            );
            let end = if meant.ends_with('?') { "" } else { "." };
            let message = format!("{place}, and it does not exist; {meant}{end} {IF_OPTIONAL}");
            findings.refusals.push(codes::NO_CONSUMER.finding(workload.target(), message));
        }
    }
    Ok(())
}

/// The names of the same kind and namespace that other consumers have: the configuration means those there.
fn named_elsewhere(purge: &Purge, position: usize) -> Vec<&str> {
    let Workload { kind, namespace, .. } = &purge.consumers[position].workload;
    let others = purge.consumers.iter().enumerate().filter(|(other, _)| *other != position);
    let others = others.map(|(_, consumer)| &consumer.workload);
    others.filter(|it| it.kind == *kind && it.namespace == *namespace).map(|it| it.name.as_str()).collect()
}

/// The names of all objects of its kind in its namespace.
async fn names_beside(source: &Source<'_>, workload: &Workload) -> Result<Vec<String>, Obstacle> {
    let name = |it: Value| (object::namespace(&it) == workload.namespace).then(|| object::name(&it).to_owned());
    let mut names = source.list(&workload.observed_kind(), name).await?;
    names.sort();
    Ok(names)
}

/// Believed where it may not be asked for.
async fn is_namespace_there(source: &Source<'_>, workload: &Workload) -> Result<bool, Obstacle> {
    match source.get(&NAMESPACE, "", &workload.namespace).await {
        Err(Obstacle::Forbidden { .. }) => Ok(true),
        found => Ok(found?.is_some()),
    }
}

/// One workload, if it exists.
pub(crate) async fn get(source: &Source<'_>, workload: &Workload) -> Result<Option<Value>, Obstacle> {
    let image = source.get(&workload.observed_kind(), &workload.namespace, &workload.name).await?;
    // Of a file; no server stores such an object.
    let strange = image.as_ref().and_then(|image| ["spec", "status"].into_iter().find(|field| is_no_map(&image[field])));
    match strange {
        Some(field) => {
            let message = format!("{workload}: {field} is not a map");
            Err(Obstacle::Verdict { code: shared::INPUT.id.into(), message })
        }
        None => Ok(image),
    }
}

fn is_no_map(field: &Value) -> bool {
    !field.is_null() && !field.is_object()
}
