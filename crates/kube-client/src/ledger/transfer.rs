//! Tickets as files, and back: a backup of the ledger, or its way to another cluster.

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::progress::Phase;
use fairlead_migration::snapshot;
use fairlead_migration::store::Store as _;
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::endings::ENDINGS_TYPE;
use super::history::bytes;
use super::{Ledger, PHASE_LABEL, RELEASE_LABEL, SECRET_TYPE, is_taken, ticket_name};

/// What became of an imported Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was not there.
    Created(String),
    /// It is there, with the same content.
    Same(String),
}

/// What is exported.
#[derive(Debug)]
pub struct Exported {
    /// Secrets, without what only this cluster knows; tickets before their chunks. Each ticket can be imported.
    pub secrets: Vec<Value>,
    /// Why other tickets are not among them.
    pub damages: Vec<Obstacle>,
}

impl Ledger<'_> {
    /// Every Secret of a release's ledger, but for tickets that are not whole.
    pub async fn export(&self) -> Result<Exported, Obstacle> {
        let selector = format!("{RELEASE_LABEL}={}", self.release);
        let mut secrets = self
            .cluster
            .list(&self.secrets, Some(self.namespace), Some(&selector), |secret| Some(portable(&secret)))
            .await?;
        secrets.sort_by_key(|secret| (is_chunk(secret), name(secret).to_owned()));
        let mut damages = self.gone().await?;
        let mut broken = Vec::new();
        for ticket in secrets.iter().filter(|secret| is_ticket(secret)) {
            if let Err(obstacle) = self.require_whole(ticket, &secrets, "it is not there") {
                broken.push(name(ticket).to_owned());
                // Such a run has not changed anything: it may be about to write its chunks, or has died before that.
                if ticket["metadata"]["labels"][PHASE_LABEL] != Phase::Planned.as_str() {
                    damages.push(obstacle);
                }
            }
        }
        secrets.retain(|secret| !broken.iter().any(|ticket| ticket == ticket_of(name(secret))));
        Ok(Exported { secrets, damages })
    }

    /// Tickets that somebody has deleted.
    pub async fn gone(&self) -> Result<Vec<Obstacle>, Obstacle> {
        let missing = self.missing().await?.into_iter().map(|sequence| ticket_name(self.release, &sequence.to_string()));
        Ok(missing.map(|ticket| self.damaged(&ticket, "it is not there: somebody has deleted it")).collect())
    }

    /// Creates the Secrets that are not there. Nothing is created unless every ticket and every chunk of `secrets` is whole, and
    /// what is there already is the same.
    pub async fn import(&self, secrets: &[Value]) -> Result<Vec<Imported>, Obstacle> {
        self.check(secrets)?;
        let mut missing = Vec::new();
        let mut imported = Vec::new();
        for secret in secrets {
            // Objects carry the namespace of the ticket that they are taken back by.
            let from = secret["metadata"]["namespace"].as_str().unwrap_or_default();
            if from != self.namespace {
                let source = format!("it is of namespace {from}; import it with --ledger-namespace {from}").into();
                return Err(Obstacle::Refused { operation: format!("import {}", name(secret)), source });
            }
            let release = secret["metadata"]["labels"][RELEASE_LABEL].as_str().unwrap_or_default();
            if release != self.release {
                let source = format!("it is of release {release}, and not of {}", self.release).into();
                return Err(Obstacle::Refused { operation: format!("import {}", name(secret)), source });
            }
            match self.get(name(secret)).await? {
                None => missing.push(secret),
                // Endings go on; those that are there are newer.
                Some(live) if live["data"] == secret["data"] || secret["type"] == ENDINGS_TYPE => {
                    imported.push(Imported::Same(name(secret).to_owned()));
                }
                Some(_) => return Err(self.damaged(name(secret), "there is another one of this name, with other content")),
            }
        }
        for secret in missing {
            let mut secret = secret.clone();
            if is_chunk(&secret) {
                let ticket = ticket_of(name(&secret)).to_owned();
                let owner = self.get(&ticket).await?.ok_or_else(|| self.damaged(&ticket, "it is not there"))?;
                secret["metadata"]["ownerReferences"] =
                    json!([{"apiVersion": "v1", "kind": "Secret", "name": ticket, "uid": owner["metadata"]["uid"]}]);
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
        Ok(imported)
    }

    fn check(&self, secrets: &[Value]) -> Result<(), Obstacle> {
        let mut tickets = secrets.iter().filter(|secret| is_ticket(secret));
        tickets.try_for_each(|ticket| self.require_whole(ticket, secrets, "it is not in the file"))
    }

    fn require_whole(&self, secret: &Value, secrets: &[Value], absent: &'static str) -> Result<(), Obstacle> {
        let ticket = self.ticket_in(name(secret), secret)?;
        let mut chunks = Vec::new();
        for index in 0..ticket.snapshot.chunks.len() {
            let chunk = format!("{}-{index}", name(secret));
            let found = secrets.iter().find(|secret| name(secret) == chunk);
            let found = found.ok_or_else(|| self.damaged(&chunk, absent))?;
            chunks.push(bytes(found, "chunk").ok_or_else(|| self.damaged(&chunk, "it has no chunk"))?);
        }
        snapshot::read(&chunks, &ticket.snapshot).map(drop).map_err(|error| self.damaged(name(secret), error))
    }
}

fn is_ticket(secret: &Value) -> bool {
    !secret["metadata"]["labels"][PHASE_LABEL].is_null()
}

fn portable(secret: &Value) -> Value {
    let [name, namespace, labels] = ["name", "namespace", "labels"].map(|field| secret["metadata"][field].clone());
    let mut labels = json!({"name": name, "namespace": namespace, "labels": labels});
    if let Some(annotations) = secret["metadata"].get("annotations") {
        labels["annotations"] = annotations.clone();
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
    secret["type"] == SECRET_TYPE && secret["metadata"]["labels"][PHASE_LABEL].is_null()
}

/// The ticket that a chunk belongs to: `fairlead.v1.<release>.<sequence>` of `….<sequence>-<chunk>`. A release may have dashes.
fn ticket_of(chunk: &str) -> &str {
    let after_dot = chunk.rfind('.').map_or(0, |dot| dot + 1);
    let end = chunk[after_dot..].find('-').map_or(chunk.len(), |dash| after_dot + dash);
    &chunk[..end]
}

#[cfg(test)]
mod tests {
    use super::ticket_of;

    #[test]
    fn a_chunk_names_its_ticket() {
        for chunk in ["fairlead.v1.a-b.12-0", "fairlead.v1.a-b.12-e0123abc", "fairlead.v1.a-b.12"] {
            assert_eq!(ticket_of(chunk), "fairlead.v1.a-b.12");
        }
    }
}
