//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};
use fairlead_driver::args::{PlanArgs, StepArgs};
use fairlead_job::exit;
use fairlead_release::args::{CommonArgs, ReleaseCommand};

/// Removes legacy objects, and then their kinds, when nothing needs them any more; gives everything back.
///
/// Without a configuration it removes Kyma's legacy event bus: every legacy Subscription and EventActivation, then their custom resource
/// definitions. It is refused as a whole while anything still needs them: a Subscription without an equal Trigger that is Ready, a
/// workload that breaks without them, a Helm release that would miss them. Before the first write a snapshot of everything that goes,
/// also of what goes along with it, is stored in the release's ledger; when anything fails, and with `rollback` at any time later,
/// everything comes back.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = exit::HELP, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// What every job takes.
    #[command(flatten)]
    pub common: CommonArgs,

    /// What is purged.
    #[command(flatten)]
    pub purge: PurgeArgs,
}

/// What is purged, and what may be purged although something speaks against it.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Purge")]
pub struct PurgeArgs {
    /// Configuration file whose section `purge` says what to remove instead of Kyma's legacy event bus.
    #[arg(long, global = true, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: Option<PathBuf>,

    /// Remove this Subscription although nothing on the mesh delivers its events: no equal Trigger that is Ready, or no way to it. May be
    /// repeated, or a list with commas.
    #[arg(long, global = true, value_name = "NAMESPACE/NAME", value_delimiter = ',', env = "FAIRLEAD_ALLOW_UNREPLICATED",
        value_parser = namespace_and_name)]
    pub allow_unreplicated: Vec<String>,

    /// Remove what belongs to this Helm release, too; NAMESPACE/RELEASE where several have that name. As long as its record names those
    /// kinds, Helm cannot upgrade or uninstall it.
    #[arg(long, global = true, value_name = "RELEASE", value_delimiter = ',', env = "FAIRLEAD_ALLOW_HELM_OWNED")]
    pub allow_helm_owned: Vec<String>,

    /// Remove objects with this finalizer although the configuration does not name its owner. What that deletes elsewhere, in a cloud,
    /// say, does not come back.
    #[arg(long, global = true, value_name = "FINALIZER", value_delimiter = ',', env = "FAIRLEAD_ALLOW_FINALIZERS")]
    pub allow_finalizers: Vec<String>,

    /// Take this finalizer, which the configuration names, away instead of waiting for its owner; what the owner would delete is deleted.
    #[arg(long, global = true, value_name = "FINALIZER", value_delimiter = ',', env = "FAIRLEAD_STRIP_FINALIZERS")]
    pub strip_finalizers: Vec<String>,

    /// Only when the last run of this step in this upgrade has ended well; the step that `drainedBy` of the configuration names is asked
    /// for as soon as the ledger knows it.
    #[arg(long, global = true, value_name = "STEP", value_delimiter = ',', env = "FAIRLEAD_REQUIRE_STEP")]
    pub require_step: Vec<String>,

    /// How old such a run may be, where no revision of Helm binds it to this upgrade.
    #[arg(long, global = true, value_name = "DURATION", default_value = "1h", env = "FAIRLEAD_EVIDENCE_AGE",
        value_parser = humantime::parse_duration)]
    pub evidence_age: Duration,

    /// Deny the creation of what is purged while it is purged, with an admission policy that is taken away in the end.
    #[arg(long, global = true, value_name = "BOOL", default_value = "true", action = ArgAction::Set, env = "FAIRLEAD_FENCE")]
    pub fence: bool,

    /// Try before the purge whether the server would create again what goes, with creates that are only rehearsed.
    #[arg(long, global = true, value_name = "BOOL", default_value = "true", action = ArgAction::Set, env = "FAIRLEAD_REHEARSE")]
    pub rehearse: bool,
}

impl PurgeArgs {
    /// Words of the command line that change the plan, as a command that finishes the run needs them.
    pub(crate) fn flags(&self) -> Vec<String> {
        let lists = [
            ("--allow-unreplicated", &self.allow_unreplicated),
            ("--allow-helm-owned", &self.allow_helm_owned),
            ("--allow-finalizers", &self.allow_finalizers),
            ("--strip-finalizers", &self.strip_finalizers),
            ("--require-step", &self.require_step),
        ];
        let config = self.config.iter().flat_map(|file| ["--config".to_owned(), file.display().to_string()]);
        let lists = lists.into_iter().filter(|(_, values)| !values.is_empty());
        let lists = lists.flat_map(|(flag, values)| [flag.to_owned(), values.join(",")]);
        let switches = [("--fence", self.fence), ("--rehearse", self.rehearse)];
        let off =
            switches.into_iter().filter(|(_, is_on)| !is_on).flat_map(|(flag, _)| [flag.to_owned(), "false".to_owned()]);
        let age = humantime::format_duration(self.evidence_age).to_string();
        let age =
            (self.evidence_age != Duration::from_hours(1)).then(|| ["--evidence-age".to_owned(), age.replace(' ', "")]);
        config.chain(lists).chain(off).chain(age.into_iter().flatten()).collect()
    }
}

/// An address as people write it.
fn namespace_and_name(text: &str) -> Result<String, String> {
    match text.split('/').collect::<Vec<_>>()[..] {
        [namespace, name] if !namespace.is_empty() && !name.is_empty() => Ok(text.to_owned()),
        _ => Err("a Subscription is named as NAMESPACE/NAME, like payments/unfinished".to_owned()),
    }
}

const EXAMPLES: &str = "\
Examples:
  See what would go, and what speaks against it:
    legacy-purger plan

  The same from files, without a cluster, for a pull request:
    kubectl get -A -o yaml subscriptions.eventing.kyma-project.io,eventactivations > legacy.yaml
    kubectl get -A -o yaml triggers.eventing.knative.dev,brokers,channels \
        > mesh.yaml
    kubectl get -A -o yaml subscriptions.messaging.knative.dev > links.yaml
    kubectl get -A -o yaml deployments,crds > around.yaml
    legacy-purger plan --from .

  Do it. --release and --ledger-namespace name the record of what was done, by
  which it is taken back: give them to every command.
    legacy-purger apply --release shop --ledger-namespace shop

  Do only what was approved:
    legacy-purger plan -o json --release shop --ledger-namespace shop > plan.json
    legacy-purger apply --plan plan.json --release shop --ledger-namespace shop

  One Subscription has no endpoint, and nobody needs it: apply with
    --allow-unreplicated payments/unfinished

  The controller that owns the finalizers is gone for good: apply with
    --strip-finalizers subscription.finalizers.kyma-project.io

  Everything back:
    legacy-purger rollback --last --release shop --ledger-namespace shop

  What does a code mean?
    legacy-purger explain LP101";

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show what `apply` would remove, and what speaks against it; change nothing.
    Plan(PlanArgs),
    /// Remove it, when nothing speaks against it; give everything back when something fails.
    Apply(ApplyArgs),
    /// On the runs of the release.
    #[command(flatten)]
    Release(ReleaseCommand),
    /// Explain a code of a report, of whatever job; without one list all of them.
    Explain {
        /// The code, like LP101.
        code: Option<String>,
    },
}

/// Arguments of `apply`.
#[derive(clap::Args, Clone, Debug)]
pub struct ApplyArgs {
    /// What every step takes.
    #[command(flatten)]
    pub step: StepArgs,

    /// How long Triggers may take to become Ready where nothing else speaks against the purge; after that it is refused. New ones
    /// may lose that for a moment.
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_READY_TIMEOUT",
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
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        text.extend(["\n=== apply\n", &command.find_subcommand_mut("apply").expect("apply").render_help().to_string()]);
        insta::assert_snapshot!(text);
    }
}
