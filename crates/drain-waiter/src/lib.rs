//! Closes the intake of a queue, and waits until nothing is in flight: proven, and kept as a certificate.
//!
//! - [`args`], `options`, `configuration`: what a drain is told; `kyma-event-bus.yaml` is the built-in configuration
//!   - `entry`: an object and how it is closed; `each`: an entry for each object of a kind
//! - `plan`: which objects of the intake change in which of the `stages`, and what speaks against it
//!   - `intake`: what closing makes of an object; `setting`: whether a field can be set; `surroundings`: autoscalers, and both sides of a redirect
//! - `first_look`: every source is opened and read before anything is closed
//! - `sources`: what can be read, and each reading; `readers`: all that is read of a drain
//! - `proof`: whether the readings so far prove an empty backlog; `certificate`: the same as a document, and whether one holds; `passage`: of it a sentinel
//! - `event`: shows over new connections that a redirect leads to the new side
//! - `closed`: whether the intake stays closed, and who opens it
//! - `step`: the step; `wait`: its rounds; `progress`: what an operator sees of them; `check`: one round
//!
//! # Decision: the proof is a row of rounds, not a glance
//!
//! Situation: a broker shows a message that was delivered and not acknowledged as pending, or not at all, until it delivers it again.
//! Decision: every source is empty in several rounds in a row that are together longer than the time of redelivery, all in one window, and
//! no end position moves. Consequence: a drain takes that time, a minute with Kyma, after the last message.
//!
//! # Decision: a move of an end position is the intake only when nothing was in flight
//!
//! Situation: what is drained from one queue is often published to the next one, whose end moves. Decision: a move counts against the
//! publishers when everything was empty in the two rounds before, or when nothing less is left for too long. Consequence: chains of
//! queues drain, and a publisher that goes on is found as soon as its consumers have caught up, or do not.
//!
//! # Decision: an event and a sentinel carry the id of the run, and a number of their own
//!
//! Situation: a run that is resumed does not know what came after the process before it, and a receiver that keeps its answers by id would
//! repeat that of the old side. Decision: each try of an event and each sentinel has an id that begins with that of the run and was never
//! used. Consequence: whoever gets them gets several; none of them proves anything for another one.
//!
//! # Decision: the old side of a redirect stops last, and the Service waits for it on the way back
//!
//! Situation: kube-proxy never moves a connection that is kept alive, and follows a Service within two seconds. Decision: a workload
//! behind a redirected Service stops in a stage of its own, when new connections are shown to lead elsewhere; going back, the Service waits
//! until that workload is available. Consequence: a drain waits 5 s more, and an old side that does not come back keeps the Service where it is.

pub mod args;
mod certificate;
mod check;
mod closed;
mod configuration;
mod each;
mod entry;
mod event;
mod first_look;
mod intake;
mod options;
mod passage;
mod plan;
mod progress;
mod proof;
mod readers;
mod setting;
mod sources;
mod stages;
mod step;
mod surroundings;
mod wait;

use std::cell::{Cell, RefCell};
use std::path::Path;

use fairlead_driver::apply;
use fairlead_driver::show::show;
use fairlead_job::codes::drain_waiter as codes;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{log, manifests, report};
use fairlead_migration::finding::Unchanged;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use fairlead_release::explain::explain;
use fairlead_release::session::{self, Session, connect, place};

use crate::args::{Args, Command};
use crate::configuration::Drain;
use crate::each::Entry;
use crate::options::Options;
pub use crate::options::STEP;
use crate::sources::Place;
use crate::stages::stages;
use crate::step::Draining;
use crate::surroundings::{AUTOSCALER, SCALED_OBJECT};

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output.log)?;
    let common = &args.common;
    let read = || Drain::read(args.drain.config.as_deref());
    match &args.command {
        Command::Plan(plan) => {
            let drain = read()?.map(|section| section.content);
            show(common, plan, &[&AUTOSCALER, &SCALED_OBJECT], async |source| make_plan(source, &args, drain.as_ref()).await)
                .await
        }
        Command::Check => {
            let Some(drain) = read()? else { return Ok(ExitStatus::Done) };
            let cluster = connect(common).await?;
            let discovery = cluster.discover().await.map_err(Failure::from)?;
            let source = Source::Cluster(&cluster, &discovery);
            if !is_there(&source, &drain.content) {
                report::say("Nothing to drain: none of the kinds under `onlyWith` is served.\n")?;
                return Ok(ExitStatus::Done);
            }
            let (namespace, drain) = (place(common, &cluster, STEP).namespace, drain.content.expand(&source).await?);
            check::run(&drain, Place { cluster: &cluster, discovery: &discovery, namespace }, common.output.output).await
        }
        Command::Apply(arguments) => {
            let drain = read()?;
            let cluster = connect(common).await?;
            let session = Session::begin(common, &cluster, STEP, session::Command::Apply, arguments.run_timeout).await?;
            let source = Source::Cluster(&cluster, &session.discovery);
            let Some(drain) = drain.filter(|drain| is_there(&source, &drain.content)) else {
                return apply::nothing(&session, arguments, STEP, &nothing()).await;
            };
            let configuration = args.drain.config.is_some().then_some(drain.document);
            let expanded = match session.watch.guard(drain.content.expand(&source)).await {
                Ok(expanded) => expanded,
                Err(failure) => return Err(session.fail(STEP, failure).await.into()),
            };
            let (options, flags) = (Options::new(&args, &expanded), args.drain.flags());
            let step = Draining {
                session: &session,
                written: &drain.content,
                options,
                configuration,
                flags,
                evidence: RefCell::default(),
                redirected: Cell::default(),
                reached: RefCell::default(),
            };
            apply::apply(&session, arguments, &step).await
        }
        Command::Certificate { verify: Some(file) } => verify(file),
        Command::Certificate { verify: None } => {
            let cluster = connect(common).await?;
            fairlead_release::certificate::print(&cluster, common, STEP).await
        }
        Command::Release(command) => {
            let cluster = connect(common).await?;
            fairlead_release::run(&cluster, common, command, STEP).await
        }
        Command::Explain { code } => explain(code.as_deref(), common.output.output),
    }
}

async fn make_plan(source: &Source<'_>, args: &Args, drain: Option<&Drain<Entry>>) -> Result<Plan, Failure> {
    let Some(drain) = drain.filter(|drain| is_there(source, drain)) else { return Ok(nothing()) };
    let drain = drain.expand(source).await?;
    let options = Options::new(args, &drain);
    let namespace = args.common.release.ledger_namespace.as_deref();
    let place = match source {
        Source::Cluster(cluster, discovery) => {
            let namespace = namespace.unwrap_or(cluster.default_namespace());
            Some(Place { cluster, discovery, namespace })
        }
        Source::Manifests(_) => None,
    };
    Ok(plan::make(source, &options, place, None).await?)
}

/// Whether what is drained is in this cluster.
fn is_there(source: &Source<'_>, drain: &Drain<Entry>) -> bool {
    let mut kinds = drain.only_with.iter();
    drain.only_with.is_empty() || kinds.any(|it| source.api_version(&Kind::named(&it.group, &it.kind)).is_some())
}

/// The plan where nothing is to be drained.
fn nothing() -> Plan {
    let mut plan = PlanBuilder::new(STEP, stages(1));
    let reason = "has nothing to drain: the configuration purges other kinds and has no section `drain`, or none of the kinds under \
                  `onlyWith` is served";
    plan.keep(&Unchanged { target: fairlead_driver::earlier_steps::target(STEP), reason: reason.to_owned() });
    plan.build()
}

/// Says whether the certificate in a file holds.
fn verify(file: &Path) -> anyhow::Result<ExitStatus> {
    let documents = manifests::read(file).map_err(Failure::input)?;
    let [document] = documents.as_slice() else {
        let message = format!("{} holds {} documents, and must hold one", file.display(), documents.len());
        return Err(Failure::new(&codes::NOT_CERTIFIED, message).into());
    };
    let said = certificate::verify(document).map_err(|why| Failure::new(&codes::NOT_CERTIFIED, why))?;
    report::say(&format!("It holds: {said}.\n"))?;
    Ok(ExitStatus::Done)
}
