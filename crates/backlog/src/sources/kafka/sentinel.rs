//! The sentinel of a topic: a record in each partition, and whether the group has come past all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse};
use kafka_protocol::records::{Compression, Record, RecordBatchEncoder, RecordEncodeOptions, TimestampType};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Uncommitted;
use super::cluster::{BOOTSTRAP, Cluster, by_topic, leaders, string, topic_name};
use super::partition::Partition;
use super::wire::Fault;
use crate::positions::positions;
use crate::sentinel::{HEADER, Published, body};
use crate::source::OpenError;

/// Of so many partitions at once.
const PRODUCED_AT_ONCE: usize = 500;

/// How long a leader may wait for its followers, in milliseconds; less than a reading may take.
const ACKNOWLEDGED_WITHIN: i32 = 5_000;

/// Bit of the right to write in what a broker says of our rights; none of the bits where it does not say it.
const WRITE: i32 = 1 << 4;
const NOT_SAID: i32 = i32::MIN;

/// That there is a sentinel; it goes into every partition of the topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "{}")]
pub struct Configuration {}

/// A sentinel that is to be published, or was.
pub(super) struct Ordered {
    pub(super) id: String,
    /// Its offset by topic and partition, as far as it is published, with the id of the topic.
    offsets: BTreeMap<(Rc<str>, i32), (u128, u64)>,
}

impl Ordered {
    pub(super) fn new(id: &str) -> Self {
        Self { id: id.to_owned(), offsets: BTreeMap::new() }
    }

    /// Another one, for the partitions where something came behind this one. In the others it is still the last record.
    pub(super) fn again(&mut self, id: &str, partitions: &[Partition]) {
        let last = partitions.iter().filter(|one| self.is_last(one)).map(|one| (Rc::clone(&one.topic), one.index));
        let last: BTreeSet<_> = last.collect();
        self.offsets.retain(|place, _| last.contains(place));
        id.clone_into(&mut self.id);
    }

    fn offset(&self, partition: &Partition) -> Option<u64> {
        let (id, offset) = self.offsets.get(&(Rc::clone(&partition.topic), partition.index))?;
        // In a topic that was made again it is not.
        (*id == partition.id).then_some(*offset)
    }

    /// Whether it is to be published in one of them.
    pub(super) fn is_due(&self, partitions: &[Partition]) -> bool {
        partitions.iter().any(|one| self.offset(one).is_none())
    }

    fn is_passed(&self, partition: &Partition) -> bool {
        let offset = self.offset(partition);
        offset.is_some_and(|offset| partition.committed.is_some_and(|committed| committed > offset))
    }

    /// In how many partitions the group has not come past it.
    pub(super) fn behind(&self, partitions: &[Partition]) -> u64 {
        partitions.iter().filter(|one| !self.is_passed(one)).count() as u64
    }

    /// What is known of it; none while it is in no partition.
    pub(super) fn published(&self, partitions: &[Partition], group: &str) -> Option<Published> {
        let published = || partitions.iter().filter_map(|one| Some((one.name(), json!(self.offset(one)?))));
        let is_any = published().next().is_some();
        is_any.then(|| Published {
            id: self.id.clone(),
            positions: positions(self.offsets.len(), published()),
            readers: format!("group {group}"),
            is_passed: self.behind(partitions) == 0,
            is_last: partitions.iter().all(|one| self.is_last(one)),
        })
    }

    /// Whether a partition ends with it. Behind it may be markers: they end transactions, and publish nothing.
    fn is_last(&self, partition: &Partition) -> bool {
        // An end of before the sentinel was not asked for anew.
        let is_last = |offset: u64| {
            partition.end <= offset + 1 || partition.has_only_markers && partition.committed == Some(offset + 1)
        };
        self.offset(partition).is_some_and(is_last)
    }

    /// That it is among the records which the group has left in a partition, in words that follow their number.
    pub(super) fn among(&self, partition: &Partition) -> &'static str {
        let is_there = self.offset(partition).is_some() && !self.is_passed(partition);
        if is_there { "; 1 of them is the sentinel" } else { "" }
    }

    /// The record as a batch of its own. It has a key of its own, so that a compacted topic takes it, and removes no other for it.
    fn batch(&self) -> Result<Bytes, Fault> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let record = Record {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: -1,
            producer_epoch: -1,
            timestamp_type: TimestampType::Creation,
            offset: 0,
            sequence: -1,
            timestamp: i64::try_from(since.as_millis()).unwrap_or_default(),
            key: Some(format!("{HEADER}/{}", self.id).into()),
            value: Some(body(&self.id)),
            headers: [(string(HEADER), Some(self.id.clone().into()))].into_iter().collect(),
        };
        let mut batch = BytesMut::new();
        let options = RecordEncodeOptions { version: 2, compression: Compression::None };
        RecordBatchEncoder::encode(&mut batch, [&record], &options).map_err(|error| Fault::broker(error.to_string()))?;
        Ok(batch.freeze())
    }

    /// Publishes it in those partitions where it is not yet.
    pub(super) async fn publish(&mut self, cluster: &mut Cluster, partitions: &[Partition]) -> Result<(), Fault> {
        for leader in leaders(partitions) {
            let is_due = |one: &&Partition| one.leader == leader && self.offset(one).is_none();
            let due: Vec<&Partition> = partitions.iter().filter(is_due).collect();
            for part in due.chunks(PRODUCED_AT_ONCE) {
                let batch = self.batch()?;
                let topics = by_topic(part.iter().copied()).into_iter().map(|(topic, all)| {
                    let data = |one: &&Partition| {
                        PartitionProduceData::default().with_index(one.index).with_records(Some(batch.clone()))
                    };
                    let data = all.iter().map(data).collect();
                    TopicProduceData::default().with_name(topic_name(&topic)).with_partition_data(data)
                });
                // Every replica that is in sync has to have it.
                let request = ProduceRequest::default()
                    .with_acks(-1)
                    .with_timeout_ms(ACKNOWLEDGED_WITHIN)
                    .with_topic_data(topics.collect());
                // From version 13 on topics are named by their id.
                let answer: ProduceResponse = cluster.broker(leader).await?.call(ApiKey::Produce, (3, 12), &request).await?;
                self.note(&answer, &due)?;
            }
        }
        Ok(())
    }

    /// Keeps the offsets of an answer; the first refusal is an error.
    fn note(&mut self, answer: &ProduceResponse, asked: &[&Partition]) -> Result<(), Fault> {
        let mut fault = None;
        for topic in &answer.responses {
            let name = topic.name.0.as_str();
            for one in &topic.partition_responses {
                match (one.error_code, u64::try_from(one.base_offset)) {
                    (0, Ok(offset)) => {
                        let id = asked.iter().find(|asked| *asked.topic == *name).map(|asked| asked.id).unwrap_or_default();
                        self.offsets.insert((name.into(), one.index), (id, offset));
                    }
                    (code, _) => {
                        let said = one.error_message.as_ref().map_or("", |message| message.as_str());
                        fault.get_or_insert(refusal(&format!("{name}/{}", one.index), code, said));
                    }
                }
            }
        }
        fault.map_or(Ok(()), Err)
    }
}

/// A partition for which the group has no offset gets no sentinel: where the drain fails after it, the sentinel may be the first record
/// there, and nobody would know any more whether something is left.
pub(super) fn check(partitions: &[Partition], group: &str, uncommitted: Uncommitted) -> Result<(), Fault> {
    let without = partitions.iter().find(|one| one.committed.is_none());
    let Some(partition) = without.filter(|_| uncommitted == Uncommitted::Unknown) else { return Ok(()) };
    let name = partition.name();
    Err(Fault::Open(OpenError::NoSentinel(format!(
        "group {group} has no offset for {name}, so nobody would know whether a sentinel there is left: let the group commit once, also where nothing was to be read, or set uncommitted to earliest or empty, or leave sentinel out"
    ))))
}

/// Why a broker did not take the record.
fn refusal(place: &str, code: i16, said: &str) -> Fault {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let why = match code {
        10 | 18 => "the sentinel is larger than the topic takes (max.message.bytes)".to_owned(),
        17 => "the topic takes no records of clients".to_owned(),
        29 => "we may not write to the topic: it needs Write".to_owned(),
        35 | 42..=44 | 87 => format!("the broker does not take the sentinel: error {code}"),
        _ => return Fault::broker(format!("{place}: the sentinel is not acknowledged: error {code}{said}")),
    };
    Fault::Open(OpenError::NoSentinel(format!("{place}: {why}{said}")))
}

impl Cluster {
    /// Fails where we may not write to one of the topics. Before Kafka 2.3 nobody says it.
    pub(super) async fn require_write(&mut self, topics: &[String]) -> Result<(), Fault> {
        let named = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name)))).collect();
        let request = MetadataRequest::default()
            .with_topics(Some(named))
            .with_allow_auto_topic_creation(false)
            .with_include_topic_authorized_operations(true);
        let answer: MetadataResponse = self.broker(BOOTSTRAP).await?.call(ApiKey::Metadata, (8, 12), &request).await?;
        let may_not = |rights: i32| rights != NOT_SAID && rights & WRITE == 0;
        let denied = answer.topics.into_iter().find(|one| one.error_code == 0 && may_not(one.topic_authorized_operations));
        let Some(name) = denied.and_then(|topic| topic.name) else { return Ok(()) };
        Err(refusal(name.0.as_str(), 29, ""))
    }
}
