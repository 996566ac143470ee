//! How the last runs of a release ended, also those that changed nothing: one Secret per release.

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::Ending;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::history::bytes;
use super::{Ledger, RELEASE_LABEL, is_taken, ticket_name};

/// How many are kept.
const KEPT: usize = 50;

/// Type of the Secret.
pub(super) const ENDINGS_TYPE: &str = "fairlead.dev/outcomes";
const KEY: &str = "outcomes";

/// Two runs that end at once write one after the other.
const ATTEMPTS: u32 = 5;

impl Ledger<'_> {
    pub(super) async fn list_endings(&self) -> Result<Vec<Ending>, Obstacle> {
        Ok(self.get(&name(self.release)).await?.as_ref().map(read).unwrap_or_default())
    }

    pub(super) async fn add_ending(&self, ending: &Ending) -> Result<(), Obstacle> {
        let name = name(self.release);
        for _ in 0..ATTEMPTS {
            let live = self.get(&name).await?;
            let mut endings = live.as_ref().map(read).unwrap_or_default();
            endings.push(ending.clone());
            let kept = &endings[endings.len().saturating_sub(KEPT)..];
            let lines = kept.iter().filter_map(|ending| serde_json::to_string(ending).ok());
            let text = lines.fold(String::new(), |text, line| text + &line + "\n");
            let request = if let Some(live) = live {
                let version = &live["metadata"]["resourceVersion"];
                let patch = json!({"metadata": {"resourceVersion": version}, "stringData": {KEY: text}});
                self.requests().patch(&name, &PatchParams::default(), &Patch::Merge(&patch))
            } else {
                let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": ENDINGS_TYPE, "stringData": {KEY: text},
                    "metadata": {"name": name, "namespace": self.namespace, "labels": {RELEASE_LABEL: self.release}}});
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

pub(super) fn name(release: &str) -> String {
    ticket_name(release, "outcomes")
}

/// Lines that a later version wrote otherwise are left out: this is for people to read.
fn read(secret: &Value) -> Vec<Ending> {
    let text = bytes(secret, KEY).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}
