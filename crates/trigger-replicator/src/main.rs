//! Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.

use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::command_line::parse;
use trigger_replicator::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(trigger_replicator::run(parse::<Args>()).await)
}
