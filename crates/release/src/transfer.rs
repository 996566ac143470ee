//! `export` and `import`: the tickets of a release as a file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use fairlead_job::codes::shared;
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
    // First: what cannot be written need not be read.
    let mut out = create(&args.file)?;
    let exported = write_to(&mut out, ledger, place, args).await;
    if exported.is_err()
        && let Err(error) = std::fs::remove_file(&args.file)
    {
        tracing::warn!(%error, file = %args.file.display(), "an incomplete file stays behind");
    }
    let count = exported?;
    let mut out = anstream::stdout().lock();
    writeln!(out, "Wrote {count} to {}. It holds whole objects: keep it as you keep Secrets.", args.file.display())?;
    Ok(ExitStatus::Done)
}

async fn write_to(
    out: &mut BufWriter<File>,
    ledger: &Ledger<'_>,
    place: Place<'_>,
    args: &ExportArgs,
) -> anyhow::Result<String> {
    let nothing = |what: &str| {
        let Place { release, namespace, .. } = place;
        Failure::new(
            &shared::NOTHING_IN_FORCE,
            format!("release {release} has no {what} in namespace {namespace} to export"),
        )
    };
    let count = if args.as_manifests {
        let objects = before(ledger, place).await.map_err(Failure::from)?;
        if objects.is_empty() {
            return Err(nothing("run in force that has changed or deleted an object").into());
        }
        for object in &objects {
            writeln!(out, "---").with_context(|| format!("failed to write {}", args.file.display()))?;
            manifests::write_yaml(&mut *out, object).map_err(std::io::Error::other)?;
        }
        format!("{} objects as they were before", objects.len())
    } else {
        let secrets = ledger.export().await.map_err(Failure::from)?;
        if secrets.is_empty() {
            return Err(nothing("tickets").into());
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": secrets});
        serde_json::to_writer(&mut *out, &list).with_context(|| format!("failed to write {}", args.file.display()))?;
        format!("{} Secrets of the ledger", list["items"].as_array().map_or(0, Vec::len))
    };
    out.flush().with_context(|| format!("failed to write {}", args.file.display()))?;
    Ok(count)
}

/// Creates what is missing.
pub async fn import(ledger: &Ledger<'_>, file: &Path) -> anyhow::Result<ExitStatus> {
    let documents = manifests::read(file).map_err(Failure::input)?;
    let secrets: Vec<Value> = documents.into_iter().filter(|document| document["kind"] == "Secret").collect();
    let imported = ledger.import(&secrets).await.map_err(Failure::from)?;
    if imported.is_empty() {
        let message = format!("{} holds no ticket of this release; `export` writes them", file.display());
        return Err(Failure::new(&shared::INPUT, message).into());
    }
    let mut out = anstream::stdout().lock();
    for imported in imported {
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
