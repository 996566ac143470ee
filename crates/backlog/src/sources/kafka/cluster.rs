//! The brokers of a cluster, each asked for what it leads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::AbortedTransaction;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, FetchRequest, FetchResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, GroupId, ListGroupsRequest, ListGroupsResponse, ListOffsetsRequest, ListOffsetsResponse,
    MetadataRequest, MetadataResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::leaders::Leaders;
use super::partition::{Partition, tail};
use super::wire::{Broker, Fault, Security};
use super::{Isolation, Uncommitted};
use crate::http::TIMEOUT;
use crate::source::OpenError;

/// A coordinator is found, and knows its groups, after some tries: the first question makes the topic that it needs.
const PAUSE: Duration = Duration::from_millis(200);
const COORDINATOR_ATTEMPTS: usize = 20;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// The most that is fetched to see whether only markers are left.
const FETCHED: i32 = 64 << 10;

/// How long a broker may take to connect, at least. One that is silent leaves time for the others.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// Of so many partitions at once.
const FETCHED_AT_ONCE: usize = 32;

/// The user may not read the topic.
const UNAUTHORIZED: i16 = 29;

/// The longest tail that may be markers only.
const LONGEST_TAIL: u64 = 500;

/// A group as its coordinator knows it.
pub(super) struct Group {
    /// `classic`, `consumer`, `share`, `streams`; older brokers do not say it.
    pub(super) kind: String,
    pub(super) state: String,
}

pub(super) struct Cluster {
    bootstrap: Vec<String>,
    security: Security,
    /// Where each broker is, by its id.
    addresses: BTreeMap<i32, String>,
    brokers: BTreeMap<i32, Broker>,
    level: Option<i16>,
    /// All brokers of the cluster: first those that have answered.
    all: Vec<i32>,
    /// How many messages were sent.
    sent: u32,
}

/// The id under which a broker is kept whose own is not known yet.
pub(super) const BOOTSTRAP: i32 = -1;

pub(super) fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(string(name))
}

/// An offset of an answer; negative ones mean that there is none.
fn offset(number: i64) -> Option<u64> {
    u64::try_from(number).ok()
}

/// Whether so many of all brokers are more than half.
fn is_majority(some: usize, all: usize) -> bool {
    some * 2 > all
}

/// The indexes of the partitions, by topic.
pub(super) fn by_topic<'a>(partitions: impl IntoIterator<Item = &'a Partition>) -> BTreeMap<String, Vec<&'a Partition>> {
    let mut topics = BTreeMap::<String, Vec<&Partition>>::new();
    for partition in partitions {
        topics.entry(partition.topic.to_string()).or_default().push(partition);
    }
    topics
}

impl Cluster {
    pub(super) fn new(bootstrap: Vec<String>, security: Security) -> Self {
        let (addresses, brokers) = (BTreeMap::new(), BTreeMap::new());
        Self { bootstrap, security, addresses, brokers, level: None, all: Vec::new(), sent: 0 }
    }

    pub(super) fn sent(&self) -> u32 {
        self.sent
    }

    pub(super) fn disconnect(&mut self) {
        self.brokers.clear();
    }

    pub(super) fn version(&self) -> Option<String> {
        self.level.map(|level| format!("kafka (metadata.version {level})"))
    }

    /// The broker of this id, which is sent a message now.
    pub(super) async fn broker(&mut self, id: i32) -> Result<&mut Broker, Fault> {
        if !self.brokers.contains_key(&id) {
            let broker = match self.addresses.get(&id) {
                Some(address) => self.connect(address).await?,
                None if id == BOOTSTRAP => self.any().await?,
                None => return Err(Fault::broker(format!("broker {id} is not there"))),
            };
            self.level = broker.level;
            self.brokers.insert(id, broker);
        }
        self.sent = self.sent.wrapping_add(1);
        self.brokers.get_mut(&id).ok_or_else(|| Fault::broker(format!("broker {id} is not there")))
    }

    /// The first broker that answers: of the configuration, or of the cluster.
    async fn any(&self) -> Result<Broker, Fault> {
        let mut last = Fault::invalid("brokers is empty".to_owned());
        for address in self.bootstrap.iter().chain(self.addresses.values()) {
            match self.connect(address).await {
                Ok(broker) => return Ok(broker),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    async fn connect(&self, address: &str) -> Result<Broker, Fault> {
        let brokers = self.bootstrap.len().max(self.addresses.len()).max(1);
        let patience = (TIMEOUT / u32::try_from(brokers).unwrap_or(u32::MAX)).max(LEAST_PATIENCE);
        match tokio::time::timeout(patience, Broker::connect(address, &self.security)).await {
            Ok(connected) => connected,
            Err(_) => Err(Fault::Open(OpenError::Unreachable {
                address: address.to_owned(),
                source: format!("it does not answer within {} s", patience.as_secs()).into(),
            })),
        }
    }

    /// The partitions of the topics, with their leaders, as a majority of the brokers knows them.
    pub(super) async fn partitions(&mut self, topics: &[String], accepts_absent: bool) -> Result<Vec<Partition>, Fault> {
        let mut leaders = Leaders::default();
        let ids = |answer: &MetadataResponse| answer.brokers.iter().map(|one| one.node_id.0).collect::<BTreeSet<_>>();
        // One that was cut off before others came does not know of these.
        let mut all = ids(&self.metadata(BOOTSTRAP, topics).await?);
        let (mut asked, mut heard, mut last) = (BTreeSet::new(), BTreeSet::new(), None);
        while let Some(broker) = all.difference(&asked).next().copied() {
            asked.insert(broker);
            match self.metadata(broker, topics).await {
                Ok(answer) => {
                    all.extend(ids(&answer));
                    leaders.add(answer.topics)?;
                    heard.insert(broker);
                }
                Err(fault) => last = Some(fault),
            }
            if is_majority(heard.len(), all.len()) {
                self.all = heard.iter().chain(all.difference(&heard)).copied().collect();
                return leaders.partitions(accepts_absent);
            }
        }
        let (heard, all) = (heard.len(), all.len());
        let why = last.map_or_else(String::new, |fault| format!(": {fault}"));
        Err(Fault::broker(format!("{heard} of {all} brokers answer, and the others may know of other leaders{why}")))
    }

    /// What a broker knows of the topics, and where it says that the brokers are.
    async fn metadata(&mut self, broker: i32, topics: &[String]) -> Result<MetadataResponse, Fault> {
        let named = topics.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name)))).collect();
        let request = MetadataRequest::default().with_topics(Some(named)).with_allow_auto_topic_creation(false);
        let answer: MetadataResponse = self.broker(broker).await?.call(ApiKey::Metadata, (7, 12), &request).await?;
        let address =
            |host: &str, port: i32| if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        for one in &answer.brokers {
            let now = address(one.host.as_str(), one.port);
            // A broker that came back at another place is another one.
            if self.addresses.insert(one.node_id.0, now.clone()).is_some_and(|before| before != now) {
                self.brokers.remove(&one.node_id.0);
            }
        }
        Ok(answer)
    }

    /// The coordinator of a group, as a majority of the brokers names it: one that is cut off may name one of before, and that one, cut off
    /// as well, would answer. Only after [`Self::partitions`].
    pub(super) async fn coordinator(&mut self, group: &str) -> Result<i32, Fault> {
        let mut why = None;
        for _ in 0..COORDINATOR_ATTEMPTS {
            let mut votes = BTreeMap::<i32, usize>::new();
            for broker in self.all.clone() {
                match self.vote(broker, group).await {
                    Ok(Some(id)) => *votes.entry(id).or_default() += 1,
                    Ok(None) => {}
                    Err(fault @ Fault::Open(OpenError::Invalid(_) | OpenError::Denied { .. })) => return Err(fault),
                    Err(fault) => why = Some(fault),
                }
                if let Some((id, _)) = votes.iter().find(|(_, votes)| is_majority(**votes, self.all.len())) {
                    return Ok(*id);
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
        let why = why.map_or_else(String::new, |fault| format!(": {fault}"));
        Err(Fault::broker(format!("more than half of the brokers name no coordinator of group {group}{why}")))
    }

    /// Which coordinator a broker names; none where it does not know one yet.
    async fn vote(&mut self, broker: i32, group: &str) -> Result<Option<i32>, Fault> {
        let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![string(group)]);
        let answer: FindCoordinatorResponse =
            self.broker(broker).await?.call(ApiKey::FindCoordinator, (4, 6), &request).await?;
        match answer.coordinators.first().map(|found| (found.error_code, found.node_id.0)) {
            Some((0, id)) => Ok(Some(id)),
            Some((14..=16, _)) => Ok(None),
            Some((30, _)) => Err(Fault::invalid(format!("we may not see group {group}: it needs Describe"))),
            other => Err(Fault::broker(format!("the coordinator of group {group}: error {other:?}"))),
        }
    }

    pub(super) async fn group(&mut self, coordinator: i32, group: &str) -> Result<Option<Group>, Fault> {
        for _ in 0..COORDINATOR_ATTEMPTS {
            let broker = self.broker(coordinator).await?;
            let answer: ListGroupsResponse = broker.call(ApiKey::ListGroups, (4, 5), &ListGroupsRequest::default()).await?;
            match answer.error_code {
                0 => {}
                14..=16 => {
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                code => return Err(Fault::broker(format!("the groups cannot be listed: error {code}"))),
            }
            let found = answer.groups.into_iter().find(|one| one.group_id.0.as_str() == group);
            let read = |text: StrBytes| text.as_str().to_owned();
            return Ok(found.map(|one| Group { kind: read(one.group_type), state: read(one.group_state) }));
        }
        Err(Fault::broker("the coordinator still loads its groups".to_owned()))
    }

    /// The topics that we may see.
    pub(super) async fn topics(&mut self) -> Result<BTreeSet<String>, Fault> {
        let request = MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(false);
        let answer: MetadataResponse = self.broker(BOOTSTRAP).await?.call(ApiKey::Metadata, (7, 12), &request).await?;
        Ok(answer.topics.into_iter().filter_map(|topic| Some(topic.name?.0.as_str().to_owned())).collect())
    }

    /// The groups that we may see: each broker knows those that it coordinates.
    pub(super) async fn groups(&mut self) -> Result<BTreeSet<String>, Fault> {
        let mut all = BTreeSet::new();
        for broker in self.all.clone() {
            let broker = self.broker(broker).await?;
            let answer: ListGroupsResponse = broker.call(ApiKey::ListGroups, (4, 5), &ListGroupsRequest::default()).await?;
            all.extend(answer.groups.into_iter().map(|one| one.group_id.0.as_str().to_owned()));
        }
        Ok(all)
    }

    /// What the group has left in other topics than these, by topic.
    pub(super) async fn others(&mut self, group: &str, topics: &[String]) -> Result<BTreeMap<String, u64>, Fault> {
        let coordinator = self.coordinator(group).await?;
        let all = self.offsets(coordinator, group, None).await?;
        let others: BTreeSet<String> =
            all.into_keys().map(|(topic, _)| topic).filter(|topic| !topics.contains(topic)).collect();
        if others.is_empty() {
            return Ok(BTreeMap::new());
        }
        let mut partitions = self.partitions(&others.into_iter().collect::<Vec<_>>(), true).await?;
        self.committed(coordinator, group, &mut partitions).await?;
        self.starts(&mut partitions).await?;
        self.ends(&mut partitions).await?;
        let mut left = BTreeMap::new();
        for partition in partitions.iter().filter(|one| one.committed.is_some()) {
            *left.entry(partition.topic.to_string()).or_default() +=
                partition.left(Uncommitted::Unknown).unwrap_or_default();
        }
        Ok(left)
    }

    pub(super) async fn committed(
        &mut self,
        coordinator: i32,
        group: &str,
        partitions: &mut [Partition],
    ) -> Result<(), Fault> {
        let topics = by_topic(&*partitions).into_iter().map(|(topic, partitions)| {
            let indexes = partitions.iter().map(|partition| partition.index).collect();
            OffsetFetchRequestTopics::default().with_name(topic_name(&topic)).with_partition_indexes(indexes)
        });
        let found = self.offsets(coordinator, group, Some(topics.collect())).await?;
        for partition in partitions {
            match found.get(&(partition.topic.to_string(), partition.index)) {
                Some((0, committed)) => partition.commit(offset(*committed)),
                Some((88, _)) => {
                    return Err(Fault::broker(format!("offsets of {} are in an open transaction", partition.name())));
                }
                other => return Err(Fault::broker(format!("the offset of {}: error {other:?}", partition.name()))),
            }
        }
        Ok(())
    }

    /// Code and offset of each partition of these topics, or of all where the group has one.
    async fn offsets(
        &mut self,
        coordinator: i32,
        group: &str,
        topics: Option<Vec<OffsetFetchRequestTopics>>,
    ) -> Result<BTreeMap<(String, i32), (i16, i64)>, Fault> {
        let of = OffsetFetchRequestGroup::default().with_group_id(GroupId(string(group))).with_member_epoch(-1);
        let request = OffsetFetchRequest::default().with_groups(vec![of.with_topics(topics)]).with_require_stable(true);
        let answer: OffsetFetchResponse =
            self.broker(coordinator).await?.call(ApiKey::OffsetFetch, (8, 9), &request).await?;
        let Some(of) = answer.groups.into_iter().find(|one| one.group_id.0.as_str() == group) else {
            return Err(Fault::broker(format!("the offsets of group {group} are not answered")));
        };
        if of.error_code != 0 {
            return Err(Fault::broker(format!("the offsets of group {group}: error {}", of.error_code)));
        }
        let each = of.topics.into_iter().flat_map(|topic| {
            let name = topic.name.0.as_str().to_owned();
            topic
                .partitions
                .into_iter()
                .map(move |one| ((name.clone(), one.partition_index), (one.error_code, one.committed_offset)))
        });
        Ok(each.collect())
    }

    /// Where the partitions begin, as their leaders know it.
    pub(super) async fn starts(&mut self, partitions: &mut [Partition]) -> Result<(), Fault> {
        self.limits(partitions, EARLIEST, |partition, start| partition.start = start).await
    }

    /// Where the partitions end, as their leaders know it.
    pub(super) async fn ends(&mut self, partitions: &mut [Partition]) -> Result<(), Fault> {
        self.limits(partitions, LATEST, Partition::end_at).await
    }

    async fn limits(
        &mut self,
        partitions: &mut [Partition],
        time: i64,
        set: impl Fn(&mut Partition, u64),
    ) -> Result<(), Fault> {
        for leader in leaders(partitions) {
            let topics = by_topic(partitions.iter().filter(|one| one.leader == leader)).into_iter().map(|(topic, all)| {
                let ask = |one: &&Partition| {
                    let of = ListOffsetsPartition::default().with_partition_index(one.index);
                    of.with_current_leader_epoch(one.epoch).with_timestamp(time)
                };
                ListOffsetsTopic::default().with_name(topic_name(&topic)).with_partitions(all.iter().map(ask).collect())
            });
            let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(topics.collect());
            let answer: ListOffsetsResponse = self.broker(leader).await?.call(ApiKey::ListOffsets, (4, 9), &request).await?;
            let mut found = BTreeMap::new();
            for topic in &answer.topics {
                for one in &topic.partitions {
                    found.insert((topic.name.0.as_str(), one.partition_index), (one.error_code, one.offset));
                }
            }
            for partition in partitions.iter_mut().filter(|one| one.leader == leader) {
                let read = found.get(&(&*partition.topic, partition.index));
                let number = read.filter(|(code, _)| *code == 0).and_then(|(_, number)| offset(*number));
                let Some(number) = number else {
                    return Err(Fault::broker(format!("the limits of {}: error {read:?}", partition.name())));
                };
                set(partition, number);
            }
        }
        Ok(())
    }

    /// Finds out where only markers of transactions follow the group's offset, or records of aborted ones. What was looked at stays so:
    /// what comes later moves the end.
    pub(super) async fn look_at_tails(&mut self, partitions: &mut [Partition], isolation: Isolation) -> Result<(), Fault> {
        for leader in leaders(partitions) {
            let is_due = |one: &&mut Partition| one.leader == leader && one.has_unseen_tail(LONGEST_TAIL);
            let mut due: Vec<&mut Partition> = partitions.iter_mut().filter(is_due).take(FETCHED_AT_ONCE).collect();
            if due.is_empty() {
                continue;
            }
            let topics = by_topic(due.iter().map(|one| &**one)).into_iter().map(|(topic, all)| {
                let ask = |one: &&Partition| {
                    let from = one.committed.and_then(|from| i64::try_from(from).ok()).unwrap_or(i64::MAX);
                    let of = FetchPartition::default().with_partition(one.index).with_fetch_offset(from);
                    let of = of.with_current_leader_epoch(-1).with_last_fetched_epoch(-1).with_log_start_offset(-1);
                    of.with_partition_max_bytes(FETCHED)
                };
                FetchTopic::default().with_topic(topic_name(&topic)).with_partitions(all.iter().map(ask).collect())
            });
            let request = FetchRequest::default()
                .with_replica_id((-1).into())
                .with_session_epoch(-1)
                .with_max_bytes(FETCHED * i32::try_from(FETCHED_AT_ONCE).unwrap_or(1))
                // As a reader of committed records: it is told which transactions were aborted, and gets nothing of open ones.
                .with_isolation_level(1)
                .with_topics(topics.collect());
            // From version 13 on topics are named by their id.
            let answer: FetchResponse = self.broker(leader).await?.call(ApiKey::Fetch, (4, 12), &request).await?;
            for topic in answer.responses {
                for fetched in topic.partitions {
                    let is_it =
                        |one: &Partition| *one.topic == *topic.topic.0.as_str() && one.index == fetched.partition_index;
                    let Some(partition) = due.iter_mut().find(|one| is_it(one)) else { continue };
                    // Who may not read the records is told only that so many are left.
                    if fetched.error_code != 0 {
                        partition.see_tail(fetched.error_code == UNAUTHORIZED, false, false);
                        continue;
                    }
                    let of = |one: &AbortedTransaction| Some((one.producer_id.0, offset(one.first_offset)?));
                    let aborted: Vec<_> = fetched.aborted_transactions.iter().flatten().filter_map(of).collect();
                    let records = fetched.records.unwrap_or_default();
                    let from = partition.committed.unwrap_or_default();
                    let (has_only_markers, has_only_aborted) = tail(&records, &aborted, from, partition.end);
                    let markers = has_only_markers || has_only_aborted && isolation == Isolation::ReadCommitted;
                    // Nothing comes of an open transaction, and nothing of a partition beyond the most that was asked for.
                    partition.see_tail(!records.is_empty(), markers, has_only_aborted);
                }
            }
        }
        Ok(())
    }

    /// Who writes, where the brokers say it.
    pub(super) async fn producers(&mut self, partitions: &[Partition]) -> Vec<String> {
        let mut all = Vec::new();
        for leader in leaders(partitions) {
            let topics =
                by_topic(partitions.iter().filter(|one| one.leader == leader)).into_iter().map(|(topic, partitions)| {
                    let indexes = partitions.iter().map(|partition| partition.index).collect();
                    TopicRequest::default().with_name(topic_name(&topic)).with_partition_indexes(indexes)
                });
            let request = DescribeProducersRequest::default().with_topics(topics.collect());
            let Ok(broker) = self.broker(leader).await else { continue };
            let answer = broker.call::<_, DescribeProducersResponse>(ApiKey::DescribeProducers, (0, 0), &request).await;
            for topic in answer.map(|answer| answer.topics).unwrap_or_default() {
                for partition in topic.partitions {
                    let name = format!("{}/{}", topic.name.0.as_str(), partition.partition_index);
                    all.extend(
                        partition.active_producers.iter().map(|one| format!("producer id {} in {name}", one.producer_id.0)),
                    );
                }
            }
        }
        all
    }
}

pub(super) fn leaders(partitions: &[Partition]) -> Vec<i32> {
    let mut all: Vec<i32> = partitions.iter().map(|partition| partition.leader).collect();
    all.sort_unstable();
    all.dedup();
    all
}
