//! Whether who leads a group of servers can be believed.

use std::time::Duration;

use serde::Deserialize;

/// How long ago the leader has heard from a majority, at most. Followers answer every second, and choose another leader after four
/// without a word at the earliest (both are constants of the server): until then nobody else can have accepted anything.
pub(super) const CONTACT: Duration = Duration::from_secs(3);

/// Who keeps a stream or a consumer.
#[derive(Deserialize)]
pub(super) struct Group {
    #[serde(default)]
    pub(super) leader: String,
    /// The others; absent when there is none.
    #[serde(default)]
    pub(super) replicas: Vec<Replica>,
}

#[derive(Deserialize)]
pub(super) struct Replica {
    pub(super) name: String,
    current: bool,
    #[serde(default)]
    offline: bool,
    /// Nanoseconds since the leader has heard from it.
    active: u64,
    /// Messages that it lacks.
    #[serde(default)]
    lag: u64,
}

impl Group {
    /// Why the leader may not know what the others know.
    pub(super) fn doubt(&self, of: &str) -> Option<String> {
        if self.leader.is_empty() {
            return Some(format!("{of} has no leader"));
        }
        let contact = u64::try_from(CONTACT.as_nanos()).unwrap_or(u64::MAX);
        let all = self.replicas.len() + 1;
        let heard = 1 + self.replicas.iter().filter(|replica| !replica.offline && replica.active < contact).count();
        (heard * 2 <= all).then(|| {
            format!("the leader of {of}, {}, has heard from {heard} of {all} servers only, itself included", self.leader)
        })
    }

    /// Whether this member has all that the leader has.
    pub(super) fn is_current(&self, member: &str) -> bool {
        let is_it = |replica: &&Replica| replica.name == member;
        self.leader == member || self.replicas.iter().find(is_it).is_some_and(|replica| replica.current && replica.lag == 0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group(active: &[u64]) -> Group {
        let replica = |active: &u64| json!({"name": "n", "current": true, "active": active * 1_000_000});
        let replicas: Vec<_> = active.iter().map(replica).collect();
        serde_json::from_value(json!({"leader": "n1", "replicas": replicas})).expect("a group")
    }

    #[test]
    fn a_leader_is_believed_while_a_majority_has_answered_within_three_seconds() {
        for (active, is_believed) in [
            (&[][..], true),
            (&[100, 200], true),
            (&[2900, 60_000], true),
            (&[3100, 60_000], false),
            (&[100], true),
            (&[4000], false),
            (&[100, 100, 9000, 9000], true),
            (&[100, 9000, 9000, 9000], false),
        ] {
            assert_eq!(group(active).doubt("it").is_none(), is_believed, "{active:?}");
        }
        let headless = serde_json::from_value::<Group>(json!({})).expect("a group");
        assert_eq!(headless.doubt("it").as_deref(), Some("it has no leader"));
    }
}
