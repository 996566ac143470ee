//! A kubectl plugin for people: what belongs to a release and to no job. It is built without any job, and takes back what any of them
//! has changed.
//!
//! - [`args`]: the command line, with kubectl's own flags; [`form`]: in which form a report is written
//! - `history`: Helm's revisions, with the schema of each
//! - [`matrix_args`]: the command line of `matrix`; [`matrix`]: reads files for it, and prints

pub mod args;
pub mod form;
mod history;
pub mod matrix;
pub mod matrix_args;

use fairlead_job::args::OutputArgs;
use fairlead_job::exit::ExitStatus;
use fairlead_job::log;
use fairlead_release::args::ReleaseCommand;
use fairlead_release::explain::explain;
use fairlead_release::place::PLUGIN;
use fairlead_release::session::connect;
use fairlead_release::{certificate, check, releases};

use crate::args::{Args, Command, ReleaseName};

/// The whole plugin.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    let Args { command, kubectl, lease, output, log } = args;
    log::init(&log)?;
    if let Command::Matrix(args) = command {
        return matrix::run(&args, output);
    }
    let output = OutputArgs { output: output.report()?, log };
    let (place, command) = match command {
        Command::Matrix(_) => unreachable!("it has been carried out"),
        Command::Explain { code } => return explain(code.as_deref(), output.output),
        Command::Check { place, arguments } => {
            let common = kubectl.common(&place, lease, output);
            let cluster = connect(&common).await?;
            return check::run(&cluster, &common, PLUGIN, &arguments).await;
        }
        Command::History { place, matrix: file } => {
            let matrix = file.as_deref().map(matrix::load).transpose()?;
            let common = kubectl.common(&place, lease, output);
            let cluster = connect(&common).await?;
            let entries = fairlead_release::history::read(&cluster, &common, PLUGIN).await?;
            return history::print(&entries, matrix.as_ref(), common.output.output);
        }
        Command::Certificate { place } => {
            let common = kubectl.common(&place, lease, output);
            let cluster = connect(&common).await?;
            return certificate::print(&cluster, &common, PLUGIN).await;
        }
        Command::Status { release: None, .. } => {
            let common = kubectl.common(&ReleaseName { release: String::new(), helm_release: None }, lease, output);
            let cluster = connect(&common).await?;
            return releases::run(&cluster, &common, PLUGIN).await;
        }
        Command::Status { release: Some(release), helm_release, watch } => {
            (ReleaseName { release, helm_release }, ReleaseCommand::Status { watch })
        }
        Command::Rollback { place, arguments } => (place, ReleaseCommand::Rollback(arguments)),
        Command::Unhold { place } => (place, ReleaseCommand::Unhold),
        Command::Export { place, arguments } => (place, ReleaseCommand::Export(arguments)),
        Command::Import { place, file } => (place, ReleaseCommand::Import { file }),
    };
    let common = kubectl.common(&place, lease, output);
    let cluster = connect(&common).await?;
    fairlead_release::run(&cluster, &common, &command, PLUGIN).await
}
