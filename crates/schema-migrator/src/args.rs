//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use fairlead_driver::args::StepArgs;
use fairlead_job::exit;
use fairlead_release::args::{CommonArgs, ReleaseCommand};

use crate::phase::Phase;

/// Expands and contracts the tables of PostgreSQL and MariaDB while they are in use, and takes it back.
///
/// A migration says what a schema becomes; the job finds the statements that nobody has to wait for, asserts how the server carries them
/// out, and fills rows in small batches. What was done is recorded with the statements that take it back, so that `helm rollback` undoes
/// it with the image of a release that has never seen the migration. MySQL was not tried.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = exit::HELP, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// What every job takes.
    #[command(flatten)]
    pub common: CommonArgs,

    /// Which tables.
    #[command(flatten)]
    pub tables: TablesArgs,
}

/// Which tables are migrated.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Tables")]
pub struct TablesArgs {
    /// Configuration file whose section `tables` names the database and the migrations.
    #[arg(long, global = true, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: Option<PathBuf>,

    /// Migrations behind those of the configuration: a file, or a folder in the order of its names. May be repeated, or a list with commas.
    #[arg(long, global = true, value_name = "FILE|DIR", value_delimiter = ',', env = "FAIRLEAD_MIGRATIONS")]
    pub migrations: Vec<PathBuf>,

    /// Which migrations: those that come before the new release, those that come after the old one, or what these have put aside.
    #[arg(long, global = true, value_enum, default_value = "expand", env = "FAIRLEAD_PHASE")]
    pub phase: Phase,

    /// Where the record of the runs is: in Secrets of the cluster, or in tables of the database itself, for pipelines without a cluster.
    #[arg(long, global = true, value_enum, default_value = "cluster", env = "FAIRLEAD_STORE")]
    pub store: Tickets,
}

/// Where the record of the runs is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tickets {
    /// In Secrets of the cluster.
    #[default]
    Cluster,
    /// In tables of the database.
    Database,
}

impl TablesArgs {
    /// Words of the command line that change the plan, as a command that finishes the run needs them.
    pub(crate) fn told(&self) -> Vec<String> {
        let phase = (self.phase != Phase::Expand).then(|| ["--phase".to_owned(), self.phase.name().to_owned()]);
        // Where the record is in the database, each command names the files for that.
        let files = if self.store == Tickets::Database { Vec::new() } else { self.files() };
        files.into_iter().chain(phase.into_iter().flatten()).collect()
    }

    /// Those that name the configuration.
    pub(crate) fn files(&self) -> Vec<String> {
        let config = self.config.iter().flat_map(|file| ["--config".to_owned(), file.display().to_string()]);
        let files = self.migrations.iter().flat_map(|file| ["--migrations".to_owned(), file.display().to_string()]);
        config.chain(files).collect()
    }
}

const EXAMPLES: &str = "\
Examples:
  A configuration, and a migration in it:
    apiVersion: fairlead.dev/v1
    kind: Configuration
    tables:
      database:
        engine: postgresql
        host: db.shop
        database: ledger
        username: migrator
        password: {name: db, key: password}
      migrations:
        - apiVersion: fairlead.dev/v1
          kind: SchemaMigration
          metadata: {name: add-transfer-quote-id}
          spec:
            kind: expand
            operations:
              - addColumn: {table: transfer, column: quoteId, type: varchar(36)}

  See what would happen:
    schema-migrator plan --config fairlead.yaml

  Do it, and what an earlier run has left to the background:
    schema-migrator apply --config fairlead.yaml --release shop --ledger-namespace shop
    schema-migrator background --config fairlead.yaml --release shop --ledger-namespace shop

  When the old release is gone:
    schema-migrator apply --phase contract --config fairlead.yaml \\
      --release shop --ledger-namespace shop

  Without a cluster, with the record in the database:
    schema-migrator apply --store database --config fairlead.yaml --release shop

  Where does it stand, and how to go back?
    schema-migrator status --release shop --ledger-namespace shop
    schema-migrator rollback --last --release shop --ledger-namespace shop

  What does a code mean?
    schema-migrator explain SM112";

const PLAN_EXAMPLES: &str = "\
Examples:
  schema-migrator plan --config fairlead.yaml
  schema-migrator plan --config fairlead.yaml --phase contract -o github
  schema-migrator plan --config fairlead.yaml -o json > plan.json";

const APPLY_EXAMPLES: &str = "\
Examples:
  schema-migrator apply --config fairlead.yaml --release shop --ledger-namespace shop
  schema-migrator apply --config fairlead.yaml --plan plan.json \\
    --release shop --ledger-namespace shop";

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Show what `apply` would do; change nothing.
    #[command(after_help = PLAN_EXAMPLES)]
    Plan {
        /// Exit with 10 when there is something to do.
        #[arg(long, env = "FAIRLEAD_EXIT_CODE")]
        exit_code: bool,
    },
    /// Apply the migrations of a phase; take everything back when one of them fails.
    #[command(after_help = APPLY_EXAMPLES)]
    Apply(StepArgs),
    /// Fill the rows that `apply` has left to the background, until none is left.
    #[command(mut_arg("run_timeout", |arg| arg.default_value("23h")))]
    Background(StepArgs),
    /// On the runs of the release.
    #[command(flatten)]
    Release(ReleaseCommand),
    /// Explain a code of a report, of whatever job; without one list all of them.
    Explain {
        /// The code, like SM112.
        code: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_flag_has_its_variable() {
        assert_eq!(fairlead_job::args::without_variable(&Args::command()), Vec::<String>::new());
    }

    #[test]
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        for name in ["plan", "apply", "background"] {
            let help = command.find_subcommand_mut(name).expect(name).render_help().to_string();
            text.extend(["\n=== ", name, "\n", &help]);
        }
        insta::assert_snapshot!(text);
    }
}
