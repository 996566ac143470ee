//! Removes legacy objects, and then their kinds, when nothing needs them any more; gives everything back.

use clap::Parser as _;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use legacy_purger::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    let args = Args::parse();
    report::conclude(legacy_purger::run(args).await)
}
