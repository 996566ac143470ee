//! Requests to an API server, without kubectl: a matrix of faults makes thousands.

use std::path::Path;

use http_body_util::BodyExt as _;
use hyper::{Method, Request, header};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;
use tokio::runtime::Runtime;

/// A client that waits for each answer.
pub struct Api {
    client: kube::Client,
    runtime: Runtime,
}

impl Api {
    /// Connects as whoever the kubeconfig says.
    #[must_use]
    pub fn new(kubeconfig: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let client = runtime.block_on(connect(kubeconfig));
        Self { client, runtime }
    }

    /// Status and body of the answer.
    pub fn ask(&self, method: &Method, path: &str, body: &Value) -> (u16, Value) {
        let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, kind);
        let request = request.body(Body::from(bytes)).expect("a request");
        self.runtime.block_on(async {
            let response = self.client.send(request).await.expect("the API server answers");
            let (head, body) = response.into_parts();
            let body = body.collect().await.expect("the whole answer").to_bytes();
            (head.status.as_u16(), serde_json::from_slice(&body).unwrap_or_default())
        })
    }

    /// The same, which must succeed.
    #[track_caller]
    pub fn expect(&self, method: &Method, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status}: {answer}");
        answer
    }

    /// An object, or a list.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        self.expect(&Method::GET, path, &Value::Null)
    }
}

pub(crate) async fn connect(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("it leads to an API server");
    config.default_retry = false;
    kube::Client::try_from(config).expect("a client")
}
