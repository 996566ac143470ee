//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use fairlead_job::args::OutputArgs;

/// Takes events on Kyma's legacy APIs, and sends each to the new mesh.
///
/// Publishers that know the event service of an Application, the event bus, or `/publish` go on as before. An answer of success means that
/// the target has the event. Every other answer means that the publisher must send it again, with the same id; nothing is kept here.
#[derive(Parser, Clone, Debug)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,

    /// Logs.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// The commands.
#[derive(Subcommand, Clone, Debug)]
pub enum Command {
    /// Serve until SIGTERM.
    Serve(ServeArgs),
    /// Look once whether the targets are there; send nothing.
    Check(CheckArgs),
    /// Explain a code of a report, of whatever program; without one list those of this one.
    Explain {
        /// The code, like CL001.
        code: Option<String>,
    },
}

/// Targets to look at.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// Configuration file whose section `layer` names the targets. Without it: what is built in.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: Option<PathBuf>,

    /// Applications whose entrances are looked at, where an address depends on them.
    #[arg(long = "application", value_name = "NAME", value_delimiter = ',', env = "FAIRLEAD_APPLICATION")]
    pub applications: Vec<String>,
}

/// How events are served.
#[derive(clap::Args, Clone, Debug)]
pub struct ServeArgs {
    /// Configuration file whose section `layer` says where events go. Without it: to the entrance of each Application, as Kyma 1.11 has it.
    #[arg(long, value_name = "FILE", env = "FAIRLEAD_CONFIG")]
    pub config: Option<PathBuf>,

    /// Addresses to listen on. A Service that is redirected keeps its port: the event bus has 8080, an event service 8081.
    #[arg(
        long,
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "0.0.0.0:8080,0.0.0.0:8081",
        env = "FAIRLEAD_LISTEN"
    )]
    pub listen: Vec<SocketAddr>,

    /// Address of probes and metrics only, with connections of their own: many publishers must not make a pod seem dead. The addresses above
    /// answer them, too.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:9090", env = "FAIRLEAD_PROBE_LISTEN")]
    pub probe_listen: SocketAddr,

    /// How long a target may take to accept an event. A synchronous channel of Knative answers when all subscribers have, retries included.
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_TARGET_TIMEOUT", value_parser = duration)]
    pub target_timeout: Duration,

    /// How long the events of one request may take together, at least `--target-timeout`: after it a batch is answered, and the answer says how many of
    /// its events were delivered.
    #[arg(long, value_name = "DURATION", default_value = "60s", env = "FAIRLEAD_REQUEST_TIMEOUT", value_parser = duration)]
    pub request_timeout: Duration,

    /// How many connections a target over HTTP gets, each Application's entrance by itself; further events wait for their turn, as part of its
    /// time.
    #[arg(long, value_name = "NUMBER", default_value = "128", env = "FAIRLEAD_TARGET_CONNECTIONS", value_parser = clap::value_parser!(u16).range(1..))]
    pub target_connections: u16,

    /// How many requests may be in flight; further ones are answered with 429. The events of one target take at most as many as are left, so half of
    /// them.
    #[arg(long, value_name = "NUMBER", default_value = "2048", env = "FAIRLEAD_MAX_IN_FLIGHT", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_in_flight: u16,

    /// How many bytes the events of all requests in flight may take; further ones are answered with 429. The events of one target take at most as many
    /// as are left.
    #[arg(long, value_name = "BYTES", default_value = "12582912", env = "FAIRLEAD_MAX_BYTES_IN_FLIGHT", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_bytes_in_flight: u32,

    /// How many connections may be open; further ones wait until one ends. Each takes up to 32 KiB.
    #[arg(long, value_name = "NUMBER", default_value = "1536", env = "FAIRLEAD_MAX_CONNECTIONS", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_connections: u16,

    /// Longest body in bytes; a longer one is answered with 413.
    #[arg(long, value_name = "BYTES", default_value = "65536", env = "FAIRLEAD_MAX_BODY", value_parser = clap::value_parser!(u32).range(1..=16 << 20))]
    pub max_body: u32,

    /// Time in which the body must come; after that the answer is 408.
    #[arg(long, value_name = "DURATION", default_value = "10s", env = "FAIRLEAD_BODY_TIMEOUT", value_parser = duration)]
    pub body_timeout: Duration,

    /// How old a connection may become, up to a tenth more: the next answer after that ends it, so that its client follows a Service that leads
    /// elsewhere. A connection without a request for this time is closed.
    #[arg(long, value_name = "DURATION", default_value = "30s", env = "FAIRLEAD_MAX_CONNECTION_AGE", value_parser = duration)]
    pub max_connection_age: Duration,

    /// Time in which the head of a request must come, at most `--max-connection-age`.
    #[arg(long, value_name = "DURATION", default_value = "100s", env = "FAIRLEAD_HEAD_TIMEOUT", value_parser = duration)]
    pub head_timeout: Duration,

    /// Time from SIGTERM until no connection is taken any more: Kubernetes needs a moment until it sends none, and clients until they have left. A
    /// second signal ends it.
    #[arg(long, value_name = "DURATION", default_value = "5s", env = "FAIRLEAD_SHUTDOWN_DELAY", value_parser = humantime::parse_duration)]
    pub shutdown_delay: Duration,
}

/// A duration with a unit; nothing can be done in none.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(duration) if duration.is_zero() => Err("must be longer than 0".to_owned()),
        other => other.map_err(|error| error.to_string()),
    }
}

const EXAMPLES: &str = "\
Examples:
  Serve on one port, and send events to a Broker:
    printf 'apiVersion: fairlead.dev/v1\\nkind: Configuration\\nlayer: {target: {http: {url: \"http://broker-ingress.knative-eventing/shop/default\"}}}\\n' > layer.yaml
    compatibility-layer serve --config layer.yaml --listen 127.0.0.1:8081

  Publish an event, as publishers of Kyma do:
    curl -i http://127.0.0.1:8081/shop/v1/events -H 'Content-Type: application/json' -d '{\"event-type\": \"order.created\", \"event-type-version\": \"v1\", \"event-time\": \"2020-09-28T14:47:16Z\", \"data\": {}}'

  See whether the targets are there:
    compatibility-layer check --config layer.yaml

  What does a code mean?
    compatibility-layer explain CL001";

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn every_flag_has_its_variable() {
        assert_eq!(fairlead_job::args::without_variable(&Args::command()), Vec::<String>::new());
    }

    #[test]
    fn help_teaches() {
        let mut command = Args::command().term_width(110);
        let mut text = command.render_long_help().to_string();
        text.extend(["\n=== serve\n", &command.find_subcommand_mut("serve").expect("serve").render_help().to_string()]);
        insta::assert_snapshot!(text);
    }
}
