//! The certificate: what was read, and by which rules that proves an empty backlog. It is checked without the cluster, by the same rules. Pure.

#[cfg(test)]
mod tests;

use std::time::{Duration, SystemTime};

use fairlead_backlog::reading::{Left, Reading};
use fairlead_backlog::sentinel::Sentinel;
use fairlead_migration::evidence::{self, Condition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::{self, Reached};
use crate::passage::{self, Passage};
use crate::proof::{Proof, Rules, Span, Verdict, Watched, first_difference, is_over, is_proof};

/// What a run has seen; the evidence of its ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Evidence {
    /// `drain-waiter 0.1.0`.
    tool: String,
    /// Whether the backlog is proven empty.
    pub(crate) is_proven: bool,
    /// How it ended, in words.
    verdict: String,
    /// When the job began to look; every other time is counted from there.
    began: String,
    closed_after_millis: Option<u64>,
    rules: WrittenRules,
    /// The intake, and the values that close it: when one is open, the proof says nothing of now.
    rests_on: Vec<Condition>,
    /// Services whose new connections were shown to lead to the new side.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    reached: Vec<Reached>,
    sources: Vec<Seen>,
    /// The rounds in a row in which every source was empty and no end position moved.
    row: Vec<WrittenSpan>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenRules {
    samples: usize,
    grace_period_millis: u64,
    stall_millis: u64,
    /// The row must be longer.
    redelivery_millis: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenSpan {
    from_millis: u64,
    to_millis: u64,
}

/// What was read of one source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Seen {
    name: String,
    is_intake: bool,
    /// The sentinel, once it is published.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    sentinel: Option<Passage>,
    beginning: Option<Reading>,
    /// At the beginning of the row.
    row: Option<Reading>,
    end: Option<Reading>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl From<Span> for WrittenSpan {
    fn from(span: Span) -> Self {
        Self { from_millis: millis(span.from), to_millis: millis(span.to) }
    }
}

impl From<WrittenSpan> for Span {
    fn from(span: WrittenSpan) -> Self {
        Self { from: Duration::from_millis(span.from_millis), to: Duration::from_millis(span.to_millis) }
    }
}

impl Evidence {
    /// Nothing has been read yet.
    pub(crate) fn begin(rules: Rules, rests_on: Vec<Condition>, reached: Vec<Reached>, sources: &[Watched]) -> Self {
        let seen = |source: &Watched| Seen {
            name: source.name.clone(),
            is_intake: source.is_intake,
            sentinel: None,
            beginning: None,
            row: None,
            end: None,
        };
        Self {
            tool: concat!("drain-waiter ", env!("CARGO_PKG_VERSION")).to_owned(),
            is_proven: false,
            verdict: "not yet".to_owned(),
            began: humantime::format_rfc3339_millis(SystemTime::now()).to_string(),
            closed_after_millis: None,
            rules: WrittenRules {
                samples: rules.samples,
                grace_period_millis: millis(rules.grace),
                stall_millis: millis(rules.stall),
                redelivery_millis: millis(rules.redelivery),
            },
            rests_on,
            reached,
            sources: sources.iter().map(seen).collect(),
            row: Vec::new(),
        }
    }

    /// Adds what a round has brought.
    pub(crate) fn add(&mut self, proof: &Proof, span: Span, verdict: &Verdict, readings: Vec<Reading>) {
        self.row = proof.row().iter().copied().map(WrittenSpan::from).collect();
        self.closed_after_millis = proof.closed().map(millis);
        self.rules.redelivery_millis = millis(proof.redelivery());
        let has_backlog = self.sources.iter().any(|source| !source.is_intake);
        self.is_proven = *verdict == Verdict::Proven && has_backlog;
        self.verdict = match verdict {
            Verdict::Proven if !has_backlog => {
                "nothing is proven: no source was named, and the grace period has passed".to_owned()
            }
            other => other.message(),
        };
        for (seen, reading) in self.sources.iter_mut().zip(readings) {
            if let Some(Sentinel::Published(published)) = &reading.sentinel {
                seen.sentinel = Some(Passage::after(seen.sentinel.take(), published, millis(span.to)));
            }
            match self.row.len() {
                0 => seen.row = None,
                1 => seen.row = Some(reading.clone()),
                _ => {}
            }
            seen.beginning.get_or_insert_with(|| reading.clone());
            seen.end = Some(reading);
        }
    }

    /// How each sentinel was passed, in words: `orders: proven by a sentinel, published at …`.
    pub(crate) fn passages(&self) -> Vec<String> {
        let line = |seen: &Seen| {
            Some(format!("{}: proven by a sentinel, {}", seen.name, seen.sentinel.as_ref()?.in_words(&self.began)))
        };
        self.sources.iter().filter_map(line).collect()
    }

    /// The last reading of each source.
    pub(crate) fn last(&self) -> Vec<&Reading> {
        self.sources.iter().filter_map(|source| source.end.as_ref()).collect()
    }

    /// Whether it proves what it says.
    ///
    /// # Errors
    ///
    /// The first rule that it does not meet, in words.
    fn check(&self) -> Result<String, String> {
        let WrittenRules { samples, grace_period_millis, redelivery_millis, .. } = self.rules;
        if !self.is_proven {
            return Err(format!("it says itself that nothing is proven: {}", self.verdict));
        }
        if !self.sources.iter().any(|source| !source.is_intake) {
            return Err("it names no source".to_owned());
        }
        let row: Vec<Span> = self.row.iter().copied().map(Span::from).collect();
        if let Some(pair) = row.windows(2).find(|pair| pair[0].to > pair[1].from) {
            return Err(format!("the round at {:?} begins before the one before it has ended", pair[1].from));
        }
        let closed = self.closed_after_millis.map(Duration::from_millis);
        let mut redelivery = Duration::from_millis(redelivery_millis);
        for Seen { name, row, end, sentinel, .. } in &self.sources {
            let (Some(row), Some(end)) = (row, end) else { return Err(format!("source {name} was not read")) };
            for reading in [row, end] {
                if reading.left != Left::Empty || reading.hopeless.is_some() {
                    return Err(format!("source {name} was not empty"));
                }
                redelivery = redelivery.max(reading.redelivery.unwrap_or_default());
            }
            if let Some(position) = first_difference(&row.ends, &end.ends) {
                return Err(format!("source {name}: the end position {position} moved"));
            }
            passage::check(sentinel.as_ref(), [row, end], closed).map_err(|what| format!("source {name}: {what}"))?;
        }
        self.check_reached()?;
        // Two rounds are the least that the command line takes.
        if !is_proof(&row, samples.max(2), redelivery) {
            let count = row.len();
            return Err(format!("{count} rounds are too few, or not longer than the time of redelivery of {redelivery:?}"));
        }
        let is_after = row.first().zip(closed).is_some_and(|(first, closed)| first.from >= closed);
        if !is_after {
            return Err("the first round began before the intake was closed".to_owned());
        }
        let last = row[row.len() - 1];
        if !is_over(closed, Duration::from_millis(grace_period_millis), last) {
            return Err("the grace period was not over".to_owned());
        }
        let span = last.from.saturating_sub(row[0].to);
        let names: Vec<&str> = self.sources.iter().filter(|it| !it.is_intake).map(|it| it.name.as_str()).collect();
        let text = |duration: Duration| humantime::format_duration(Duration::from_millis(millis(duration))).to_string();
        let longer = if redelivery.is_zero() {
            String::new()
        } else {
            format!(", longer than the {} of redelivery", text(redelivery))
        };
        let without: Vec<&str> =
            self.sources.iter().filter(|it| !it.is_intake && has_no_end(it)).map(|it| it.name.as_str()).collect();
        let positions = match without.len() {
            0 => "no end position moved from the first of them to the last".to_owned(),
            all if all == names.len() => "no source has an end position that could show a publisher".to_owned(),
            _ => format!("no end position moved from the first of them to the last, and {} has none", without.join(", ")),
        };
        let intake: Vec<String> = self.rests_on.iter().map(|it| it.target.to_string()).collect();
        let intake = if intake.is_empty() { "none".to_owned() } else { intake.join(", ") };
        Ok(format!(
            "{} was empty in {} rounds in a row, over {}{longer}; {positions}; from {} on; intake that was closed: {intake}{}{}",
            names.join(", "),
            row.len(),
            text(span),
            self.began,
            self.proven_and_observed(),
            self.new_connections(),
        ))
    }

    /// Whether every event was answered as expected, through a Service that the proof rests on.
    fn check_reached(&self) -> Result<(), String> {
        for Reached { service, status, in_a_row, .. } in &self.reached {
            let is_redirected =
                self.rests_on.iter().any(|it| it.target == *service && !it.fields["spec"]["selector"].is_null());
            if !is_redirected {
                return Err(format!("an event was sent through {service}, which was not redirected"));
            }
            if *in_a_row < event::IN_A_ROW || !(200..=599).contains(status) {
                return Err(format!("the event through {service} was not answered {} times in a row", event::IN_A_ROW));
            }
        }
        Ok(())
    }

    /// What a sentinel proves, and what was only observed; nothing where no source has one.
    fn proven_and_observed(&self) -> String {
        let proven = self.passages();
        if proven.is_empty() {
            return String::new();
        }
        let observed: Vec<&str> =
            self.sources.iter().filter(|it| !it.is_intake && it.sentinel.is_none()).map(|it| it.name.as_str()).collect();
        let observed = if observed.is_empty() { String::new() } else { format!("; only observed: {}", observed.join(", ")) };
        format!("; {}{observed}", proven.join("; "))
    }

    /// Where new connections lead.
    fn new_connections(&self) -> String {
        let line = |Reached { service, url, status, expected, tries, at, .. }: &Reached| {
            let tries = if *tries == 1 { "1 try".to_owned() } else { format!("{tries} tries") };
            format!(
                "; new connections to {service}: {url} answered HTTP {status} at {at} after {tries}, and {expected} was expected"
            )
        };
        self.reached.iter().map(line).collect::<Vec<_>>().concat()
    }
}

fn has_no_end(source: &Seen) -> bool {
    source.end.as_ref().is_none_or(|reading| reading.ends.is_empty())
}

/// Whether a certificate holds, and what it says.
///
/// # Errors
///
/// Why not, in words.
pub(crate) fn verify(certificate: &Value) -> Result<String, String> {
    if certificate["apiVersion"] != "fairlead.dev/v1" || certificate["kind"] != "Certificate" {
        return Err("it is no document of apiVersion fairlead.dev/v1 and kind Certificate".to_owned());
    }
    let found = evidence::digest(certificate);
    if certificate["digest"] != *found {
        return Err(format!("it was changed: the digest is {found}, and it says {}", certificate["digest"]));
    }
    if certificate["phase"] != "Committed" {
        return Err(format!("its run is in phase {}, so its intake is open again", certificate["phase"]));
    }
    let evidence: Evidence = serde_json::from_value(certificate["evidence"].clone()).map_err(|error| error.to_string())?;
    let said = evidence.check()?;
    let [release, namespace] = ["release", "namespace"].map(|field| certificate[field].as_str().unwrap_or_default());
    let open: Vec<&str> = certificate["openAgain"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let since = if open.is_empty() { String::new() } else { format!("; since then open again: {}", open.join("; ")) };
    Ok(format!("release {release} in namespace {namespace}: {said}{since}"))
}
