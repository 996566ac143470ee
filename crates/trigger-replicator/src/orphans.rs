//! Triggers that earlier runs have made, and for which no Subscription asks any more: the first are named, the others counted.

use std::cell::OnceCell;
use std::collections::HashSet;

use fairlead_apis::trigger::{Subscriber, Trigger};
use fairlead_job::codes::trigger_replicator as codes;
use fairlead_mesh::kinds;
use fairlead_migration::finding::Finding;

use crate::replicas::Replicas;

/// So many are named.
const NAMED: usize = 3;

/// The names of Subscriptions that are there, and are refused: their Triggers stay until that is mended.
pub(crate) type Refused = OnceCell<HashSet<String>>;

/// Triggers for which no Subscription asks.
#[derive(Default)]
pub(crate) struct Orphans {
    first: Vec<Orphan>,
    count: usize,
}

struct Orphan {
    namespace: String,
    name: String,
    /// The Subscriptions, as the Trigger names them.
    replicated_from: String,
    delivers_to: String,
}

impl Orphans {
    /// Counts a Trigger that does nothing of what Subscriptions ask for, if a run has made it for Subscriptions.
    pub(crate) fn add(&mut self, trigger: &Trigger, replicated_from: &str, replicas: &Replicas, refused: &Refused) {
        let refused = refused.get_or_init(|| replicas.not_replicated().collect());
        if trigger.is_terminating || replicated_from.split(',').any(|name| refused.contains(name)) {
            return;
        }
        self.count += 1;
        if self.first.len() == NAMED {
            return;
        }
        let delivers_to = match &trigger.subscriber {
            Subscriber::Uri(endpoint) => endpoint.as_str().to_owned(),
            Subscriber::Service(host) => host.clone(),
            Subscriber::Other => "its subscriber".to_owned(),
        };
        let (namespace, name) = (trigger.namespace.clone(), trigger.name.clone());
        self.first.push(Orphan { namespace, name, replicated_from: replicated_from.replace(',', ", "), delivers_to });
    }

    /// One warning, however many there are.
    pub(crate) fn warning(&self) -> Option<Finding> {
        let [Orphan { namespace, name, replicated_from, delivers_to }, others @ ..] = &*self.first else { return None };
        let first = format!(
            "it delivers to {delivers_to} although Subscription {replicated_from} is gone or asks for something else \
             (kubectl delete triggers.eventing.knative.dev {name} -n {namespace})"
        );
        let named = others
            .iter()
            .map(|Orphan { namespace, name, delivers_to, .. }| format!("so does {namespace}/{name} to {delivers_to}"));
        let rest = self.count - self.first.len();
        let more = (rest > 0).then(|| format!("and {rest} more"));
        let message = std::iter::once(first).chain(named).chain(more).collect::<Vec<_>>().join("; ");
        Some(codes::ORPHANS.finding(kinds::TRIGGER.target("v1", namespace, name), message))
    }
}
