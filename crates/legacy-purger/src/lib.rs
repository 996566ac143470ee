//! Removes legacy objects, and then their kinds, when nothing needs them any more; gives everything back.
//!
//! - [`args`], `configuration`, [`options`]: what a purge is told; `kyma-event-bus.yaml` is the built-in configuration
//! - `plan`: the stages of planning, one after the other
//!   - `observe`: reads, and keeps what it has `found`: `definitions`, `index`, `workloads`
//!   - `decide`: whether one object goes; `findings`: what speaks against the purge, all guards put together; `earlier`: the steps that must
//!     have run before
//!   - `tracked`: what Argo CD and Flux put back; `unmatched`: names on the command line that nothing has
//!   - `order`: what goes in which of the `stages`; `fence`: what keeps others from creating objects meanwhile
//!   - `rehearse`: whether what goes could be created again
//! - `ready`: waits where only Triggers that are not Ready speak against it
//! - `step`: the step, whose changes are made in the `world` that it guards
//! - `owned`: what becomes of objects whose owners go
//! - `cascade`: what others delete, compared with the snapshot before the first deletion
//! - `verify`: looks whether all is gone
//! - `kinds`: what is read beside what is purged; `near`: the name that somebody may have meant
//!
//! # Decision: all or nothing
//!
//! Situation: the definition of a kind takes every object along, whatever it is. Decision: while one object must stay for a reason that
//! somebody has to fix, nothing is purged at all (exit 4); an object that is none of the purge's, of a later shape, only keeps its
//! definition. Consequence: a refusal costs an upgrade, and no event.
//!
//! # Decision: what others delete is in the plan
//!
//! Situation: the owner of a finalizer deletes Channels, the garbage collector what is owned; neither is our write, and both are gone
//! when we go back. Decision: they are changes of stages that are `cascaded`: read into the snapshot, not written, put back when they
//! are gone. Consequence: the plan says all that goes, and the way back needs no code of this job.
//!
//! # Decision: what a purged object owns is the purge's business
//!
//! Situation: the garbage collector deletes an object with its last owner, whether or not anybody has selected it. Decision: an object of
//! a purged kind goes as if it were selected, with every guard; one of another kind is a cascaded change; one that another owner keeps
//! loses its reference by an update of ours. Consequence: all of it is in the plan and comes back, and nothing is asked of the collector.

pub mod args;
mod cascade;
mod configuration;
mod count;
mod decide;
mod definitions;
mod earlier;
mod fence;
mod finalizers;
mod findings;
mod found;
mod index;
mod kinds;
mod near;
mod observe;
pub mod options;
mod order;
mod owned;
mod plan;
mod ready;
mod rehearse;
mod stages;
mod step;
mod tracked;
mod unmatched;
mod verify;
mod workloads;
mod world;

use fairlead_driver::apply;
use fairlead_driver::show::show;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::log;
use fairlead_kube_client::ledger::Ledger;
use fairlead_observe::source::Source;
use fairlead_release::explain::explain;
use fairlead_release::session::{self, Session, connect};

use crate::args::{Args, Command};
use crate::configuration::Purge;
use crate::options::{Options, STEP};
use crate::step::Purging;

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output.log)?;
    match &args.command {
        Command::Plan(plan) => {
            let purge = Purge::read(args.purge.config.as_deref())?.content;
            show(&args.common, plan, &kinds::ALL, async |source| make_plan(source, &args, &purge).await).await
        }
        Command::Apply(arguments) => {
            let purge = Purge::read(args.purge.config.as_deref())?;
            let configuration = args.purge.config.is_some().then(|| purge.document.clone());
            let cluster = connect(&args.common).await?;
            let session =
                Session::begin(&args.common, &cluster, STEP, session::Command::Apply, arguments.step.run_timeout).await?;
            let options = Options::new(&args, &purge.content, session.place.namespace)?;
            let flags = args.purge.flags();
            let purging = Purging { session: &session, options, args: arguments, configuration, flags };
            apply::apply(&session, &arguments.step, &purging).await
        }
        Command::Release(command) => {
            let cluster = connect(&args.common).await?;
            fairlead_release::run(&cluster, &args.common, command, STEP).await
        }
        Command::Explain { code } => explain(code.as_deref(), args.common.output.output),
    }
}

async fn make_plan(source: &Source<'_>, args: &Args, purge: &Purge) -> Result<fairlead_migration::plan::Plan, Failure> {
    let release = &args.common.release;
    let named = release.ledger_namespace.as_deref();
    match source {
        Source::Cluster(cluster, _) => {
            let namespace = named.unwrap_or(cluster.default_namespace());
            let ledger = Ledger::new(cluster, namespace, &release.release);
            Ok(plan::make(source, &Options::new(args, purge, namespace)?, Some(&ledger)).await?)
        }
        Source::Manifests(_) => Ok(plan::make(source, &Options::new(args, purge, named.unwrap_or("default"))?, None).await?),
    }
}
