//! One connection: what is answered on it, how old it may become, and how it ends.

use std::convert::Infallible;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use http::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use crate::answer;
use crate::layer::{Layer, Phase};

/// The buffers of a connection: a request head has some hundred bytes.
const BUFFER: usize = 16 * 1024;

/// How long a client may take to close its side after the server has closed its own.
const FAREWELL: Duration = Duration::from_secs(2);

/// How long a connection lives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetime {
    /// Time in which the head of a request must have come, from the answer before it.
    pub(crate) head: Duration,
    /// The first answer after this time is the last one, and a connection without a request for this time is closed.
    pub(crate) age: Duration,
}

impl Lifetime {
    /// The age of one connection. It is up to a tenth longer: clients that came together do not all leave together, and one that publishes at
    /// regular times does not always meet the closing of its connection.
    fn spread(self) -> Self {
        let [first, second, ..] = Uuid::new_v4().into_bytes();
        let share = f64::from(u16::from_be_bytes([first, second])) / f64::from(u16::MAX);
        Self { age: self.age.saturating_add(self.age.mul_f64(share / 10.0)), ..self }
    }
}

/// What a port is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Everything.
    Events,
    /// Probes and metrics.
    Probes,
}

/// Serves a connection until it ends.
pub(crate) async fn keep(
    stream: TcpStream,
    purpose: Purpose,
    layer: Rc<Layer>,
    lifetime: Lifetime,
    mut phase: watch::Receiver<Phase>,
) {
    // Without it answers would be slower, and no worse.
    let _ = stream.set_nodelay(true);
    let lifetime = lifetime.spread();
    let (begun, told) = (Instant::now(), phase.clone());
    let service = service_fn(move |request| {
        let (layer, told) = (Rc::clone(&layer), told.clone());
        // In a box: a connection without a request takes no memory for one.
        Box::pin(async move {
            let mut answer = match purpose {
                Purpose::Events => layer.answer(request).await,
                Purpose::Probes => {
                    layer.probe(request.uri().path()).unwrap_or_else(|| answer::not_here(StatusCode::NOT_FOUND))
                }
            };
            if begun.elapsed() >= lifetime.age || *told.borrow() > Phase::Open {
                // The client opens a new connection for its next request: it leads where the Service leads now.
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        })
    });
    let mut server = http1::Builder::new();
    // A client may have nothing more to send when it waits for its answer.
    server
        .half_close(true)
        .timer(TokioTimer::new())
        .header_read_timeout(lifetime.head.min(lifetime.age))
        .max_buf_size(BUFFER);
    let mut connection = server.serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        // A request that has come is read before anything is closed.
        biased;
        ended = poll_fn(|ctx| connection.poll_without_shutdown(ctx)) => ended,
        _ = phase.wait_for(|phase| *phase == Phase::Closing) => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|ctx| connection.poll_without_shutdown(ctx)).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection has ended early");
    }
    part(connection.into_parts().io.into_inner()).await;
}

/// Closes the server's side, and waits for the client's. Closed with bytes that nobody has read, a connection is reset, and the client may lose
/// the answer that has just been written: <https://www.rfc-editor.org/rfc/rfc9112#section-9.6>.
async fn part(mut stream: TcpStream) {
    let _ = stream.shutdown().await;
    let reading = async {
        let mut unread = [0; 512];
        while stream.read(&mut unread).await.is_ok_and(|length| length > 0) {}
    };
    let _ = timeout(FAREWELL, reading).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_differ_by_a_tenth_at_most() {
        let lifetime = Lifetime { head: Duration::from_secs(1), age: Duration::from_secs(30) };
        let ages: Vec<Duration> = (0..100).map(|_| lifetime.spread().age).collect();
        assert!(ages.iter().all(|age| (30.0..=33.0).contains(&age.as_secs_f64())), "{ages:?}");
        assert!(ages.iter().any(|age| *age != ages[0]));
    }
}
