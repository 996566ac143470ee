//! What replicating costs, against a real etcd and API server: prints one Markdown table. `make bench` runs it.
//!
//! - `rate`: Triggers created per second, compared with clients that only create them
//! - `size`: memory, time and snapshot at different numbers of objects
//! - `purge`: objects are purged and put back, compared with `kubectl delete` and `kubectl apply`
//! - `drain`: how soon a drain has its verdict, how often it asks, and what it takes for many consumers; the servers are in `drain_sources`
//! - `layer`: what an event costs compatibility-layer, compared with a proxy
//! - `files`: a plan from files instead of a cluster
//! - `start`: how soon the job asks the server something
//! - `client`: the client without anything of ours, which also makes the objects
//! - `process`: the job as a process
//! - `table`: what is printed
//!
//! Everything is compared within one run on one machine, and nothing is asserted but that the job has done its work: a
//! threshold in a test would measure the machine's other guests.

#![expect(
    clippy::panic,
    reason = "a measurement that cannot be made ends the run; there is nobody above to handle an error"
)]

mod client;
mod drain;
mod drain_sources;
mod files;
mod layer;
mod objects;
mod process;
mod purge;
mod rate;
mod size;
mod start;
mod table;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Instant;

use clap::builder::FalseyValueParser;
use clap::{Parser, ValueEnum};

/// What to measure.
#[derive(Parser)]
struct Args {
    /// The job's release binary.
    #[arg(long, env = "BENCH_BINARY")]
    binary: PathBuf,

    /// The release binary of legacy-purger.
    #[arg(long, env = "BENCH_PURGER")]
    purger: PathBuf,

    /// The release binary of drain-waiter.
    #[arg(long, env = "BENCH_DRAINER")]
    drainer: PathBuf,

    /// The release binary of compatibility-layer.
    #[arg(long, env = "BENCH_LAYER")]
    layer: PathBuf,

    /// So many objects are purged; up to 10,000 also put back, and compared with kubectl [default: 500,10000,100000, quick:
    /// 500,10000].
    #[arg(long, env = "BENCH_PURGE_SIZES", value_delimiter = ',')]
    purge_sizes: Vec<usize>,

    /// Only these parts; a list with commas.
    #[arg(long, env = "BENCH_ONLY", value_delimiter = ',', default_value = "drain,files,layer,purge,rate,size,start")]
    only: Vec<Part>,

    /// Triggers in each round that measures their rate [default: 2000,10000, quick: 2000].
    #[arg(long, env = "BENCH_OBJECTS", value_delimiter = ',')]
    objects: Vec<usize>,

    /// How many are created at once; a list with commas measures each.
    #[arg(long, env = "BENCH_CONCURRENCY", value_delimiter = ',', default_value = "8")]
    concurrency: Vec<usize>,

    /// Nothing with 100,000 objects: a minute instead of many.
    #[arg(long, env = "BENCH_QUICK", value_parser = FalseyValueParser::new())]
    quick: bool,

    /// Only a proxy to this port, which is measured.
    #[arg(long, hide = true)]
    proxy_to: Option<u16>,

    /// Cargo passes it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A part of the measurement.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    Drain,
    Files,
    Layer,
    Purge,
    Rate,
    Size,
    Start,
}

fn main() {
    let Args { binary, purger, drainer, layer, purge_sizes, only, objects, concurrency, quick, proxy_to, bench: _ } =
        Args::parse();
    if let Some(target) = proxy_to {
        layer::proxy::serve(target);
    }
    let started = Instant::now();
    let objects = match &objects[..] {
        [] if quick => vec![2_000],
        [] => vec![2_000, 10_000],
        _ => objects,
    };
    let sizes: &[usize] = if quick { &[10_000] } else { &[10_000, 100_000] };
    let job = process::Job::new(&binary);
    let purge_sizes = if purge_sizes.is_empty() { [&[500], sizes].concat() } else { purge_sizes };
    let has = |part| only.contains(&part);
    let mut rows = Vec::new();
    if has(Part::Drain) {
        rows.extend(drain::measure(&drainer));
    }
    if has(Part::Files) {
        rows.extend(files::measure(&job));
    }
    if has(Part::Layer) {
        rows.extend(layer::measure(&layer));
    }
    if has(Part::Purge) {
        rows.extend(purge::measure(&purger, &purge_sizes));
    }
    if has(Part::Rate) {
        for count in &objects {
            rows.extend(rate::measure(&job, *count, &concurrency));
        }
    }
    if has(Part::Size) {
        rows.extend(size::measure(&job, sizes));
    }
    if has(Part::Start) {
        rows.extend(start::measure(&job));
    }
    table::print(&job.version(), &rows);
    say(&format!("measured in {:.0} s", started.elapsed().as_secs_f64()));
}

/// Tells on stderr how far it is: stdout is for the table.
fn say(what: &str) {
    // Nothing can be done when stderr is closed.
    let _ = writeln!(std::io::stderr().lock(), "{what}");
}
