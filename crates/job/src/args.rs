//! Groups of arguments that are flattened into each job's own. Every flag has a variable `FAIRLEAD_<FLAG>`, so that a chart
//! can set it; nothing else reads the environment.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; reads like a diff.
    Text,
    /// One JSON document, apiVersion fairlead.dev/v1; of a rollback one for each run, one after the other, as jq reads them.
    Json,
    /// The same as YAML, with `---` between documents.
    Yaml,
    /// JUnit XML, one file: changes pass, refusals fail, what is unchanged is skipped. It is written at the end.
    Junit,
    /// Markdown for a comment on a pull request.
    Github,
}

/// How logs are written to stderr.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One line per event, for people.
    Plain,
    /// One JSON object per event, for log collectors.
    Json,
}

/// Report and logs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct OutputArgs {
    /// Format of the report on stdout.
    #[arg(short, long, global = true, value_enum, default_value = "text", env = "FAIRLEAD_OUTPUT")]
    pub output: Output,

    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Logs.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Output")]
pub struct LogArgs {
    /// Format of the log on stderr.
    #[arg(long, global = true, value_enum, default_value = "plain", env = "FAIRLEAD_LOG_FORMAT")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, or a filter like `info,fairlead_kube_client=debug`.
    #[arg(long, global = true, default_value = "info", value_name = "FILTER", env = "FAIRLEAD_LOG_LEVEL")]
    pub log_level: String,
}

/// Which cluster, and how patiently.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterArgs {
    /// Kubeconfig [default: $KUBECONFIG, ~/.kube/config, or the pod's ServiceAccount].
    #[arg(long, global = true, value_name = "FILE", env = "FAIRLEAD_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// Context in the kubeconfig [default: its current context].
    #[arg(long, global = true, value_name = "NAME", env = "FAIRLEAD_CONTEXT")]
    pub context: Option<String>,

    /// User as whom to ask, instead of your own: what would an account be allowed?
    #[arg(long = "as", global = true, value_name = "USER", env = "FAIRLEAD_AS")]
    pub impersonate: Option<String>,

    /// Groups of that user.
    #[arg(
        long = "as-group",
        global = true,
        value_name = "GROUP",
        value_delimiter = ',',
        requires = "impersonate",
        env = "FAIRLEAD_AS_GROUP"
    )]
    pub impersonate_groups: Vec<String>,

    /// How long one request may take before it is sent again.
    #[arg(long, global = true, value_name = "DURATION", default_value = "15s", env = "FAIRLEAD_REQUEST_TIMEOUT",
        value_parser = duration)]
    pub request_timeout: Duration,
}

/// Which release the run belongs to, and where its ledger is.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Release")]
pub struct ReleaseArgs {
    /// Release whose ledger records the run.
    #[arg(long, global = true, value_name = "NAME", default_value = "fairlead", env = "FAIRLEAD_RELEASE", value_parser = release)]
    pub release: String,

    /// Namespace of the ledger's Secrets [default: the pod's or the context's].
    #[arg(long, global = true, value_name = "NAMESPACE", env = "FAIRLEAD_LEDGER_NAMESPACE",
        value_parser = namespace)]
    pub ledger_namespace: Option<String>,

    /// Name of the Helm release [default: that of --release].
    #[arg(long, global = true, value_name = "NAME", env = "FAIRLEAD_HELM_RELEASE", value_parser = release)]
    pub helm_release: Option<String>,

    /// Revision of the Helm release that runs this job; the chart sets it.
    #[arg(long, global = true, value_name = "NUMBER", env = "FAIRLEAD_HELM_REVISION")]
    pub helm_revision: Option<u32>,

    /// Job that this process is a pod of, in the ledger's namespace: its start counts for --run-timeout, and it gets an Event at the
    /// end; the chart sets it.
    #[arg(long, global = true, value_name = "NAME", env = "FAIRLEAD_JOB")]
    pub job: Option<String>,

    /// Image that this process runs from, recorded as the one that can take the run back; the chart sets it.
    #[arg(long, global = true, value_name = "IMAGE", env = "FAIRLEAD_IMAGE")]
    pub image: Option<String>,
}

impl ReleaseArgs {
    /// What Helm calls the release.
    #[must_use]
    pub fn helm_name(&self) -> &str {
        self.helm_release.as_deref().unwrap_or(&self.release)
    }
}

/// A duration with a unit, `90s` or `3m30s`; nothing can be done in none.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("must be longer than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

/// Parses the name of a release, which is part of the names of Secrets and a label's value.
///
/// # Errors
///
/// What a name must be like.
pub fn release(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    // Helm allows 53 characters: https://helm.sh/docs/chart_template_guide/getting_started/
    let is_label = |label: &str| label.chars().all(is_inner) && label.starts_with(is_edge) && label.ends_with(is_edge);
    if text.len() <= 53 && text.split('.').all(is_label) {
        Ok(text.to_owned())
    } else {
        Err("use at most 53 of a-z, 0-9, '-' and '.', each part beginning and ending with a letter or digit".to_owned())
    }
}

/// The name of a namespace, as the API server takes it.
pub fn namespace(text: &str) -> Result<String, String> {
    let is_inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=63).contains(&text.len()) && text.chars().all(is_inner) && !text.starts_with('-') && !text.ends_with('-') {
        Ok(text.to_owned())
    } else {
        Err("use at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit".to_owned())
    }
}

/// Flags of a command, and of those below it, that have no environment variable of their name. Each program's tests ask for them.
#[must_use]
pub fn without_variable(command: &clap::Command) -> Vec<String> {
    let is_ours = |argument: &&clap::Arg| !["help", "version"].contains(&argument.get_id().as_str());
    let lacks = |argument: &clap::Arg| {
        let flag = argument.get_long()?;
        let variable = format!("FAIRLEAD_{}", flag.to_uppercase().replace('-', "_"));
        let is_named = argument.get_env().is_some_and(|name| name.to_str() == Some(&variable));
        (!is_named).then(|| format!("{} --{flag}", command.get_name()))
    };
    let own = command.get_arguments().filter(is_ours).filter_map(lacks);
    own.chain(command.get_subcommands().flat_map(without_variable)).collect()
}

#[cfg(test)]
mod tests {
    use super::{namespace, release};

    #[test]
    fn namespaces_are_what_the_api_server_takes() {
        for name in ["shop", "s", "shop-1"] {
            assert_eq!(namespace(name).as_deref(), Ok(name));
        }
        for name in ["", "Bad NS", "a/../../b?x=1", "-a", "a-", &"a".repeat(64)] {
            namespace(name).expect_err(name);
        }
    }

    #[test]
    fn a_release_is_named_as_helm_would() {
        assert!(release("shop-2.eu").is_ok());
        for bad in ["", "-a", "a-", "A", "a_b", "a b", "a..b", "a.-b", &"a".repeat(54)] {
            assert!(release(bad).is_err(), "{bad:?}");
        }
    }
}
