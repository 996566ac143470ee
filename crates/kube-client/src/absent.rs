//! A cluster that is not there: for a pipeline that migrates a database and keeps its tickets in it. Nothing is sent. Every list is empty,
//! no object is there, and nothing can be written.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::service_fn;

use crate::cluster::Cluster;
use crate::pace::Pace;

/// What a person reads as its address.
const SERVER: &str = "no cluster";

impl Cluster {
    /// No cluster.
    #[must_use]
    pub fn absent(request_timeout: Duration) -> Self {
        let service = service_fn(|request: Request<Body>| std::future::ready(Ok::<_, Infallible>(answer(&request))));
        let client = Client::new(service, "default");
        Self::of_client(client, SERVER.to_owned(), request_timeout, Pace::new(1))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_absent(&self) -> bool {
        self.server == SERVER
    }
}

fn answer(request: &Request<Body>) -> Response<Body> {
    let path = request.uri().path();
    let is_list = request.uri().query().is_some_and(|query| query.contains("limit="));
    let (status, body) = match path {
        "/api" | "/apis" => (
            StatusCode::OK,
            json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": []}),
        ),
        _ if is_list => (StatusCode::OK, json!({"kind": "List", "apiVersion": "v1", "metadata": {}, "items": []})),
        _ => (StatusCode::NOT_FOUND, not_found(path)),
    };
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList");
    response.body(Body::from(body.to_string().into_bytes())).expect("a status and a header")
}

fn not_found(path: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": "NotFound", "code": 404,
        "message": format!("there is no cluster, so there is no {path}")})
}
