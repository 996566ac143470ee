//! What the ledger holds: which runs there were, and from what each can be undone.

use std::collections::{BTreeMap, BTreeSet};

use fairlead_migration::evidence;
use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::snapshot::{self, Manifest};
use fairlead_migration::ticket::{Ticket, Unreadable};
use k8s_openapi::ByteString;
use kube::api::GetParams;
use serde_json::Value;

use super::{
    BEGAN_ANNOTATION, CHANGES_ANNOTATION, HOLDS_LABEL, INSTALLATION_ANNOTATION, Ledger, PHASE_LABEL, PROGRESS_ANNOTATION,
    RELEASE_LABEL, REVISION_LABEL, STEP_LABEL, evidence_name, ticket_name,
};

impl Ledger<'_> {
    pub(super) async fn list_runs(&self) -> Result<Vec<RecordedRun>, Obstacle> {
        // Not only those that have a phase: somebody may have taken that label away.
        let selector = format!("{RELEASE_LABEL}={}", self.release);
        let run = |secret: Value| {
            if self.is_marker(&secret) {
                return Some(Err((secret, None)));
            }
            let sequence = self.sequence_of(&name(&secret))?;
            Some(self.run(&secret, sequence).map_err(|_| (secret, Some(sequence))))
        };
        let listed = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), run).await?;
        let mut runs = Vec::new();
        for run in listed {
            runs.push(match run {
                Ok(run) => run,
                Err((secret, Some(sequence))) => self.damaged_run(&secret, sequence).await?,
                Err((marker, None)) => return Err(self.elsewhere(&marker)),
            });
        }
        runs.sort_by_key(|run| run.sequence);
        self.sequence.set(self.sequence.get().max(runs.last().map_or(0, |run| run.sequence)));
        Ok(runs)
    }

    pub(super) async fn list_others(&self) -> Result<BTreeSet<(String, String)>, Obstacle> {
        let read = |secret: Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Some((text(&secret["metadata"]["namespace"]), text(&secret["metadata"]["labels"][RELEASE_LABEL])))
        };
        let list = async |namespace| self.cluster.list_metadata(&self.secrets, namespace, Some(RELEASE_LABEL), read).await;
        let found = match list(None).await {
            Err(Obstacle::Forbidden { .. }) => list(Some(self.namespace)).await,
            found => found,
        };
        Ok(found?.into_iter().collect())
    }

    /// The run of a ticket, as its labels and annotations say.
    pub(super) fn run(&self, secret: &Value, sequence: u64) -> Result<RecordedRun, Obstacle> {
        let name = name(secret);
        // Without changes it would be superfluous, and its ticket the first to go.
        let changes =
            secret["metadata"]["annotations"][CHANGES_ANNOTATION].as_str().and_then(|changes| changes.parse().ok());
        let changes = changes.ok_or_else(|| {
            self.damaged_as(Damage::Marks, &name, format!("its annotation {CHANGES_ANNOTATION} says no number"))
        })?;
        Ok(recorded(secret, sequence, changes, self.progress(&name, secret)?))
    }

    /// A run whose labels or annotations cannot be read, so that nobody passes over it: whoever opens it ends there, and
    /// [`Self::find_damages`] says what is the matter. All that it may have changed counts as changed.
    async fn damaged_run(&self, secret: &Value, sequence: u64) -> Result<RecordedRun, Obstacle> {
        let (name, label) = (name(secret), secret["metadata"]["labels"][PHASE_LABEL].as_str().unwrap_or_default());
        let content = self.get(&name).await?.and_then(|live| bytes(&live, "ticket")).unwrap_or_default();
        let ticket: Value = serde_json::from_slice(&content).unwrap_or_default();
        let changes = ticket["changes"].as_u64().and_then(|changes| changes.try_into().ok()).unwrap_or(1);
        let phase = if label.is_empty() { recorded_phase(secret) } else { Phase::parse(label) };
        // Of a phase that is unknown nobody knows that it is over.
        let phase = phase.unwrap_or(Phase::Applying);
        let progress = Progress { phase, begun: changes, ..Progress::planned() };
        Ok(recorded(secret, sequence, changes, self.progress(&name, secret).unwrap_or(progress)))
    }

    /// How far a run has come. A record that cannot be read is damage: to take it for anything else would undo too much, or too little.
    pub(super) fn progress(&self, name: &str, secret: &Value) -> Result<Progress, Obstacle> {
        let label = secret["metadata"]["labels"][PHASE_LABEL].as_str();
        let Some(label) = label else { return Err(self.unlabelled(name, secret)) };
        let phase = Phase::parse(label).ok_or_else(|| {
            self.damaged_as(
                Damage::Marks,
                name,
                format!("its label {PHASE_LABEL} says no phase that this version knows: {label:?}"),
            )
        })?;
        match secret["metadata"]["annotations"][PROGRESS_ANNOTATION].as_str() {
            None if phase == Phase::Planned => Ok(Progress::planned()),
            None => Err(self.damaged_as(Damage::Marks, name, format!("its annotation {PROGRESS_ANNOTATION} is not there"))),
            Some(text) => {
                let progress: Progress = serde_json::from_str(text).map_err(|error| {
                    self.damaged_as(Damage::Marks, name, format!("its annotation {PROGRESS_ANNOTATION}: {error}"))
                })?;
                Ok(Progress { phase, ..progress })
            }
        }
    }

    /// A ticket without its phase, and how it is mended.
    fn unlabelled(&self, name: &str, secret: &Value) -> Obstacle {
        let phase = recorded_phase(secret).map(|phase| {
            let (namespace, phase) = (self.namespace, phase.as_str());
            let label = self.cluster.kubectl(&format!("-n {namespace} label secret {name} {PHASE_LABEL}={phase}"));
            format!("; `{label}` mends it")
        });
        self.damaged_as(
            Damage::Marks,
            name,
            format!("it is there, but has lost its label {PHASE_LABEL}{}", phase.unwrap_or_default()),
        )
    }

    /// The number in the name of a ticket; none for other Secrets of the ledger.
    pub(super) fn sequence_of(&self, name: &str) -> Option<u64> {
        name.strip_prefix(&ticket_name(self.release, ""))?.parse().ok()
    }

    /// What objects carry that the run with this ticket created.
    pub(super) fn mark(&self, name: &str) -> String {
        format!("{}/{name}", self.namespace)
    }

    /// What a run has recorded, and the Secret of its ticket.
    pub(super) async fn reopen(&self, name: &str) -> Result<(Reopened, Value), Obstacle> {
        let live = self.content(name).await?;
        let ticket = self.ticket_in(name, &live)?;
        let (names, chunks) = self.chunks(snapshot_names(name, &ticket.snapshot)).await?;
        let plan = snapshot::read(&chunks, &ticket.snapshot).map_err(|error| self.damaged_chunk(name, &names, error))?;
        let mut progress = self.run(&live, self.sequence_of(name).unwrap_or_default())?.progress;
        progress.begun = progress.begun.min(plan.len());
        Ok((Reopened { mark: self.mark(name), ticket, plan, progress }, live))
    }

    /// Secrets that are not there, and tickets that cannot be read.
    pub(super) async fn find_damages(&self, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={}", self.release);
        let there = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), |it| Some(name(&it)));
        let there: BTreeSet<String> = there.await?.into_iter().collect();
        let mut damages = Vec::new();
        let matters = |run: &&RecordedRun| !matches!(run.phase(), Phase::Planned | Phase::RolledBack);
        for run in runs.iter().filter(matters) {
            let read = self.content(&run.name).await.and_then(|secret| {
                let progress = self.run(&secret, run.sequence)?.progress;
                Ok((self.ticket_in(&run.name, &secret)?, progress))
            });
            let (ticket, progress) = match read {
                Ok(read) => read,
                Err(obstacle @ Obstacle::Damaged { .. }) => {
                    damages.push(obstacle);
                    continue;
                }
                Err(obstacle) => return Err(obstacle),
            };
            let missing = |chunk: &String| !there.contains(chunk);
            let snapshot = snapshot_names(&run.name, &ticket.snapshot).into_iter().filter(missing);
            damages.extend(snapshot.map(|chunk| self.damaged(&chunk, "it is not there")));
            let evidence = progress.evidence.map(|manifest| evidence_names(&run.name, &manifest)).unwrap_or_default();
            let what = format!("it is not there; without it the evidence of run {} ({}) is lost", run.sequence, run.step);
            damages.extend(evidence.into_iter().filter(missing).map(|chunk| self.damaged(&chunk, what.clone())));
        }
        Ok(damages)
    }

    pub(super) async fn read_evidence(&self, run: &RecordedRun) -> Result<Option<Value>, Obstacle> {
        let Some(manifest) = &run.progress.evidence else { return Ok(None) };
        let (names, chunks) = self.chunks(evidence_names(&run.name, manifest)).await?;
        let evidence = evidence::unpack(&chunks, manifest);
        evidence.map(Some).map_err(|error| self.damaged_chunk(&run.name, &names, error))
    }

    async fn chunks(&self, names: Vec<String>) -> Result<(Vec<String>, Vec<Vec<u8>>), Obstacle> {
        let mut chunks = Vec::new();
        for name in &names {
            let content = self.content(name).await?;
            chunks.push(bytes(&content, "chunk").ok_or_else(|| self.damaged(name, "it has no chunk"))?);
        }
        Ok((names, chunks))
    }

    pub(super) fn damaged_chunk(&self, ticket: &str, names: &[String], error: snapshot::Error) -> Obstacle {
        let chunk = if let snapshot::Error::Damaged { index, .. } = &error { names.get(*index) } else { None };
        self.damaged(chunk.map_or(ticket, String::as_str), error)
    }

    /// The largest sequence of a Secret that is there; 0 for none.
    pub(super) async fn last_sequence(&self) -> Result<u64, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={}", self.release);
        let prefix = ticket_name(self.release, "");
        let sequence = |secret: Value| -> Option<u64> {
            // Chunks count, too: those of a deleted ticket are there until the garbage collector comes.
            let rest = secret["metadata"]["name"].as_str()?.strip_prefix(&prefix)?;
            rest.split_once('-').map_or(rest, |(sequence, _)| sequence).parse().ok()
        };
        let sequences = self.cluster.list_metadata(&self.secrets, Some(self.namespace), Some(&selector), sequence).await?;
        Ok(sequences.into_iter().max().unwrap_or(0))
    }

    pub(super) async fn get(&self, name: &str) -> Result<Option<Value>, Obstacle> {
        let request = self.requests().get(name, &GetParams::default());
        match self.cluster.send(request.map_err(|error| self.cannot_ask("get", name, error))?).await {
            Ok(live) => Ok(Some(live)),
            Err(error) if error.status().is_some_and(kube::core::Status::is_not_found) => Ok(None),
            Err(error) => Err(self.cluster.obstacle(self.operation("get", Some(name)), error).await),
        }
    }

    pub(super) fn ticket_in(&self, name: &str, secret: &Value) -> Result<Ticket, Obstacle> {
        let content = bytes(secret, "ticket").ok_or_else(|| self.damaged(name, "it has no ticket"))?;
        let ticket: Value = serde_json::from_slice(&content).map_err(|error| self.damaged(name, error))?;
        Ticket::read(ticket).map_err(|error| match error {
            Unreadable::OtherVersion(_) => self.damaged_as(Damage::OtherVersion, name, error),
            Unreadable::Malformed(_) => self.damaged(name, error),
        })
    }

    pub(super) async fn content(&self, name: &str) -> Result<Value, Obstacle> {
        self.get(name).await?.ok_or_else(|| self.damaged(name, "it is not there"))
    }

    pub(super) fn damaged(&self, name: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Obstacle {
        self.damaged_as(Damage::Lost, name, source)
    }

    fn damaged_as(
        &self,
        damage: Damage,
        name: &str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Obstacle {
        Obstacle::Damaged { name: self.in_words(name), damage, source: source.into() }
    }

    pub(super) fn in_words(&self, name: &str) -> String {
        format!("Secret {}/{name}", self.namespace)
    }
}

/// Names of the chunks of a snapshot.
pub(super) fn snapshot_names(ticket: &str, manifest: &Manifest) -> Vec<String> {
    (0..manifest.chunks.len()).map(|index| format!("{ticket}-{index}")).collect()
}

/// Names of the chunks of evidence.
pub(super) fn evidence_names(ticket: &str, manifest: &Manifest) -> Vec<String> {
    manifest.chunks.iter().map(|digest| evidence_name(ticket, digest)).collect()
}

/// The phase that stands with the progress, beside the label.
fn recorded_phase(ticket: &Value) -> Option<Phase> {
    match ticket["metadata"]["annotations"][PROGRESS_ANNOTATION].as_str() {
        None => Some(Phase::Planned),
        Some(text) => serde_json::from_str(text).ok().map(|progress: Progress| progress.phase),
    }
}

fn recorded(secret: &Value, sequence: u64, changes: usize, progress: Progress) -> RecordedRun {
    let labels = &secret["metadata"]["labels"];
    let installation = secret["metadata"]["annotations"][INSTALLATION_ANNOTATION].as_str();
    RecordedRun {
        name: name(secret),
        sequence,
        step: labels[STEP_LABEL].as_str().unwrap_or_default().to_owned(),
        helm_revision: labels[REVISION_LABEL].as_str().and_then(|revision| revision.parse().ok()),
        installation: installation.and_then(|installation| serde_json::from_str(installation).ok()),
        created: began(secret),
        changes,
        holds: labels[HOLDS_LABEL] == "true",
        progress,
    }
}

/// One value of a Secret, decoded.
pub(super) fn bytes(secret: &Value, key: &str) -> Option<Vec<u8>> {
    let data: BTreeMap<String, ByteString> = serde_json::from_value(secret["data"].clone()).ok()?;
    Some(data.into_iter().find(|(name, _)| name == key)?.1.0)
}

/// When a run began; RFC 3339.
pub(super) fn began(ticket: &Value) -> String {
    let metadata = &ticket["metadata"];
    let began = metadata["annotations"][BEGAN_ANNOTATION].as_str().or_else(|| metadata["creationTimestamp"].as_str());
    began.unwrap_or_default().to_owned()
}

fn name(secret: &Value) -> String {
    secret["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}
