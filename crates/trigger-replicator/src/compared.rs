//! One replica compared with the Triggers that exist for it. Any thread can do that: the plan takes what follows.

use std::collections::BTreeSet;

use fairlead_apis::limits::{self, Violation};
use fairlead_job::codes::trigger_replicator as codes;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::plan::Written;
use fairlead_observe::address::other_release;

use crate::existing::{Found, Namesake};
use crate::flows::TRIGGERS;
use crate::replicas::{REPLICATED_FROM, Replica, Replicas, Template};

/// So much is said of who asks for what cannot be written: it may be more than an annotation holds.
const MAX_ASKING: usize = 300;

/// What follows for the plan from one replica.
pub(crate) struct Compared {
    /// Of the replica.
    pub(crate) namespace: String,
    /// Of the replica.
    pub(crate) source: String,
    /// Whether its Trigger is created.
    pub(crate) is_created: bool,
    /// In the order in which the plan takes them.
    pub(crate) entries: Vec<Entry>,
}

/// What a plan says of an object.
pub(crate) enum Entry {
    Change(Written),
    Unchanged(Unchanged),
    Refusal(Finding),
    Warning(Finding),
}

impl Compared {
    /// Compares the replica at this position.
    pub(crate) fn of(replicas: &Replicas, template: &Template, index: usize, found: &Found<'_>, release: &str) -> Self {
        let (replica, findings) = replicas.get(index, &template.api_version);
        let of_finding = |finding: Finding| {
            let is_refusal = finding.code == codes::NAME_TAKEN.id;
            if is_refusal { Entry::Refusal(finding) } else { Entry::Warning(finding) }
        };
        let mut entries: Vec<Entry> = findings.into_iter().map(of_finding).collect();
        let is_created = compare(&replica, template, found, release, &mut entries);
        Self { namespace: replica.delivery.namespace, source: replica.delivery.source, is_created, entries }
    }
}

/// Whether a Trigger is created.
fn compare(replica: &Replica, template: &Template, found: &Found<'_>, release: &str, entries: &mut Vec<Entry>) -> bool {
    let target = &replica.target;
    let equal = found.equal(&target.name);
    let doubles: BTreeSet<&str> = equal.keys().skip(1).map(String::as_str).chain(found.overlapping()).collect();
    let warning = |name: &str| {
        let doubles = doubles.iter().copied().collect::<Vec<_>>().join(", ");
        let message = format!("may deliver the same events to {} as Trigger {doubles}", replica.delivery.endpoint);
        let target = Target { name: name.to_owned(), ..target.clone() };
        Entry::Warning(codes::DOUBLE_DELIVERY.finding(target, message))
    };
    let warning = |name: &str| (!doubles.is_empty()).then(|| warning(name));
    if let Some((first, is_replica)) = equal.first_key_value() {
        entries.extend(warning(first));
        let (name, is_replica) = equal.get_key_value(&target.name).unwrap_or((first, is_replica));
        entries.push(keep(replica, found, name, *is_replica, release));
        return false;
    }
    match found.namesake {
        Namesake::Terminating => {
            let message = format!("it is being deleted, and {} needs it", subscriptions_of(replica));
            entries.push(Entry::Refusal(codes::TERMINATING.finding(target.clone(), message)));
        }
        Namesake::Absent => {
            let image = replica.image(template);
            if let Some(violation) = limits::violation(&image) {
                entries.push(not_taken(target, &violation, replica));
                return false;
            }
            entries.extend(warning(&target.name));
            entries.push(change(target.clone(), Images::Create(image), replica));
            return true;
        }
        _ => {
            let difference = found.difference().unwrap_or("its spec is another");
            let message = format!("{difference}, so it is not the replica of {}", subscriptions_of(replica));
            entries.push(Entry::Refusal(codes::NAME_TAKEN.finding(target.clone(), message)));
        }
    }
    false
}

/// An equal Trigger stays; only a replica that names other Subscriptions is told the right ones.
fn keep(replica: &Replica, found: &Found<'_>, name: &str, is_replica: bool, release: &str) -> Entry {
    let target = Target { name: name.to_owned(), ..replica.target.clone() };
    if let Some(before) = found.stale().filter(|_| name == replica.target.name) {
        if let Some(other) = other_release(&before, release) {
            let message = format!("release {other} has made it; {} asks for it, too", subscriptions_of(replica));
            return Entry::Refusal(codes::OTHER_RELEASE.finding(target, message));
        }
        let mut after = before.clone();
        after["metadata"]["annotations"][REPLICATED_FROM] = replica.replicated_from().into();
        if let Some(violation) = limits::violation(&after) {
            return not_taken(&target, &violation, replica);
        }
        return change(target, Images::Update(before, after), replica);
    }
    let origin = if is_replica { "" } else { "made by others, " };
    let unready = found.unready(name, &replica.target.name).map(|why| format!(", and is not {why}")).unwrap_or_default();
    let reason = format!("{origin}already replicates {}{unready}", subscriptions_of(replica));
    Entry::Unchanged(Unchanged { target, reason })
}

fn change(target: Target, images: Images, replica: &Replica) -> Entry {
    let reason = format!("replicates {}", subscriptions_of(replica));
    Entry::Change(Written::of(&Change { stage: TRIGGERS, target, images, reason }))
}

fn not_taken(target: &Target, violation: &Violation, replica: &Replica) -> Entry {
    let mut asking = subscriptions_of(replica);
    if asking.len() > MAX_ASKING {
        asking.truncate(asking.floor_char_boundary(MAX_ASKING));
        asking = format!("{asking}… ({} of them)", replica.subscriptions.len());
    }
    Entry::Refusal(codes::NOT_TAKEN.finding(target.clone(), format!("{violation}; {asking} asks for it")))
}

fn subscriptions_of(replica: &Replica) -> String {
    format!("Subscription {}", replica.replicated_from().replace(',', ", "))
}
