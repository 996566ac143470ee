//! What every job does, whatever its step: one run at a time, finished when its process died, shown, and taken back. A ticket
//! says itself how it is undone.
//!
//! - [`args`]: arguments that every job has
//! - [`observe`]: reads what there is, from a cluster or from files
//! - [`configuration`]: the file that makes the jobs serve other kinds
//! - [`show`]: shows a plan, explains a code
//! - [`session`]: one process at work, and its last word
//! - [`step`]: what makes a job of a step: plan, snapshot, changes, verification
//! - [`exclusive`]: one run at a time
//! - [`status`]: which runs there were; `next`: what to do
//! - [`rollback`]: goes back; `goal`: which runs; `crossed`: whether Helm's order is theirs; `wait`: until the old side is there
//! - `helm`: where the Helm release stands, and what to tell Helm next
//! - [`holds`]: ends holds after the upgrade
//! - [`transfer`]: tickets as files
//!
//! # Decision: a crate of its own
//!
//! Situation: every job has these commands, they need the ledger in the cluster as well as reports and exit statuses, and
//! `job` knows no cluster. Decision: this crate, which a job uses beside `job` and `kube-client`. Consequence: a job is an
//! implementation of [`step::Step`] and its arguments, and nothing else could differ.

pub mod args;
mod cancelled;
pub mod configuration;
mod crossed;
pub mod exclusive;
mod goal;
mod helm;
pub mod holds;
mod next;
pub mod observe;
pub mod rollback;
pub mod session;
pub mod show;
pub mod status;
pub mod step;
pub mod transfer;
mod wait;

use std::time::Duration;

use fairlead_job::exit::ExitStatus;
use fairlead_kube_client::ledger::Ledger;

use crate::args::{CommonArgs, ReleaseCommand};
use crate::session::{Session, connect, place};

/// How long it may take to look at what is held; most of it is waiting for another run.
const UNHOLD_TIMEOUT: Duration = Duration::from_mins(3);

/// Carries out a command on the runs of a release, for the binary of this name.
pub async fn run(common: &CommonArgs, command: &ReleaseCommand, binary: &str) -> anyhow::Result<ExitStatus> {
    let cluster = connect(common).await?;
    let place = place(common, &cluster, binary);
    let ledger = Ledger::new(&cluster, place.namespace);
    match command {
        ReleaseCommand::Status { watch } => status::run(&cluster, place, common.output.output, *watch).await,
        ReleaseCommand::Rollback(args) => {
            let session = Session::begin(common, &cluster, binary, "rollback", args.run_timeout).await?;
            rollback::run(&session, args).await
        }
        ReleaseCommand::Unhold => {
            let session = Session::begin(common, &cluster, binary, "unhold", UNHOLD_TIMEOUT).await?;
            holds::run(&session).await
        }
        ReleaseCommand::Export(args) => transfer::export(ledger, place, args).await,
        ReleaseCommand::Import { file } => transfer::import(ledger, file).await,
    }
}
