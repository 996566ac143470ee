//! Reads the workloads around the purge.

use fairlead_job::codes::shared;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::configuration::{Purge, Workload};
use crate::kinds;
use crate::workloads::{Running, Workloads, autoscaled};

/// Reads consumers, their autoscalers, and the owners of finalizers.
pub(super) async fn read(source: &Source<'_>, purge: &Purge) -> Result<Workloads, Obstacle> {
    let mut workloads = Workloads::default();
    for consumer in &purge.consumers {
        let image = get(source, &consumer.workload).await?;
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
