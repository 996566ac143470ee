//! Faults between a job and the real API server: everything goes through, but for what a test asks to be answered otherwise.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A request as a test sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// How many requests with the same method and path, the query included, came before.
    pub earlier: usize,
}

/// What is answered instead of the API server's answer; the API server does not see the request.
#[derive(Clone, Debug)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// Reason of the Status object, like `Expired`.
    pub reason: &'static str,
    /// Seconds in the header Retry-After.
    pub retry_after: Option<u32>,
}

/// A proxy that ends when it is dropped.
pub struct Proxy {
    kubeconfig: PathBuf,
    _folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    most_in_flight: Arc<AtomicUsize>,
    _runtime: tokio::runtime::Runtime,
}

struct Shared<F> {
    upstream: kube::Client,
    fault: F,
    asked: Arc<Mutex<Vec<Asked>>>,
    in_flight: AtomicUsize,
    most_in_flight: Arc<AtomicUsize>,
}

impl Proxy {
    /// Begins to listen on a free port. `fault` is asked about every request.
    #[must_use]
    pub fn start(kubeconfig: &Path, fault: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let server = format!("http://{}", listener.local_addr().expect("it is bound"));
        let upstream = runtime.block_on(connect(kubeconfig));
        let (asked, most_in_flight) = (Arc::default(), Arc::default());
        let shared = Shared { upstream, fault, asked, in_flight: AtomicUsize::new(0), most_in_flight };
        let (asked, most_in_flight) = (Arc::clone(&shared.asked), Arc::clone(&shared.most_in_flight));
        runtime.spawn(serve(listener, Arc::new(shared)));
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("kubeconfig");
        std::fs::write(&file, through(&server).to_string()).expect("written");
        Self { kubeconfig: file, _folder: folder, asked, most_in_flight, _runtime: runtime }
    }

    /// A kubeconfig that leads through the proxy.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// Every request so far, in the order in which they came.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().expect("nobody panics with it").clone()
    }

    /// How many requests were under way at once, at most.
    #[must_use]
    pub fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::Relaxed)
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

async fn connect(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("it leads to an API server");
    config.default_retry = false;
    kube::Client::try_from(config).expect("a client")
}

async fn serve<F>(listener: TcpListener, shared: Arc<Shared<F>>)
where
    F: Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
{
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let shared = Arc::clone(&shared);
                async move { Ok::<_, Infallible>(shared.answer(request).await) }
            });
            // A client that goes away in the middle is an ordinary event.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

impl<F: Fn(&Asked) -> Option<Fault>> Shared<F> {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let asked = self.note(&request);
        let response = match (self.fault)(&asked) {
            Some(fault) => fault.response(),
            None => self.forward(request).await,
        };
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        response
    }

    fn note(&self, request: &Request<Incoming>) -> Asked {
        let (method, path) = (request.method().to_string(), request.uri().to_string());
        let mut all = self.asked.lock().expect("nobody panics with it");
        let earlier = all.iter().filter(|other| other.method == method && other.path == path).count();
        let asked = Asked { method, path, earlier };
        all.push(asked.clone());
        asked
    }

    async fn forward(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut head, body) = request.into_parts();
        head.headers.remove(header::HOST);
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        match self.upstream.send(Request::from_parts(head, kube::client::Body::from(body))).await {
            Ok(response) => {
                let (head, body) = response.into_parts();
                let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let mut response = Response::new(Full::new(body));
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

impl Fault {
    fn response(&self) -> Response<Full<Bytes>> {
        let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": self.status,
            "reason": self.reason, "message": "the proxy of the tests says so"});
        let mut response = plain(self.status, status.to_string());
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

fn plain(status: u16, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status.try_into().expect("a status");
    response
}
