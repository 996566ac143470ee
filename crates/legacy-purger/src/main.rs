//! Removes legacy objects, and then their kinds, when nothing needs them any more; gives everything back.

use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::command_line::parse;
use legacy_purger::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(legacy_purger::run(parse::<Args>()).await)
}
