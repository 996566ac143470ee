//! Closes the intake of a queue, and waits until nothing is in flight.

use drain_waiter::args::Args;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::command_line::parse;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(drain_waiter::run(parse::<Args>()).await)
}
