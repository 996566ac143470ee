//! Tickets as files, and back: a backup of the ledger, or its way to another cluster.

use std::collections::BTreeSet;

use fairlead_migration::evidence;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::snapshot;
use fairlead_migration::store;
use fairlead_migration::transfer::{Exported, Imported};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::endings::ENDINGS_TYPE;
use super::history::{began, bytes, evidence_names, snapshot_names};
use super::marker::is_mark;
use super::{BEGAN_ANNOTATION, Ledger, PROGRESS_ANNOTATION, RELEASE_LABEL, SECRET_TYPE, is_taken};

/// A file that is of something else.
const INPUT: &str = "FL005";

/// A run of the same number is there.
const ANOTHER_RUN: &str = "FL045";

/// How labels and annotations of ours begin.
const OURS: &str = "fairlead.dev/";

impl Ledger<'_> {
    /// Secrets without what only this cluster knows; tickets before their chunks.
    pub(super) async fn export_all(&self) -> Result<Exported, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={}", self.release);
        let mut damages = store::gone(self).await?;
        let mut secrets = self
            .cluster
            .list(&self.secrets, Some(self.namespace), Some(&selector), |secret| Some(portable(&secret)))
            .await?;
        secrets.sort_by_key(|secret| (is_chunk(secret), name(secret).to_owned()));
        let mut broken = Vec::new();
        let all: Vec<&Value> = secrets.iter().collect();
        for ticket in all.iter().filter(|secret| is_ticket(secret)) {
            if let Err(obstacle) = self.require_whole(ticket, &all, "it is not there") {
                broken.push(name(ticket).to_owned());
                // Such a run has not changed anything: it may be about to write its chunks, or has died before that.
                let is_begun = |it: Progress| it.begun > 0 || !matches!(it.phase, Phase::Planned | Phase::RolledBack);
                if self.progress(name(ticket), ticket).map_or(true, is_begun) {
                    damages.push(obstacle);
                }
            }
        }
        secrets.retain(|secret| !broken.iter().any(|ticket| ticket == ticket_of(name(secret))));
        Ok(Exported { documents: secrets, damages })
    }

    /// Tickets first. Chunks that are there belong to their tickets again.
    pub(super) async fn import_all(&self, documents: &[Value]) -> Result<Vec<Imported>, Obstacle> {
        // Fails where the release keeps its runs elsewhere.
        self.list_runs().await?;
        self.read_all(documents)?;
        let secrets = self.ours(documents)?;
        let (mut missing, mut chunks) = (Vec::new(), Vec::new());
        let mut imported = Vec::new();
        for secret in &secrets {
            match self.get(name(secret)).await? {
                None => missing.push(secret),
                // Endings go on; those that are there are newer.
                Some(_) if secret["type"] == ENDINGS_TYPE => imported.push(Imported::Same(name(secret).to_owned())),
                Some(live) if live["data"] == secret["data"] => {
                    imported.push(self.found(secret, &live));
                    chunks.extend(is_chunk(&live).then_some(live));
                }
                Some(live) => return Err(self.another(secret, &live)),
            }
        }
        missing.sort_by_key(|secret: &&Value| is_chunk(secret));
        for secret in missing {
            let mut secret = secret.clone();
            if is_chunk(&secret) {
                secret["metadata"]["ownerReferences"] = self.owners_of(&secret).await?;
            }
            let object: Secret =
                serde_json::from_value(secret.clone()).map_err(|error| self.damaged(name(&secret), error))?;
            match self.create(&object, None).await? {
                Ok(_) => {}
                // The answer to an earlier try was lost.
                Err(error) if is_taken(&error) => {}
                Err(error) => return Err(self.cluster.refused(self.operation("create", Some(name(&secret))), error).await),
            }
            imported.push(Imported::Created(name(&secret).to_owned()));
        }
        for chunk in chunks {
            self.give_to_ticket(&chunk).await?;
        }
        Ok(imported)
    }

    /// What is said of a Secret that is there with the content that it has in the file.
    fn found(&self, secret: &Value, live: &Value) -> Imported {
        let (name, what) = (name(secret).to_owned(), differences(secret, live));
        if what.is_empty() {
            return Imported::Same(name);
        }
        let remove = self.cluster.kubectl(&format!("-n {} delete secret {name}", self.namespace));
        Imported::Differs { name, what: what.join("; "), remove }
    }

    /// The ticket of a chunk, as it is now.
    async fn owners_of(&self, chunk: &Value) -> Result<Value, Obstacle> {
        let ticket = ticket_of(name(chunk));
        let owner = self.get(ticket).await?.ok_or_else(|| self.damaged(ticket, "it is not there"))?;
        Ok(json!([{"apiVersion": "v1", "kind": "Secret", "name": ticket, "uid": owner["metadata"]["uid"]}]))
    }

    /// A chunk may be that of a ticket of the same name that was deleted since: the garbage collector would take it away.
    async fn give_to_ticket(&self, chunk: &Value) -> Result<(), Obstacle> {
        let owners = self.owners_of(chunk).await?;
        if chunk["metadata"]["ownerReferences"] == owners {
            return Ok(());
        }
        let name = name(chunk);
        let version = &chunk["metadata"]["resourceVersion"];
        let patch = json!({"metadata": {"resourceVersion": version, "ownerReferences": owners}});
        let request = self.requests().patch(name, &PatchParams::default(), &Patch::Merge(&patch));
        let request = request.map_err(|error| self.cannot_ask("patch", name, error))?;
        match self.cluster.send(request).await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.cluster.refused(self.operation("patch", Some(name)), error).await),
        }
    }

    /// What the tickets among these hold.
    pub(super) fn read_all(&self, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle> {
        let secrets = self.ours(documents)?;
        let secrets: Vec<&Value> = secrets.iter().collect();
        let tickets = secrets.iter().filter(|secret| is_ticket(secret));
        let mut runs = tickets
            .map(|ticket| self.require_whole(ticket, &secrets, "it is not in the file"))
            .collect::<Result<Vec<_>, Obstacle>>()?;
        runs.sort_by_key(|(run, _)| run.sequence);
        Ok(runs)
    }

    /// The Secrets of this release among these, as an export has them: the file may be what kubectl has written of everything in a
    /// namespace. A mark is not among them: it says what was so then.
    fn ours(&self, documents: &[Value]) -> Result<Vec<Value>, Obstacle> {
        let is_of_a_ledger =
            |it: &&Value| it["kind"] == "Secret" && it["metadata"]["labels"][RELEASE_LABEL].is_string() && !is_mark(it);
        let (ours, others): (Vec<&Value>, Vec<&Value>) =
            documents.iter().filter(is_of_a_ledger).partition(|secret| self.is_ours(secret));
        match others.first() {
            Some(other) if ours.is_empty() => Err(self.of_another(other)),
            _ => Ok(ours.into_iter().map(portable).collect()),
        }
    }

    /// Objects carry the namespace of the ticket that they are taken back by.
    fn is_ours(&self, secret: &Value) -> bool {
        secret["metadata"]["namespace"] == self.namespace && secret["metadata"]["labels"][RELEASE_LABEL] == self.release
    }

    fn of_another(&self, secret: &Value) -> Obstacle {
        let from = secret["metadata"]["namespace"].as_str().unwrap_or_default();
        let of = secret["metadata"]["labels"][RELEASE_LABEL].as_str().unwrap_or_default();
        let (name, namespace, release) = (name(secret), self.namespace, self.release);
        let message = format!(
            "{name} is of release {of} in namespace {from}, and not of release {release} in namespace {namespace}: import it there"
        );
        Obstacle::Verdict { code: INPUT.into(), message }
    }

    /// Why a Secret of the file is not created where there is one of its name.
    fn another(&self, secret: &Value, live: &Value) -> Obstacle {
        let [file, there] = [secret, live].map(|it| self.ticket_in(name(it), it).ok().map(|ticket| (ticket, began(it))));
        match (file, there) {
            // When it began is all that two runs of the same plan differ in.
            (Some((file, since)), Some((there, began))) if since != began || file.plan_digest != there.plan_digest => {
                let run = self.sequence_of(name(secret)).unwrap_or_default();
                let message = format!(
                    "run {run} of the file ({}, begun {since}) is not run {run} of release {} ({}, begun {began}): the ledger was lost, and its \
                     numbers have begun anew",
                    file.step, self.release, there.step
                );
                Obstacle::Verdict { code: ANOTHER_RUN.into(), message }
            }
            _ => self.damaged(name(secret), "there is another one of this name, with other content"),
        }
    }

    fn require_whole(
        &self,
        secret: &Value,
        secrets: &[&Value],
        absent: &'static str,
    ) -> Result<(RecordedRun, Reopened), Obstacle> {
        let ticket_name = name(secret);
        let ticket = self.ticket_in(ticket_name, secret)?;
        let run = self.run(secret, self.sequence_of(ticket_name).unwrap_or_default())?;
        let chunks = |names: &[String]| {
            let chunk = |chunk: &String| {
                let found = secrets.iter().copied().find(|secret| name(secret) == chunk);
                let found = found.ok_or_else(|| self.damaged(chunk, absent))?;
                bytes(found, "chunk").ok_or_else(|| self.damaged(chunk, "it has no chunk"))
            };
            names.iter().map(chunk).collect::<Result<Vec<_>, Obstacle>>()
        };
        let names = snapshot_names(ticket_name, &ticket.snapshot);
        let plan = snapshot::read(&chunks(&names)?, &ticket.snapshot);
        let plan = plan.map_err(|error| self.damaged_chunk(ticket_name, &names, error))?;
        if let Some(manifest) = &run.progress.evidence {
            let names = evidence_names(ticket_name, manifest);
            let evidence = evidence::unpack(&chunks(&names)?, manifest).map(drop);
            evidence.map_err(|error| self.damaged_chunk(ticket_name, &names, error))?;
        }
        let reopened = Reopened { mark: self.mark(ticket_name), ticket, plan, progress: run.progress.clone() };
        Ok((run, reopened))
    }
}

/// What labels and annotations of ours say in a Secret that is there, and otherwise in the file.
fn differences(file: &Value, live: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    for field in ["labels", "annotations"] {
        let [file, live] = [file, live].map(|secret| secret["metadata"][field].as_object());
        let keys: BTreeSet<&String> = [file, live].into_iter().flatten().flat_map(serde_json::Map::keys).collect();
        for key in keys.into_iter().filter(|key| key.starts_with(OURS) && *key != BEGAN_ANNOTATION) {
            let [file, live] = [file, live].map(|entries| entries.and_then(|entries| entries.get(key)));
            if file != live {
                differences.push(format!("{key} is {}, in the file {}", said(key, live), said(key, file)));
            }
        }
    }
    differences
}

fn said<'v>(key: &str, value: Option<&'v Value>) -> &'v str {
    match value {
        None => "not there",
        // Too long to be read.
        Some(_) if key == PROGRESS_ANNOTATION => "another one",
        Some(value) => value.as_str().unwrap_or_default(),
    }
}

/// By its name: somebody may have taken its label away.
fn is_ticket(secret: &Value) -> bool {
    secret["type"] == SECRET_TYPE && ticket_of(name(secret)) == name(secret)
}

/// A Secret without what only its cluster knows.
fn portable(secret: &Value) -> Value {
    let [name, namespace, labels] = ["name", "namespace", "labels"].map(|field| secret["metadata"][field].clone());
    let mut labels = json!({"name": name, "namespace": namespace, "labels": labels});
    if let Some(annotations) = secret["metadata"].get("annotations") {
        labels["annotations"] = annotations.clone();
    }
    // An imported Secret is as old as its import, and the run is not.
    if is_ticket(secret) && labels["annotations"][BEGAN_ANNOTATION].is_null() {
        labels["annotations"][BEGAN_ANNOTATION] = secret["metadata"]["creationTimestamp"].clone();
    }
    let mut portable =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": labels, "type": secret["type"], "data": secret["data"]});
    if secret["immutable"] == true {
        portable["immutable"] = true.into();
    }
    portable
}

fn name(secret: &Value) -> &str {
    secret["metadata"]["name"].as_str().unwrap_or_default()
}

fn is_chunk(secret: &Value) -> bool {
    secret["type"] == SECRET_TYPE && !is_ticket(secret)
}

/// The ticket that a chunk belongs to: `fairlead.v1.<release>.<sequence>` of `….<sequence>-<chunk>`. A release may have dashes.
fn ticket_of(chunk: &str) -> &str {
    let after_dot = chunk.rfind('.').map_or(0, |dot| dot + 1);
    let end = chunk[after_dot..].find('-').map_or(chunk.len(), |dash| after_dot + dash);
    &chunk[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::PHASE_LABEL;

    #[test]
    fn a_ticket_that_says_something_else_than_the_file_is_told() {
        let ticket = |phase: &str, annotations: Value| {
            let labels = json!({PHASE_LABEL: phase, "team": phase});
            json!({"metadata": {"labels": labels, "annotations": annotations}})
        };
        let file = ticket("Committed", json!({PROGRESS_ANNOTATION: "{}", "fairlead.dev/changes": "3"}));
        assert_eq!(differences(&file, &file), Vec::<String>::new());
        let live = ticket("RolledBack", json!({BEGAN_ANNOTATION: "2026-11-27T04:00:00Z", "fairlead.dev/changes": "3"}));
        let said = [
            "fairlead.dev/phase is RolledBack, in the file Committed",
            "fairlead.dev/progress is not there, in the file another one",
        ];
        assert_eq!(differences(&file, &live), said);
    }

    #[test]
    fn what_only_a_cluster_knows_is_left_behind() {
        let kubectl = json!({"apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE, "immutable": true, "data": {"ticket": "e30="},
            "metadata": {"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "creationTimestamp": "2026-11-27T04:00:00Z",
                "labels": {PHASE_LABEL: "Committed"}, "ownerReferences": [{"uid": "o"}], "managedFields": [{}], "finalizers": ["f"]}});
        let exported = json!({"apiVersion": "v1", "kind": "Secret", "type": SECRET_TYPE, "immutable": true, "data": {"ticket": "e30="},
            "metadata": {"name": "a", "namespace": "n", "labels": {PHASE_LABEL: "Committed"},
                "annotations": {BEGAN_ANNOTATION: "2026-11-27T04:00:00Z"}}});
        assert_eq!(portable(&kubectl), exported);
        assert_eq!(portable(&exported), exported);
    }

    #[test]
    fn a_chunk_names_its_ticket() {
        for chunk in ["fairlead.v1.a-b.12-0", "fairlead.v1.a-b.12-e0123abc", "fairlead.v1.a-b.12"] {
            assert_eq!(ticket_of(chunk), "fairlead.v1.a-b.12");
        }
    }
}
