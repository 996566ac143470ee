//! Arguments of the commands that only a job has.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// Arguments of `plan`, whatever the step.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Read manifests instead of a cluster: a file, a folder with all below it, or - for standard input. CRDs among them say
    /// which kinds there are.
    #[arg(long, value_name = "FILE|DIR", env = "FAIRLEAD_FROM")]
    pub from: Option<PathBuf>,

    /// Version of Knative's kinds where the manifests hold no CRD that says it.
    #[arg(long, value_enum, default_value = "v1", requires = "from", env = "FAIRLEAD_KNATIVE_VERSION")]
    pub knative_version: KnativeVersion,

    /// Exit with 10 when there is something to do.
    #[arg(long, env = "FAIRLEAD_EXIT_CODE")]
    pub exit_code: bool,
}

/// Versions of Knative's kinds that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KnativeVersion {
    /// Knative 0.16 and later.
    V1,
    /// Knative 0.14 to 0.26.
    V1beta1,
    /// Knative up to 0.15.
    V1alpha1,
}

impl KnativeVersion {
    /// As in `apiVersion`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "v1",
            Self::V1beta1 => "v1beta1",
            Self::V1alpha1 => "v1alpha1",
        }
    }
}

/// Arguments of `apply`, whatever the step.
#[derive(Args, Clone, Debug)]
pub struct StepArgs {
    /// Only when the plan now is this one, which `plan -o json` has written and somebody has approved.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_PLAN")]
    pub plan: Option<PathBuf>,

    /// Begin only when this Job of the namespace is complete, and not at all when it has failed; the time of the run begins then. May be
    /// given several times.
    #[arg(long, value_name = "JOB", value_delimiter = ',', env = "FAIRLEAD_AFTER_JOB")]
    pub after_job: Vec<String>,

    /// How long the run may take, in a Job from the start of its first pod; after that it restores what it changed and exits
    /// with 124. Leave time to restore before the Job's activeDeadlineSeconds. `background` takes nothing back then: it exits with 75.
    #[arg(long, value_name = "DURATION", default_value = "3m", env = "FAIRLEAD_RUN_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub run_timeout: Duration,

    /// How long a deleted object may take until it is gone: its finalizers are somebody's work.
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_DELETION_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub deletion_timeout: Duration,

    /// How many tickets of runs that have been taken back are kept; those in force always are.
    #[arg(long, value_name = "NUMBER", default_value = "10", env = "FAIRLEAD_HISTORY_MAX")]
    pub history_max: usize,
}
