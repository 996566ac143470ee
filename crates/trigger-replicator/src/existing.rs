//! The Triggers that exist for the replicas that should exist. Each Trigger is read once, and only exceptions are kept.

use std::cell::OnceCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZero;

use fairlead_apis::object;
use fairlead_apis::readiness::unready;
use fairlead_apis::trigger::{Relation, Subscriber, Trigger};
use fairlead_mesh::broker::BROKER;
use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::Namespaces;
use fairlead_migration::change::Image;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;
use serde_json::Value;

use crate::channels::Subscribers;
use crate::orphans::{Orphans, Refused};
use crate::replicas::{REPLICATED_FROM, Replicas};

/// The Triggers there are for each replica, by its position.
pub struct Existing {
    kept: Vec<Kept>,
    reasons: Reasons,
    /// The subscribers of the channels behind Brokers whose Trigger does not exist.
    pub(crate) subscribers: Subscribers,
    /// Triggers of earlier runs for which no Subscription asks any more.
    pub(crate) orphans: Orphans,
}

/// The Triggers there are for one replica.
pub(crate) struct Found<'a> {
    /// The Trigger with the name of the replica.
    pub(crate) namesake: Namesake,
    kept: &'a Kept,
    reasons: &'a Reasons,
}

/// What is kept of them: there are as many as replicas.
#[derive(Default)]
struct Kept {
    namesake: Namesake,
    /// Why the Trigger with the name of the replica, which carries out the delivery, is not Ready. In a broken mesh none is.
    unready: Option<Reason>,
    exceptions: Option<Box<Exceptions>>,
}

/// The position of a text among the [`Reasons`], from 1: that none is there takes no room.
type Reason = NonZero<u32>;

/// Why Triggers are not Ready. Nearly all of them say the same, so each text is kept once.
#[derive(Default)]
struct Reasons {
    texts: Vec<String>,
    positions: HashMap<String, Reason>,
}

impl Reasons {
    fn add(&mut self, text: String) -> Reason {
        match self.positions.entry(text) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => {
                self.texts.push(unknown.key().clone());
                let position = u32::try_from(self.texts.len()).ok().and_then(NonZero::new);
                *unknown.insert(position.expect("fewer than Triggers, and at least this one"))
            }
        }
    }

    fn get(&self, reason: Reason) -> Option<&str> {
        self.texts.get(usize::try_from(reason.get() - 1).ok()?).map(String::as_str)
    }
}

/// The Trigger with the name of the replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Namesake {
    /// No Trigger has the name.
    #[default]
    Absent,
    /// The Trigger is the replica, and names the right Subscriptions.
    Current,
    /// The Trigger delivers the same as the replica, and somebody else has made it.
    Foreign,
    /// The Trigger is the replica, and names other Subscriptions.
    Stale,
    /// The Trigger delivers something else.
    Different,
    /// Somebody is deleting the Trigger.
    Terminating,
}

/// Findings that most replicas do not have, so that the others need no memory for them.
#[derive(Default)]
struct Exceptions {
    /// The whole object, where [`Namesake::Stale`] says that it is changed.
    stale: Option<Box<str>>,
    /// The first field that is another one, where [`Namesake::Different`] says that there is one.
    difference: Option<Box<str>>,
    /// Triggers of other names that do the same, and whether they are replicas.
    equal: BTreeMap<String, bool>,
    /// Why Triggers of other names that do the same are not Ready, where Knative says so.
    unready: BTreeMap<String, Reason>,
    /// Triggers that may do the same.
    overlapping: BTreeSet<String>,
}

impl Found<'_> {
    /// The object that has to name other Subscriptions.
    pub(crate) fn stale(&self) -> Option<Image> {
        let text = self.kept.exceptions.as_ref()?.stale.as_ref()?;
        Some(serde_json::from_str(text).expect("written by Existing::add"))
    }

    /// The first field by which the Trigger of the same name delivers something else.
    pub(crate) fn difference(&self) -> Option<&str> {
        self.kept.exceptions.as_ref()?.difference.as_deref()
    }

    /// Triggers that carry out the delivery, by name, and whether each is a replica.
    pub(crate) fn equal(&self, own_name: &str) -> BTreeMap<String, bool> {
        let mut equal = self.kept.exceptions.as_ref().map(|exceptions| exceptions.equal.clone()).unwrap_or_default();
        if matches!(self.namesake, Namesake::Current | Namesake::Stale | Namesake::Foreign) {
            equal.insert(own_name.to_owned(), self.namesake != Namesake::Foreign);
        }
        equal
    }

    /// Why a Trigger that carries out the delivery is not Ready.
    pub(crate) fn unready(&self, name: &str, own_name: &str) -> Option<&str> {
        let other = || self.kept.exceptions.as_ref()?.unready.get(name).copied();
        self.reasons.get(if name == own_name { self.kept.unready } else { other() }?)
    }

    /// Triggers that may deliver the same events to the same subscriber, by name.
    pub(crate) fn overlapping(&self) -> impl Iterator<Item = &str> {
        self.kept.exceptions.iter().flat_map(|exceptions| exceptions.overlapping.iter().map(String::as_str))
    }
}

impl Kept {
    fn exceptions_mut(&mut self) -> &mut Exceptions {
        self.exceptions.get_or_insert_default()
    }
}

/// Replicas by namespace and host, made when a Trigger needs it: only a Trigger to the same host can deliver the same twice.
type Hosts = HashMap<(String, String), Vec<usize>>;

/// What few Triggers need, made for the first of them.
#[derive(Default)]
struct LookedUp {
    hosts: OnceCell<Hosts>,
    refused: Refused,
}

impl Existing {
    /// Reads the Triggers.
    pub async fn of(source: &Source<'_>, replicas: &Replicas, namespaces: &Namespaces) -> Result<Self, Obstacle> {
        let (looked_up, subscribers) = (LookedUp::default(), Subscribers::of(source).await?);
        // Where the kind is gone, a purge has removed the Subscriptions whose place the Triggers have taken.
        let may_have_orphans = source.api_version(&kinds::LEGACY_SUBSCRIPTION).is_some();
        let may_be_orphan = |namespace: &str| may_have_orphans && namespaces.left_out(namespace).is_none();
        let begin = || Self {
            kept: std::iter::repeat_with(Kept::default).take(replicas.len()).collect(),
            reasons: Reasons::default(),
            subscribers: subscribers.clone(),
            orphans: Orphans::default(),
        };
        let add = |existing: &mut Self, object| {
            let unneeded = existing.add(&object, replicas, &looked_up.hosts);
            let orphan = unneeded.filter(|(trigger, _)| may_be_orphan(&trigger.namespace));
            if let Some((trigger, replicated_from)) = orphan {
                existing.orphans.add(&trigger, &replicated_from, replicas, &looked_up.refused);
            }
        };
        source.fold(&kinds::TRIGGER, begin, add).await
    }

    pub(crate) fn get(&self, index: usize) -> Found<'_> {
        let kept = &self.kept[index];
        Found { namesake: kept.namesake, kept, reasons: &self.reasons }
    }

    /// Returns a Trigger that a run has made, and that does nothing of what should be done, and the Subscriptions that it names.
    fn add(&mut self, object: &Value, replicas: &Replicas, hosts: &OnceCell<Hosts>) -> Option<(Trigger, String)> {
        self.subscribers.forget_alive(object);
        let trigger = Trigger::read(object);
        let by_name = replicas.position(&trigger.namespace, &trigger.name);
        // A name is a hash of what is delivered, so it finds the one replica that delivers the same.
        let delivery = trigger.delivery().filter(|_| trigger.broker == BROKER);
        let is_same = |index: &usize| delivery.as_ref() == Some(&replicas.delivery(*index));
        let by_delivery = delivery
            .as_ref()
            .and_then(|delivery| replicas.position(&trigger.namespace, &Replicas::name(delivery)).filter(is_same));
        let annotation = object::annotation(object, REPLICATED_FROM).map(str::to_owned);
        if let Some(index) = by_name {
            let found = &mut self.kept[index];
            found.namesake = match &annotation {
                _ if trigger.is_terminating => Namesake::Terminating,
                _ if by_delivery != by_name => {
                    let difference = trigger.difference(&replicas.delivery(index), BROKER);
                    found.exceptions_mut().difference = difference.map(String::into_boxed_str);
                    Namesake::Different
                }
                None => Namesake::Foreign,
                Some(names) if *names == replicas.get(index, "").0.replicated_from() => Namesake::Current,
                Some(_) => {
                    found.exceptions_mut().stale = Some(object.to_string().into());
                    Namesake::Stale
                }
            };
        }
        if let Some(index) = by_delivery.filter(|_| by_delivery != by_name) {
            self.kept[index].exceptions_mut().equal.insert(trigger.name.clone(), annotation.is_some());
        }
        if let (Some(index), Some(why)) = (by_delivery, unready(object)) {
            let (kept, reason) = (&mut self.kept[index], self.reasons.add(why));
            if by_name == by_delivery {
                kept.unready = Some(reason);
            } else {
                kept.exceptions_mut().unready.insert(trigger.name.clone(), reason);
            }
        }
        let may_overlap = delivery.is_none() && !trigger.is_terminating && trigger.broker == BROKER;
        let is_overlapping =
            may_overlap && self.add_overlapping(&trigger, replicas, hosts.get_or_init(|| by_host(replicas)));
        let is_needed = by_name.is_some() || by_delivery.is_some() || is_overlapping;
        annotation.filter(|_| !is_needed).map(|annotation| (trigger, annotation))
    }

    /// Whether there is a replica that may deliver the same.
    fn add_overlapping(&mut self, trigger: &Trigger, replicas: &Replicas, hosts: &Hosts) -> bool {
        let host = match &trigger.subscriber {
            Subscriber::Uri(endpoint) => endpoint.host(),
            Subscriber::Service(host) => host,
            Subscriber::Other => return false,
        };
        let mut has_any = false;
        for index in hosts.get(&(trigger.namespace.clone(), host.to_owned())).into_iter().flatten() {
            if trigger.relation(&replicas.delivery(*index), BROKER) == Relation::Overlapping {
                self.kept[*index].exceptions_mut().overlapping.insert(trigger.name.clone());
                has_any = true;
            }
        }
        has_any
    }
}

fn by_host(replicas: &Replicas) -> Hosts {
    let mut hosts = Hosts::new();
    for index in 0..replicas.len() {
        let delivery = replicas.delivery(index);
        let host = delivery.endpoint.host().to_owned();
        hosts.entry((delivery.namespace, host)).or_default().push(index);
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_that_is_not_ready_costs_its_replica_no_more_than_one_that_is() {
        let mut reasons = Reasons::default();
        let broker = "Ready: BrokerNotReady: the Broker does not exist";
        let of: Vec<Reason> = [broker, "Ready: Unknown", broker].map(|text| reasons.add(text.to_owned())).to_vec();
        assert_eq!(of.iter().map(|reason| reason.get()).collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!((reasons.texts.len(), reasons.get(of[1])), (2, Some("Ready: Unknown")));
        // All that is kept of it where nothing else is the matter: two words.
        assert_eq!(size_of::<Kept>(), 16);
    }
}
