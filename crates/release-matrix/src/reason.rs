//! What speaks against an upgrade, in words.

use fairlead_job::code::Code;
use fairlead_job::codes::release_matrix as codes;
use serde::Serialize;

use crate::document::{Contracts, Kind};
use crate::interface::Interface;
use crate::matrix::{Release, Stop, with_url};
use crate::rules::{Fault, Faults, Rules};
use crate::tolerance::{objection, unmet};

/// One thing that speaks against an upgrade.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What `explain` says about it.
    pub code: &'static Code,
    /// What is the matter, with the names.
    pub message: String,
}

/// An upgrade that is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The old release.
    pub from: String,
    /// The new release.
    pub to: String,
    /// Why.
    pub reasons: Vec<Reason>,
}

impl Refused {
    /// `1.0.0 -> 2.0.0: RM111 …; RM112 …`
    #[must_use]
    pub fn line(&self) -> String {
        let Self { from, to, reasons } = self;
        let reasons: Vec<String> = reasons.iter().map(|it| format!("{} {}", it.code.id, it.message)).collect();
        format!("{from} -> {to}: {}", reasons.join("; "))
    }
}

/// An upgrade with what speaks against it.
#[must_use]
pub fn refused(rules: &Rules<'_>, from: usize, to: usize, faults: Faults) -> Refused {
    let reasons = faults.iter().flat_map(|fault| reasons(rules, from, to, fault)).collect();
    Refused { from: rules.matrix.version(from), to: rules.matrix.version(to), reasons }
}

fn reasons(rules: &Rules<'_>, from: usize, to: usize, fault: Fault) -> Vec<Reason> {
    let matrix = rules.matrix;
    let [old, new] = [from, to].map(|release| &matrix.releases[release]);
    let [old_name, new_name] = [from, to].map(|release| matrix.version(release));
    let schema = |index: usize| matrix.schema[index].version.as_str();
    let one = |code, message: String| vec![Reason { code, message }];
    match fault {
        Fault::NoCommonVersion => {
            let serves = |interface: &Interface| {
                let of = |release: &Release| release.serves.get(interface).cloned().unwrap_or_default().join(", ");
                format!("no common version of {interface}: {old_name} serves {}, {new_name} serves {}", of(old), of(new))
            };
            let broken = rules.moves(from, to).broken;
            broken.iter().map(|it| Reason { code: &codes::NO_COMMON_VERSION, message: serves(it) }).collect()
        }
        Fault::OldPods => {
            let (first, expanded) = (rules.tolerance(from).highest + 1, rules.expanded(from, to));
            let why = match matrix.contracts {
                Contracts::BeforeRollout => "contractions run before the rollout",
                Contracts::AfterRollout => "expansions run before the rollout",
            };
            let objection = untolerated(rules, from, expanded);
            let message =
                format!("pods of {old_name} do not run on schema {}: {objection}; {why}", schema(first.min(expanded)));
            one(&codes::OLD_PODS, message)
        }
        Fault::NewPods => {
            let expanded = rules.expanded(from, to);
            let it = &matrix.releases[to];
            let why = match it.tolerates {
                Some(_) => None,
                None => matrix.schema[expanded + 1..=it.schema].iter().find_map(|contraction| unmet(it, contraction)),
            };
            let why = why.map_or_else(|| ", which its `tolerates` does not list".to_owned(), |why| format!(": {why}"));
            let message = format!("pods of {new_name} start on schema {}{why}", schema(expanded));
            one(&codes::NEW_PODS, message)
        }
        Fault::ExpandAfterContract => {
            let contract = rules.expanded(from, to) + 1;
            let expand = (contract..=new.schema).rev().find(|index| matrix.schema[*index].kind == Kind::Expand);
            let expand = expand.unwrap_or(new.schema);
            let message = format!("{} contracts the schema before {} expands it", schema(contract), schema(expand));
            one(&codes::EXPAND_AFTER_CONTRACT, message)
        }
        Fault::StopSkipped => {
            let skipped = matrix.stops.iter().filter(|stop| from < stop.release && stop.release < to);
            let message = |stop: &Stop| {
                let why = with_url(&stop.reason, stop.url.as_deref());
                format!("{} is a required stop: {why}", matrix.version(stop.release))
            };
            skipped.map(|stop| Reason { code: &codes::STOP_SKIPPED, message: message(stop) }).collect()
        }
        Fault::Blocked => {
            let always = rules.blocks(from, to).filter(|block| block.when.is_empty());
            always.map(|block| Reason { code: &codes::BLOCKED, message: block.why() }).collect()
        }
        Fault::OlderSchema => {
            let message = format!("{new_name} brings schema {}, {old_name} has {}", schema(new.schema), schema(old.schema));
            one(&codes::OLDER_SCHEMA, message)
        }
        Fault::NoWayBack => {
            let message = format!(
                "{old_name} does not run on schema {}: {}",
                schema(new.schema),
                untolerated(rules, from, new.schema)
            );
            one(&codes::NO_WAY_BACK, message)
        }
        Fault::DataLost => {
            let lossy = rules.migrations(from, to).filter_map(|index| {
                let it = &matrix.schema[index];
                Some(Reason { code: &codes::DATA_LOST, message: format!("{}: {}", it.version, it.irreversible.as_ref()?) })
            });
            lossy.collect()
        }
    }
}

/// Why a release does not run on a newer schema version.
fn untolerated(rules: &Rules<'_>, release: usize, newer: usize) -> String {
    let it = &rules.matrix.releases[release];
    if it.tolerates.is_some() {
        return "its `tolerates` does not list it".to_owned();
    }
    let objections = rules.matrix.schema[it.schema + 1..=newer].iter().find_map(|next| objection(it, next));
    objections.unwrap_or_else(|| "a migration before it is not tolerated".to_owned())
}
