//! The certificate: what was read, and by which rules that proves an empty backlog. It is checked without the cluster, by the same rules. Pure.

use std::time::{Duration, SystemTime};

use fairlead_backlog::reading::{Left, Reading};
use fairlead_migration::evidence::{self, Condition};
use serde::{Deserialize, Serialize};
use serde_json::Value;

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
    pub(crate) fn begin(rules: Rules, rests_on: Vec<Condition>, sources: &[Watched]) -> Self {
        let seen = |source: &Watched| Seen {
            name: source.name.clone(),
            is_intake: source.is_intake,
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
            sources: sources.iter().map(seen).collect(),
            row: Vec::new(),
        }
    }

    /// Adds what a round has brought.
    pub(crate) fn add(&mut self, proof: &Proof, verdict: &Verdict, readings: Vec<Reading>) {
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
            match self.row.len() {
                0 => seen.row = None,
                1 => seen.row = Some(reading.clone()),
                _ => {}
            }
            seen.beginning.get_or_insert_with(|| reading.clone());
            seen.end = Some(reading);
        }
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
        let mut redelivery = Duration::from_millis(redelivery_millis);
        for Seen { name, row, end, .. } in &self.sources {
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
        }
        // Two rounds are the least that the command line takes.
        if !is_proof(&row, samples.max(2), redelivery) {
            let count = row.len();
            return Err(format!("{count} rounds are too few, or not longer than the time of redelivery of {redelivery:?}"));
        }
        let closed = self.closed_after_millis.map(Duration::from_millis);
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
            "{} was empty in {} rounds in a row, over {}{longer}; {positions}; from {} on; intake that was closed: {intake}",
            names.join(", "),
            row.len(),
            text(span),
            self.began
        ))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    const RULES: Rules = Rules {
        samples: 3,
        grace: Duration::from_secs(1),
        stall: Duration::from_secs(30),
        redelivery: Duration::from_secs(2),
    };

    fn certificate(sources: &[Watched]) -> Value {
        let mut proof = Proof::new(RULES, sources.to_vec());
        let rests_on = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "a", "name": "b", "fields": {"spec": {"replicas": 0}}}]);
        let mut evidence = Evidence::begin(RULES, serde_json::from_value(rests_on).expect("valid"), sources);
        for second in 0..9 {
            let at = Duration::from_secs(second);
            let left = if second == 0 { Left::Some(3) } else { Left::Empty };
            let ends = BTreeMap::from([("orders/0".to_owned(), 7)]);
            let reading = Reading { left, ends, redelivery: Some(Duration::from_secs(1)), ..Reading::unknown("") };
            let readings: Vec<Reading> = sources.iter().map(|_| reading.clone()).collect();
            let verdict = proof.add(Span { from: at, to: at }, &readings);
            evidence.add(&proof, &verdict, readings);
            if verdict == Verdict::Proven {
                break;
            }
        }
        sign(&serde_json::to_value(&evidence).expect("plain data"))
    }

    fn sign(seen: &Value) -> Value {
        let mut document =
            json!({"apiVersion": "fairlead.dev/v1", "kind": "Certificate", "phase": "Committed", "evidence": seen});
        document["digest"] = evidence::digest(&document).into();
        document
    }

    #[test]
    fn a_certificate_holds_and_whatever_is_changed_in_it_is_found() {
        let sources = [("intake Deployment a/b", true), ("orders", false)];
        let sources = sources.map(|(name, is_intake)| Watched { name: name.to_owned(), is_intake });
        let good = certificate(&sources);
        assert!(
            verify(&good)
                .expect("it holds")
                .contains("orders was empty in 4 rounds in a row, over 3s, longer than the 2s of"),
            "{good}"
        );
        let said = verify(&good).expect("it holds");
        assert!(said.contains("; no end position moved from the first of them to the last; from "), "{said}");
        let mut changed = good.clone();
        changed["evidence"]["rules"]["samples"] = json!(1);
        assert!(verify(&changed).expect_err("changed").contains("it was changed"));
        let mut opened = good.clone();
        opened["openAgain"] = json!(["Deployment a/b: spec.replicas is 2, and was 0"]);
        opened["digest"] = evidence::digest(&opened).into();
        assert!(
            verify(&opened)
                .expect("it holds")
                .ends_with("; since then open again: Deployment a/b: spec.replicas is 2, and was 0")
        );
        let mut undone = good.clone();
        undone["phase"] = "RolledBack".into();
        assert!(verify(&undone).expect_err("changed").contains("it was changed"));
        undone["digest"] = evidence::digest(&undone).into();
        assert!(verify(&undone).expect_err("open again").contains("RolledBack"));
        // Signed anew, it still has to meet its rules.
        let cases: [(&str, Value, &str); 8] = [
            ("/isProven", json!(false), "it says itself"),
            ("/sources/1/end/left", json!({"some": 1}), "source orders was not empty"),
            ("/sources/1/end/ends", json!({"orders/0": 8}), "the end position orders/0 moved"),
            ("/sources/1/row/redelivery", json!({"secs": 60, "nanos": 0}), "not longer than the time of redelivery of 60s"),
            ("/sources/1/row", Value::Null, "source orders was not read"),
            ("/row", json!([{"fromMillis": 9000, "toMillis": 9000}]), "1 rounds are too few"),
            ("/closedAfterMillis", json!(4000), "before the intake was closed"),
            ("/rules/gracePeriodMillis", json!(60_000), "the grace period was not over"),
        ];
        for (pointer, value, expected) in cases {
            let mut seen = good["evidence"].clone();
            *seen.pointer_mut(pointer).expect(pointer) = value;
            let error = verify(&sign(&seen)).expect_err(expected);
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn time_alone_is_no_proof() {
        let none = certificate(&[]);
        assert!(verify(&none).expect_err("nothing was read").contains("nothing is proven"), "{none}");
    }
}
