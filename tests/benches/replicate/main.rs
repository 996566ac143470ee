//! What replicating costs, against a real etcd and API server: prints one Markdown table. `make bench` runs it.
//!
//! - `rate`: Triggers created per second, compared with clients that only create them
//! - `size`: memory, time and snapshot at different numbers of objects
//! - `purge`: objects are purged and put back, compared with `kubectl delete` and `kubectl apply`
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

use clap::Parser;
use clap::builder::FalseyValueParser;

/// What to measure.
#[derive(Parser)]
struct Args {
    /// The job's release binary.
    #[arg(long, env = "BENCH_BINARY")]
    binary: PathBuf,

    /// The release binary of legacy-purger.
    #[arg(long, env = "BENCH_PURGER")]
    purger: PathBuf,

    /// So many objects are purged; up to 10,000 also put back, and compared with kubectl [default: 500,10000,100000, quick:
    /// 500,10000].
    #[arg(long, env = "BENCH_PURGE_SIZES", value_delimiter = ',')]
    purge_sizes: Vec<usize>,

    /// Only the purge: minutes instead of a quarter of an hour.
    #[arg(long, env = "BENCH_PURGE_ONLY", value_parser = FalseyValueParser::new())]
    purge_only: bool,

    /// Triggers in each round that measures their rate [default: 5000, quick: 2000].
    #[arg(long, env = "BENCH_OBJECTS")]
    objects: Option<usize>,

    /// How many are created at once; a list with commas measures each.
    #[arg(long, env = "BENCH_CONCURRENCY", value_delimiter = ',', default_value = "8")]
    concurrency: Vec<usize>,

    /// Nothing with 100,000 objects: a minute instead of many.
    #[arg(long, env = "BENCH_QUICK", value_parser = FalseyValueParser::new())]
    quick: bool,

    /// Cargo passes it to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let Args { binary, purger, purge_sizes, purge_only, objects, concurrency, quick, bench: _ } = Args::parse();
    let started = Instant::now();
    let objects = objects.unwrap_or(if quick { 2_000 } else { 5_000 });
    let sizes: &[usize] = if quick { &[10_000] } else { &[10_000, 100_000] };
    let job = process::Job::new(&binary);
    let purge_sizes = if purge_sizes.is_empty() { [&[500], sizes].concat() } else { purge_sizes };
    let mut rows = purge::measure(&purger, &purge_sizes);
    if !purge_only {
        rows.extend(rate::measure(&job, objects, &concurrency));
        rows.extend(size::measure(&job, sizes));
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
