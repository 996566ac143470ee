//! Takes events on Kyma's legacy APIs, and sends each to the new mesh.
//!
//! - [`args`], `configuration`: what the server is told; `kyma-event-mesh.yaml` is the built-in configuration
//! - `serve`: where connections are taken, and the end; `connection`: one of them; `layer`: a request from its path to its answer
//! - `room`: what is in flight, and which part of it one target may take; `body`: a request's body within its limits
//! - `api`: which API is asked; `legacy`, `cloud_event`: requests read into an `event`; `time`: what they call a time
//! - `naming`: what an event is called on Kyma's later backends; `trace`: what goes along with it
//! - `target`: where events go, and what an answer means
//! - `fault`: why an event is not accepted; `answer`: how that is said in the words of each service
//! - `check`: looks once whether the targets are there
//! - `subscribed`: which events somebody subscribes to
//! - `metrics`: what Prometheus reads
//!
//! # Decision: nothing is kept and nothing is sent twice
//!
//! Situation: Kyma's services answer with success when an event is dropped, and some send it twice. Decision: success means that the target
//! has the event, and everything else that the publisher sends it again with the same id. Consequence: the layer holds no queue, can be
//! killed at any moment, and runs in as many pods as one likes. An event whose answer got lost arrives twice on Knative, and once on `JetStream`.
//!
//! # Decision: one thread
//!
//! Situation: the work is waiting. Decision: one thread serves all connections. Consequence: no locks and little memory. A load beyond
//! one core takes more pods.

mod answer;
mod api;
pub mod args;
mod body;
mod check;
mod cloud_event;
mod configuration;
mod connection;
mod event;
mod fault;
mod layer;
mod legacy;
mod metrics;
mod naming;
mod room;
mod serve;
mod subscribed;
mod target;
mod time;
mod trace;

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use fairlead_job::codes::{compatibility_layer as codes, shared};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{log, report};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::args::{Args, CheckArgs, Command, ServeArgs};
use crate::check::Found;
use crate::configuration::Layer as Configuration;
use crate::connection::Lifetime;
use crate::layer::{Layer, Phase};
use crate::room::Room;
use crate::serve::{Patience, Ports, Signals, serve};
use crate::target::Targets;

/// Threads that look up names: each has a stack.
const RESOLVERS: usize = 4;

/// Time beyond that of the targets for answers to be written.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The whole program.
pub fn run(args: &Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.output.log)?;
    match &args.command {
        Command::Explain { code } => explain(code.as_deref()),
        Command::Check(args) => Ok(runtime()?.block_on(run_check(args))?),
        Command::Serve(args) => Ok(LocalSet::new().block_on(&runtime()?, run_server(args))?),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(RESOLVERS).build();
    runtime.map_err(|error| Failure::caused(&codes::RUNTIME, "failed to start", error))
}

async fn run_check(args: &CheckArgs) -> Result<ExitStatus, Failure> {
    let configuration = Configuration::read(args.config.as_deref())?;
    let found = check::check(&configuration, &args.applications).await;
    let away: Vec<&str> = found.iter().filter_map(|found| found.result.as_ref().err().map(String::as_str)).collect();
    for Found { field, result } in &found {
        let (mark, said) = match result {
            Ok(said) => ("ok", said),
            Err(said) => ("NO", said),
        };
        report::say(&format!("{mark}  {field}: {said}\n"))?;
    }
    if away.is_empty() { Ok(ExitStatus::Done) } else { Err(Failure::new(&codes::TARGET, away.join("; "))) }
}

async fn run_server(args: &ServeArgs) -> Result<ExitStatus, Failure> {
    let configuration = Configuration::read(args.config.as_deref())?;
    let mut events = Vec::new();
    for address in &args.listen {
        events.push(listen(*address, "listening").await?);
    }
    let ports = Ports { events, probes: listen(args.probe_listen, "listening for probes").await? };
    let signals = Signals::new().map_err(|error| Failure::caused(&codes::RUNTIME, "failed to wait for signals", error))?;
    let targets = Targets::new(&configuration, args.target_timeout, args.target_connections.into()).await?;
    let phase = watch::Sender::new(Phase::Open);
    let request_timeout = args.request_timeout.max(args.target_timeout);
    let room = Room::new(args.max_in_flight.into(), args.max_bytes_in_flight as usize, args.target_connections.into());
    let body = body::Limits { length: args.max_body as usize, timeout: args.body_timeout };
    let layer = Rc::new(Layer::new(targets, room, body, request_timeout, phase.subscribe()));
    let patience = Patience {
        lifetime: Lifetime { head: args.head_timeout, age: args.max_connection_age },
        connections: args.max_connections.into(),
        leaving: args.shutdown_delay,
        closing: args.body_timeout + request_timeout + LAST_WORD,
    };
    let left = serve(ports, layer, patience, phase, signals).await;
    if left > 0 {
        tracing::warn!(left, "connections had not ended in time");
    }
    Ok(ExitStatus::Done)
}

async fn listen(address: SocketAddr, said: &str) -> Result<TcpListener, Failure> {
    let failed = |error| Failure::caused(&codes::LISTEN, format!("failed to listen on {address}"), error);
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    tracing::info!(%address, "{said}");
    Ok(listener)
}

fn explain(code: Option<&str>) -> anyhow::Result<ExitStatus> {
    let text = match code {
        None => fairlead_job::codes::all().flat_map(|code| [code.id, "  ", code.title, "\n"]).collect(),
        Some(id) => fairlead_job::codes::explain(id)
            .ok_or_else(|| Failure::new(&shared::UNKNOWN_CODE, format!("there is no code {id}")))?,
    };
    report::say(&text)?;
    Ok(ExitStatus::Done)
}
