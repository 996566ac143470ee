//! The command line.

use std::time::Duration;

use clap::{Parser, Subcommand};
use fairlead_driver::args::PlanArgs;
use fairlead_job::exit;
use fairlead_release::args::{CommonArgs, ReleaseCommand};

use crate::retries::Retries;

/// Every legacy Subscription gets its Trigger on the new event mesh; nothing is deleted.
///
/// A Subscription of Kyma's legacy event bus becomes a Knative Trigger with the same filter and the same subscriber. Where an EventActivation lets the events of an Application into the namespace, the Broker and the Subscription that carries them there are made, too. What is there already is recognised, so it can run twice. Before the first write a snapshot is
/// stored in the release's ledger; when anything fails, everything that was changed is taken back.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = exit::HELP, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// What every job takes.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Leave this namespace alone, beside the system namespaces; may be repeated, or a list with commas.
    #[arg(long, global = true, value_name = "NAMESPACE", value_delimiter = ',', env = "FAIRLEAD_EXCLUDE_NAMESPACE")]
    pub exclude_namespace: Vec<String>,

    /// How Knative delivers to each subscriber: the `delivery` of the Triggers that are made, in JSON, with retry, timeout, backoffPolicy,
    /// backoffDelay and deadLetterSink. Triggers that are there already keep theirs. [default: as the Broker says]
    #[arg(long, global = true, value_name = "JSON", env = "FAIRLEAD_DELIVERY")]
    pub delivery: Option<Retries>,
}

const EXAMPLES: &str = "\
Examples:
  See what would happen in the cluster of the current context:
    trigger-replicator plan

  The same without the cluster, for a pull request (kubectl complains of a kind
  that the cluster does not serve, and the dump goes on):
    for kind in subscriptions.eventing.kyma-project.io eventactivations \\
      applications applicationmappings serviceinstances \\
      triggers.eventing.knative.dev brokers.eventing.knative.dev \\
      channels.messaging.knative.dev subscriptions.messaging.knative.dev \\
      inmemorychannels httpsources policies.authentication.istio.io ns crds
    do echo ---; kubectl get -A -o yaml $kind; done > dump.yaml
    trigger-replicator plan --from dump.yaml

  The same as a comment on it:
    trigger-replicator plan --from manifests/ -o github

  Do it. --release and --ledger-namespace name the record of what was done, by
  which it is taken back: give them to every command.
    trigger-replicator apply --release shop --ledger-namespace shop

  Do only what was approved:
    trigger-replicator plan -o json --release shop --ledger-namespace shop > plan.json
    trigger-replicator apply --plan plan.json --release shop --ledger-namespace shop

  Where does it stand, and how to go back?
    trigger-replicator status --release shop --ledger-namespace shop
    trigger-replicator rollback --last --release shop --ledger-namespace shop

  What does a code mean?
    trigger-replicator explain TR101";

const PLAN_EXAMPLES: &str = "\
Examples:
  trigger-replicator plan
  trigger-replicator plan --from manifests/ -o github
  trigger-replicator plan --exclude-namespace sandbox,attic -o json > plan.json";

const APPLY_EXAMPLES: &str = "\
Examples:
  trigger-replicator apply --release shop --ledger-namespace shop
  trigger-replicator apply --plan plan.json --release shop --ledger-namespace shop";

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show what `apply` would do; change nothing.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan(PlanArgs),
    /// Create the Triggers that are missing; take everything back when one of them fails.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(ApplyArgs),
    /// Go on with what `apply` has left to the background: wait until all of it is ready, and take it back when nothing becomes ready any more.
    // There is time: a controller that is away for a while is no failure. As the chart has it.
    #[command(mut_arg("ready_timeout", |arg| arg.default_value("15m")), mut_arg("run_timeout", |arg| arg.default_value("23h")))]
    Background(ApplyArgs),
    /// On the runs of the release.
    #[command(flatten)]
    Release(ReleaseCommand),
    /// Explain a code of a report, of whatever job; without one list all of them.
    Explain {
        /// The code, like TR101.
        code: Option<String>,
    },
}

/// Arguments of `apply`.
#[derive(clap::Args, Clone, Debug)]
pub struct ApplyArgs {
    /// What every step takes.
    #[command(flatten)]
    pub step: fairlead_driver::args::StepArgs,

    /// How long nothing may become ready of the Brokers, Subscriptions and Triggers that are waited for, Triggers where their namespace
    /// has a Broker; after that the run restores what it changed and exits with 1. What goes on becoming ready when --run-timeout is
    /// over goes on in the background.
    #[arg(long, value_name = "DURATION", default_value = "60s", env = "FAIRLEAD_READY_TIMEOUT",
        value_parser = humantime::parse_duration)]
    pub ready_timeout: Duration,
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
    fn what_watches_has_more_patience_than_what_writes() {
        use clap::Parser as _;

        let patience = |verb: &str| match Args::try_parse_from(["trigger-replicator", verb]).expect(verb).command {
            Command::Apply(args) | Command::Background(args) => {
                [args.step.run_timeout, args.ready_timeout].map(|it| it.as_secs())
            }
            _ => unreachable!("{verb} is one of them"),
        };
        assert_eq!((patience("apply"), patience("background")), ([180, 60], [23 * 3600, 900]));
    }

    #[test]
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        for name in ["plan", "apply"] {
            let help = command.find_subcommand_mut(name).expect(name).render_help().to_string();
            text.extend(["\n=== ", name, "\n", &help]);
        }
        insta::assert_snapshot!(text);
    }
}
