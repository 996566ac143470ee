//! The record of one run, from which it can be undone by a binary that has never seen the migration.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::snapshot::Manifest;

/// The format of tickets written now. A reader refuses a ticket whose `min_reader` is larger than this.
pub const FORMAT: u32 = 2;

/// [`Ticket::executor`] of runs that change objects of a cluster.
pub const KUBERNETES: &str = "kubernetes";

/// One run. Self-describing: a reader needs no configuration and no knowledge of the step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ticket {
    /// [`FORMAT`] of the writer.
    pub format: u32,
    /// The oldest format whose reader understands this ticket.
    pub min_reader: u32,
    /// The binary that wrote it.
    pub tool: Tool,
    /// The step. A binary may run several, each with tickets of its own.
    pub step: String,
    /// What carries the changes out: [`KUBERNETES`].
    pub executor: String,
    /// The release.
    pub release: String,
    /// Helm's revision; only when Helm runs the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm_revision: Option<u32>,
    /// What Helm's revision belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<Installation>,
    /// What the run was told that changes its plan.
    #[serde(default)]
    pub told: Told,
    /// Secrets that carrying out and taking back the run reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<SecretReference>,
    /// [`crate::plan::Plan::digest`].
    pub plan_digest: String,
    /// How many changes the plan has.
    pub changes: usize,
    /// Whether the plan has holds or switches that end with the upgrade.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub holds: bool,
    /// Digests of the chunks that hold the plan with its images.
    pub snapshot: Manifest,
}

/// One installation of a Helm release. After `helm uninstall` and `helm install` revisions begin again from 1, and two releases may share a
/// ledger: a number alone does not say whose revision it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// What Helm calls the release.
    pub helm_release: String,
    /// As Helm has recorded it in each of its revisions, which says it also after a restore: `2026-11-27T03:12:45.1Z`.
    pub first_deployed: String,
}

/// A binary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// `trigger-replicator`.
    pub name: String,
    /// `0.1.0`.
    pub version: String,
    /// The image it ran from, where it was told: the one that can take the run back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

impl fmt::Display for Tool {
    /// Its image, or else the binary: `trigger-replicator 0.1.0`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, version, image } = self;
        match image {
            Some(image) => out.write_str(image),
            None => write!(out, "{name} {version}"),
        }
    }
}

/// What a run was told that changes its plan. Commands that finish the run carry it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The section of the configuration file, as it was read; none for what is built in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<Value>,
    /// Words of the command line, `--exclude-namespace` and `sandbox` say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// Where a credential is kept. Its value is never in a ticket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecretReference {
    /// Namespace of the Secret.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The key in its data.
    pub key: String,
}

/// Why a ticket is not read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// A version of the tool wrote it whose tickets have another format: that version can take it back.
    #[error("{0}")]
    OtherVersion(String),
    /// It is no ticket, or a part of it is missing.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
}

impl Ticket {
    /// Reads a ticket of a format that this version knows.
    ///
    /// # Errors
    ///
    /// [`Unreadable::OtherVersion`], which names the writer, is asked before anything else: in a later format the rest may have another
    /// shape.
    pub fn read(ticket: Value) -> Result<Self, Unreadable> {
        let who = || writer(&ticket["tool"]);
        let other = if let Some(format) = ticket["minReader"].as_u64().filter(|format| *format > FORMAT.into()) {
            Some(format!("{} wrote it, and this version reads formats up to {FORMAT}, not {format}", who()))
        } else {
            let earlier = ticket["format"].as_u64().filter(|format| *format < FORMAT.into());
            earlier.map(|format| {
                format!("{} wrote it, an earlier version, in format {format}: that version can take it back", who())
            })
        };
        match other {
            Some(what) => Err(Unreadable::OtherVersion(what)),
            None => Ok(serde_json::from_value(ticket)?),
        }
    }
}

/// The image that a ticket was written by, or the binary; in the first format it was one text.
fn writer(tool: &Value) -> String {
    let text = |field: &str| tool[field].as_str().unwrap_or_default();
    let one = tool.as_str().or_else(|| tool["image"].as_str());
    one.map_or_else(|| format!("{} {}", text("name"), text("version")), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A ticket with everything, and one with nothing but what must be there.
    #[test]
    fn a_ticket_is_written_as_it_will_be_read_for_ever() {
        let whole = json!({
            "format": 2, "minReader": 2, "tool": {"name": "schema-migrator", "version": "0.2.0", "image": "fairlead/schema-migrator:0.2.0"},
            "step": "tables", "executor": "sql", "release": "shop", "helmRevision": 3,
            "installation": {"helmRelease": "shop", "firstDeployed": "2026-11-27T03:12:45.1Z"},
            "told": {"configuration": {"url": "x"}, "flags": ["--strict"]},
            "credentials": [{"namespace": "shop", "name": "db", "key": "password"}],
            "planDigest": "sha256:0", "changes": 2, "holds": true, "snapshot": {"chunks": ["sha256:1"], "whole": "sha256:2"},
        });
        let ticket: Ticket = serde_json::from_value(whole.clone()).expect("written by us");
        assert_eq!(serde_json::to_value(&ticket).expect("plain data"), whole);
        let least = json!({
            "format": 2, "minReader": 2, "tool": {"name": "drain-waiter", "version": "0.2.0"}, "step": "drain-waiter",
            "executor": "kubernetes", "release": "shop", "planDigest": "sha256:0", "changes": 0,
            "snapshot": {"chunks": [], "whole": "sha256:2"}, "of a later version": {},
        });
        let ticket: Ticket = serde_json::from_value(least).expect("a later version may say more");
        assert_eq!((ticket.told, ticket.credentials.len(), ticket.holds), (Told::default(), 0, false));
    }

    #[test]
    fn a_ticket_of_another_format_names_its_writer_whatever_else_it_holds() {
        let said = |ticket: Value| Ticket::read(ticket).expect_err("it is not read").to_string();
        let later = json!({"minReader": 9, "tool": {"image": "fairlead/schema-migrator:9"}, "changes": "many"});
        assert_eq!(said(later), "fairlead/schema-migrator:9 wrote it, and this version reads formats up to 2, not 9");
        let earlier = json!({"format": 1, "minReader": 1, "tool": "trigger-replicator:0.0.9"});
        assert!(said(earlier).starts_with("trigger-replicator:0.0.9 wrote it, an earlier version, in format 1"));
        let broken = json!({"format": 2, "minReader": 2, "tool": {"name": "a", "version": "1"}});
        assert!(matches!(Ticket::read(broken), Err(Unreadable::Malformed(_))));
    }
}
