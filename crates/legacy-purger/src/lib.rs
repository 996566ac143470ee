//! Removes legacy objects, and then their kinds, when nothing needs them any more; gives everything back.
//!
//! - [`args`]: the command line
//! - `configuration`: what is purged; `kyma-event-bus.yaml` is what is built in
//! - `definitions`: the kinds, and what speaks against removing them
//! - `replicas`: what Triggers deliver already
//! - `decide`: whether one object goes
//! - `index`: the first look at all objects
//! - `workloads`: what is held, and who owns finalizers
//! - `fence`: what keeps others from creating objects meanwhile
//! - `stages`: in which order everything goes
//! - `findings`: what speaks against it, all guards put together
//! - `ready`: waits where that is only that Triggers are not Ready
//! - `along`: what goes along, compared with the snapshot before it goes
//! - [`plan`]: what goes, all of this put together
//! - `step`: the step, whose changes are made in the `world` that it guards
//! - `verify`: looks whether it has been done
//! - `kinds`: what is read beside what is purged
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

mod along;
pub mod args;
mod configuration;
mod decide;
mod definitions;
mod fence;
mod findings;
mod index;
mod kinds;
pub mod plan;
mod ready;
mod replicas;
mod stages;
mod step;
mod verify;
mod workloads;
mod world;

use std::collections::HashSet;

use fairlead_driver::apply;
use fairlead_driver::show::{explain, show};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::log;
use fairlead_kube_client::ledger::Ledger;
use fairlead_migration::store::Store as _;
use fairlead_observe::source::Source;
use fairlead_release::session::{self, Session, connect};

use crate::args::{Args, Command};
use crate::configuration::{Purge, invalid};
use crate::plan::{Options, STEP};
use crate::step::Purging;

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output)?;
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
            let options = options(&args, &purge.content, session.place.namespace)?;
            let flags = args.purge.flags();
            let purging = Purging { session: &session, options, args: arguments, configuration, flags };
            apply::apply(&session, &arguments.step, &purging).await
        }
        Command::Release(command) => {
            let cluster = connect(&args.common).await?;
            fairlead_release::run(&cluster, &args.common, command, STEP, |session| session).await
        }
        Command::Explain { code } => explain(code),
    }
}

async fn make_plan(source: &Source<'_>, args: &Args, purge: &Purge) -> Result<fairlead_migration::plan::Plan, Failure> {
    let release = &args.common.release;
    let named = release.ledger_namespace.as_deref();
    match source {
        Source::Cluster(cluster, _) => {
            let namespace = named.unwrap_or(cluster.default_namespace());
            let runs = Ledger::new(cluster, namespace, &release.release).runs().await?;
            Ok(plan::make(source, &options(args, purge, namespace)?, Some(&runs)).await?)
        }
        Source::Manifests(_) => Ok(plan::make(source, &options(args, purge, named.unwrap_or("default"))?, None).await?),
    }
}

fn options<'a>(args: &'a Args, purge: &'a Purge, namespace: &'a str) -> Result<Options<'a>, Failure> {
    let set = |names: &[String]| names.iter().cloned().collect::<HashSet<String>>();
    let known = Purge::built_in()?.content;
    for finalizer in &args.purge.strip_finalizers {
        if known.finalizer(finalizer).is_none() {
            let names: Vec<&str> = known.finalizers.iter().map(|finalizer| finalizer.name.as_str()).collect();
            let what = format!(
                "--strip-finalizers {finalizer}: only those of the legacy bus may be taken away: {}",
                names.join(", ")
            );
            return Err(invalid(&what));
        }
    }
    Ok(Options {
        purge,
        unreplicated: set(&args.purge.allow_unreplicated),
        helm_releases: set(&args.purge.allow_helm_owned),
        stripped: set(&args.purge.strip_finalizers),
        has_fence: args.purge.fence,
        required_steps: &args.purge.require_step,
        release: &args.common.release.release,
        namespace,
        helm_revision: args.common.release.helm_revision,
        concurrency: args.common.concurrency.into(),
    })
}
