//! The command line of `matrix`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use fairlead_job::args::{namespace, release};

use crate::form::{self, Form};

const EXAMPLES: &str = "\
Examples:
  Make a matrix of a changelog, and check what it could not know:
    kubectl fairlead matrix import CHANGELOG.md > matrix.yaml
    kubectl fairlead matrix lint --matrix matrix.yaml

  Which upgrades lead from 1.0.0 to 2.0.1, so that each can be rolled back?
    kubectl fairlead matrix plan --matrix matrix.yaml \\
      --from-release 1.0.0 --to-release 2.0.1

  The same as commands for Helm, and as a runbook with check boxes:
    kubectl fairlead matrix plan --matrix matrix.yaml \\
      --from-release 1.0.0 --to-release 2.0.1 -o helm
    kubectl fairlead matrix plan --matrix matrix.yaml \\
      --from-release 1.0.0 --to-release 2.0.1 -o markdown

  Which upgrades are refused, and why?
    kubectl fairlead matrix graph --matrix matrix.yaml";

/// Which upgrade may follow which: a matrix of releases, and the way from one to another. It asks no cluster.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct MatrixArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MatrixCommand,
}

/// The matrix.
#[derive(Args, Clone, Debug)]
pub struct MatrixFile {
    /// The matrix, YAML or JSON of kind `ReleaseMatrix`; `-` for standard input.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_MATRIX")]
    pub matrix: PathBuf,
}

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum MatrixCommand {
    /// Write the matrix that a changelog suggests to standard output, with comments where somebody has to check it.
    Import {
        /// The changelog, Markdown: a heading for each release, and below it `Supported API Versions:` and `DB Schema Version:`.
        #[arg(value_name = "CHANGELOG")]
        changelog: PathBuf,
        /// Name of the Helm release, which a changelog does not say.
        #[arg(long, value_name = "NAME", env = "FAIRLEAD_RELEASE", value_parser = release)]
        release: Option<String>,
        /// The chart, as `helm upgrade` takes it.
        #[arg(long, value_name = "CHART", env = "FAIRLEAD_CHART")]
        chart: Option<String>,
        /// Namespace of the Helm release.
        #[arg(short, long, value_name = "NAMESPACE", env = "FAIRLEAD_NAMESPACE", value_parser = namespace)]
        namespace: Option<String>,
        /// YAML, which is text.
        #[arg(short, long, default_value = "text", env = "FAIRLEAD_OUTPUT", value_parser = form::of_text(), hide = true)]
        output: Form,
    },
    /// Say what is wrong with a matrix, and what is probably not meant.
    Lint {
        /// The matrix.
        #[command(flatten)]
        file: MatrixFile,
        /// Text.
        #[arg(short, long, default_value = "text", env = "FAIRLEAD_OUTPUT", value_parser = form::of_text(), hide = true)]
        output: Form,
    },
    /// Show every upgrade, and why it is refused.
    Graph {
        /// The matrix.
        #[command(flatten)]
        file: MatrixFile,
        /// Text, or a picture as GitHub draws it.
        #[arg(short, long, default_value = "text", env = "FAIRLEAD_OUTPUT", value_parser = form::of_graphs())]
        output: Form,
    },
    /// Find the fewest upgrades from one release to another, and say what is to be done for each.
    Plan {
        /// The matrix.
        #[command(flatten)]
        file: MatrixFile,
        /// The release that runs.
        #[arg(long, value_name = "VERSION", env = "FAIRLEAD_FROM_RELEASE")]
        from_release: String,
        /// The release that is to run.
        #[arg(long, value_name = "VERSION", env = "FAIRLEAD_TO_RELEASE")]
        to_release: String,
        /// Leave out no release.
        #[arg(long, env = "FAIRLEAD_EVERY_RELEASE")]
        every_release: bool,
        /// Only upgrades that can be rolled back: the old release runs on the new schema. This is the default.
        #[arg(long, env = "FAIRLEAD_ROLLBACK_SAFE", conflicts_with = "allow_point_of_no_return")]
        rollback_safe: bool,
        /// Also upgrades after which `helm rollback` would start pods that fail.
        #[arg(long, env = "FAIRLEAD_ALLOW_POINT_OF_NO_RETURN")]
        allow_point_of_no_return: bool,
        /// Text, JSON, commands for Helm, or a runbook with check boxes.
        #[arg(short, long, default_value = "text", env = "FAIRLEAD_OUTPUT", value_parser = form::of_plans())]
        output: Form,
    },
}
