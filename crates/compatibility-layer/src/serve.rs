//! The server: where it takes connections, and how it ends.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::connection::{Lifetime, Purpose, keep};
use crate::layer::{Layer, Phase};

/// How long the server waits when the system has no more files, before it takes a connection again.
const PAUSE: Duration = Duration::from_millis(100);

/// Connections of probes and of readers of metrics at once. One that hangs must not keep the others out.
const PROBES: usize = 32;

/// Where connections are taken.
pub(crate) struct Ports {
    /// For publishers.
    pub(crate) events: Vec<TcpListener>,
    /// For the kubelet and Prometheus.
    pub(crate) probes: TcpListener,
}

/// Limits of connections, and of the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Of each connection.
    pub(crate) lifetime: Lifetime,
    /// Connections at once. Further ones wait in the system's queue, which is bounded, too.
    pub(crate) connections: u32,
    /// Time from SIGTERM until no connection is taken any more.
    pub(crate) leaving: Duration,
    /// Time for what is in flight then.
    pub(crate) closing: Duration,
}

/// Signals that end the server.
pub(crate) struct Signals([Signal; 2]);

impl Signals {
    /// SIGTERM and SIGINT.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    async fn next(&mut self) {
        let Self([terminate, interrupt]) = self;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Serves until a signal, then ends: first every client is told to go, then no connection is taken, then what is in flight is finished.
/// A second signal ends the first part. Probes are answered to the end. Returns how many connections had not ended in time.
pub(crate) async fn serve(
    ports: Ports,
    layer: Rc<Layer>,
    patience: Patience,
    phase: watch::Sender<Phase>,
    mut signals: Signals,
) -> usize {
    let free = Arc::new(Semaphore::new(patience.connections as usize));
    let (mut accepting, mut probing) = (JoinSet::new(), JoinSet::new());
    let gate = |purpose, free| Gate {
        purpose,
        layer: Rc::clone(&layer),
        free,
        lifetime: patience.lifetime,
        phase: phase.subscribe(),
    };
    for listener in ports.events {
        accepting.spawn_local(gate(Purpose::Events, Arc::clone(&free)).accept(listener));
    }
    probing.spawn_local(gate(Purpose::Probes, Arc::new(Semaphore::new(PROBES))).accept(ports.probes));
    signals.next().await;
    phase.send_replace(Phase::Leaving);
    tracing::info!("the server ends: it is not ready any more, and tells its clients to go");
    // An operator who asks twice does not want to wait.
    let _ = timeout(patience.leaving, signals.next()).await;
    accepting.shutdown().await;
    phase.send_replace(Phase::Closing);
    let all = free.acquire_many(patience.connections);
    if timeout(patience.closing, all).await.is_ok() { 0 } else { patience.connections as usize - free.available_permits() }
}

/// Takes the connections of a port.
struct Gate {
    purpose: Purpose,
    layer: Rc<Layer>,
    free: Arc<Semaphore>,
    lifetime: Lifetime,
    phase: watch::Receiver<Phase>,
}

impl Gate {
    async fn accept(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    // The semaphore is never closed. While this one waits, the others do in the system's queue.
                    let Ok(permit) = Arc::clone(&self.free).acquire_owned().await else { return };
                    let (layer, phase) = (Rc::clone(&self.layer), self.phase.clone());
                    let (purpose, lifetime) = (self.purpose, self.lifetime);
                    drop(spawn_local(async move {
                        let _permit = permit;
                        keep(stream, purpose, layer, lifetime, phase).await;
                    }));
                }
                Err(error) => {
                    tracing::warn!(%error, "failed to take a connection");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}
