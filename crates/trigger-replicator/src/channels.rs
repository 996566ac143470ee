//! Subscribers in the channels behind Brokers whose Trigger is gone. Knative leaves them behind when several Triggers of one Broker
//! are deleted at once (knative/eventing#6636), and whoever sends to the Broker then waits for them in vain.

use std::collections::HashMap;

use fairlead_mesh::kinds;
use fairlead_migration::change::Target;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::address::target;
use fairlead_observe::source::Source;
use serde_json::Value;

/// The uids of Triggers to which channels refer.
#[derive(Clone, Default)]
pub(crate) struct Subscribers {
    /// Position of the channel, by uid.
    channels: HashMap<u128, u32>,
    names: Vec<Target>,
}

impl Subscribers {
    /// Reads the channels. Read before the Triggers: one that is created meanwhile is not taken for dead.
    pub(crate) async fn of(source: &Source<'_>) -> Result<Self, Obstacle> {
        source.fold(&kinds::IN_MEMORY_CHANNEL, Self::default, |found, channel| found.add(&channel)).await
    }

    fn add(&mut self, channel: &Value) {
        let Ok(position) = u32::try_from(self.names.len()) else { return };
        self.names.push(target(channel));
        for subscriber in channel["spec"]["subscribers"].as_array().into_iter().flatten() {
            if let Some(uid) = subscriber["subscriberUri"].as_str().and_then(uid_of_trigger).and_then(uid_as_number) {
                self.channels.insert(uid, position);
            }
        }
    }

    /// Forgets the subscriber of a Trigger that exists.
    pub(crate) fn forget_alive(&mut self, trigger: &Value) {
        if let Some(uid) = trigger["metadata"]["uid"].as_str().and_then(uid_as_number) {
            self.channels.remove(&uid);
        }
    }

    /// The channels that still refer to Triggers that are gone, and to how many.
    pub(crate) fn dead(&self) -> impl Iterator<Item = (&Target, usize)> {
        let mut counts = vec![0; self.names.len()];
        for position in self.channels.values() {
            counts[*position as usize] += 1;
        }
        self.names.iter().zip(counts).filter(|(_, count)| *count > 0)
    }
}

/// The uid at the end of `http://broker-filter…/triggers/<namespace>/<name>/<uid>`.
/// Source: `path.Generate` in knative.dev/eventing/pkg/reconciler/sugar/trigger/path.
fn uid_of_trigger(uri: &str) -> Option<&str> {
    uri.split_once("/triggers/")?.1.split(['/', '?']).nth(2)
}

/// A uid takes a third of the memory as a number.
fn uid_as_number(uid: &str) -> Option<u128> {
    u128::from_str_radix(&uid.replace('-', ""), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_subscriber_whose_trigger_is_gone_is_counted() {
        let uid = |digit: char| format!("00000000-0000-0000-0000-00000000000{digit}");
        let uri = |digit| json!({"subscriberUri": format!("http://broker-filter.knative-eventing.svc.cluster.local/triggers/a/t/{}", uid(digit))});
        let channel = |name: &str, subscribers: &[Value]| {
            json!({"apiVersion": "messaging.knative.dev/v1", "kind": "InMemoryChannel",
                "metadata": {"namespace": "a", "name": name}, "spec": {"subscribers": subscribers}})
        };
        let mut subscribers = Subscribers::default();
        subscribers.add(&channel("one", &[uri('1'), uri('2')]));
        subscribers.add(&channel("two", &[uri('3'), json!({"subscriberUri": "http://elsewhere/"}), json!({})]));
        subscribers.forget_alive(&json!({"metadata": {"uid": uid('1')}}));
        subscribers.forget_alive(&json!({"metadata": {"uid": uid('3')}}));
        let dead: Vec<(&str, usize)> = subscribers.dead().map(|(channel, count)| (channel.name.as_str(), count)).collect();
        assert_eq!(dead, [("one", 1)]);
    }
}
