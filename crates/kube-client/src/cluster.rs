//! The connection, and paged lists.

use std::path::Path;
use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use http::Uri;
use http::header::{self, HeaderName, HeaderValue};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::api::ListParams;
use kube::client::ConfigExt as _;
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tower::{BoxError, ServiceBuilder};

use crate::access::{Access, ConnectError, KUBECTL_FLAGS};
use crate::credential::{self, Plugin};
use crate::operation::Operation;
use crate::pace::Pace;
use crate::resource::Resource;

/// A page of a list; what kubectl and client-go use.
pub const PAGE_SIZE: u32 = 500;

/// Who writes, in `managedFields`; the same for all jobs, because each can take back what another has done.
pub const FIELD_MANAGER: &str = "fairlead";

/// The tasks that a request goes through before it is on its way to the server.
const HOPS: usize = 4;

/// How often a list begins again because its continue token has expired (they live 5 to 10 minutes).
const LIST_ATTEMPTS: u32 = 3;

/// A connection to one cluster.
pub struct Cluster {
    pub(crate) client: Client,
    /// Its address, for errors.
    pub(crate) server: String,
    /// What makes the credential, where a program does.
    pub(crate) plugin: Option<Plugin>,
    pub(crate) request_timeout: Duration,
    pub(crate) pace: Pace,
    concurrency: u16,
    /// What leads kubectl to this cluster, as it is written in a command.
    flags: String,
}

/// Who asks, for the audit log of the cluster: `fairlead/0.1.0 trigger-replicator`, by the name under which the process was started.
fn user_agent() -> Option<(HeaderName, HeaderValue)> {
    let started = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&started).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let value = HeaderValue::from_str(&format!("fairlead/{} {name}", env!("CARGO_PKG_VERSION"))).ok()?;
    Some((header::USER_AGENT, value))
}

/// What kube makes of a configuration, but with Nagle's algorithm off: with it the first request of a connection waits 40 ms for
/// an acknowledgement that the server delays (measured: "nothing to do" took 56 ms with it and 17 ms without).
fn client(config: Config) -> Result<Client, kube::Error> {
    if config.proxy_url.is_some() {
        return Client::try_from(config);
    }
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(config.connect_timeout);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector));
    Ok(Client::new(service, config.default_namespace))
}

/// Without user and password: it is in every message.
fn address(url: &Uri) -> String {
    let host = url.authority().map(|authority| authority.as_str().rsplit('@').next().unwrap_or_default());
    format!("{}://{}{}", url.scheme_str().unwrap_or("https"), host.unwrap_or_default(), url.path())
}

/// A page of a list. Its items are read one after the other: as values all together they are six times as large.
#[derive(Deserialize)]
struct Page<'a> {
    metadata: PageMetadata,
    /// The server writes null for none.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Option<String>,
}

impl Cluster {
    /// Prepares a connection; nothing is sent yet.
    pub async fn connect(access: &Access<'_>, request_timeout: Duration) -> Result<Self, ConnectError> {
        let mut config = access.configuration().await?;
        config.headers.extend(user_agent());
        // We own the retries; see the documentation of this crate.
        config.default_retry = false;
        let server = match &config.proxy_url {
            Some(proxy) => format!("{} through proxy {}", address(&config.cluster_url), address(proxy)),
            None => address(&config.cluster_url),
        };
        let plugin = Plugin::of(&config);
        let client = client(config).map_err(|error| match credential::beneath(&error) {
            Some(why) => ConnectError::Credential { server: server.clone(), why: credential::said_of(why, plugin.as_ref()) },
            None => ConnectError::Client(error),
        })?;
        let flags = access.written(KUBECTL_FLAGS);
        Ok(Self { client, server, plugin, request_timeout, pace: Pace::new(1), concurrency: 1, flags })
    }

    pub(crate) fn of_client(client: Client, server: String, request_timeout: Duration, pace: Pace) -> Self {
        Self { client, server, plugin: None, request_timeout, pace, concurrency: 1, flags: String::new() }
    }

    /// Allows so many writes at once; how many there really are is found while writing.
    #[must_use]
    pub fn with_concurrency(self, max: u16) -> Self {
        Self { pace: Pace::new(max), concurrency: max, ..self }
    }

    /// A command of kubectl's on this cluster, as it can be pasted.
    pub(crate) fn kubectl(&self, what: &str) -> String {
        format!("kubectl {what}{}", self.flags)
    }

    /// How many writes may be asked for at once.
    pub(crate) fn concurrency(&self) -> usize {
        self.concurrency.into()
    }

    /// How long one request may take.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// The namespace of the pod or of the context.
    #[must_use]
    pub fn default_namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Lists all objects of a kind in pages of [`PAGE_SIZE`] and keeps of each what `read` makes of it. Objects in the answer
    /// have `apiVersion` and `kind`, which the server leaves out in lists.
    pub async fn list<T>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
        read: impl Fn(Value) -> Option<T>,
    ) -> Result<Vec<T>, Obstacle> {
        let add = |found: &mut Vec<T>, object| found.extend(read(object));
        self.pages(resource, namespace, params(labels, PAGE_SIZE), kube::core::Request::list, Vec::new, add).await
    }

    /// Reads all objects of a kind, one page of so many after the other, into what `begin` makes. When the list expires on the way it is
    /// read again, from another beginning: nothing is added twice.
    pub async fn fold<S>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        page: u32,
        begin: impl Fn() -> S,
        add: impl FnMut(&mut S, Value),
    ) -> Result<S, Obstacle> {
        self.pages(resource, namespace, params(None, page), kube::core::Request::list, begin, add).await
    }

    /// One object of a kind, if there is any.
    pub async fn first(&self, resource: &Resource) -> Result<Option<Value>, Obstacle> {
        let operation = Operation::new("list", resource);
        let request = kube::core::Request::new(resource.path(None)).list(&params(None, 1));
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation.to_string(), source: source.into() })?;
        match self.send(request).await {
            Ok(mut page) => Ok(page["items"].as_array_mut().and_then(Vec::pop)),
            Err(error) => Err(self.obstacle(operation, error).await),
        }
    }

    /// The objects without their content: for Secrets, whose content may be large and is nobody's business.
    pub async fn list_metadata<T>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        labels: Option<&str>,
        read: impl Fn(Value) -> Option<T>,
    ) -> Result<Vec<T>, Obstacle> {
        let add = |found: &mut Vec<T>, object| found.extend(read(object));
        self.pages(resource, namespace, params(labels, PAGE_SIZE), kube::core::Request::list_metadata, Vec::new, add).await
    }

    async fn pages<S>(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        mut params: ListParams,
        request: impl Fn(&kube::core::Request, &ListParams) -> Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        begin: impl Fn() -> S,
        mut add: impl FnMut(&mut S, Value),
    ) -> Result<S, Obstacle> {
        let operation = Operation { namespace, ..Operation::new("list", resource) };
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| Obstacle::Refused {
            operation: operation.to_string(),
            source,
        };
        let ask = async |params: &ListParams| {
            let request = request(&kube::core::Request::new(resource.path(namespace)), params);
            Ok(self.send_for_bytes(request.map_err(|source| refused(source.into()))?).await)
        };
        let mut attempts = 1;
        let mut found = begin();
        let mut answer = ask(&params).await?;
        loop {
            let body = match answer {
                Ok(body) => body,
                // The token has expired: what was read is of a state that cannot be continued.
                Err(error) if error.status().is_some_and(|status| status.code == 410) && attempts < LIST_ATTEMPTS => {
                    tracing::warn!(kind = resource.kind, "the list has expired, reading it again");
                    attempts += 1;
                    found = begin();
                    params.continue_token = None;
                    answer = ask(&params).await?;
                    continue;
                }
                Err(error) => return Err(self.obstacle(operation, error).await),
            };
            let page: Page<'_> = serde_json::from_slice(&body).map_err(|source| refused(source.into()))?;
            let mut read = |items: Option<Vec<&RawValue>>| {
                for item in items.unwrap_or_default() {
                    let mut item: Value = serde_json::from_str(item.get()).map_err(|source| refused(source.into()))?;
                    item["apiVersion"] = resource.api_version().into();
                    item["kind"] = resource.kind.as_str().into();
                    add(&mut found, item);
                }
                Ok(())
            };
            let Some(token) = page.metadata.next.filter(|token| !token.is_empty()) else {
                read(page.items)?;
                return Ok(found);
            };
            params.continue_token = Some(token);
            // The server makes the next page while this one is read.
            let reading = async {
                for _ in 0..HOPS {
                    tokio::task::yield_now().await;
                }
                read(page.items)
            };
            answer = futures::try_join!(ask(&params), reading)?.0;
        }
    }
}

fn params(labels: Option<&str>, page: u32) -> ListParams {
    ListParams { limit: Some(page), label_selector: labels.map(str::to_owned), ..ListParams::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn connect(path: &Path) -> Result<Cluster, ConnectError> {
        Cluster::connect(&Access { kubeconfig: Some(path), ..Access::USUAL }, Duration::from_secs(1)).await
    }

    #[test]
    fn what_a_kubeconfig_holds_is_not_told() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        for user in [
            "token: SECRET\n     x: y",
            "exec: SECRET",
            "token: {a: SECRET}",
            "token: [SECRET]",
            "exec: {apiVersion: [SECRET]}",
        ] {
            let path = folder.path().join("config");
            let text = format!("apiVersion: v1\nkind: Config\nusers:\n- name: u\n  user:\n    {user}\n");
            std::fs::write(&path, text).expect("written");
            let failed = runtime.block_on(connect(&path));
            let message = failed.err().expect(user).to_string();
            println!("{message}");
            assert!(!message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn the_address_of_a_server_is_told_without_its_password() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("config");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let config = serde_json::json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}], "users": [{"name": "u", "user": {}}],
            "clusters": [{"name": "k", "cluster": {"server": "https://user:hunter2@127.0.0.1:1/k8s"}}]});
        std::fs::write(&path, config.to_string()).expect("written");
        let cluster = runtime.block_on(connect(&path)).expect("prepared");
        assert_eq!(cluster.server, "https://127.0.0.1:1/k8s");
    }
}
