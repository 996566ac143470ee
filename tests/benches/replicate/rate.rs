//! Triggers created per second, compared with clients that only create them.

use std::time::Duration;

use fairlead_tests::cluster::Cluster;
use serde_json::Value;

use crate::client::{self, CLIENT_GO, Post};
use crate::objects;
use crate::process::Job;
use crate::say;
use crate::table::{Row, float, spread, thousands};

/// The machine has other work, too: of so many rounds the median counts.
const ROUNDS: usize = 5;

/// So many take 10 seconds at the limit of client-go.
const LIMITED_OBJECTS: usize = 60;

/// Set by the server, so no part of what is sent.
const SERVER_SET: [&str; 5] = ["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];

/// Rates with `count` objects, at each of these concurrencies.
pub(crate) fn measure(job: &Job, count: usize, concurrencies: &[usize]) -> Vec<Row> {
    let cluster = Cluster::control_plane();
    objects::fill(&cluster, 0, count);
    // Not measured: it warms the server up, and its Triggers are what the other clients send.
    job.apply(&cluster, concurrencies[0]);
    let triggers = read(&cluster);
    assert_eq!(triggers.len(), count, "the job gives each Subscription a Trigger");
    objects::delete_triggers(&cluster, count);

    let mut rows: Vec<Row> =
        concurrencies.iter().flat_map(|concurrency| compare(job, &cluster, &triggers, *concurrency)).collect();
    say(&format!("{LIMITED_OBJECTS} Triggers at the limit of client-go"));
    let limited = client::post_limited(&cluster, triggers.iter().take(LIMITED_OBJECTS).map(post));
    let (limit, burst) = CLIENT_GO;
    let what = format!("a client with client-go's default limit ({limit} per second, {burst} at first)");
    rows.push(Row::new(what, LIMITED_OBJECTS, format!("{:.1} per second", rate(LIMITED_OBJECTS, limited))));
    rows
}

/// Side by side, so that what slows one round down slows both.
fn compare(job: &Job, cluster: &Cluster, triggers: &[Value], concurrency: usize) -> Vec<Row> {
    let count = triggers.len();
    let (mut wholes, mut writes, mut bares) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        objects::delete_tickets(cluster);
        let bare = || {
            let took = client::post(cluster, triggers.iter().map(post), concurrency);
            objects::delete_triggers(cluster, count);
            took
        };
        let ours = || {
            let ran = job.apply(cluster, concurrency);
            objects::delete_triggers(cluster, count);
            ran
        };
        // They take turns in being first: whoever comes second finds a warmer server.
        let (ran, bare) = if round % 2 == 1 {
            let ran = ours();
            (ran, bare())
        } else {
            let bare = bare();
            (ours(), bare)
        };
        wholes.push(rate(count, ran.elapsed));
        writes.push(rate(count, ran.writes()));
        bares.push(rate(count, bare));
        say(&format!(
            "round {round} of {ROUNDS}, {concurrency} at once: apply {:.0} per second, its writes {:.0}, bare client {:.0}",
            wholes[round - 1],
            writes[round - 1],
            bares[round - 1],
        ));
    }
    let percent = |rates: &[f64]| {
        let ratios = rates.iter().zip(&bares).map(|(ours, bare)| 100.0 * ours / bare);
        spread(ratios.collect(), "%", thousands)
    };
    let per_second = |rates: &[f64]| spread(rates.to_vec(), "per second", thousands);
    [
        (format!("Triggers created by `apply`, {concurrency} at once, from exec to exit"), per_second(&wholes)),
        ("its writes alone".to_owned(), per_second(&writes)),
        ("a bare client that sends only the same requests, as many at once".to_owned(), per_second(&bares)),
        ("`apply` from exec to exit, of the bare client's rate".to_owned(), percent(&wholes)),
        ("its writes alone, of the bare client's rate".to_owned(), percent(&writes)),
    ]
    .map(|(what, figure)| Row::new(what, count, figure))
    .into()
}

/// The Triggers as they were sent: the definition has no defaults.
fn read(cluster: &Cluster) -> Vec<Value> {
    let mut triggers = Vec::new();
    client::list(cluster, &objects::triggers(None), |mut trigger| {
        if let Some(metadata) = trigger["metadata"].as_object_mut() {
            metadata.retain(|key, _| !SERVER_SET.contains(&key.as_str()));
        }
        triggers.push(trigger);
    });
    triggers
}

fn post(trigger: &Value) -> Post {
    Post::new(objects::triggers(trigger["metadata"]["namespace"].as_str()), trigger)
}

fn rate(count: usize, took: Duration) -> f64 {
    float(count) / took.as_secs_f64()
}
