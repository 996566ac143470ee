//! Where events go, and what each answer of a target means. An event is sent once: its publisher sends it again.

mod http;
mod jet_stream;

use std::collections::BTreeMap;
use std::time::Duration;

use fairlead_job::failure::Failure;
use tokio::time::{Instant, timeout_at};

use crate::configuration::{self, Layer};
use crate::event::Event;
use crate::fault::Fault;
use crate::naming::{Naming, Origin};
use crate::room::Room;
use crate::trace::Trace;

use self::http::Poster;
use self::jet_stream::Connection;

/// All targets.
pub(crate) struct Targets {
    common: Option<Target>,
    own: BTreeMap<String, Target>,
    patience: Duration,
}

/// A target.
pub(crate) enum Target {
    Http(Poster),
    EventMesh(Poster, Naming),
    JetStream(Connection, Naming),
}

impl Targets {
    /// Prepares them. Only a connection to NATS is begun; where nothing answers it is tried again and again. Each target has so much time for
    /// an event, and keeps at most so many connections.
    pub(crate) async fn new(layer: &Layer, patience: Duration, connections: usize) -> Result<Self, Failure> {
        let common = match &layer.target {
            Some(target) => Some(Target::new(target, connections).await?),
            None => None,
        };
        let mut own = BTreeMap::new();
        for (name, application) in &layer.applications {
            own.insert(name.clone(), Target::new(&application.target, connections).await?);
        }
        Ok(Self { common, own, patience })
    }

    /// Names of the Applications that are configured.
    pub(crate) fn applications(&self) -> impl Iterator<Item = &String> {
        self.own.keys()
    }

    /// Whether events can be sent to one of them, as far as that is known without sending one. A pod that is not ready gets no event for any
    /// Application.
    pub(crate) fn are_ready(&self) -> bool {
        let mut targets = self.common.iter().chain(self.own.values()).peekable();
        targets.peek().is_none() || targets.any(Target::is_ready)
    }

    /// Sends the event, and waits until its target has it, at the latest `until` then.
    pub(crate) async fn send(
        &self,
        room: &Room,
        origin: Origin,
        event: &Event,
        trace: &Trace,
        until: Instant,
    ) -> Result<(), Fault> {
        let target = self.own.get(&event.source).or(self.common.as_ref());
        let target = target.ok_or_else(|| Fault::NoChannel(format!("no target is configured for {}", event.source)))?;
        let own = Instant::now() + self.patience;
        let deadline = own.min(until);
        let address = target.address(&event.source);
        let place = room.line_up(&address, event.size())?;
        // NATS needs one connection for all. Where the turn does not come, nothing has been sent.
        let _turn = if let Target::JetStream(..) = target {
            None
        } else {
            timeout_at(deadline, place.turn()).await.map_err(|_| Fault::Crowded(address))?
        };
        // In a box: an event that waits for its turn takes no memory for a request.
        match timeout_at(deadline, Box::pin(target.send(origin, event, trace))).await {
            Ok(sent) => sent,
            Err(_) if until < own => Err(Fault::Unanswered("the time for the whole request is over".to_owned())),
            Err(_) => Err(Fault::Unanswered(format!("no answer within {}", humantime::format_duration(self.patience)))),
        }
    }
}

impl Target {
    async fn new(target: &configuration::Target, connections: usize) -> Result<Self, Failure> {
        let poster = |url: &str| Poster::new(url, connections);
        Ok(match target {
            configuration::Target::Http(target) => Self::Http(poster(&target.url)),
            configuration::Target::EventMesh(target) => Self::EventMesh(poster(&target.url), target.naming()),
            configuration::Target::JetStream(target) => {
                Self::JetStream(Connection::new(&target.servers).await?, target.naming())
            }
        })
    }

    fn is_ready(&self) -> bool {
        match self {
            Self::Http(_) | Self::EventMesh(..) => true,
            Self::JetStream(connection, _) => connection.is_open(),
        }
    }

    /// What tells it from other targets: one for each Application, where they have entrances of their own.
    fn address(&self, source: &str) -> String {
        match self {
            Self::Http(poster) | Self::EventMesh(poster, _) => poster.address(source),
            Self::JetStream(connection, _) => connection.servers().to_owned(),
        }
    }

    async fn send(&self, origin: Origin, event: &Event, trace: &Trace) -> Result<(), Fault> {
        match self {
            Self::Http(poster) => {
                let mut event = event.clone();
                if origin == Origin::Legacy {
                    // Kyma's event service adds it.
                    event.attributes.insert("sourceid".to_owned(), event.source.clone());
                }
                poster.post(&event, trace, &[]).await
            }
            Self::EventMesh(poster, naming) => {
                let mut event = naming.name(origin, event)?;
                event.attributes.extend(trace.extensions());
                poster.post(&event, trace, &[("qos", "AT_LEAST_ONCE")]).await
            }
            Self::JetStream(connection, naming) => {
                let mut event = naming.name(origin, event)?;
                event.attributes.extend(trace.extensions());
                connection.publish(naming.subject(&event), &event, trace).await
            }
        }
    }
}
