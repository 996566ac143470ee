//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fairlead_job::args::OutputArgs;

/// Sends numbered events, counts what arrives, and says what was lost on the way.
///
/// `receive` is a subscriber: an event that is posted to /NAME counts for the subscription NAME. `send` sends the streams of its
/// configuration for a while, waits until nothing more arrives, asks the subscribers what they have got, and compares. Nothing between the
/// two is trusted: both sides keep the numbers of the events, which stand in their bodies.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = STATUS, after_long_help = format!("{EXAMPLES}\n\n{STATUS}"))]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Report and logs.
    #[command(flatten)]
    pub output: OutputArgs,
}

const STATUS: &str = "\
Exit status:
    0  every accepted event has arrived, and none twice but what a broker has delivered again
    2  wrong arguments or configuration
    4  events are missing or doubled, or the subscribers cannot say what they have got";

const EXAMPLES: &str = "\
Examples:
  A subscriber; the broker delivers to http://HOST:8080/orders:
    loss-meter receive --listen 0.0.0.0:8080

  Send for ten minutes, and say what was lost:
    loss-meter send --config streams.yaml --for 10m

  streams.yaml:
    apiVersion: fairlead.dev/v1
    kind: LossMeter
    receivers: [\"http://loss-meter.shop:8080\"]
    streams:
    - name: shop
      url: http://shop-event-service.kyma-integration:8081/shop/v1/events
      api: legacy                 # or cloudEvents
      source: shop
      type: order.created
      typeVersion: v1
      rate: 20                    # events in a second
      subscriptions: [orders, audit]

  What has arrived so far; how a subscriber is slow, or down for a while:
    curl http://loss-meter.shop:8080/
    curl -X PUT http://loss-meter.shop:8080/orders -d '{\"afterMillis\": 200}'
    curl -X PUT http://loss-meter.shop:8080/orders -d '{\"status\": 503}'";

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Be the subscribers, and count what arrives.
    Receive(ReceiveArgs),
    /// Send events, and say which of them have not arrived.
    Send(SendArgs),
}

/// Of `receive`.
#[derive(clap::Args, Clone, Debug)]
pub struct ReceiveArgs {
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080", env = "FAIRLEAD_LISTEN")]
    pub listen: SocketAddr,
}

/// Of `send`.
#[derive(clap::Args, Clone, Debug)]
pub struct SendArgs {
    /// The streams, and the subscriptions that get them; - for standard input.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: PathBuf,

    /// How long to send [default: until the first SIGTERM or SIGINT].
    #[arg(long = "for", value_name = "DURATION", env = "FAIRLEAD_FOR", value_parser = humantime::parse_duration)]
    pub time: Option<Duration>,

    /// Send so many events of each stream, and then no more.
    #[arg(long, value_name = "NUMBER", env = "FAIRLEAD_COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,

    /// How long nothing more may arrive before what is missing counts as lost. A broker that delivers again needs longer than that takes.
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_SETTLE", value_parser = humantime::parse_duration)]
    pub settle: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        text.extend(["\n=== send\n", &command.find_subcommand_mut("send").expect("send").render_help().to_string()]);
        insta::assert_snapshot!(text);
    }
}
