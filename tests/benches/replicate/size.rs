//! Memory, time and snapshot at different numbers of objects.

use std::time::Duration;

use fairlead_tests::cluster::Cluster;
use fairlead_tests::program::root;
use serde_json::Value;

use crate::process::{Job, Ran};
use crate::table::{Row, float, mebibytes, milliseconds};
use crate::{client, objects, say};

/// A number of objects at which the time is that of the requests.
const FEW: usize = 20;

/// The job's default.
const CONCURRENCY: usize = 8;

/// Figures at each of these numbers of objects, which grow.
pub(crate) fn measure(job: &Job, sizes: &[usize]) -> Vec<Row> {
    let cluster = Cluster::control_plane();
    let mut rows = Vec::new();
    objects::fill(&cluster, 0, FEW);
    job.apply(&cluster, CONCURRENCY);
    rows.push(idle_time(&idle(job, &cluster, FEW), FEW));
    let mut filled = FEW;
    for size in sizes {
        objects::delete_triggers(&cluster, filled);
        objects::delete_tickets(&cluster);
        objects::fill(&cluster, filled, *size);
        filled = *size;
        rows.extend(measure_one(job, &cluster, *size));
    }
    rows.extend(image());
    rows
}

fn measure_one(job: &Job, cluster: &Cluster, size: usize) -> Vec<Row> {
    let plan = job.plan(cluster);
    say(&format!("plan of {size} took {:.1} s", plan.elapsed.as_secs_f64()));
    let apply = job.apply(cluster, CONCURRENCY);
    let seconds = format!("{:.1} s", apply.elapsed.as_secs_f64());
    say(&format!("apply of {size} took {seconds}"));
    let idle = idle(job, cluster, size);
    let peak = idle.iter().map(|ran| ran.peak).max().unwrap_or_default();
    vec![
        Row::new("`apply` of everything: time from exec to exit", size, seconds),
        Row::new("`apply` of everything: peak memory", size, mebibytes(float(apply.peak))),
        Row::new("`plan` of everything: peak memory", size, mebibytes(float(plan.peak))),
        Row::new("`apply` with nothing to do: peak memory", size, mebibytes(float(peak))),
        idle_time(&idle, size),
        snapshot(cluster, size),
    ]
}

/// Runs that find everything done. Each notes in the ledger how it ended, and a list that follows such a write at once waits in the API
/// server until its cache has caught up: upgrades do not follow each other like that.
#[expect(clippy::disallowed_methods, reason = "the cache cannot be asked, and a list would be what is measured")]
fn idle(job: &Job, cluster: &Cluster, size: usize) -> Vec<Ran> {
    let run = |_| {
        std::thread::sleep(Duration::from_millis(500));
        job.apply(cluster, CONCURRENCY)
    };
    (0..repetitions(size)).map(run).collect()
}

/// How often a run is repeated whose time is measured: of what takes long not at all.
fn repetitions(size: usize) -> usize {
    match size {
        ..1_000 => 21,
        1_000..50_000 => 5,
        _ => 1,
    }
}

fn idle_time(idle: &[Ran], size: usize) -> Row {
    let times = idle.iter().map(|ran| ran.elapsed.as_secs_f64()).collect();
    Row::new("`apply` with nothing to do: time from exec to exit", size, milliseconds(times))
}

/// The Secrets of the only run since they were deleted, beside its Triggers.
fn snapshot(cluster: &Cluster, size: usize) -> Row {
    let (mut stored, mut count, mut json) = (0, 0, 0);
    client::list(cluster, &objects::tickets(), |secret| {
        stored += secret["data"].as_object().into_iter().flat_map(|data| data.values()).map(decoded_length).sum::<usize>();
    });
    client::list(cluster, &objects::triggers(None), |mut trigger| {
        trigger["metadata"].as_object_mut().map(|metadata| metadata.remove("managedFields"));
        count += 1;
        json += trigger.to_string().len();
    });
    assert_eq!(count, size, "the job gives each Subscription a Trigger");
    let (stored, json) = (float(stored), float(json));
    let percent = 100.0 * stored / json;
    let figure = format!("{percent:.1} % ({} of {})", mebibytes(stored), mebibytes(json));
    Row::new("the snapshot's Secrets, of its Triggers' compact JSON without managedFields", size, figure)
}

/// How many bytes a base64 text stands for.
fn decoded_length(base64: &Value) -> usize {
    let text = base64.as_str().unwrap_or_default();
    text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count()
}

fn image() -> Option<Row> {
    let image = root().join("target/images/trigger-replicator.tar");
    let length = usize::try_from(image.metadata().ok()?.len()).ok()?;
    Some(Row { what: "the image, compressed".to_owned(), objects: None, figure: mebibytes(float(length)) })
}
