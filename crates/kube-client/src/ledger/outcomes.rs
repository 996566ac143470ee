//! How the last runs of a release ended, also those that changed nothing: one Secret per release.

use fairlead_migration::obstacle::Obstacle;
use kube::api::{Patch, PatchParams, PostParams};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::history::bytes;
use super::{Ledger, RELEASE_LABEL, is_taken, ticket_name};

/// How many are kept.
const KEPT: usize = 50;

/// Type of the Secret.
pub(super) const OUTCOMES_TYPE: &str = "fairlead.dev/outcomes";
const KEY: &str = "outcomes";

/// Two runs that end at once write one after the other.
const ATTEMPTS: u32 = 5;

/// How one run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// When; RFC 3339.
    pub time: String,
    /// The step, named like its binary.
    pub step: String,
    /// What was asked for: `apply`, `rollback`.
    pub command: String,
    /// `Committed`, `Unchanged`, `RolledBack`, …
    pub outcome: String,
    /// What the process exited with.
    pub exit: u8,
    /// The code of what was the matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub summary: String,
    /// Helm's revision; only when Helm ran the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_revision: Option<u32>,
}

impl Ledger<'_> {
    /// The last outcomes, the oldest first.
    pub async fn outcomes(&self, release: &str) -> Result<Vec<Outcome>, Obstacle> {
        Ok(self.read(&name(release)).await?.as_ref().map(read).unwrap_or_default())
    }

    /// Adds how a run ended.
    pub async fn note(&self, release: &str, outcome: &Outcome) -> Result<(), Obstacle> {
        let name = name(release);
        for _ in 0..ATTEMPTS {
            let live = self.read(&name).await?;
            let mut outcomes = live.as_ref().map(read).unwrap_or_default();
            outcomes.push(outcome.clone());
            let kept = &outcomes[outcomes.len().saturating_sub(KEPT)..];
            let lines = kept.iter().filter_map(|outcome| serde_json::to_string(outcome).ok());
            let text = lines.fold(String::new(), |text, line| text + &line + "\n");
            let request = if let Some(live) = live {
                let version = &live["metadata"]["resourceVersion"];
                let patch = json!({"metadata": {"resourceVersion": version}, "stringData": {KEY: text}});
                self.requests().patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            } else {
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": OUTCOMES_TYPE, "stringData": {KEY: text},
                    "metadata": {"name": name, "namespace": self.namespace, "labels": {RELEASE_LABEL: release}}});
                self.requests().create(&PostParams::default(), secret.to_string().into_bytes())
            };
            // Not one of the writes that the lease allows: runs that change nothing need none.
            let answer = self.cluster.send(request.map_err(|error| self.cannot_ask("patch", &name, error))?).await;
            match answer {
                Ok(_) => return Ok(()),
                Err(error) if is_taken(&error) || error.status().is_some_and(kube::core::Status::is_conflict) => {}
                Err(error) => return Err(self.cluster.obstacle(self.operation("patch", Some(&name)), error).await),
            }
        }
        let source = "others write to it all the time".into();
        Err(Obstacle::Refused { operation: self.operation("patch", Some(&name)).to_string(), source })
    }
}

fn name(release: &str) -> String {
    ticket_name(release, "outcomes")
}

/// Lines that a later version wrote otherwise are left out: this is for people to read.
fn read(secret: &Value) -> Vec<Outcome> {
    let text = bytes(secret, KEY).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
