//! A server of HTTP that answers what a test says: a page of statistics, or metrics for Prometheus.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::certificates::Authority;

#[derive(Default)]
struct Content {
    status: u16,
    body: String,
    /// The header Authorization that is asked for.
    authorization: Option<String>,
}

/// A server that ends when it is dropped.
pub struct Document {
    content: Arc<Mutex<Content>>,
    port: u16,
    is_tls: bool,
    _runtime: tokio::runtime::Runtime,
}

impl Document {
    /// Begins to answer this.
    #[must_use]
    pub fn start(body: &str) -> Self {
        Self::serve(body, None)
    }

    /// The same over TLS, to clients of the authority only.
    #[must_use]
    pub fn start_tls(body: &str, authority: &Authority) -> Self {
        let server = authority.identity("server");
        let certificate = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&authority.certificate)).expect("an authority");
        let provider = Arc::new(default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let tls = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
        let tls = tls.with_client_cert_verifier(clients.build().expect("a verifier"));
        let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("a key");
        let tls = tls.with_single_cert(vec![certificate(&server.certificate)], key).expect("they fit");
        Self::serve(body, Some(TlsAcceptor::from(Arc::new(tls))))
    }

    fn serve(body: &str, tls: Option<TlsAcceptor>) -> Self {
        let content = Content { status: 200, body: body.to_owned(), authorization: None };
        let content = Arc::new(Mutex::new(content));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let is_tls = tls.is_some();
        runtime.spawn(accept(listener, tls, Arc::clone(&content)));
        Self { content, port, is_tls, _runtime: runtime }
    }

    /// Answers this from now on.
    pub fn set(&self, body: &str) {
        body.clone_into(&mut self.content.lock().expect("nobody panics with it").body);
    }

    /// Answers with this status from now on.
    pub fn set_status(&self, status: u16) {
        self.content.lock().expect("nobody panics with it").status = status;
    }

    /// Answers only who sends this header from now on.
    pub fn set_authorization(&self, value: &str) {
        self.content.lock().expect("nobody panics with it").authorization = Some(value.to_owned());
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.is_tls { "https" } else { "http" }, self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, content: Arc<Mutex<Content>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (tls, content) = (tls.clone(), Arc::clone(&content));
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let response = answer(&request, &content.lock().expect("nobody panics with it"));
                async move { Ok::<_, Infallible>(response) }
            });
            let http = hyper::server::conn::http1::Builder::new();
            // A caller that goes away is an ordinary event.
            match tls {
                None => drop(http.serve_connection(TokioIo::new(stream), service).await),
                Some(tls) => {
                    let Ok(stream) = tls.accept(stream).await else { return };
                    drop(http.serve_connection(TokioIo::new(stream), service).await);
                }
            }
        });
    }
}

fn answer(request: &Request<Incoming>, content: &Content) -> Response<Full<Bytes>> {
    let sent = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let is_welcome = content.authorization.as_deref().is_none_or(|expected| sent == Some(expected));
    let (status, body) = if is_welcome { (content.status, content.body.clone()) } else { (401, String::new()) };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status.try_into().expect("a status");
    response
}
