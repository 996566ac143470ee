//! Numbered events, steadily: has each a way from where it is published to where it is wanted? Looked at, not sent. A Trigger that has
//! been Ready is a way until it goes: Knative may say otherwise for a moment, and delivers.

use std::collections::HashSet;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use fairlead_tests::api::Api;
use fairlead_tests::program::becomes;
use fairlead_tests::state::is_ready;
use hyper::Method;
use serde_json::Value;

use super::scene::SUBSCRIPTIONS;

/// Between two events.
const INTERVAL: Duration = Duration::from_millis(200);

/// Publishes until it is asked what has become of the events.
pub(crate) struct Meter {
    /// Dropped when it is over.
    more: Sender<()>,
    thread: JoinHandle<Count>,
}

/// What has become of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Count {
    pub(crate) published: usize,
    /// Numbers of those for which neither side had a way.
    pub(crate) nowhere: Vec<usize>,
    /// Numbers of those for which the side that they were published to had none.
    pub(crate) lost: Vec<usize>,
    /// The uids of Triggers that have been Ready.
    ready: HashSet<String>,
}

impl Meter {
    pub(crate) fn start(kubeconfig: &Path, namespace: &str) -> Self {
        let (more, over) = channel();
        let (api, namespace) = (Api::new(kubeconfig), namespace.to_owned());
        let mut count = Count::default();
        if is_mesh(&api.get(&settings(&namespace))) {
            let all_carry = || {
                let triggers = api.get(&triggers(&namespace));
                SUBSCRIPTIONS.iter().all(|name| count.carries(&triggers, &namespace, name))
            };
            assert!(becomes(all_carry), "{namespace}: no way before anything has begun");
        }
        let thread = std::thread::spawn(move || {
            while over.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                count.publish(&api, &namespace);
            }
            count
        });
        Self { more, thread }
    }

    pub(crate) fn finish(self) -> Count {
        drop(self.more);
        self.thread.join().expect("the meter does not fail")
    }
}

impl Count {
    /// One event of each type that is subscribed to, to the side that the application's settings say.
    fn publish(&mut self, api: &Api, namespace: &str) {
        // An answer that says nothing is no sample.
        let get = |path: &str| {
            let (status, answer) = api.ask(&Method::GET, path, &Value::Null);
            (status != 429 && status < 500).then_some(answer)
        };
        let settings = || get(&settings(namespace));
        let before = settings();
        let legacy = get(&format!("/apis/eventing.kyma-project.io/v1alpha1/namespaces/{namespace}/subscriptions"));
        let mesh = get(&triggers(namespace));
        let (Some(legacy), Some(mesh), Some(before), Some(settings)) = (legacy, mesh, before, settings()) else { return };
        // Where it was published to is not known for the moment in which that changes.
        if is_mesh(&before) != is_mesh(&settings) {
            return;
        }
        for name in SUBSCRIPTIONS {
            let has_legacy = items(&legacy).any(|subscription| subscription["metadata"]["name"] == name);
            let has_mesh = self.carries(&mesh, namespace, name);
            let has_way = if is_mesh(&settings) { has_mesh } else { has_legacy };
            if !has_way {
                self.lost.push(self.published);
            }
            if !has_legacy && !has_mesh {
                self.nowhere.push(self.published);
            }
            self.published += 1;
        }
    }

    /// Whether a Trigger delivers what the Subscription asks for.
    fn carries(&mut self, triggers: &Value, namespace: &str, name: &str) -> bool {
        items(triggers).filter(|trigger| is_for(trigger, namespace, name)).fold(false, |carries, trigger| {
            let uid = trigger["metadata"]["uid"].as_str().unwrap_or_default();
            if is_ready(trigger) {
                self.ready.insert(uid.to_owned());
            }
            carries || self.ready.contains(uid)
        })
    }

    /// Each had a way, and there were some.
    #[track_caller]
    pub(crate) fn assert_none_lost(&self) {
        assert!(self.published > 0 && self.lost.is_empty(), "{self:?}");
    }
}

/// The path of the application's settings.
fn settings(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/configmaps/settings")
}

/// Whether they say that events are published to the mesh.
fn is_mesh(settings: &Value) -> bool {
    settings["data"]["bus"] == "mesh"
}

/// The path of the Triggers.
fn triggers(namespace: &str) -> String {
    format!("/apis/eventing.knative.dev/v1/namespaces/{namespace}/triggers")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

fn is_for(trigger: &Value, namespace: &str, name: &str) -> bool {
    let whose = trigger["metadata"]["annotations"]["fairlead.dev/replicated-from"].as_str().unwrap_or_default();
    whose.split(',').any(|it| it == format!("{namespace}/{name}") || it == name)
}
