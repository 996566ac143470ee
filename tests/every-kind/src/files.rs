//! Changes files of a folder: a second executor, made up for the tests. A file's image is its text.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use async_trait::async_trait;
use fairlead_driver::step::Step;
use fairlead_job::failure::Failure;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{Standing, Task, Verified, World};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::progress::Swept;
use fairlead_migration::stage::{Stage, StageKind, UndoAt, UndoWait};
use fairlead_migration::store::Lock;
use fairlead_migration::ticket::{SecretReference, Told};
use fairlead_release::executors::{Executor, Work};
use serde::Deserialize;
use serde_json::{Value, json};

const EXECUTOR: &str = "files";

/// The executor. A target's namespace is the folder, its name the file.
pub(crate) struct Files;

struct Folder;

#[async_trait(?Send)]
impl Executor for Files {
    fn name(&self) -> &'static str {
        EXECUTOR
    }

    async fn require(&self, _work: Work<'_>) -> Result<(), Failure> {
        Ok(())
    }

    async fn world<'w>(&'w self, _work: Work<'w>, _lock: &'w dyn Lock) -> Result<Box<dyn World + 'w>, Failure> {
        Ok(Box::new(Folder))
    }
}

fn path(target: &Target) -> PathBuf {
    Path::new(target.namespace.as_deref().unwrap_or_default()).join(&target.name)
}

fn read(target: &Target) -> Option<Value> {
    std::fs::read_to_string(path(target)).ok().map(Value::from)
}

fn refused(target: &Target, error: std::io::Error) -> Obstacle {
    Obstacle::Refused { operation: format!("write {target}"), source: error.into() }
}

#[async_trait(?Send)]
impl World for Folder {
    async fn admit(&self, _stage: &Stage) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn sweep(&self, task: &Task<'_>, _next: Option<&str>) -> Result<Swept, Obstacle> {
        let source = "files are not swept".into();
        Err(Obstacle::Refused { operation: format!("sweep {}", task.change.target), source })
    }

    async fn settle(&self, _task: &Task<'_>) -> Result<(), Obstacle> {
        Ok(())
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        Vec::new()
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let (change, target) = (task.change, &task.change.target);
        let live = read(target);
        if live.as_ref() == change.after() {
            return Ok(());
        }
        if live.as_ref() != change.before() {
            return Err(Obstacle::Drift { target: target.clone(), what: "somebody else has written it".to_owned() });
        }
        match change.after().and_then(Value::as_str) {
            Some(text) => {
                // A process may die in the middle: the file is the old one or the new one.
                let beside = path(target).with_extension("new");
                std::fs::write(&beside, text).map_err(|error| refused(target, error))?;
                std::fs::rename(&beside, path(target)).map_err(|error| refused(target, error))
            }
            None => std::fs::remove_file(path(target)).map_err(|error| refused(target, error)),
        }
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        let live = read(&task.change.target);
        Ok(match (live.as_ref() == task.change.after(), live.as_ref() == task.change.before()) {
            (true, _) => Standing::After,
            (_, true) => Standing::Before,
            _ => Standing::Other("somebody else has written it".to_owned()),
        })
    }

    async fn wait(&self, _wait: &UndoWait, _stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        Ok(())
    }
}

/// The step.
#[derive(Deserialize)]
pub(crate) struct EveryFile {
    folder: String,
    /// Texts by name.
    wanted: BTreeMap<String, String>,
}

impl EveryFile {
    /// Reads what it is to do.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let failed = || format!("failed to read {}", file.display());
        serde_json::from_str(&std::fs::read_to_string(file).with_context(failed)?).with_context(failed)
    }
}

#[async_trait(?Send)]
impl Step for EveryFile {
    const NAME: &'static str = "every-file";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXECUTOR: &'static str = EXECUTOR;

    async fn plan(&self) -> Result<Plan, Failure> {
        let mut plan = PlanBuilder::new(Self::NAME, vec![Stage::new("Files", StageKind::Expand, UndoAt::PostRollback, 1)]);
        for (name, text) in &self.wanted {
            let [api_version, kind] = ["tests.fairlead.dev/v1", "File"].map(str::to_owned);
            let target = Target { api_version, kind, namespace: Some(self.folder.clone()), name: name.clone() };
            let after = Value::from(text.as_str());
            let images = match read(&target) {
                Some(before) if before == after => continue,
                Some(before) => Images::Update(before, after),
                None => Images::Create(after),
            };
            plan.push(&Change { stage: 0, target, images, reason: "the file says so".to_owned() });
        }
        Ok(plan.build())
    }

    fn told(&self) -> Told {
        Told { configuration: Some(json!({"folder": self.folder})), flags: vec!["--files".into(), "it's this.json".into()] }
    }

    fn credentials(&self) -> Vec<SecretReference> {
        let [namespace, name, key] = ["default", "files", "password"].map(str::to_owned);
        vec![SecretReference { namespace, name, key }]
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        match plan.changes().find(|change| read(&change.target).as_ref() != change.after()) {
            Some(change) => Err(Obstacle::Drift { target: change.target, what: "is not as planned".to_owned() }),
            None => Ok(Verified::AsPlanned),
        }
    }
}
