//! A job for the tests, built like those of the product: its steps make the changes that files say.
//!
//! - `objects`: changes objects of a cluster, as a file of stages says
//! - `files`: changes files of a folder, by an executor of its own
//! - `gate`: lets pass or not, as a file says, and keeps what it has read
//! - `folder_store`: keeps tickets in a folder

mod files;
mod folder_store;
mod gate;
mod objects;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use fairlead_driver::apply::apply;
use fairlead_driver::args::StepArgs;
use fairlead_job::exit::ExitStatus;
use fairlead_job::{log, report};
use fairlead_release::args::{CheckArgs, CommonArgs, ReleaseCommand};
use fairlead_release::binary::{Binary, OtherStore};
use fairlead_release::session::{self, Session, connect};

use crate::files::{EveryFile, Files};
use crate::folder_store::FolderStore;
use crate::gate::Gate;
use crate::objects::EveryKind;

const BINARY: &str = "every-kind";

/// Makes the changes that files say.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: CommonArgs,
    /// Keep tickets in this folder, not in the cluster.
    #[arg(long, global = true)]
    store: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the steps that are asked for, one after the other, each with a ticket of its own.
    Apply {
        /// Stages of changes to objects.
        #[arg(long)]
        changes: Option<PathBuf>,
        /// Changes to files.
        #[arg(long)]
        files: Option<PathBuf>,
        /// What the gate reads.
        #[arg(long)]
        gate: Option<PathBuf>,
        #[command(flatten)]
        step: StepArgs,
    },
    /// Look whether an upgrade can run, and whether there is a way back.
    Check(CheckArgs),
    #[command(flatten)]
    Release(ReleaseCommand),
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output.log)?;
    let (common, store) = (&args.common, args.store.as_deref());
    let cluster = connect(common).await?;
    let [name, flags] = ["folder", "--store"].map(|word| format!("{word} {}", store.unwrap_or(Path::new("")).display()));
    // What this binary has beside what every binary has.
    let binary = || {
        let other = |folder: &Path| OtherStore { store: Box::new(FolderStore::new(folder)), name: &name, flags: &flags };
        Binary { executors: vec![Box::new(Files)], store: store.map(other), ..Binary::from(BINARY) }
    };
    match &args.command {
        Command::Apply { changes, files, gate, step } => {
            let begin = || Session::begin(common, &cluster, binary(), session::Command::Apply, step.run_timeout);
            let mut status = ExitStatus::Done;
            if let Some(changes) = changes {
                let session = begin().await?;
                status = apply(&session, step, &EveryKind::read(&session, changes)?).await?;
            }
            if let Some(files) = files.as_deref().filter(|_| status == ExitStatus::Done) {
                status = apply(&begin().await?, step, &EveryFile::read(files)?).await?;
            }
            if let Some(gate) = gate.as_deref().filter(|_| status == ExitStatus::Done) {
                status = apply(&begin().await?, step, &Gate::of(gate)).await?;
            }
            Ok(status)
        }
        Command::Check(check) => fairlead_release::check::run(&cluster, common, binary(), check).await,
        Command::Release(command) => fairlead_release::run(&cluster, common, command, binary()).await,
    }
}
