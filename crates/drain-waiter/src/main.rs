//! Closes the intake of a queue, and waits until nothing is in flight.

use clap::Parser as _;
use drain_waiter::args::Args;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    let args = Args::parse();
    report::conclude(drain_waiter::run(args).await)
}
