//! Sends numbered events, counts what arrives, and says what was lost on the way.

use clap::Parser as _;
use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use loss_meter::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(loss_meter::run(Args::parse()).await)
}
