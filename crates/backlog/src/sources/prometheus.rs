//! Prometheus: the value of a query, together with the age of the samples that it is made of.
//!
//! An empty result is no zero, a dead exporter keeps its last value in some queries, and the time in an answer is that of the question. So
//! a value counts only while the samples behind it are there and young, and while no series has gone that was there at the start. An
//! answer with a warning is that of a part of the stores.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use form_urlencoded::byte_serialize;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::connection::{Authentication, Tls};
use crate::duration;
use crate::http::Http;
use crate::positions::positions;
use crate::reading::{Left, Reading};
use crate::source::{Credentials, OpenError, Source};

mod query;

use query::{invented, is_selector};

/// A query, whose values say how much is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Configuration {
    /// Where Prometheus is: `http://prometheus.monitoring:9090`.
    pub url: String,
    /// How the server is recognized, with https.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Who we are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Authentication>,
    /// What is asked: `kafka_consumergroup_lag{group="orders"}`. The values of all series are added up.
    pub query: String,
    /// The series that the query is made of, as a selector; needed where the query is more than a selector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<String>,
    /// The labels that tell the samples apart; all, if left out. For exporters with a label that goes when a consumer leaves.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub by: Vec<String>,
    /// How many series there must be at least; those of the start must stay in any case.
    #[serde(default = "one")]
    pub series: usize,
    /// How old a sample may be: two or three scrape intervals. Readings in a row span longer than this.
    #[serde(with = "duration", default = "a_minute")]
    pub max_age: Duration,
}

/// The label that tells ages from values in one answer.
const PART: &str = "fairlead_part";

fn one() -> usize {
    1
}

fn a_minute() -> Duration {
    Duration::from_mins(1)
}

/// A connection to Prometheus.
pub struct Prometheus {
    http: Http,
    configuration: Configuration,
    /// The series whose age is looked at.
    samples: String,
    version: String,
    /// Labels of every series that was there, of the samples and of the result.
    known: [BTreeSet<String>; 2],
}

/// Asks once: there must be something to see.
pub async fn open(configuration: &Configuration, credentials: &dyn Credentials) -> Result<Prometheus, OpenError> {
    let Configuration { url, tls, authentication, query, samples, max_age, .. } = configuration;
    if let Some(what) = invented(query) {
        return Err(OpenError::Invalid(format!("{query:?} has {what}")));
    }
    if max_age.is_zero() {
        return Err(OpenError::Invalid("maxAge is 0: every sample is older; two or three scrape intervals fit".to_owned()));
    }
    let samples = samples.as_ref().unwrap_or(query).clone();
    if !is_selector(&samples) {
        let what = format!("{samples:?} is more than a selector; name under samples the series that it is made of");
        return Err(OpenError::Invalid(what));
    }
    let http = Http::new(url, tls.as_ref(), authentication.as_ref(), credentials).await?;
    let build: Value = http.json("/api/v1/status/buildinfo").await?;
    let Some(version) = build["data"]["version"].as_str().map(str::to_owned) else {
        return Err(OpenError::Invalid(format!("{} does not answer like Prometheus", http.address())));
    };
    let known = Default::default();
    let mut source = Prometheus { http, configuration: configuration.clone(), samples, version, known };
    let values = source.vector(query).await?;
    let ages = source.vector(&source.age()).await?;
    for (what, series) in [(query, &values), (&source.samples, &ages)] {
        if series.is_empty() {
            return Err(OpenError::Invalid(format!("{what} has no series in {}", source.http.address())));
        }
    }
    source.remember(&ages, &values);
    Ok(source)
}

#[async_trait(?Send)]
impl Source for Prometheus {
    async fn read(&mut self) -> Reading {
        match self.ask().await {
            Ok(reading) => reading,
            Err(error) => error.into(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    result_type: String,
    #[serde(borrow)]
    result: &'a RawValue,
}

#[derive(Deserialize)]
struct Written {
    metric: BTreeMap<String, String>,
    /// Its time, and the number as text.
    value: (f64, String),
}

struct Series {
    metric: BTreeMap<String, String>,
    number: f64,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Option<Data<'a>>,
    error: Option<String>,
    /// Why the answer is that of a part only.
    #[serde(default)]
    warnings: Vec<String>,
}

/// Values by the labels of their series.
type Vector = BTreeMap<String, f64>;

impl Prometheus {
    async fn ask(&mut self) -> Result<Reading, OpenError> {
        let [ages, values, negative] = self.all().await?;
        let below_zero = negative.first_key_value().map(|(labels, value)| format!("the sample of {labels} is {value}"));
        let left = match self.fault(&ages, &values).or(below_zero) {
            Some(why) => Left::Unknown(why),
            None => total(&values),
        };
        self.remember(&ages, &values);
        let oldest = ages.values().copied().fold(0.0, f64::max);
        let shown = positions(values.len(), values.iter().map(|(labels, value)| (labels, json!(value))));
        Ok(Reading {
            redelivery: Some(self.configuration.max_age),
            server: Some(format!("prometheus {}", self.version)),
            seen: json!({"query": self.configuration.query, "values": shown, "oldestSampleSeconds": oldest}),
            ..Reading::new(left)
        })
    }

    /// Why the values mean nothing.
    fn fault(&self, ages: &Vector, values: &Vector) -> Option<String> {
        let Configuration { query, series, max_age, .. } = &self.configuration;
        let now = [ages, values];
        let mut known = self.known.iter().zip(now).flat_map(|(known, now)| known.iter().map(move |labels| (labels, now)));
        if let Some((gone, _)) = known.find(|(labels, now)| !now.contains_key(*labels)) {
            return Some(format!("the series {gone} is gone"));
        }
        if values.len() < *series {
            return Some(format!("{query} has {} series, and at least {series} are expected", values.len()));
        }
        let old = ages.iter().find(|(_, age)| age.is_nan() || **age > max_age.as_secs_f64());
        old.map(|(labels, age)| format!("the last sample of {labels} is {age:.0} s old: nobody scrapes it"))
    }

    fn remember(&mut self, ages: &Vector, values: &Vector) {
        for (known, now) in self.known.iter_mut().zip([ages, values]) {
            known.extend(now.keys().cloned());
        }
    }

    /// The ages, the values, and the samples below zero, which a sum would hide, in one request, which tells them apart by a label.
    async fn all(&self) -> Result<[Vector; 3], OpenError> {
        let query = &self.configuration.query;
        let parts = [("age", self.age()), ("value", query.clone()), ("negative", format!("{} < 0", self.samples))];
        let marked =
            parts.each_ref().map(|(part, query)| format!("label_replace(({query}\n), \"{PART}\", \"{part}\", \"\", \"\")"));
        let mut found = <[Vector; 3]>::default();
        for mut series in self.series(&marked.join(" or "), query).await? {
            let part = series.metric.remove(PART);
            let index = parts.iter().position(|(name, _)| part.as_deref() == Some(*name)).unwrap_or(1);
            found[index].insert(labels(&series.metric), series.number);
        }
        Ok(found)
    }

    /// A query of how old the newest samples are.
    fn age(&self) -> String {
        let (samples, by) = (&self.samples, self.configuration.by.join(", "));
        let newest =
            if by.is_empty() { format!("timestamp({samples})") } else { format!("max by ({by}) (timestamp({samples}))") };
        format!("time() - {newest}")
    }

    async fn vector(&self, query: &str) -> Result<Vector, OpenError> {
        let all = self.series(query, query).await?;
        Ok(all.into_iter().map(|series| (labels(&series.metric), series.number)).collect())
    }

    /// The series that a query answers; messages name `asked`.
    async fn series(&self, query: &str, asked: &str) -> Result<Vec<Series>, OpenError> {
        let encoded: String = byte_serialize(query.as_bytes()).collect();
        let answer = self.http.get(&format!("/api/v1/query?query={encoded}")).await?;
        let invalid = |what: String| OpenError::Invalid(format!("{}: {asked}: {what}", self.http.address()));
        let read = serde_json::from_slice::<Answer<'_>>(&answer.body);
        let read = read.map_err(|_| invalid(format!("HTTP {}, and no answer of Prometheus", answer.status)))?;
        if let Some(warning) = read.warnings.first() {
            return Err(invalid(format!("the answer is not whole: {warning}")));
        }
        let data = match (read.data, read.error) {
            (Some(data), _) if answer.status == StatusCode::OK && data.result_type == "vector" => data,
            (_, Some(error)) => return Err(invalid(error)),
            _ => return Err(invalid("the result is no vector".to_owned())),
        };
        let series: Vec<Written> = serde_json::from_str(data.result.get()).map_err(|error| invalid(error.to_string()))?;
        let number = |one: Written| {
            let number = one.value.1.parse().map_err(|_| invalid(format!("the value {:?} is no number", one.value.1)))?;
            Ok(Series { metric: one.metric, number })
        };
        series.into_iter().map(number).collect()
    }
}

/// `{group="orders",topic="t"}`.
fn labels(metric: &BTreeMap<String, String>) -> String {
    let all: Vec<String> = metric.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", all.join(","))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is finite, not negative, and saturates")]
fn total(values: &Vector) -> Left {
    let mut sum = 0.0;
    for (labels, value) in values {
        if !value.is_finite() || *value < 0.0 {
            return Left::Unknown(format!("the value of {labels} is {value}"));
        }
        sum += value.ceil();
    }
    if sum > 0.0 { Left::Some(sum as u64) } else { Left::Empty }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_no_counts_are_unknown() {
        let of = |values: &[f64]| total(&values.iter().enumerate().map(|(i, value)| (i.to_string(), *value)).collect());
        assert_eq!(of(&[0.0, 0.0]), Left::Empty);
        assert_eq!(of(&[0.0, 2.0]), Left::Some(2));
        assert_eq!(of(&[0.1]), Left::Some(1));
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(matches!(of(&[0.0, value]), Left::Unknown(_)), "{value}");
        }
        assert_eq!(of(&[1e300]), Left::Some(u64::MAX));
    }
}
