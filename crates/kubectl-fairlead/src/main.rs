//! A kubectl plugin for people: what belongs to a release and to no job.

use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::command_line::parse;
use kubectl_fairlead::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(kubectl_fairlead::run(parse::<Args>()).await)
}
