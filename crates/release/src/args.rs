//! Arguments.

use std::time::Duration;

use clap::Args;

/// One run at a time.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Lease")]
pub struct LeaseArgs {
    /// How long to wait for another run of the release; after that exit with 5. A run that was killed holds its lease until
    /// nobody has seen it renewed for --lease-duration and --request-timeout.
    #[arg(long, global = true, value_name = "DURATION", default_value = "90s", env = "FAIRLEAD_LEASE_WAIT",
        value_parser = humantime::parse_duration)]
    pub lease_wait: Duration,

    /// How long the lease of a run lasts without renewal; at least twice --request-timeout.
    #[arg(long, global = true, value_name = "DURATION", default_value = "45s", env = "FAIRLEAD_LEASE_DURATION",
        value_parser = humantime::parse_duration)]
    pub lease_duration: Duration,
}

/// Arguments of `rollback`: one of them says how far.
#[derive(Args, Clone, Debug)]
#[group(required = true, multiple = false, id = "how-far")]
pub struct Goal {
    /// Take back the newest run that is in force.
    #[arg(long, group = "how-far", env = "FAIRLEAD_LAST")]
    pub last: bool,

    /// Take back every run after this one; 0 takes back all.
    #[arg(long, value_name = "SEQUENCE", group = "how-far", env = "FAIRLEAD_TO")]
    pub to: Option<u64>,

    /// Take back every run that Helm has started in a later revision than this one.
    #[arg(long, value_name = "NUMBER", group = "how-far", env = "FAIRLEAD_TO_REVISION")]
    pub to_revision: Option<u32>,
}

/// Arguments of `rollback`.
#[derive(Args, Clone, Debug)]
pub struct RollbackArgs {
    /// How far.
    #[command(flatten)]
    pub goal: Goal,

    /// Show what would be taken back; change nothing.
    #[arg(long, env = "FAIRLEAD_DRY_RUN")]
    pub dry_run: bool,

    /// How long the run may take; after that it ends with 75 and can be run again.
    #[arg(long, value_name = "DURATION", default_value = "10m", env = "FAIRLEAD_RUN_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub run_timeout: Duration,
}
