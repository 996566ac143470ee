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

use crate::connection::{Lifetime, keep};
use crate::layer::{Layer, Phase};

/// How long the server waits when the system has no more files, before it takes a connection again.
const PAUSE: Duration = Duration::from_millis(100);

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
/// A second signal ends the first part. Returns how many connections had not ended in time.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    layer: Rc<Layer>,
    patience: Patience,
    phase: watch::Sender<Phase>,
    mut signals: Signals,
) -> usize {
    let free = Arc::new(Semaphore::new(patience.connections as usize));
    let mut accepting = JoinSet::new();
    for listener in listeners {
        accepting.spawn_local(accept(listener, Rc::clone(&layer), Arc::clone(&free), patience.lifetime, phase.subscribe()));
    }
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

async fn accept(
    listener: TcpListener,
    layer: Rc<Layer>,
    free: Arc<Semaphore>,
    lifetime: Lifetime,
    phase: watch::Receiver<Phase>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // The semaphore is never closed. While this one waits, the others do in the system's queue.
                let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
                let (layer, phase) = (Rc::clone(&layer), phase.clone());
                drop(spawn_local(async move {
                    keep(stream, layer, lifetime, phase).await;
                    drop(permit);
                }));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to take a connection");
                sleep(PAUSE).await;
            }
        }
    }
}
