//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fairlead_driver::args::{PlanArgs, StepArgs};
use fairlead_job::exit;
use fairlead_release::args::{CommonArgs, ReleaseCommand};

/// Closes the intake of a queue, and waits until nothing is in flight: proven, and kept as a certificate.
///
/// Without a configuration that is Kyma's legacy event bus. First the intake is closed: workloads stop, Services lead elsewhere. Then every
/// source is read again and again, until nothing has been left for longer than a broker takes to deliver again. A source that cannot say
/// how much is left is never taken for an empty one. When anything fails, the intake is opened again; so it is after the
/// upgrade, unless something was removed since.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = exit::HELP, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// What every job takes.
    #[command(flatten)]
    pub common: CommonArgs,

    /// What a proof takes.
    #[command(flatten)]
    pub drain: DrainArgs,
}

/// What is drained, and what a proof takes.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Drain")]
pub struct DrainArgs {
    /// Configuration file whose section `drain` says what to drain instead of Kyma's legacy event bus.
    #[arg(long, global = true, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: Option<PathBuf>,

    /// How many rounds in a row must find everything empty. Together they are longer than the broker takes to deliver again.
    #[arg(long, global = true, value_name = "NUMBER", default_value = "3", env = "FAIRLEAD_SAMPLES",
        value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub samples: u16,

    /// Least time to wait since the intake was closed, also when everything is empty.
    #[arg(long, global = true, value_name = "DURATION", default_value = "60s", env = "FAIRLEAD_GRACE_PERIOD",
        value_parser = humantime::parse_duration)]
    pub grace_period: Duration,

    /// How long nothing less may be left, beside the time that the broker takes to deliver again; after that the run fails.
    #[arg(long, global = true, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_STALL",
        value_parser = humantime::parse_duration)]
    pub stall: Duration,

    /// Time between two rounds; each asks every source once.
    #[arg(long, global = true, value_name = "DURATION", default_value = "5s", env = "FAIRLEAD_INTERVAL", value_parser = interval)]
    pub interval: Duration,

    /// Do nothing when the configuration names no source: without one nothing is proven, and only time passes.
    #[arg(long, global = true, env = "FAIRLEAD_REQUIRE_PROOF")]
    pub require_proof: bool,
}

impl DrainArgs {
    /// Words of the command line that change the run, as a command that finishes it needs them.
    pub(crate) fn flags(&self) -> Vec<String> {
        let text = |duration: Duration| humantime::format_duration(duration).to_string().replace(' ', "");
        let config = self.config.iter().flat_map(|file| ["--config".to_owned(), file.display().to_string()]);
        let given = [
            (self.samples != 3).then(|| ("--samples", self.samples.to_string())),
            (self.grace_period != Duration::from_mins(1)).then(|| ("--grace-period", text(self.grace_period))),
            (self.stall != Duration::from_secs(30)).then(|| ("--stall", text(self.stall))),
            (self.interval != Duration::from_secs(5)).then(|| ("--interval", text(self.interval))),
        ];
        let given = given.into_iter().flatten().flat_map(|(flag, value)| [flag.to_owned(), value]);
        config.chain(given).chain(self.require_proof.then(|| "--require-proof".to_owned())).collect()
    }
}

/// Not so short that a server is flooded.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    let shortest = Duration::from_millis(100);
    if interval < shortest { Err(format!("it must be at least {shortest:?}")) } else { Ok(interval) }
}

const EXAMPLES: &str = "\
Examples:
  See what would be closed, whether every source can be read, and what speaks
  against it:
    drain-waiter plan

  Read every source once:
    drain-waiter check

  Close the intake, and wait until nothing is in flight. --release and
  --ledger-namespace name the record: give them to every command.
    drain-waiter apply --release shop --ledger-namespace shop

  The proof, and whether it holds; the second needs no cluster:
    drain-waiter certificate --release shop --ledger-namespace shop > drain.json
    drain-waiter certificate --verify drain.json

  Open the intake again:
    drain-waiter rollback --last --release shop --ledger-namespace shop

  What does a code mean?
    drain-waiter explain DW111";

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Open every source, show what `apply` would close, and what speaks against it; change nothing.
    Plan(PlanArgs),
    /// Read every source once, and say how much is left; change nothing.
    Check,
    /// Close the intake, and wait until nothing is in flight; open it again when that fails.
    Apply(StepArgs),
    /// Print the certificate of the last run, or look whether one holds.
    Certificate {
        /// Look whether the certificate in this file holds, without a cluster; - for standard input.
        #[arg(long, value_name = "FILE", env = "FAIRLEAD_VERIFY")]
        verify: Option<PathBuf>,
    },
    /// On the runs of the release.
    #[command(flatten)]
    Release(ReleaseCommand),
    /// Explain a code of a report, of whatever job; without one list all of them.
    Explain {
        /// The code, like DW111.
        code: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_flag_has_its_variable() {
        assert_eq!(fairlead_job::args::without_variable(&Args::command()), Vec::<String>::new());
    }

    #[test]
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        text.extend(["\n=== apply\n", &command.find_subcommand_mut("apply").expect("apply").render_help().to_string()]);
        insta::assert_snapshot!(text);
    }
}
