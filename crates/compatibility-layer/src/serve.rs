//! Connections: how they are taken, and how they end.

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{AbortHandle, JoinSet, spawn_local};
use tokio::time::{sleep, timeout};

use crate::layer::{Layer, Phase};

/// How long the server waits when the system has no more files, before it takes a connection again.
const PAUSE: Duration = Duration::from_millis(100);

/// The buffers of a connection: a request head has some hundred bytes.
const BUFFER: usize = 16 * 1024;

/// Limits of connections, and of the end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Time in which the head of a request must have come, from the answer before it.
    pub(crate) head: Duration,
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
        accepting.spawn_local(accept(listener, Rc::clone(&layer), Arc::clone(&free), patience.head, phase.subscribe()));
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
    head: Duration,
    phase: watch::Receiver<Phase>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // The semaphore is never closed. While this one waits, the others do in the system's queue.
                let Ok(permit) = Arc::clone(&free).acquire_owned().await else { return };
                drop(begin(stream, Rc::clone(&layer), head, phase.clone(), permit));
            }
            Err(error) => {
                tracing::warn!(%error, "failed to take a connection");
                sleep(PAUSE).await;
            }
        }
    }
}

fn begin(
    stream: TcpStream,
    layer: Rc<Layer>,
    head: Duration,
    mut phase: watch::Receiver<Phase>,
    permit: OwnedSemaphorePermit,
) -> AbortHandle {
    let serving = async move {
        let _permit = permit;
        // Without it answers would be slower, and no worse.
        let _ = stream.set_nodelay(true);
        let service = service_fn(move |request| {
            let layer = Rc::clone(&layer);
            async move { Ok::<_, Infallible>(layer.answer(request).await) }
        });
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(BUFFER);
        let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service));
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            _ = phase.wait_for(|phase| *phase == Phase::Closing) => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection has ended early");
        }
    };
    spawn_local(serving).abort_handle()
}
