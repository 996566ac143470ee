//! Sends numbered events, counts what arrives, and says what was lost on the way.
//!
//! - [`args`], [`configuration`]: what a meter is told: streams of events, and which subscription gets each
//! - [`event`]: a numbered event, as a publisher writes it and as a subscriber finds it
//! - `send`: sends the streams; `sent`: what became of them; `client`: of HTTP
//! - `receive`: subscribers that count; `received`: what has arrived; `receivers`: asks them
//! - `verdict`: what was lost, doubled or late, from both; `table`: the same for people
//! - `latency`: quantiles of times
//!
//! # Decision: numbers in the body, and sets of them
//!
//! Situation: an event passes a legacy bus, a compatibility layer, channels and brokers, and each changes its headers; an id may be new at
//! each of them. Decision: the body has the run, the stream and a number, and both sides keep the set of numbers. Consequence: one event in
//! a million that is missing is found and named, and nothing on the way has to be trusted.

pub mod args;
mod client;
pub mod configuration;
pub mod event;
mod latency;
mod receive;
mod received;
mod receivers;
mod send;
mod sent;
mod table;
mod verdict;

use fairlead_job::exit::ExitStatus;
use fairlead_job::log;

use crate::args::{Args, Command};

/// The whole program.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.output.log)?;
    match &args.command {
        Command::Receive(receive) => receive::run(receive).await,
        Command::Send(send) => send::run(send, args.output.output).await,
    }
}
