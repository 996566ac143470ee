//! `export` and `import`: the tickets of a release as a file.

use std::io::{Error, Write};
use std::path::Path;

use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use fairlead_kube_client::cluster::Cluster;
use fairlead_kube_client::objects::writable;
use fairlead_migration::change::{Target, Targets};
use fairlead_migration::obstacle::{Obstacle, chain};
use fairlead_migration::run::{RecordedRun, Reopened};
use fairlead_migration::store::{Store, gone};
use fairlead_migration::ticket::KUBERNETES;
use fairlead_migration::transfer::Exported;
use serde_json::{Value, json};

use crate::args::ExportArgs;
use crate::helm::HelmRecords;
use crate::part::{Part, unwritten};
use crate::place::Place;
use crate::status::require_known;

/// Stands for standard output.
const STDOUT: &str = "-";

/// Writes the tickets, or what they hold.
pub async fn export(
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    args: &ExportArgs,
) -> anyhow::Result<ExitStatus> {
    let is_file = args.file != Path::new(STDOUT);
    // First: what cannot be written need not be read.
    let part = if is_file { Some(Part::of(&args.file)?) } else { None };
    // Whole, or not at all: who is killed leaves a part that is in nobody's way.
    let mut content = Vec::new();
    let (count, damages) = write_to(&mut content, cluster, store, place, args).await?;
    let Some(part) = part else {
        let mut out = std::io::stdout();
        out.write_all(&content).and_then(|()| out.flush()).map_err(|error| unwritten(&args.file, error))?;
        return finished(&damages, place);
    };
    part.finish(&content)?;
    let file = args.file.display();
    report::say(&format!("Wrote {count} to {file}. It holds whole objects: keep it as you keep Secrets.\n"))?;
    finished(&damages, place)
}

/// How an export has ended that lacks these.
fn finished(damages: &[Obstacle], place: Place<'_>) -> anyhow::Result<ExitStatus> {
    if damages.is_empty() {
        return Ok(ExitStatus::Done);
    }
    let damages: Vec<String> = damages.iter().map(|damage| chain(damage)).collect();
    let after = format!("What was written has nothing of those runs. From an earlier export: {}\n", place.import());
    Err(Failure::new(&shared::DAMAGED, damages.join("; ")).with_aftermath(after).into())
}

/// Returns what was written, and what is missing in it.
async fn write_to(
    out: &mut dyn Write,
    cluster: &Cluster,
    store: &dyn Store,
    place: Place<'_>,
    args: &ExportArgs,
) -> anyhow::Result<(String, Vec<Obstacle>)> {
    let nothing = async |what: &str| -> Failure {
        let helm = match HelmRecords::of(cluster, place).await {
            Ok(helm) => helm,
            Err(obstacle) => return obstacle.into(),
        };
        if let Err(unknown) = require_known(cluster, store, place, &helm).await {
            return unknown;
        }
        let Place { release, namespace, .. } = place;
        let message = format!("release {release} has no {what} in namespace {namespace} to export");
        Failure::new(&shared::NOTHING_IN_FORCE, message)
    };
    let failed = |error: Error| unwritten(&args.file, error);
    let (count, damages) = if args.as_manifests {
        let what = "run that has changed an object and is not taken back";
        let (Before { objects, created, .. }, damages) = match &args.tickets {
            Some(file) => {
                let before = before_in(store, file, place)?;
                if before.objects.is_empty() && before.created.is_empty() {
                    let message = format!("{} holds no {what}", file.display());
                    return Err(Failure::new(&shared::NOTHING_IN_FORCE, message).into());
                }
                (before, Vec::new())
            }
            None => (before(store, place).await.map_err(Failure::from)?, gone(store).await.map_err(Failure::from)?),
        };
        if objects.is_empty() && created.is_empty() && damages.is_empty() {
            return Err(nothing(what).await.into());
        }
        for object in &objects {
            writeln!(out, "---").map_err(failed)?;
            manifests::write_yaml(&mut *out, object).map_err(Error::other).map_err(failed)?;
        }
        if !created.is_empty() {
            writeln!(out, "# Not there before: the runs have created these. To delete them by hand, the newest first:")
                .map_err(failed)?;
        }
        for target in created.iter().rev() {
            writeln!(out, "# {}", removal(target, place)).map_err(failed)?;
        }
        let created =
            if created.is_empty() { String::new() } else { format!(", and {} that were not there", created.len()) };
        (format!("{} objects as they were before{created}", objects.len()), damages)
    } else {
        let Exported { documents, damages } = store.export().await.map_err(Failure::from)?;
        if documents.is_empty() {
            return Err(nothing("tickets").await.into());
        }
        let list = json!({"apiVersion": "v1", "kind": "List", "items": documents});
        serde_json::to_writer(&mut *out, &list).map_err(Error::from).map_err(failed)?;
        let count = list["items"].as_array().map_or(0, Vec::len);
        let s = if count == 1 { "" } else { "s" };
        (format!("the tickets of release {} in {count} document{s}", place.release), damages)
    };
    out.flush().map_err(failed)?;
    Ok((count, damages))
}

/// Creates what is missing of what the file holds.
pub async fn import(store: &dyn Store, place: Place<'_>, file: &Path, documents: &[Value]) -> anyhow::Result<ExitStatus> {
    let imported = store.import(documents).await.map_err(|obstacle| {
        let failure = Failure::from(obstacle);
        if *failure.code != shared::ANOTHER_RUN {
            return failure;
        }
        failure.with_aftermath(after_loss(place))
    })?;
    if imported.is_empty() {
        let message = format!("{} holds no ticket of this release; `export` writes them", file.display());
        return Err(Failure::new(&shared::INPUT, message).into());
    }
    let lines: Vec<String> = imported.iter().map(ToString::to_string).collect();
    report::say(&(lines.join("\n") + "\n"))?;
    Ok(ExitStatus::Done)
}

/// How it goes on where the file and the ledger have different runs of the same number.
fn after_loss(place: Place<'_>) -> String {
    let (back, status) = (place.command("rollback --to 0"), place.command("status"));
    let forget = place.kubectl(&format!("delete secrets -l {}", tickets_of(place.release)));
    let (import, objects) = (place.import(), place.command("export OBJECTS --as-manifests --tickets FILE"));
    format!(
        "Nothing was imported. To take back the runs of the file, too:\n  {back}\n      takes back those that are there; look first: \
         {status}\n  {forget}\n  {import}\n  {back}\nOr, to put the objects right by hand, first what they were: {objects}\n"
    )
}

/// Which Secrets hold the runs of a release. The mark of another store stays.
fn tickets_of(release: &str) -> String {
    format!("fairlead.dev/release={release},fairlead.dev/phase!=Elsewhere")
}

/// The command that deletes an object.
fn removal(target: &Target, place: Place<'_>) -> String {
    let group = target.api_version.split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    let namespace = target.namespace.as_deref().unwrap_or(place.namespace);
    place.kubectl_in(namespace, &format!("delete {}{group} {}", target.kind.to_lowercase(), target.name))
}

/// The objects that runs have changed or deleted which are not taken back, as they were before the first of them.
async fn before(store: &dyn Store, place: Place<'_>) -> Result<Before, Obstacle> {
    let mut before = Before::default();
    for run in store.runs().await?.iter().filter(|run| run.may_be_last()) {
        before.add(run, &store.read(&run.name).await?, place);
    }
    Ok(before)
}

/// The same by the tickets in a file.
fn before_in(store: &dyn Store, file: &Path, place: Place<'_>) -> Result<Before, Failure> {
    let documents = manifests::read(file).map_err(Failure::input)?;
    let mut before = Before::default();
    for (run, reopened) in store.read_exported(&documents)?.iter().filter(|(run, _)| run.may_be_last()) {
        before.add(run, reopened, place);
    }
    Ok(before)
}

#[derive(Default)]
struct Before {
    seen: Targets,
    objects: Vec<Value>,
    /// Those that were not there before, in their order.
    created: Vec<Target>,
}

impl Before {
    /// What other executors have changed is no object.
    fn add(&mut self, run: &RecordedRun, reopened: &Reopened, place: Place<'_>) {
        if reopened.ticket.executor != KUBERNETES {
            let (step, release) = (&run.step, place.release);
            tracing::warn!(step, release, executor = reopened.ticket.executor, "has changed no objects: not in this file");
            return;
        }
        for change in reopened.plan.changes() {
            if !self.seen.contains(&change.target) {
                self.seen.insert(&change.target);
                match change.before() {
                    Some(object) => self.objects.push(writable(object)),
                    None if change.after().is_some() => self.created.push(change.target.clone()),
                    None => {}
                }
            }
        }
    }
}
