//! Keeps tickets in a folder: a second store, made up for the tests. One file per ticket, one per how a run ended; the lock is the
//! operating system's, which frees it when a process dies.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fairlead_migration::obstacle::{Damage, Obstacle};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::run::{Ending, RecordedRun, Reopened};
use fairlead_migration::snapshot::{self, Snapshot};
use fairlead_migration::store::{self, Holder, Journal, Lock, Purpose, Scope, Store, Terms};
use fairlead_migration::ticket::Ticket;
use fairlead_migration::transfer::{Exported, Imported};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// A folder.
pub(crate) struct FolderStore {
    folder: PathBuf,
}

/// A ticket with all that it holds.
#[derive(Serialize, Deserialize)]
struct Record {
    ticket: Ticket,
    chunks: Vec<Vec<u8>>,
    progress: Progress,
    evidence: Option<Value>,
}

/// What the folder remembers of itself.
#[derive(Default, Serialize, Deserialize)]
struct Register {
    last: u64,
    pruned: BTreeSet<u64>,
    endings: Vec<Ending>,
}

impl FolderStore {
    /// The store in this folder.
    pub(crate) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    fn load(&self, name: &str) -> Result<Record, Obstacle> {
        let text = std::fs::read(self.path(name)).map_err(|error| damaged(name, error))?;
        serde_json::from_slice(&text).map_err(|error| damaged(name, error))
    }

    fn save(&self, name: &str, record: &Record) -> Result<(), Obstacle> {
        let beside = self.folder.join("new");
        let text = serde_json::to_vec(record).expect("plain data");
        let saved = std::fs::write(&beside, text).and_then(|()| std::fs::rename(&beside, self.path(name)));
        saved.map_err(|error| Obstacle::Refused { operation: format!("write {name}"), source: error.into() })
    }

    fn register(&self) -> Register {
        let text = std::fs::read(self.folder.join("register")).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    fn change_register(&self, change: impl FnOnce(&mut Register)) {
        let mut register = self.register();
        change(&mut register);
        let text = serde_json::to_vec(&register).expect("plain data");
        std::fs::write(self.folder.join("register"), text).expect("written");
    }

    fn names(&self) -> Vec<(u64, String)> {
        let files = std::fs::read_dir(&self.folder).expect("the folder is there").filter_map(Result::ok);
        let name = |file: std::fs::DirEntry| {
            let name = file.file_name().to_str()?.strip_suffix(".json")?.to_owned();
            Some((name.parse().ok()?, name))
        };
        let mut names: Vec<(u64, String)> = files.filter_map(name).collect();
        names.sort_unstable();
        names
    }

    fn reopened(&self, name: &str) -> Result<Reopened, Obstacle> {
        reopened(name, self.load(name)?)
    }
}

fn reopened(name: &str, record: Record) -> Result<Reopened, Obstacle> {
    let Record { ticket, chunks, progress, .. } = record;
    let plan = snapshot::read(&chunks, &ticket.snapshot).map_err(|error| damaged(name, error))?;
    Ok(Reopened { mark: format!("folder/{name}"), ticket, plan, progress })
}

fn recorded(sequence: u64, name: String, record: &Record) -> RecordedRun {
    let Record { ticket, progress, .. } = record;
    RecordedRun {
        name,
        sequence,
        step: ticket.step.clone(),
        helm_revision: ticket.helm_revision,
        installation: None,
        created: String::new(),
        changes: ticket.changes,
        holds: ticket.holds,
        progress: progress.clone(),
    }
}

fn damaged(name: &str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Obstacle {
    Obstacle::Damaged { name: name.to_owned(), damage: Damage::Lost, source: error.into() }
}

/// The name and the content of an exported record.
fn read(document: &Value) -> Result<(String, Record), Obstacle> {
    let name = document["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let record = serde_json::from_value(document["record"].clone()).map_err(|error| damaged(&name, error))?;
    Ok((name, record))
}

fn records(documents: &[Value]) -> impl Iterator<Item = &Value> {
    documents.iter().filter(|document| document["kind"] == "Record")
}

#[async_trait(?Send)]
impl Store for FolderStore {
    async fn runs(&self) -> Result<Vec<RecordedRun>, Obstacle> {
        self.names().into_iter().map(|(sequence, name)| Ok(recorded(sequence, name.clone(), &self.load(&name)?))).collect()
    }

    async fn missing(&self) -> Result<Vec<u64>, Obstacle> {
        let Register { last, pruned, .. } = self.register();
        let is_there = |sequence: &u64| pruned.contains(sequence) || self.path(&sequence.to_string()).exists();
        Ok((1..=last).filter(|sequence| !is_there(sequence)).collect())
    }

    async fn damages(&self, runs: &[RecordedRun]) -> Result<Vec<Obstacle>, Obstacle> {
        Ok(runs.iter().filter_map(|run| self.reopened(&run.name).err()).collect())
    }

    async fn others(&self) -> Result<BTreeSet<(String, String)>, Obstacle> {
        Ok(BTreeSet::new())
    }

    fn address(&self, sequence: u64) -> String {
        format!("file {}", self.path(&sequence.to_string()).display())
    }

    async fn read(&self, name: &str) -> Result<Reopened, Obstacle> {
        self.reopened(name)
    }

    async fn ticket(&self, name: &str) -> Result<Ticket, Obstacle> {
        Ok(self.load(name)?.ticket)
    }

    async fn evidence(&self, run: &RecordedRun) -> Result<Option<Value>, Obstacle> {
        Ok(self.load(&run.name)?.evidence)
    }

    async fn endings(&self) -> Result<Vec<Ending>, Obstacle> {
        Ok(self.register().endings)
    }

    async fn note(&self, ending: &Ending) -> Result<(), Obstacle> {
        self.change_register(|register| register.endings.push(ending.clone()));
        Ok(())
    }

    async fn export(&self) -> Result<Exported, Obstacle> {
        let document = |(_, name): &(u64, String)| {
            let record = serde_json::to_value(self.load(name)?).expect("plain data");
            Ok(
                json!({"apiVersion": "tests.fairlead.dev/v1", "kind": "Record", "metadata": {"name": name}, "record": record}),
            )
        };
        let documents = self.names().iter().map(document).collect::<Result<_, Obstacle>>()?;
        Ok(Exported { documents, damages: store::gone(self).await? })
    }

    async fn import(&self, documents: &[Value]) -> Result<Vec<Imported>, Obstacle> {
        let import = |document: &Value| {
            let (name, record) = read(document)?;
            if self.path(&name).exists() {
                return Ok(Imported::Same(name));
            }
            self.save(&name, &record)?;
            Ok(Imported::Created(name))
        };
        records(documents).map(import).collect()
    }

    fn read_exported(&self, documents: &[Value]) -> Result<Vec<(RecordedRun, Reopened)>, Obstacle> {
        let run = |document: &Value| {
            let (name, record) = read(document)?;
            let run = recorded(name.parse().unwrap_or_default(), name.clone(), &record);
            Ok((run, reopened(&name, record)?))
        };
        records(documents).map(run).collect()
    }

    async fn require(&self, _purpose: Purpose, _user: Option<&str>) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn lock<'a>(&'a self, terms: Terms<'a>) -> Result<Box<dyn Lock + 'a>, Obstacle> {
        let path = self.folder.join("lock");
        let refused =
            |error: std::io::Error| Obstacle::Refused { operation: "lock the folder".into(), source: error.into() };
        let file = File::create(&path).map_err(refused)?;
        let deadline = Instant::now() + terms.patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Box::new(FolderLock(file))),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(Obstacle::Held { name: path.display().to_string(), holder: "another process".into() });
                }
                Err(TryLockError::Error(error)) => return Err(refused(error)),
            }
        }
    }

    async fn holder(&self, _scope: Scope) -> Result<Option<Holder>, Obstacle> {
        Ok(None)
    }

    fn journal<'a>(&'a self, _lock: &'a dyn Lock) -> Box<dyn Journal + 'a> {
        Box::new(FolderJournal { store: self, name: RefCell::default() })
    }
}

struct FolderLock(File);

#[async_trait(?Send)]
impl Lock for FolderLock {
    async fn renew(&self) -> Result<(), Obstacle> {
        Ok(())
    }

    fn tell(&self, _how_far: &str) {}

    fn lasts(&self, _within: Duration) -> bool {
        true
    }

    async fn is_held(&self) -> Result<bool, Obstacle> {
        Ok(true)
    }

    async fn keep(&self, _cancelled: &dyn Fn()) {
        std::future::pending::<()>().await;
    }

    async fn release(self: Box<Self>) {
        drop(self.0);
    }
}

struct FolderJournal<'a> {
    store: &'a FolderStore,
    name: RefCell<String>,
}

#[async_trait(?Send)]
impl Journal for FolderJournal<'_> {
    async fn open(&mut self, ticket: &Ticket, snapshot: &Snapshot<'_>) -> Result<String, Obstacle> {
        let last = self.store.names().last().map_or(0, |(sequence, _)| *sequence);
        let sequence = last.max(self.store.register().last) + 1;
        let (ticket, chunks, progress) = (ticket.clone(), snapshot.chunks().collect(), Progress::planned());
        self.store.save(&sequence.to_string(), &Record { ticket, chunks, progress, evidence: None })?;
        self.store.change_register(|register| register.last = sequence);
        self.name.replace(sequence.to_string());
        Ok(format!("folder/{sequence}"))
    }

    async fn reopen(&mut self, name: &str) -> Result<Reopened, Obstacle> {
        self.name.replace(name.to_owned());
        self.store.reopened(name)
    }

    async fn abandon(&mut self, name: &str) -> Result<(), Obstacle> {
        self.name.replace(name.to_owned());
        self.record(&Progress { phase: Phase::RolledBack, ..Progress::planned() }).await
    }

    async fn record(&mut self, progress: &Progress) -> Result<(), Obstacle> {
        let name = self.name.borrow().clone();
        let record = self.store.load(&name)?;
        self.store.save(&name, &Record { progress: progress.clone(), ..record })
    }

    async fn attest(&mut self, evidence: &Value, _progress: &mut Progress) -> Result<(), Obstacle> {
        let name = self.name.borrow().clone();
        let record = self.store.load(&name)?;
        self.store.save(&name, &Record { evidence: Some(evidence.clone()), ..record })
    }

    async fn forget(&mut self, run: &RecordedRun) -> Result<(), Obstacle> {
        self.store.change_register(|register| register.pruned.extend([run.sequence]));
        let removed = std::fs::remove_file(self.store.path(&run.name));
        removed.map_err(|error| Obstacle::Refused { operation: format!("forget {}", run.name), source: error.into() })
    }

    async fn forget_missing(&mut self, sequences: &[u64]) -> Result<(), Obstacle> {
        self.store.change_register(|register| register.pruned.extend(sequences));
        Ok(())
    }
}
