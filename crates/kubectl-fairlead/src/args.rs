//! The command line, with kubectl's own flags.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};
use fairlead_job::args::{ClusterArgs, LogArgs, OutputArgs, ReleaseArgs, namespace, release};
use fairlead_job::exit;
use fairlead_release::args::{CheckArgs, CommonArgs, ExportArgs, LeaseArgs, RollbackArgs};

use crate::form::{self, Form};
use crate::matrix_args::MatrixArgs;

/// Shows the runs of a release, and takes them back.
///
/// fairlead's jobs record each run as a ticket in the release's namespace: what they changed, and how it was before. This plugin reads and
/// carries out those tickets, whatever job wrote them.
#[derive(Parser, Clone, Debug)]
#[command(name = "kubectl-fairlead", bin_name = "kubectl fairlead", version, propagate_version = true,
    after_help = exit::HELP, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Which cluster.
    #[command(flatten)]
    pub kubectl: KubectlArgs,

    /// One run at a time.
    #[command(flatten)]
    pub lease: LeaseArgs,

    /// Format of the report on stdout.
    #[arg(short, long, global = true, default_value = "text", env = "FAIRLEAD_OUTPUT", value_parser = form::of_reports(),
        help_heading = "Output")]
    pub output: Form,

    /// Logs.
    #[command(flatten)]
    pub log: LogArgs,
}

const EXAMPLES: &str = "\
Examples:
  Is everything there for an upgrade of release shop, and for its way back?
    kubectl fairlead check shop -n shop

  Where does it stand, and what is the next command?
    kubectl fairlead status shop -n shop

  Take back the newest run; see first what that would change:
    kubectl fairlead rollback shop -n shop --last --dry-run
    kubectl fairlead rollback shop -n shop --last

  Keep the tickets in a file that only you can read:
    kubectl fairlead export shop shop-tickets.json -n shop

  Which upgrades lead from one release to another without an outage?
    kubectl fairlead matrix --help

  What does a code mean, and which are there?
    kubectl fairlead explain LP101
    kubectl fairlead explain";

const HISTORY_EXAMPLES: &str = "\
Examples:
  To which revisions of release shop is there a way back now?
    kubectl fairlead history shop -n shop
  The same with the schema of each, and what it means for the old pods:
    kubectl fairlead history shop -n shop --matrix matrix.yaml";

/// Flags that kubectl has, too, with the same meaning.
#[derive(ClapArgs, Clone, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct KubectlArgs {
    /// Namespace of the release [default: the context's].
    #[arg(short, long, global = true, value_name = "NAMESPACE", env = "FAIRLEAD_NAMESPACE", value_parser = namespace)]
    pub namespace: Option<String>,

    /// Which cluster.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Which release.
#[derive(ClapArgs, Clone, Debug)]
pub struct ReleaseName {
    /// The release.
    #[arg(value_name = "RELEASE", value_parser = release)]
    pub release: String,

    /// What Helm calls the release, where that is another name.
    #[arg(long, value_name = "NAME", env = "FAIRLEAD_HELM_RELEASE", value_parser = release)]
    pub helm_release: Option<String>,
}

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show the runs of the release, of all steps, and the next command; without a release, which releases have runs.
    Status {
        /// The release.
        #[arg(value_name = "RELEASE", value_parser = release)]
        release: Option<String>,
        /// What Helm calls the release, where that is another name.
        #[arg(long, value_name = "NAME", env = "FAIRLEAD_HELM_RELEASE", value_parser = release)]
        helm_release: Option<String>,
        /// Go on, and show it again whenever it has changed.
        #[arg(long, short, env = "FAIRLEAD_WATCH")]
        watch: bool,
    },
    /// Before an upgrade: look whether it can run, and whether there is a way back.
    Check {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
        /// What is looked at.
        #[command(flatten)]
        arguments: CheckArgs,
    },
    /// Take back what runs of the release have changed, of whatever step, the newest first.
    Rollback {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
        /// How far, and how.
        #[command(flatten)]
        arguments: RollbackArgs,
    },
    /// After an upgrade: start what runs in force hold, where it has been changed since; name what stays held.
    Unhold {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
    },
    /// Write the release's tickets, from which it can be taken back, to a file that only you can read.
    Export {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
        /// Where to.
        #[command(flatten)]
        arguments: ExportArgs,
    },
    /// Create the tickets in a file that `export` has written, where they are missing.
    Import {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
        /// The file.
        file: PathBuf,
    },
    /// Print what the last run of drain-waiter has seen, as a document that can be checked without a cluster.
    Certificate {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
    },
    /// Show Helm's revisions with the chart of each, and to which of them there is a way back now.
    #[command(after_help = HISTORY_EXAMPLES)]
    History {
        /// The release.
        #[command(flatten)]
        place: ReleaseName,
        /// A matrix, from which the schema of each revision is known, and what speaks against going back.
        #[arg(long, value_name = "FILE", env = "FAIRLEAD_MATRIX")]
        matrix: Option<PathBuf>,
    },
    /// Which upgrade may follow which: a matrix of releases, and the way from one to another. It asks no cluster.
    Matrix(MatrixArgs),
    /// Explain a code of a report, of whatever job; without one list all of them.
    Explain {
        /// The code, like LP101.
        code: Option<String>,
    },
}

impl KubectlArgs {
    /// The same in the words of the jobs.
    pub(crate) fn common(&self, place: &ReleaseName, lease: LeaseArgs, output: OutputArgs) -> CommonArgs {
        let Self { namespace, cluster } = self.clone();
        let ReleaseName { release, helm_release } = place.clone();
        CommonArgs {
            cluster,
            release: ReleaseArgs {
                release,
                ledger_namespace: namespace,
                helm_release,
                helm_revision: None,
                job: None,
                image: None,
            },
            lease,
            output,
            strict: false,
            concurrency: CONCURRENCY,
        }
    }
}

/// The most changes that are made at once: the default of the jobs.
const CONCURRENCY: u16 = 32;

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _};
    use fairlead_job::args::Output;
    use fairlead_release::command_line::completed;

    use super::*;

    #[test]
    fn help_teaches() {
        let mut command = completed(Args::command()).term_width(110);
        let mut text = command.render_long_help().to_string();
        for name in ["status", "check", "rollback", "matrix"] {
            let help = command.find_subcommand_mut(name).expect(name).render_help().to_string();
            text.extend(["\n=== ", name, "\n", &help]);
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn the_help_of_the_matrix_teaches() {
        let mut command = completed(Args::command()).term_width(110);
        command.build();
        let matrix = command.find_subcommand_mut("matrix").expect("it is there");
        let mut text = String::new();
        for name in ["import", "lint", "graph", "plan"] {
            let help = matrix.find_subcommand_mut(name).expect(name).render_help().to_string();
            text.extend(["\n=== ", name, "\n", &help]);
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_form_belongs_to_its_command() {
        let form = |line: &str| {
            let matches = completed(Args::command()).try_get_matches_from(line.split(' '))?;
            Args::from_arg_matches(&matches).map(|args| args.output)
        };
        let plan = "kubectl-fairlead matrix plan --matrix m.yaml --from-release 1.0.0 --to-release 2.0.0";
        assert_eq!(form(&format!("{plan} -o helm")).expect("a form of plans"), Form::Helm);
        assert_eq!(
            form("kubectl-fairlead matrix graph --matrix m.yaml -o mermaid").expect("a form of graphs"),
            Form::Mermaid
        );
        assert_eq!(form("kubectl-fairlead status shop -o json").expect("a form of reports"), Form::Report(Output::Json));
        assert_eq!(
            form("kubectl-fairlead -o json status shop").expect("before the command, too"),
            Form::Report(Output::Json)
        );
        assert_eq!(form(plan).expect("the default"), Form::Report(Output::Text));
        for line in
            [&format!("{plan} -o mermaid"), "kubectl-fairlead status shop -o helm", "kubectl-fairlead -o helm explain"]
        {
            form(line).expect_err(line);
        }
    }

    #[test]
    fn the_commands_that_messages_print_are_understood() {
        for line in [
            "kubectl-fairlead rollback shop -n shops --last",
            "kubectl-fairlead rollback shop -n shops --to-revision 1 --undo-at post-rollback --wait-for workloads,restored",
            "kubectl-fairlead rollback shop -n shops --to 0 --on-drift keep --helm-release system",
            "kubectl-fairlead status shop -n shops",
            "kubectl-fairlead unhold shop -n shops",
        ] {
            Args::try_parse_from(line.split(' ')).expect(line);
        }
    }
}
