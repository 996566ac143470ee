//! Expands and contracts the tables of PostgreSQL and MariaDB while they are in use, and takes it back.

use fairlead_job::exit::ExitStatus;
use fairlead_job::report;
use fairlead_release::command_line::parse;
use schema_migrator::args::Args;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(schema_migrator::run(parse::<Args>()).await)
}
