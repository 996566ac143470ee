//! Kafka: what a consumer group has left in some topics.
//!
//! The partitions are those of the topics, not those that the group has offsets for. The end is that of uncommitted reads: an open
//! transaction is not done. Where only markers of transactions follow the group's offset, nothing is left, although the numbers differ.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::error::Elapsed;

use crate::connection::{Login, Tls};
use crate::http::TIMEOUT;
use crate::near::warning;
use crate::positions::positions;
use crate::reading::{Left, Reading};
use crate::sentinel::Sentinel;
use crate::source::{Credentials, OpenError, Source};
use crate::when_absent::WhenAbsent;

mod cluster;
mod leaders;
mod partition;
mod scram;
pub mod sentinel;
mod wire;

use cluster::{Cluster, Group};
use partition::{Known, Partition};
use sentinel::Ordered;
use wire::{Fault, Security};

/// A consumer group and its topics.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Some brokers of the cluster, each with its port: `kafka.shop:9092`.
    pub brokers: Vec<String>,
    /// How the brokers are recognized; without this field nothing is encrypted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sasl: Option<Sasl>,
    /// Name of the consumer group.
    pub group: String,
    /// The topics that it reads.
    pub topics: Vec<String>,
    /// What is left of a partition that the group has no offset for.
    #[serde(default)]
    pub uncommitted: Uncommitted,
    /// Whether the group reads the records of transactions that were aborted.
    #[serde(default)]
    pub isolation: Isolation,
    /// What a group or a topic is that is not there.
    #[serde(default)]
    pub when_absent: WhenAbsent,
    /// A record that is published in every partition when the intake is closed: nothing is left only when the group has come past all of
    /// them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sentinel: Option<sentinel::Configuration>,
}

/// Who we are, for Kafka.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sasl {
    /// The password is sent as it is: with TLS only.
    Plain(Login),
    /// SCRAM-SHA-256.
    ScramSha256(Login),
    /// SCRAM-SHA-512.
    ScramSha512(Login),
}

/// What is left of a partition that the group has no offset for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uncommitted {
    /// Nobody knows, unless the partition has never had a record.
    #[default]
    Unknown,
    /// Everything in it, as with `auto.offset.reset=earliest`.
    Earliest,
    /// Nothing.
    Empty,
}

/// Which records a group reads: `isolation.level` of its consumers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Isolation {
    /// All of them.
    #[default]
    ReadUncommitted,
    /// None of a transaction that was aborted: these are not left.
    ReadCommitted,
}

/// What may be done about a name that is absent.
const MAY_BE_ABSENT: &str = "; set whenAbsent: empty if that may be";

/// Connections to the brokers of a cluster.
pub struct Kafka {
    cluster: Cluster,
    configuration: Configuration,
    /// Each partition as it was when the group last had an offset there.
    known: BTreeMap<String, Known>,
    /// What the group has left in topics that the configuration does not name, by topic; at the start.
    others: BTreeMap<String, u64>,
    ends: BTreeMap<String, u64>,
    /// What seldom changes; none until it is asked for.
    layout: Option<Layout>,
    /// Whether the next reading may ask where partitions begin, in the place of where they end.
    is_start_due: bool,
    /// Once it was ordered, where the configuration asks for one.
    sentinel: Option<Ordered>,
    /// Names that are absent, and nearly others; of the start.
    warnings: Vec<String>,
}

/// The partitions with their leaders, and the group with its coordinator.
struct Layout {
    partitions: Vec<Partition>,
    coordinator: i32,
    /// None where the group is not there, and need not be.
    group: Option<Group>,
}

/// Connects and reads once.
pub async fn open(configuration: &Configuration, credentials: &dyn Credentials) -> Result<Kafka, OpenError> {
    if configuration.topics.is_empty() {
        return Err(OpenError::Invalid("name the topics that the group reads".to_owned()));
    }
    let Configuration { brokers, tls, sasl, .. } = configuration;
    let security = Security::new(tls.as_ref(), sasl.as_ref(), credentials).await?;
    let cluster = Cluster::new(brokers.clone(), security);
    let (known, others, ends) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let (configuration, layout, sentinel) = (configuration.clone(), None, None);
    let warnings = Vec::new();
    let mut source = Kafka { cluster, configuration, known, others, ends, layout, is_start_due: false, sentinel, warnings };
    source.ask().await?;
    source.require_sentinel().await?;
    // It is for the evidence only: who may not see the other topics is told nothing of them.
    let Configuration { group, topics, .. } = &source.configuration;
    let others = tokio::time::timeout(TIMEOUT, source.cluster.others(group, topics)).await;
    match others {
        Ok(Ok(others)) => source.others = others,
        _ => source.cluster.disconnect(),
    }
    if source.configuration.when_absent == WhenAbsent::Empty {
        match tokio::time::timeout(TIMEOUT, source.near()).await {
            Ok(Ok(warnings)) => source.warnings = warnings,
            _ => source.cluster.disconnect(),
        }
    }
    Ok(source)
}

#[async_trait(?Send)]
impl Source for Kafka {
    async fn read(&mut self) -> Reading {
        match self.ask().await {
            Ok(reading) => reading,
            // To accept that as empty would be to forget what was left there.
            Err(OpenError::Invalid(what)) if !self.known.is_empty() => {
                Reading::unknown(what.replace(MAY_BE_ABSENT, "; it was there before"))
            }
            Err(error) => error.into(),
        }
    }

    fn renew(&mut self) {
        self.layout = None;
    }

    fn order_sentinel(&mut self, id: &str) {
        if self.configuration.sentinel.is_none() {
            return;
        }
        match &mut self.sentinel {
            None => self.sentinel = Some(Ordered::new(id)),
            Some(before) if before.id == id => {}
            Some(before) => before.again(id, self.layout.as_ref().map_or(&[], |layout| &layout.partitions)),
        }
    }
}

impl Kafka {
    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let asked = tokio::time::timeout(TIMEOUT, self.try_ask()).await;
        self.answered(asked)
    }

    /// Fails where the sentinel that the configuration asks for cannot be published.
    async fn require_sentinel(&mut self) -> Result<(), OpenError> {
        if self.configuration.sentinel.is_none() {
            return Ok(());
        }
        let asked = tokio::time::timeout(TIMEOUT, self.cluster.require_write(&self.configuration.topics)).await;
        self.answered(asked)
    }

    /// What is absent, and nearly the name of something that is there. Only at the start.
    async fn near(&mut self) -> Result<Vec<String>, Fault> {
        let Configuration { group, topics, .. } = &self.configuration;
        let mut warnings = Vec::new();
        let all = self.cluster.topics().await?;
        for topic in topics.iter().filter(|topic| !all.contains(*topic)) {
            warnings.extend(warning("topic", topic, all.iter().map(String::as_str)));
        }
        let groups = self.cluster.groups().await?;
        if !groups.contains(group) {
            warnings.extend(warning("group", group, groups.iter().map(String::as_str)));
        }
        Ok(warnings)
    }

    fn answered<T>(&mut self, asked: Result<Result<T, Fault>, Elapsed>) -> Result<T, OpenError> {
        let address = self.configuration.brokers.join(", ");
        let error = match asked {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(Fault::Open(error))) => error,
            Ok(Err(Fault::Broker(source))) => OpenError::Unreachable { address, source },
            Err(_) => OpenError::Unreachable { address, source: "no answer in time".into() },
        };
        // What was under way on the connections is unknown.
        self.cluster.disconnect();
        self.layout = None;
        Err(error)
    }

    async fn lay_out(&mut self) -> Result<Layout, Fault> {
        let Configuration { group: name, topics, when_absent, .. } = &self.configuration;
        let accepts_absent = *when_absent == WhenAbsent::Empty;
        let partitions = self.cluster.partitions(topics, accepts_absent).await?;
        let coordinator = self.cluster.coordinator(name).await?;
        let group = self.cluster.group(coordinator, name).await?;
        match &group {
            Some(Group { kind, .. }) if kind.eq_ignore_ascii_case("share") => {
                Err(Fault::invalid(format!("{name} is a share group, which has no offsets that prove anything")))
            }
            None if !accepts_absent => Err(Fault::invalid(format!("there is no group {name}{MAY_BE_ABSENT}"))),
            _ => Ok(Layout { partitions, coordinator, group }),
        }
    }

    /// Asks for what changes: two messages, but for the first time, and where what is left may be markers only.
    async fn look(&mut self, layout: &mut Layout, is_new: bool) -> Result<(), Fault> {
        let Configuration { group, uncommitted, isolation, .. } = &self.configuration;
        let Layout { partitions, coordinator, group: state } = layout;
        let uncommitted = if state.is_none() { Uncommitted::Empty } else { *uncommitted };
        let has_left = |partitions: &[Partition]| partitions.iter().any(|one| one.left(uncommitted) != Ok(0));
        // The offsets first: what comes meanwhile is left.
        self.cluster.committed(*coordinator, group, partitions).await?;
        if is_new {
            self.cluster.starts(partitions).await?;
        } else if self.is_start_due && has_left(partitions) {
            // An end that was is enough to say that something is left, and records may have been deleted since.
            self.is_start_due = false;
            self.cluster.starts(partitions).await?;
            self.cluster.look_at_tails(partitions, *isolation).await?;
            if has_left(partitions) {
                return Ok(());
            }
        }
        self.cluster.ends(partitions).await?;
        self.cluster.look_at_tails(partitions, *isolation).await?;
        self.is_start_due = has_left(partitions);
        Ok(())
    }

    async fn try_ask(&mut self) -> Result<Reading, Fault> {
        let before = self.cluster.sent();
        let (mut layout, is_new) = match self.layout.take() {
            Some(layout) => (layout, false),
            None => (self.lay_out().await?, true),
        };
        // Who is not there comes past nothing.
        let Configuration { group, uncommitted, .. } = &self.configuration;
        if let Some(sentinel) = self.sentinel.as_mut().filter(|_| layout.group.is_some()) {
            if sentinel.is_due(&layout.partitions) {
                self.cluster.committed(layout.coordinator, group, &mut layout.partitions).await?;
                sentinel::check(&layout.partitions, group, *uncommitted)?;
            }
            sentinel.publish(&mut self.cluster, &layout.partitions).await?;
        }
        self.look(&mut layout, is_new).await?;
        let is_to_come = self.configuration.sentinel.is_some() && self.sentinel.is_none() && layout.group.is_some();
        if is_to_come {
            let Configuration { group, uncommitted, .. } = &self.configuration;
            sentinel::check(&layout.partitions, group, *uncommitted)?;
        }
        let reading = self.judge(&layout).await;
        // Who leads is asked anew when a leader or coordinator may have been cut off.
        self.layout = Some(layout).filter(|_| !matches!(reading.left, Left::Unknown(_)));
        Ok(Reading { requests: self.cluster.sent().wrapping_sub(before), ..reading })
    }

    async fn judge(&mut self, layout: &Layout) -> Reading {
        let Configuration { group, uncommitted, .. } = &self.configuration;
        let Layout { partitions, group: state, .. } = layout;
        let ends: BTreeMap<String, u64> = partitions.iter().map(|one| (one.name(), one.end)).collect();
        let has_moved = self.ends.iter().any(|(name, end)| ends.get(name) != Some(end));
        // Names are needed only of those who should have stopped.
        let publishers = if has_moved { self.cluster.producers(partitions).await } else { Vec::new() };
        self.ends.clone_from(&ends);
        let uncommitted = if state.is_none() { Uncommitted::Empty } else { *uncommitted };
        let (left, hopeless) = judge(partitions, group, uncommitted);
        let ordered = self.sentinel.as_ref().filter(|_| state.is_some());
        let left = match (left, ordered.map_or(0, |sentinel| sentinel.behind(partitions))) {
            (Left::Empty, behind) if behind > 0 => Left::Some(behind),
            (left, _) => left,
        };
        let sentinel = ordered.and_then(|sentinel| sentinel.published(partitions, group)).map(Sentinel::Published);
        let has_left = |one: &&Partition| one.left(uncommitted).is_ok_and(|left| left > 0);
        let in_words = |one: &Partition| {
            let (left, text) = one.in_words(uncommitted);
            (left, format!("{text}{}", ordered.map_or("", |sentinel| sentinel.among(one))))
        };
        let each = partitions.iter().filter(has_left).map(in_words).collect();
        let (left, hopeless) = match partition::gone(&self.known, partitions, group) {
            Some(why) => (Left::Unknown(why.clone()), Some(why)),
            None => (left, hopeless),
        };
        for partition in partitions {
            partition.remember(&mut self.known);
        }
        let seen = positions(partitions.len(), partitions.iter().map(|one| (one.name(), one.evidence())));
        Reading {
            largest: Reading::largest(each),
            hopeless,
            ends,
            publishers,
            sentinel,
            server: self.cluster.version(),
            warnings: self.warnings.clone(),
            seen: json!({"group": state.as_ref().map(|group| json!({"type": group.kind, "state": group.state})), "partitions": seen,
                "otherTopics": self.others}),
            ..Reading::new(left)
        }
    }
}

/// What all partitions say together.
fn judge(partitions: &[Partition], group: &str, uncommitted: Uncommitted) -> (Left, Option<String>) {
    let (mut total, mut unknown, mut hopeless) = (0_u64, None, None);
    for partition in partitions {
        match partition.left(uncommitted) {
            Ok(left) => total = total.saturating_add(left),
            Err(why) => {
                unknown.get_or_insert(why);
            }
        }
        let lost = partition.lost();
        if lost > 0 {
            let name = partition.name();
            hopeless.get_or_insert(format!(
                "{lost} records of {name} were deleted before group {group} had read them: lost by retention"
            ));
        }
    }
    let left = match (unknown, total) {
        (Some(why), _) => Left::Unknown(why),
        (None, 0) => Left::Empty,
        (None, total) => Left::Some(total),
    };
    (left, hopeless)
}
