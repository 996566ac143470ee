//! An admission webhook that refuses, changes, or does not answer.

use std::convert::Infallible;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::cluster::Cluster;

/// What it does to every object that it is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    /// Says no.
    Refuses,
    /// Adds a label.
    Changes,
    /// Says nothing.
    Silent,
}

/// The label that a webhook adds.
pub const LABEL: &str = "example.com/changed-by-webhook";

/// A webhook that ends when it is dropped.
pub struct Webhook {
    url: String,
    certificate: String,
    mood: Mood,
    _runtime: tokio::runtime::Runtime,
}

impl Webhook {
    /// Begins to listen on a free port of the cluster's network.
    #[must_use]
    pub fn start(cluster: &Cluster, mood: Mood) -> Self {
        let key = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
        let certificate = BASE64_STANDARD.encode(key.cert.der());
        let private = PrivateKeyDer::try_from(key.signing_key.serialize_der()).expect("its key");
        let tls = ServerConfig::builder_with_provider(Arc::new(default_provider()));
        let tls = tls.with_safe_default_protocol_versions().expect("the versions of ring").with_no_client_auth();
        let tls = tls.with_single_cert(vec![key.cert.der().clone()], private).expect("key and certificate fit");
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = cluster.listen();
        listener.set_nonblocking(true).expect("a socket");
        let listener = runtime.block_on(async { TcpListener::from_std(listener) }).expect("a socket");
        let url = format!("https://{}/", listener.local_addr().expect("it is bound"));
        runtime.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), mood));
        Self { url, certificate, mood, _runtime: runtime }
    }

    /// The configuration that asks it about this verb on a resource of the core group, in one namespace.
    #[must_use]
    pub fn configuration(&self, name: &str, operation: &str, resource: &str, namespace: &str) -> Value {
        // One that answers is waited for: without an answer in time it would be another fault.
        let timeout = if self.mood == Mood::Silent { 1 } else { 30 };
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", self.certificate);
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingWebhookConfiguration", "metadata": {"name": name},
            "webhooks": [{
                "name": "webhook.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"], "timeoutSeconds": timeout,
                "failurePolicy": "Fail", "clientConfig": {"url": self.url, "caBundle": BASE64_STANDARD.encode(pem)},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"operations": [operation], "apiGroups": [""], "apiVersions": ["v1"], "resources": [resource]}],
            }],
        })
    }
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, mood: Mood) {
    while let Ok((stream, _)) = listener.accept().await {
        let tls = tls.clone();
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request| async move { Ok::<_, Infallible>(answer(request, mood).await) });
            // A caller that has no patience left is an ordinary event.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, mood: Mood) -> Response<Full<Bytes>> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let review: Value = serde_json::from_slice(&body).unwrap_or_default();
    let uid = &review["request"]["uid"];
    let response = match mood {
        Mood::Silent => std::future::pending().await,
        Mood::Refuses => json!({"uid": uid, "allowed": false, "status": {"message": "the webhook says no"}}),
        Mood::Changes => {
            let has_labels = review["request"]["object"]["metadata"]["labels"].is_object();
            let label = format!("/metadata/labels/{}", LABEL.replace('/', "~1"));
            let changes = if has_labels {
                json!([{"op": "add", "path": label, "value": "yes"}])
            } else {
                json!([{"op": "add", "path": "/metadata/labels", "value": {LABEL: "yes"}}])
            };
            json!({"uid": uid, "allowed": true, "patchType": "JSONPatch", "patch": BASE64_STANDARD.encode(changes.to_string())})
        }
    };
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
    Response::new(Full::new(review.to_string().into()))
}
