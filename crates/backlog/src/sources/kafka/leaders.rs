//! Who leads which partition, as several brokers know it. Pure.
//!
//! A broker that is cut off from its controllers, or was asleep, goes on to lead what has had another leader for long, and believes that the
//! end of then is the end. So a majority of the brokers is asked, and of two leaders the later one counts.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use kafka_protocol::messages::metadata_response::MetadataResponseTopic;

use super::MAY_BE_ABSENT;
use super::partition::Partition;
use super::wire::Fault;

/// What the brokers have said so far.
#[derive(Default)]
pub(super) struct Leaders {
    topics: BTreeMap<Rc<str>, Topic>,
    absent: BTreeSet<String>,
}

/// A topic that somebody deletes and makes again has another id.
struct Topic {
    id: u128,
    leaders: BTreeMap<i32, Leader>,
}

#[derive(Clone, Copy)]
struct Leader {
    /// Grows with each election.
    epoch: i32,
    /// Negative when there is none.
    broker: i32,
}

impl Leaders {
    /// Adds what one broker knows.
    pub(super) fn add(&mut self, topics: Vec<MetadataResponseTopic>) -> Result<(), Fault> {
        for topic in topics {
            let name = topic.name.map(|name| name.0.as_str().to_owned()).unwrap_or_default();
            match topic.error_code {
                0 => {}
                3 => {
                    self.absent.insert(name);
                    continue;
                }
                29 => return Err(Fault::invalid(format!("we may not see topic {name}: it needs Describe"))),
                code => return Err(Fault::broker(format!("topic {name}: error {code}"))),
            }
            let new = Topic { id: topic.topic_id.as_u128(), leaders: BTreeMap::new() };
            let known = self.topics.entry(name.as_str().into()).or_insert(new);
            // Their elections are counted anew, so the higher number may be that of the topic that is gone.
            if known.id != topic.topic_id.as_u128() {
                return Err(Fault::broker(format!("topic {name} was made again, and not every broker knows it yet")));
            }
            for one in topic.partitions {
                let leader = Leader { epoch: one.leader_epoch, broker: one.leader_id.0 };
                let newest = known.leaders.entry(one.partition_index).or_insert(leader);
                if newest.epoch < leader.epoch {
                    *newest = leader;
                }
            }
        }
        Ok(())
    }

    /// The partitions with their leaders. A topic is absent when no broker knows it.
    pub(super) fn partitions(self, accepts_absent: bool) -> Result<Vec<Partition>, Fault> {
        let absent = self.absent.iter().find(|name| !self.topics.contains_key(name.as_str()));
        if let (Some(name), false) = (absent, accepts_absent) {
            return Err(Fault::invalid(format!("there is no topic {name}{MAY_BE_ABSENT}")));
        }
        let mut all = Vec::new();
        for (topic, Topic { id, leaders }) in self.topics {
            for (index, Leader { epoch, broker }) in leaders {
                if broker < 0 {
                    return Err(Fault::broker(format!("{topic}/{index} has no leader")));
                }
                all.push(Partition::new(Rc::clone(&topic), id, index, broker, epoch));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::metadata_response::MetadataResponsePartition;
    use kafka_protocol::protocol::StrBytes;

    use super::*;

    fn topic(name: &'static str, error: i16, leaders: &[(i32, i32)]) -> MetadataResponseTopic {
        let partition = |(index, (broker, epoch)): (i32, &(i32, i32))| {
            let of = MetadataResponsePartition::default().with_partition_index(index);
            of.with_leader_id((*broker).into()).with_leader_epoch(*epoch)
        };
        MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str(name))))
            .with_error_code(error)
            .with_partitions((0..).zip(leaders).map(partition).collect())
    }

    fn of(answers: Vec<Vec<MetadataResponseTopic>>) -> Result<Vec<(i32, i32)>, Fault> {
        let mut leaders = Leaders::default();
        for answer in answers {
            leaders.add(answer)?;
        }
        Ok(leaders.partitions(false)?.iter().map(|one| (one.leader, one.epoch)).collect())
    }

    #[test]
    fn the_later_leader_counts() {
        let (old, new) = (|| vec![topic("t", 0, &[(1, 4), (2, 7)])], || vec![topic("t", 0, &[(3, 5), (2, 6), (1, 0)])]);
        let expected = Some(vec![(3, 5), (2, 7), (1, 0)]);
        assert_eq!(of(vec![old(), new()]).ok(), expected);
        assert_eq!(of(vec![new(), old()]).ok(), expected);
        // Without a leader now, whoever led before.
        assert!(of(vec![old(), vec![topic("t", 0, &[(-1, 5)])]]).is_err());
        assert!(of(vec![old(), vec![topic("t", 0, &[(-1, 3)])]]).is_ok());
    }

    #[test]
    fn elections_of_a_topic_that_was_made_again_are_not_compared() {
        let with = |id: &str, epoch| vec![topic("t", 0, &[(1, epoch)]).with_topic_id(id.parse().expect("an id"))];
        let (old, new) = ("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002");
        assert_eq!(of(vec![with(old, 7), with(old, 8)]).ok(), Some(vec![(1, 8)]));
        for (one, other) in [(with(old, 7), with(new, 0)), (with(new, 0), with(old, 7))] {
            let Err(fault) = of(vec![one, other]) else { panic!("they are compared") };
            assert_eq!(fault.to_string(), "topic t was made again, and not every broker knows it yet");
        }
    }

    #[test]
    fn a_topic_is_there_when_a_broker_knows_it() {
        assert_eq!(of(vec![vec![topic("t", 3, &[])], vec![topic("t", 0, &[(1, 0)])]]).ok(), Some(vec![(1, 0)]));
        assert!(of(vec![vec![topic("t", 3, &[])]]).is_err());
    }
}
