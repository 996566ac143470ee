//! The client without anything of ours: crate kube, as it comes.

use std::path::Path;
use std::time::{Duration, Instant};

use fairlead_tests::cluster::Cluster;
use futures::{StreamExt as _, stream};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Client, Config};
use serde_json::Value;

/// The default limit of client-go: requests per second, and how many may go at once before it.
/// Source: `DefaultQPS` and `DefaultBurst` in k8s.io/client-go/rest.
pub(crate) const CLIENT_GO: (u32, u32) = (5, 10);

const PAGE_SIZE: u32 = 500;

/// The server deletes the objects of one collection one after the other.
const DELETE_CONCURRENCY: usize = 8;

/// An object to create.
pub(crate) struct Post {
    path: String,
    body: Vec<u8>,
}

impl Post {
    /// `object`, to be sent to `path`.
    pub(crate) fn new(path: String, object: &Value) -> Self {
        Self { path, body: object.to_string().into_bytes() }
    }
}

/// Creates objects, `concurrency` at once, and says how long that took. The answers are not even parsed: no client is faster.
pub(crate) fn post(cluster: &Cluster, posts: impl Iterator<Item = Post>, concurrency: usize) -> Duration {
    with_client(cluster, async |client| {
        let started = Instant::now();
        stream::iter(posts).for_each_concurrent(concurrency, |post| send(&client, post)).await;
        started.elapsed()
    })
}

/// Creates objects as fast as [`CLIENT_GO`] lets a client, and says how long that took.
pub(crate) fn post_limited(cluster: &Cluster, posts: impl Iterator<Item = Post>) -> Duration {
    let (rate, burst) = CLIENT_GO;
    with_client(cluster, async |client| {
        let started = tokio::time::Instant::now();
        for (number, post) in (1..).zip(posts) {
            let over: u32 = u32::saturating_sub(number, burst);
            tokio::time::sleep_until(started + Duration::from_secs(1) * over / rate).await;
            send(&client, post).await;
        }
        started.elapsed()
    })
}

async fn send(client: &Client, post: Post) {
    let params = PostParams { field_manager: Some("bench".to_owned()), ..PostParams::default() };
    let request = Request::new(&post.path).create(&params, post.body).expect("a request");
    client.request_text(request).await.unwrap_or_else(|error| panic!("failed to create one of {}: {error}", post.path));
}

/// Hands every object of a list to `each`, page by page: 100,000 at once would be much.
pub(crate) fn list(cluster: &Cluster, path: &str, mut each: impl FnMut(Value)) {
    with_client(cluster, async |client| {
        let mut params = ListParams { limit: Some(PAGE_SIZE), ..ListParams::default() };
        loop {
            let request = Request::new(path).list(&params).expect("a request");
            let mut page: Value =
                client.request(request).await.unwrap_or_else(|error| panic!("failed to list {path}: {error}"));
            page["items"].as_array_mut().expect("a list").drain(..).for_each(&mut each);
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => params.continue_token = Some(token.to_owned()),
                _ => return,
            }
        }
    });
}

/// Deletes all objects of each of these paths.
pub(crate) fn delete_collections(cluster: &Cluster, paths: impl Iterator<Item = String>) {
    with_client(cluster, async |client| {
        let client = &client;
        let delete = async |path: String| {
            let request = Request::new(&path).delete_collection(&DeleteParams::default(), &ListParams::default());
            let answer = client.request_text(request.expect("a request")).await;
            answer.unwrap_or_else(|error| panic!("failed to delete {path}: {error}"));
        };
        stream::iter(paths).for_each_concurrent(DELETE_CONCURRENCY, delete).await;
    });
}

/// A new connection each time: an idle one is closed by the server while a job runs.
fn with_client<T>(cluster: &Cluster, work: impl AsyncFnOnce(Client) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let kubeconfig = Kubeconfig::read_from(Path::new(cluster.kubeconfig())).expect("the harness's kubeconfig is right");
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
        let mut config = config.expect("the harness's kubeconfig is right");
        // A request that is sent again would be counted once: better none at all.
        config.default_retry = false;
        work(Client::try_from(config).expect("a client")).await
    })
}
