//! Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.

use clap::Parser as _;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use trigger_replicator::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    let args = Args::parse();
    report::conclude(trigger_replicator::run(args).await)
}
