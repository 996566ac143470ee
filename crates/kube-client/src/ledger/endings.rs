//! How the last runs of a release ended, also those that changed nothing: one Secret per release.

use fairlead_migration::obstacle::{LONGEST, Obstacle, cut};
use fairlead_migration::run::Ending;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::history::bytes;
use super::{Ledger, RELEASE_LABEL, is_taken, ticket_name};

/// How many are kept.
const KEPT: usize = 50;

/// Bytes of all of them; a Secret may have twice as many.
const LARGEST: usize = 512 * 1024;

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
            let text = written(&endings);
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

/// The last ones, a line each, as many as fit.
fn written(endings: &[Ending]) -> String {
    let short = |ending: &Ending| Ending { summary: cut(&ending.summary, LONGEST).into_owned(), ..ending.clone() };
    let newest_first = endings.iter().rev().take(KEPT).filter_map(|ending| serde_json::to_string(&short(ending)).ok());
    let mut size = 0;
    let fits = |line: &String| {
        size += line.len() + 1;
        size <= LARGEST
    };
    let lines: Vec<String> = newest_first.take_while(fits).collect();
    lines.iter().rev().fold(String::new(), |text, line| text + line + "\n")
}

/// Lines that a later version wrote otherwise are left out: this is for people to read.
fn read(secret: &Value) -> Vec<Ending> {
    let text = bytes(secret, KEY).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(number: usize, summary: &str) -> Ending {
        let [step, command, outcome] = ["it", "apply", "Restored"].map(str::to_owned);
        let (time, summary) = (number.to_string(), summary.to_owned());
        Ending { time, step, command, outcome, exit: 1, code: None, summary, helm_revision: None }
    }

    #[test]
    fn endings_never_outgrow_their_secret() {
        let times = |text: &str| -> Vec<String> {
            let lines = text.lines().map(|line| serde_json::from_str::<Ending>(line).expect("written by us"));
            lines.map(|ending| ending.time).collect()
        };
        let few: Vec<Ending> = (0..60).map(|number| ending(number, "no")).collect();
        assert_eq!(times(&written(&few)).first().map(String::as_str), Some("10"));
        // Each character is written as six.
        let many: Vec<Ending> = (0..60).map(|number| ending(number, &"\u{1}".repeat(300_000))).collect();
        let text = written(&many);
        assert!(text.len() <= LARGEST && times(&text).len() > 20, "{}", text.len());
        assert_eq!(times(&text).last().map(String::as_str), Some("59"));
    }
}
