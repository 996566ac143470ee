//! A release and its runs: one at a time, shown, and taken back. A ticket says itself how it is undone, so nothing here knows a step.
//!
//! - [`args`]: arguments that every program has which works on a release
//! - [`command_line`]: what the command lines of all have in common; `examples`: those of their commands
//! - [`binary`]: which binary is at work, and what it has; `one_store`: whether the release keeps its runs there
//! - [`session`]: one process at work, and its last word
//! - [`exclusive`]: one run at a time; `holder`: its name
//! - [`executors`]: what carries changes out
//! - [`mod@place`]: where the ledger is, and the commands that are printed for it
//! - [`helm`]: where the Helm release stands, and what to tell Helm next
//! - [`cancelled`]: whether a run is wanted any more
//! - [`releases`]: which releases have runs
//! - [`status`]: which runs there were; `status_facts`: all that is known of the release; `known`, `next`: what to do; `under_way`: whether Helm's operation is; `left_over`: what is left of the old side; `status_text`: all of it on one screen
//! - [`check`]: whether an upgrade can run, and whether there is a way back; `upcoming`: what its jobs would do; `credentials`: whether their Secrets are there
//! - [`history`]: Helm's revisions, and to which of them there is a way back now
//! - [`certificate`]: what a gate has seen, as a document
//! - [`mod@explain`]: what a code means
//! - [`rollback`]: goes back; `rehearsal`: what that would do; `homeless`: what has no namespace any more; `runs_to_undo`: which runs; `missing`: which of them nobody can take back; `between`: what others have changed between two of them; `order`: whether Helm's order is theirs; `halves`: what comes before the old manifests, and what after; `wait`: until the old side is there
//! - [`unhold`]: ends holds after the upgrade
//! - [`transfer`]: tickets as files; `part`: a file that is whole, or not there
//!
//! # Decision: this crate knows no job
//!
//! Situation: whoever goes back has a binary that may never have seen the migration: an older hook, or a person's kubectl plugin.
//! Decision: what is done to the runs of a release is here, and what makes a binary of a step is in `driver`, which uses this crate.
//! Consequence: `kubectl-fairlead` is built from this crate alone, and every job brings the same commands along for hooks.

pub mod args;
mod between;
pub mod binary;
pub mod cancelled;
pub mod certificate;
pub mod check;
pub mod command_line;
mod credentials;
mod examples;
pub mod exclusive;
pub mod executors;
pub mod explain;
mod halves;
pub mod helm;
pub mod history;
mod holder;
mod homeless;
mod known;
mod leads_nowhere;
mod left_over;
mod missing;
mod next;
mod one_store;
mod order;
mod part;
pub mod place;
mod rehearsal;
pub mod releases;
pub mod rollback;
mod runs_to_undo;
pub mod session;
pub mod status;
mod status_facts;
mod status_text;
#[cfg(test)]
mod testing;
pub mod transfer;
mod under_way;
pub mod unhold;
mod upcoming;
mod wait;

use std::time::Duration;

use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_kube_client::cluster::Cluster;

use crate::args::{CommonArgs, ReleaseCommand};
use crate::binary::Binary;
use crate::session::{Command, Session};

/// How long it may take to look at what is held; most of it is waiting for another run.
const UNHOLD_TIMEOUT: Duration = Duration::from_mins(3);

/// Carries out a command on the runs of a release.
pub async fn run<'a>(
    cluster: &'a Cluster,
    common: &'a CommonArgs,
    command: &ReleaseCommand,
    binary: impl Into<Binary<'a>>,
) -> anyhow::Result<ExitStatus> {
    let binary = binary.into();
    let place = binary.place(common, cluster);
    let result = carry_out(cluster, common, command, binary).await;
    if matches!(command, ReleaseCommand::Import { .. }) {
        return result;
    }
    result.map_err(|error| match error.downcast::<Failure>() {
        Ok(failure) => place.with_import(failure).into(),
        Err(error) => error,
    })
}

async fn carry_out<'a>(
    cluster: &'a Cluster,
    common: &'a CommonArgs,
    command: &ReleaseCommand,
    binary: Binary<'a>,
) -> anyhow::Result<ExitStatus> {
    let place = binary.place(common, cluster);
    match command {
        ReleaseCommand::Rollback(args) => {
            let session = Session::begin(common, cluster, binary, Command::Rollback, args.run_timeout).await?;
            rollback::run(&session, args).await
        }
        ReleaseCommand::Unhold => {
            let session = Session::begin(common, cluster, binary, Command::Unhold, UNHOLD_TIMEOUT).await?;
            unhold::run(&session).await
        }
        ReleaseCommand::Status { watch } => {
            let store = binary.store(cluster, place).await?;
            status::run(cluster, &*store, place, common.output.output, *watch).await
        }
        ReleaseCommand::Export(args) => {
            let store = binary.store(cluster, place).await?;
            transfer::export(cluster, &*store, place, args).await
        }
        ReleaseCommand::Import { file } => {
            let (name, other) = (binary.name, binary.store.as_ref().map(|other| other.name));
            let store = binary.store(cluster, place).await?;
            let documents = manifests::read(file).map_err(Failure::input)?;
            // For nothing the release is not bound to another store.
            if let Some(other) = other
                && !store.read_exported(&documents).map_err(Failure::from)?.is_empty()
            {
                one_store::claim(cluster, common, place, other, &one_store::tool(name, common)).await?;
            }
            transfer::import(&*store, place, file, &documents).await
        }
    }
}
