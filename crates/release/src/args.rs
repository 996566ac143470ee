//! Arguments that every job has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use fairlead_job::args::{ClusterArgs, OutputArgs, ReleaseArgs};
use fairlead_migration::progress::{OnDrift, Phase, Progress};
use fairlead_migration::stage::UndoAt;

/// What every command of every job takes.
#[derive(Args, Clone, Debug)]
pub struct CommonArgs {
    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,

    /// Whose ledger records the run.
    #[command(flatten)]
    pub release: ReleaseArgs,

    /// One run at a time.
    #[command(flatten)]
    pub lease: LeaseArgs,

    /// Report and logs.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Do nothing at all when there is an object that is refused; exit with 4.
    #[arg(long, global = true, env = "FAIRLEAD_STRICT")]
    pub strict: bool,

    /// How many changes are made at once, at most; fewer while the API server is slow or says that it has too much to do.
    #[arg(long, global = true, value_name = "NUMBER", default_value = "32", env = "FAIRLEAD_CONCURRENCY",
        value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
}

/// One run at a time.
#[derive(Args, Clone, Copy, Debug)]
#[command(next_help_heading = "Lease")]
pub struct LeaseArgs {
    /// How long to wait for another run of the release; after that exit with 5, but `rollback` takes over from a run that goes forward. A run that was killed
    /// holds its lease until nobody has seen it renewed for --lease-duration and --request-timeout.
    #[arg(long, global = true, value_name = "DURATION", default_value = "90s", env = "FAIRLEAD_LEASE_WAIT",
        value_parser = humantime::parse_duration)]
    pub lease_wait: Duration,

    /// How long the lease of a run lasts without renewal; at least twice --request-timeout.
    #[arg(long, global = true, value_name = "DURATION", default_value = "45s", env = "FAIRLEAD_LEASE_DURATION",
        value_parser = humantime::parse_duration)]
    pub lease_duration: Duration,
}

/// Commands on the runs of a release, of all steps.
#[derive(Subcommand, Clone, Debug)]
pub enum ReleaseCommand {
    /// Show the runs of the release, of all steps, and the next command.
    Status {
        /// Go on, and show it again whenever it has changed.
        #[arg(long, short, env = "FAIRLEAD_WATCH")]
        watch: bool,
    },
    /// Take back what runs of the release have changed, of whatever step, the newest first.
    Rollback(RollbackArgs),
    /// After an upgrade: start what runs in force hold. Where something was removed since, only what has changed; name what stays held.
    Unhold,
    /// Write the release's tickets, from which it can be taken back, to a file that only you can read.
    Export(ExportArgs),
    /// Create the tickets in a file that `export` has written, where they are missing.
    Import {
        /// The file.
        file: PathBuf,
    },
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

    /// What to do about objects that somebody else has changed since.
    #[arg(long, value_enum, default_value = "stop", env = "FAIRLEAD_ON_DRIFT")]
    pub on_drift: OnDrift,

    /// Go on although tickets are missing that somebody has deleted: what those runs changed stays, and nobody asks for them again. And
    /// wait for no object that is gone: a Service then leads to whatever pods its old selector means.
    #[arg(long, env = "FAIRLEAD_WITHOUT_MISSING")]
    pub without_missing: bool,

    /// Only the part that is undone at this point of `helm rollback`: before Helm applies the old manifests what was removed or held;
    /// after it everything else.
    #[arg(long, value_enum, value_name = "POINT", conflicts_with = "last", env = "FAIRLEAD_UNDO_AT")]
    pub undo_at: Option<UndoAt>,

    /// With --undo-at post-rollback: before anything is taken back, wait until these are ready; several with commas.
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',', requires = "undo_at", env = "FAIRLEAD_WAIT_FOR")]
    pub wait_for: Vec<WaitFor>,

    /// How long to wait for them; after that nothing is taken back, and the run ends with 1.
    #[arg(long, value_name = "DURATION", default_value = "2m", env = "FAIRLEAD_WAIT_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub wait_timeout: Duration,

    /// How long the run may take; after that it ends with 75 and can be run again.
    #[arg(long, value_name = "DURATION", default_value = "10m", env = "FAIRLEAD_RUN_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub run_timeout: Duration,
}

impl Goal {
    /// As it is written in a command.
    pub(crate) fn written(&self) -> String {
        match (self.to_revision, self.to) {
            (Some(revision), _) => format!("--to-revision {revision}"),
            (_, Some(sequence)) => format!("--to {sequence}"),
            _ => "--last".to_owned(),
        }
    }
}

impl RollbackArgs {
    /// The same once more, by hand.
    pub(crate) fn written(&self) -> String {
        let at = self.undo_at.map(|at| format!(" --undo-at {}", name(&at))).unwrap_or_default();
        let names: Vec<String> = self.wait_for.iter().map(name).collect();
        let waiting = if names.is_empty() { String::new() } else { format!(" --wait-for {}", names.join(",")) };
        let without = if self.without_missing { WITHOUT_MISSING } else { "" };
        format!("rollback {}{at}{waiting}{without}", self.goal.written())
    }

    /// What to do about drift of a run: what was said to the first part of its rollback holds for the rest, because a hook cannot be told
    /// anything.
    pub(crate) fn decided(&self, progress: &Progress) -> OnDrift {
        let earlier = progress.asked().filter(|_| progress.phase == Phase::RollingBack);
        match (self.on_drift, earlier) {
            (OnDrift::Stop, Some(asked)) => asked.on_drift,
            (on_drift, _) => on_drift,
        }
    }
}

/// The flag, as it is written in a command.
pub(crate) const WITHOUT_MISSING: &str = " --without-missing";

/// As it is written in an argument.
fn name(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// What the new side must not go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitFor {
    /// The Deployments, `StatefulSets` and `DaemonSets` of the Helm release in the ledger's namespace, until they are available.
    Workloads,
    /// What has been brought back before Helm applied the old manifests, and was ready when it went: until it is so again. A status
    /// comes back with its object, so that counts for objects whose controller says otherwise since, and for workloads.
    Restored,
}

/// Arguments of `check`.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Ask for the permissions of this ServiceAccount, too, in the release's namespace [default: that of the chart's rollback hooks,
    /// RELEASE-fairlead-rollback].
    #[arg(long, value_name = "NAME", env = "FAIRLEAD_ROLLBACK_ACCOUNT")]
    pub rollback_account: Option<String>,

    /// The jobs are run as plain Jobs or by a pipeline, and no Helm release brings rollback hooks: going back is a command of its own.
    #[arg(long, env = "FAIRLEAD_WITHOUT_HELM")]
    pub without_helm: bool,

    /// The manifests of the upgrade to come, as `helm template` renders them; `-` for standard input. Each job in them is asked whether its
    /// plan would be blocked: by its binary on the PATH, with its configuration and your permissions. Nothing is changed.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_UPGRADE")]
    pub upgrade: Option<PathBuf>,

    /// Start a pod of each image of the jobs that the release has, to see that it can be pulled and runs; this writes to the cluster.
    #[arg(long, env = "FAIRLEAD_START_PODS")]
    pub start_pods: bool,

    /// How long such a pod may take.
    #[arg(long, value_name = "DURATION", default_value = "2m", env = "FAIRLEAD_POD_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub pod_timeout: Duration,
}

/// Arguments of `export`.
#[derive(Args, Clone, Debug)]
pub struct ExportArgs {
    /// The file, which must not exist yet; `-` for standard output.
    pub file: PathBuf,

    /// Instead of tickets the objects as they were before, as manifests in YAML: for people, and for `kubectl apply` when nothing
    /// else is left.
    #[arg(long, env = "FAIRLEAD_AS_MANIFESTS")]
    pub as_manifests: bool,

    /// Take the tickets from a file that `export` has written, where the ledger has them no more.
    #[arg(long, value_name = "FILE", requires = "as_manifests", env = "FAIRLEAD_TICKETS")]
    pub tickets: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use fairlead_migration::progress::{Asked, WhyBack};

    use super::*;

    #[derive(Parser)]
    struct Back {
        #[command(flatten)]
        rollback: RollbackArgs,
    }

    #[test]
    fn what_was_decided_for_the_first_part_holds_for_the_rest_unless_it_is_said_anew() {
        let args = |more: &[&str]| Back::parse_from(["back", "--last"].iter().chain(more)).rollback;
        let asked = Asked { on_drift: OnDrift::Overwrite, ..Asked::default() };
        let of = |phase| Progress { phase, why_back: Some(WhyBack::Asked(asked.clone())), ..Progress::planned() };
        assert_eq!(args(&[]).decided(&of(Phase::RollingBack)), OnDrift::Overwrite);
        assert_eq!(args(&["--on-drift", "keep"]).decided(&of(Phase::RollingBack)), OnDrift::Keep);
        assert_eq!(args(&[]).decided(&of(Phase::RolledBack)), OnDrift::Stop);
        assert_eq!(args(&[]).decided(&Progress::planned()), OnDrift::Stop);
    }
}
