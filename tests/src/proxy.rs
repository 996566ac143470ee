//! Faults between a job and the real API server: everything goes through, but for what a test asks to go wrong.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::api::connect;
use crate::program::becomes;

/// A request as a test sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// What was sent.
    pub body: Bytes,
    /// How many requests with the same method and path, the query included, came before.
    pub earlier: usize,
    /// How many writes came before; none when this is no write.
    pub write: Option<usize>,
    /// How many connections had been made before that over which it came.
    pub connection: usize,
}

/// When a job is killed, or its connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The API server does not see the request.
    BeforeSent,
    /// The API server has done what was asked, and nobody gets the answer.
    AfterCommit,
    /// The answer has arrived; the next request does not.
    AfterAnswer,
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The API server does not see it; this is answered.
    Instead(Answer),
    /// The API server does what is asked; this is answered.
    AfterCommit(Answer),
    /// The job dies by SIGKILL.
    Kill(Moment),
    /// The connection is closed without an answer; there is none at [`Moment::AfterAnswer`].
    Reset(Moment),
    /// Half of the answer arrives.
    Cut,
    /// The answer takes so long.
    Delay(Duration),
}

/// An answer of ours.
#[derive(Clone, Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Reason of the Status object, like `Expired`.
    pub reason: &'static str,
    /// Seconds in the header Retry-After.
    pub retry_after: Option<u32>,
}

impl Answer {
    /// Without Retry-After.
    #[must_use]
    pub fn new(status: u16, reason: &'static str) -> Self {
        Self { status, reason, retry_after: None }
    }
}

/// A proxy that ends when it is dropped.
pub struct Proxy {
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
    seen: Arc<Seen>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Seen {
    asked: Mutex<Vec<Asked>>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    /// Process id of the job; 0 before it is known.
    victim: AtomicU32,
    /// The next request kills.
    is_doomed: AtomicBool,
    /// Nothing is answered any more.
    is_dead: AtomicBool,
}

struct Shared<F> {
    upstream: kube::Client,
    fault: F,
    seen: Arc<Seen>,
}

type Body = BoxBody<Bytes, io::Error>;

impl Proxy {
    /// Begins to listen on a free port. `fault` is asked about every request.
    #[must_use]
    pub fn start(kubeconfig: &Path, fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let server = format!("http://{}", listener.local_addr().expect("it is bound"));
        let upstream = runtime.block_on(connect(kubeconfig));
        let seen = Arc::<Seen>::default();
        runtime.spawn(serve(listener, Arc::new(Shared { upstream, fault, seen: Arc::clone(&seen) })));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, through(&server).to_string()).expect("written");
        Self { kubeconfig: file, _folder: folder, seen, _runtime: runtime }
    }

    /// A kubeconfig that leads through the proxy.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Who is killed. Nobody is before this is known.
    pub fn set_victim(&self, pid: u32) {
        self.seen.victim.store(pid, Ordering::SeqCst);
    }

    /// Whether the fault [`Fault::Kill`] has come.
    #[must_use]
    pub fn has_killed(&self) -> bool {
        self.seen.is_dead.load(Ordering::SeqCst)
    }

    /// Every request so far, in the order in which they came.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.seen.asked.lock().expect("nobody panics with it").clone()
    }

    /// How many requests were under way at once, at most.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.seen.most_in_flight.load(Ordering::Relaxed)
    }
}

fn through(server: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server}}],
        "users": [{"name": "it", "user": {}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": "default"}}],
    })
}

async fn serve<F>(listener: TcpListener, shared: Arc<Shared<F>>)
where
    F: Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
{
    let mut connections = 0..;
    while let (Ok((stream, _)), Some(connection)) = (listener.accept().await, connections.next()) {
        let shared = Arc::clone(&shared);
        // Without it a small answer waits for an acknowledgement.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { shared.answer(request, connection).await }
            });
            // A client that goes away in the middle is an ordinary event, and so is a connection that a fault closes.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl<F: Fn(&Asked) -> Option<Fault>> Shared<F> {
    async fn answer(&self, request: Request<Incoming>, connection: usize) -> io::Result<Response<Body>> {
        let now = self.seen.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.seen.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let response = self.meet(request, connection).await;
        self.seen.in_flight.fetch_sub(1, Ordering::Relaxed);
        response
    }

    async fn meet(&self, request: Request<Incoming>, connection: usize) -> io::Result<Response<Body>> {
        if self.seen.is_dead.load(Ordering::SeqCst) {
            return Err(closed());
        }
        if self.seen.is_doomed.load(Ordering::SeqCst) {
            return Err(self.kill());
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let asked = self.note(&head, &body, connection);
        let forward = || self.forward(head, body.clone());
        match (self.fault)(&asked) {
            None => Ok(forward().await),
            Some(Fault::Instead(answer)) => Ok(answer.response()),
            Some(Fault::AfterCommit(answer)) => {
                forward().await;
                Ok(answer.response())
            }
            Some(Fault::Kill(Moment::BeforeSent)) => Err(self.kill()),
            Some(Fault::Kill(Moment::AfterCommit)) => {
                forward().await;
                Err(self.kill())
            }
            Some(Fault::Kill(Moment::AfterAnswer)) => {
                let response = forward().await;
                self.seen.is_doomed.store(true, Ordering::SeqCst);
                Ok(response)
            }
            Some(Fault::Reset(Moment::AfterCommit)) => {
                forward().await;
                Err(closed())
            }
            Some(Fault::Reset(_)) => Err(closed()),
            Some(Fault::Cut) => Ok(cut(forward().await).await),
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(forward().await)
            }
        }
    }

    fn note(&self, head: &hyper::http::request::Parts, body: &Bytes, connection: usize) -> Asked {
        let (method, path) = (head.method.to_string(), head.uri.to_string());
        let is_write = method != "GET" && !path.contains("/selfsubjectaccessreviews") && !path.contains("dryRun=All");
        let mut all = self.seen.asked.lock().expect("nobody panics with it");
        let earlier = all.iter().filter(|other| other.method == method && other.path == path).count();
        let writes = all.iter().filter(|other| other.write.is_some()).count();
        let asked = Asked { method, path, body: body.clone(), earlier, write: is_write.then_some(writes), connection };
        all.push(asked.clone());
        asked
    }

    /// By its own process id, and nobody is answered any more: whatever it had sent before is lost.
    fn kill(&self) -> io::Error {
        self.seen.is_dead.store(true, Ordering::SeqCst);
        // Whoever has started it says in a moment who it is.
        let is_known = || self.seen.victim.load(Ordering::SeqCst) != 0;
        assert!(becomes(is_known), "nobody has said who is to be killed");
        let pid = self.seen.victim.load(Ordering::SeqCst);
        Command::new("kill").args(["-KILL", &pid.to_string()]).status().expect("kill runs");
        closed()
    }

    async fn forward(&self, mut head: hyper::http::request::Parts, body: Bytes) -> Response<Body> {
        head.headers.remove(header::HOST);
        match self.upstream.send(Request::from_parts(head, kube::client::Body::from(body))).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let mut response = Response::new(full(body));
                *response.status_mut() = head.status;
                if let Some(kind) = head.headers.get(header::CONTENT_TYPE) {
                    response.headers_mut().insert(header::CONTENT_TYPE, kind.clone());
                }
                response
            }
            Err(error) => plain(502, error.to_string()),
        }
    }
}

impl Answer {
    fn response(&self) -> Response<Body> {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.status,
            "reason": self.reason, "message": "the proxy of the tests says so"});
        let mut response = plain(self.status, status.to_string());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// Half of the body, and then the connection breaks.
async fn cut(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    let whole = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    head.headers.insert(header::CONTENT_LENGTH, whole.len().into());
    let half = whole.slice(..whole.len() / 2);
    let frames = futures::stream::iter([Ok(Frame::data(half)), Err(closed())]);
    Response::from_parts(head, StreamBody::new(frames).boxed())
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "the proxy of the tests has closed the connection")
}

fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).map_err(|never| match never {}).boxed()
}

fn plain(status: u16, body: String) -> Response<Body> {
    let mut response = Response::new(full(body));
    *response.status_mut() = status.try_into().expect("a status");
    response
}
