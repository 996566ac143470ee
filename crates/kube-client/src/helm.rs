//! What Helm has recorded of a release, where it keeps its records in Secrets, which is its default.

use std::io::{BufReader, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use fairlead_migration::obstacle::Obstacle;
use flate2::read::GzDecoder;
use k8s_openapi::jiff::Timestamp;
use kube::api::GetParams;
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::operation::Operation;
use crate::resource::Resource;

/// A Secret holds at most 1 MiB; no record is so many times as large when it is unpacked.
const LARGEST_RECORD: u64 = 64 << 20;

/// A revision of a Helm release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    /// Its number, from 1.
    pub number: u32,
    /// `deployed`, `superseded`, `failed`, `pending-rollback`, …
    pub status: String,
    /// When it began; RFC 3339.
    pub created: String,
    /// Of a rollback that has not come to its end: the number that Helm was told. The hooks that it runs may say an older one.
    pub goes_to: Option<u32>,
}

/// What a chart says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Chart {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Version of what it installs; empty where the chart does not say it.
    pub app_version: String,
}

impl Revision {
    /// Whether Helm has begun the operation that makes it, and has not come to its end.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.status.starts_with("pending-")
    }

    /// The same, or whether Helm has begun to uninstall the release: then it is deleted with its records at the end.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        self.is_pending() || self.status == "uninstalling"
    }
}

impl Cluster {
    /// The revisions that are recorded, the oldest first; none where Helm has never heard of the release, or keeps its records
    /// elsewhere. Only labels are read, but of rollbacks that have not come to their end.
    /// Source: Helm's `pkg/storage/driver/secrets.go`, the same in versions 3 and 4.
    pub async fn helm_revisions(&self, namespace: &str, release: &str) -> Result<Vec<Revision>, Obstacle> {
        let secrets = Resource::core("Secret", "secrets", true);
        let selector = format!("owner=helm,name={release}");
        let revision = |secret: Value| {
            let labels = &secret["metadata"]["labels"];
            let number = labels["version"].as_str()?.parse().ok()?;
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let (status, created) = (text(&labels["status"])?, text(&secret["metadata"]["creationTimestamp"])?);
            Some(Revision { number, status, created, goes_to: None })
        };
        let mut revisions = self.list_metadata(&secrets, Some(namespace), Some(&selector), revision).await?;
        revisions.sort_by_key(|revision| revision.number);
        for revision in revisions.iter_mut().filter(|revision| revision.status == "pending-rollback") {
            revision.goes_to = self.helm_goes_to(namespace, release, revision.number).await?;
        }
        Ok(revisions)
    }

    /// The revision that a revision was a rollback to; none when it was not one, or its record cannot be read.
    pub async fn helm_goes_to(&self, namespace: &str, release: &str, revision: u32) -> Result<Option<u32>, Obstacle> {
        Ok(self.helm_record(namespace, release, revision).await?.as_ref().and_then(rollback_target))
    }

    /// When the release was installed, as a revision says it: the same in all of one installation. None when it cannot be read.
    pub async fn helm_installed(&self, namespace: &str, release: &str, revision: u32) -> Result<Option<String>, Obstacle> {
        Ok(self.helm_record(namespace, release, revision).await?.and_then(|record| record.info.first_deployed))
    }

    /// The same as a time of UTC that can be compared with those of the API server; RFC 3339.
    #[must_use]
    pub fn helm_time(first_deployed: &str) -> Option<String> {
        first_deployed.parse::<Timestamp>().ok().map(|time| time.to_string())
    }

    /// Whether the record of a revision holds a Job of ours that Helm runs when it goes back there. None when it cannot be read.
    pub async fn is_armed(&self, namespace: &str, release: &str, revision: u32) -> Result<Option<bool>, Obstacle> {
        Ok(self.helm_record(namespace, release, revision).await?.as_ref().map(has_rollback_hook))
    }

    /// What a revision says of its chart; none when it cannot be read.
    pub async fn helm_chart(&self, namespace: &str, release: &str, revision: u32) -> Result<Option<Chart>, Obstacle> {
        let record = self.helm_record(namespace, release, revision).await?;
        Ok(record.map(|record| record.chart.unwrap_or_default().metadata))
    }

    /// The manifests of the Jobs among the hooks of a revision, as Helm has rendered them; none when it cannot be read.
    pub async fn helm_jobs(&self, namespace: &str, release: &str, revision: u32) -> Result<Vec<String>, Obstacle> {
        let record = self.helm_record(namespace, release, revision).await?;
        let hooks = record.and_then(|record| record.hooks).unwrap_or_default();
        Ok(hooks.into_iter().filter(|hook| hook.kind == "Job").map(|hook| hook.manifest).collect())
    }

    /// What is recorded of a revision; none when it cannot be read.
    async fn helm_record(&self, namespace: &str, release: &str, revision: u32) -> Result<Option<Record>, Obstacle> {
        let secrets = Resource::core("Secret", "secrets", true);
        let name = format!("sh.helm.release.v1.{release}.v{revision}");
        let operation = Operation { namespace: Some(namespace), name: Some(&name), ..Operation::new("get", &secrets) };
        let request = kube::core::Request::new(secrets.path(Some(namespace))).get(&name, &GetParams::default());
        let request =
            request.map_err(|source| Obstacle::Refused { operation: operation.to_string(), source: source.into() })?;
        match self.send(request).await {
            Ok(secret) => Ok(record(&secret)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.obstacle(operation, error).await),
        }
    }
}

/// What is read of a record: whole it may be as large as a chart.
/// Source: Helm's `pkg/release`, in versions 3 and 4.
#[derive(Debug, PartialEq, Deserialize)]
struct Record {
    #[serde(default)]
    info: Info,
    hooks: Option<Vec<Hook>>,
    chart: Option<RecordedChart>,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct RecordedChart {
    #[serde(default)]
    metadata: Chart,
}

#[derive(Debug, Default, PartialEq, Deserialize)]
struct Info {
    #[serde(default)]
    description: String,
    first_deployed: Option<String>,
    /// Only Helm 4 writes it.
    rollback_revision: Option<u32>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Hook {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    manifest: String,
}

/// The record in a Secret: JSON, gzip, base64, and once more base64 because it is a Secret's.
/// Source: Helm's `pkg/storage/driver/util.go`.
fn record(secret: &Value) -> Option<Record> {
    let text = BASE64_STANDARD.decode(secret["data"]["release"].as_str()?).ok()?;
    let packed = BASE64_STANDARD.decode(text).ok()?;
    serde_json::from_reader(BufReader::new(GzDecoder::new(packed.as_slice()).take(LARGEST_RECORD))).ok()
}

/// Our Jobs are told at which point of `helm rollback` they run, and nothing else has such a flag.
fn has_rollback_hook(record: &Record) -> bool {
    let hooks = record.hooks.iter().flatten();
    hooks.filter(|hook| hook.kind == "Job").any(|hook| hook.manifest.contains("--undo-at"))
}

/// Source: Helm's `pkg/action/rollback.go`: version 4 says it as a number, and both in words, unless they were told others.
fn rollback_target(record: &Record) -> Option<u32> {
    let in_words = || record.info.description.strip_prefix("Rollback to ")?.parse().ok();
    record.info.rollback_revision.or_else(in_words)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use serde_json::json;

    use super::*;

    fn secret(record: &str) -> Value {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(record.as_bytes()).expect("in memory");
        let text = BASE64_STANDARD.encode(packed.finish().expect("in memory"));
        json!({"data": {"release": BASE64_STANDARD.encode(text)}})
    }

    #[test]
    fn a_record_says_whether_it_brings_rollback_hooks() {
        let hook = |manifest: &str| json!({"hooks": [{"kind": "Job", "manifest": manifest}]}).to_string();
        let is_armed = |text: &str| record(&secret(text)).map(|record| has_rollback_hook(&record));
        assert_eq!(is_armed(&hook("args: [rollback, --undo-at, pre-rollback]")), Some(true));
        assert_eq!(is_armed(&hook("args: [apply]")), Some(false));
        assert_eq!(is_armed("{}"), Some(false));
        assert_eq!(is_armed("no JSON"), None);
        let target = |info: Value| record(&secret(&json!({"info": info}).to_string())).and_then(|it| rollback_target(&it));
        assert_eq!(target(json!({"description": "Rollback to 12"})), Some(12));
        assert_eq!(target(json!({"description": "our own words", "rollback_revision": 12})), Some(12));
        for description in ["Rollback to the one before", "Upgrade complete"] {
            assert_eq!(target(json!({"description": description})), None);
        }
        let chart = json!({"chart": {"metadata": {"name": "shop", "version": "1.0.2", "appVersion": "7"}, "templates": []}});
        let chart = record(&secret(&chart.to_string())).and_then(|it| it.chart).expect("it is there").metadata;
        assert_eq!(chart, Chart { name: "shop".into(), version: "1.0.2".into(), app_version: "7".into() });
        assert_eq!(record(&json!({"data": {"release": "####"}})), None);
        assert_eq!(record(&json!({"data": {"release": BASE64_STANDARD.encode("no gzip")}})), None);
    }
}
