//! What the command lines of all programs have in common beside their arguments: examples, a short way to name the namespace, and help
//! that shows no flags of other commands.

use clap::{Arg, Command, Parser};
use fairlead_job::version::with_commit;

use crate::examples::examples;

/// Commands on the runs of a release, for which `-n` can mean nothing but where they are recorded. Of a plan it would seem to say which
/// objects are meant.
const OF_RELEASE: [&str; 7] = ["status", "rollback", "unhold", "export", "import", "certificate", "history"];

/// Sections of the help that matter to commands on the runs of a release.
const SECTIONS: [&str; 4] = ["Cluster", "Release", "Lease", "Output"];

/// What matters to a plan alone and has no section of its own.
const OF_PLAN: [&str; 2] = ["strict", "exclude_namespace"];

/// Commands that ask no cluster.
const WITHOUT_CLUSTER: [&str; 2] = ["explain", "matrix"];

/// What matters to those.
const OF_EXPLAIN: [&str; 3] = ["output", "log_format", "log_level"];

/// The arguments of this process; help, a version or a mistake ends it.
#[must_use]
pub fn parse<A: Parser>() -> A {
    let mut command = completed(A::command());
    let matches = command.get_matches_mut();
    A::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit())
}

/// A command line with what all have.
#[must_use]
pub fn completed(command: Command) -> Command {
    let program = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let global: Vec<Arg> = command.get_arguments().filter(|argument| argument.is_global_set()).cloned().collect();
    // It lives as long as the process.
    let version = command.get_version().map(|number| &*with_commit(number).leak());
    let command = if let Some(version) = version { command.version(version) } else { command };
    command.mut_subcommands(|subcommand| {
        let verb = subcommand.get_name().to_owned();
        // What a command has itself stands in for what is there for all.
        let own = global.iter().filter_map(|argument| for_verb(argument, &verb));
        let subcommand = subcommand.args(own);
        match examples(&program, &verb) {
            Some(text) => subcommand.after_help(text),
            None => subcommand,
        }
    })
}

/// An argument that all commands have, as this one has it; none where it is the same.
fn for_verb(argument: &Arg, verb: &str) -> Option<Arg> {
    let (section, id) = (argument.get_help_heading().unwrap_or_default(), argument.get_id().as_str());
    let is_without_cluster = WITHOUT_CLUSTER.contains(&verb);
    let is_of_interest =
        if is_without_cluster { OF_EXPLAIN.contains(&id) } else { SECTIONS.contains(&section) && !OF_PLAN.contains(&id) };
    match verb {
        _ if !is_without_cluster && !OF_RELEASE.contains(&verb) => None,
        _ if !is_of_interest => Some(argument.clone().hide(true)),
        _ if id == "ledger_namespace" => Some(argument.clone().short('n').visible_alias("namespace")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, FromArgMatches as _, Subcommand};

    use super::*;
    use crate::args::{CommonArgs, ReleaseCommand};

    #[derive(Parser)]
    #[command(name = "job")]
    struct Job {
        #[command(subcommand)]
        command: Verb,
        #[command(flatten)]
        common: CommonArgs,
        /// Only of its plan.
        #[arg(long, global = true, help_heading = "Purge")]
        fence: bool,
    }

    #[derive(Subcommand)]
    enum Verb {
        Plan,
        #[command(flatten)]
        Release(ReleaseCommand),
    }

    #[test]
    fn a_command_on_a_release_takes_the_short_name_of_the_namespace_and_shows_no_flags_of_a_plan() {
        let parsed = |line: &str| {
            let matches = completed(Job::command()).try_get_matches_from(line.split(' '))?;
            Job::from_arg_matches(&matches).map(|job| (job.common.release.ledger_namespace, job.fence))
        };
        for line in ["job status -n shop", "job status --namespace shop", "job --ledger-namespace shop status"] {
            assert_eq!(parsed(line).expect(line), (Some("shop".to_owned()), false), "{line}");
        }
        assert_eq!(parsed("job status --fence").expect("hidden, and there"), (None, true));
        assert!(parsed("job plan -n shop").is_err(), "it would seem to say which objects are meant");
        let mut command = completed(Job::command());
        command.build();
        let mut help = |verb: &str| command.find_subcommand_mut(verb).expect(verb).render_long_help().to_string();
        let status = help("status");
        assert!(["--fence", "--strict"].iter().all(|flag| !status.contains(flag)) && status.contains("--request-timeout"));
    }
}
