//! `export` and `import`: the tickets of a release as a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_kube_client::ledger::{Imported, Ledger};
use fairlead_kube_client::objects::writable;
use fairlead_migration::change::Targets;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store as _;
use fairlead_migration::ticket::KUBERNETES;
use serde_json::{Value, json};

use crate::args::ExportArgs;
use crate::place::Place;

/// Writes the tickets, or what they hold.
pub async fn export(ledger: &Ledger<'_>, place: Place<'_>, args: &ExportArgs) -> anyhow::Result<ExitStatus> {
    let count = if args.as_manifests {
        let objects = before(ledger, place).await.map_err(Failure::from)?;
        let mut out = create(&args.file)?;
        for object in &objects {
            writeln!(out, "---").with_context(|| format!("failed to write {}", args.file.display()))?;
            manifests::write_yaml(&mut out, object).map_err(std::io::Error::other)?;
        }
        out.flush().with_context(|| format!("failed to write {}", args.file.display()))?;
        format!("{} objects as they were before", objects.len())
    } else {
        let secrets = ledger.export().await.map_err(Failure::from)?;
        let list = json!({"apiVersion": "v1", "kind": "List", "items": secrets});
        let mut out = create(&args.file)?;
        serde_json::to_writer(&mut out, &list).with_context(|| format!("failed to write {}", args.file.display()))?;
        out.flush().with_context(|| format!("failed to write {}", args.file.display()))?;
        format!("{} Secrets of the ledger", list["items"].as_array().map_or(0, Vec::len))
    };
    let mut out = anstream::stdout().lock();
    writeln!(out, "Wrote {count} to {}. It holds whole objects: keep it as you keep Secrets.", args.file.display())?;
    Ok(ExitStatus::Done)
}

/// Creates what is missing.
pub async fn import(ledger: &Ledger<'_>, file: &Path) -> anyhow::Result<ExitStatus> {
    let documents = manifests::read(file).map_err(Failure::input)?;
    let secrets: Vec<Value> = documents.into_iter().filter(|document| document["kind"] == "Secret").collect();
    let mut out = anstream::stdout().lock();
    for imported in ledger.import(&secrets).await.map_err(Failure::from)? {
        match imported {
            Imported::Created(name) => writeln!(out, "created {name}")?,
            Imported::Same(name) => writeln!(out, "is there already: {name}")?,
        }
    }
    Ok(ExitStatus::Done)
}

/// The objects that runs in force have changed or deleted, as they were before the first of them. What other executors have changed is no
/// object.
async fn before(ledger: &Ledger<'_>, place: Place<'_>) -> Result<Vec<Value>, Obstacle> {
    let (mut seen, mut objects) = (Targets::default(), Vec::new());
    for run in ledger.runs().await?.iter().filter(|run| RecordedRun::is_in_force(run)) {
        let reopened = ledger.read(&run.name).await?;
        if reopened.ticket.executor != KUBERNETES {
            let (step, release) = (&run.step, place.release);
            tracing::warn!(step, release, executor = reopened.ticket.executor, "has changed no objects: not in this file");
            continue;
        }
        for change in reopened.plan.changes() {
            if !seen.contains(&change.target) {
                seen.insert(&change.target);
                objects.extend(change.before().map(writable));
            }
        }
    }
    Ok(objects)
}

/// Only for us to read; a file that is there is somebody's.
fn create(path: &Path) -> anyhow::Result<BufWriter<File>> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let failure = |error| Failure::input(error);
    Ok(BufWriter::new(file.map_err(failure).with_context(|| format!("failed to create {}", path.display()))?))
}
