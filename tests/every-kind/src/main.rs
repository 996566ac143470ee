//! A job for the tests, built like those of the product: its step makes the changes that a file says.
//!
//! The file holds stages, each with the stage's own fields and `wanted`: targets, and what they are to become. `patch` is a merge
//! patch on what is there, `object` is created, and without either the target is deleted.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{log, report};
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{OnDrift, Standing, Task, World};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, Stage};
use fairlead_release::args::{CommonArgs, ReleaseCommand, StepArgs};
use fairlead_release::session::{Session, connect};
use fairlead_release::step::{self, Step};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Makes the changes that a file says.
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: CommonArgs,
}

#[derive(Subcommand)]
enum Command {
    /// Make them.
    Apply {
        /// The file.
        #[arg(long)]
        changes: PathBuf,
        #[command(flatten)]
        step: StepArgs,
    },
    #[command(flatten)]
    Release(ReleaseCommand),
}

#[derive(Deserialize)]
struct Wishes {
    #[serde(flatten)]
    stage: Stage,
    wanted: Vec<Wish>,
}

#[derive(Deserialize)]
struct Wish {
    target: Target,
    patch: Option<Value>,
    object: Option<Value>,
}

struct EveryKind<'a> {
    session: &'a Session<'a>,
    stages: Vec<Wishes>,
}

impl Step for EveryKind<'_> {
    const NAME: &'static str = "every-kind";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        let objects = Objects::new(self.session.cluster, &self.session.discovery);
        let mut plan = Plan::new(Self::NAME, self.stages.iter().map(|wishes| wishes.stage.clone()).collect());
        for (stage, wishes) in self.stages.iter().enumerate() {
            let mut wanted: Vec<&Wish> = wishes.wanted.iter().collect();
            wanted.sort_by_key(|wish| &wish.target);
            for wish in wanted {
                let images = match (objects.get(&wish.target).await?, &wish.object, &wish.patch) {
                    (None, Some(object), _) => Images::Create(object.clone()),
                    (Some(before), None, Some(patch)) => {
                        let mut after = before.clone();
                        merge(&mut after, patch);
                        if after == before {
                            continue;
                        }
                        Images::Update(before, after)
                    }
                    (Some(before), None, None) => Images::Delete(before),
                    _ => continue,
                };
                plan.push(&Change { stage, target: wish.target.clone(), images, reason: "the file says so".to_owned() });
            }
        }
        Ok(plan)
    }

    async fn verify(&self, plan: &Plan) -> Result<(), Obstacle> {
        let discovery = self.session.cluster.discover_for(plan, &self.session.discovery).await?;
        let objects = Objects::new(self.session.cluster, &discovery);
        for change in plan.changes() {
            let stage = &plan.stages[change.stage];
            let task = Task { change: &change, stage, mark: "", is_undo: false, on_drift: OnDrift::Stop };
            // A created object carries the mark of its ticket, which is not looked at here: it is there.
            let is_there = objects.get(&change.target).await?.is_some();
            let is_done = match &change.images {
                Images::Create(_) => is_there,
                _ => objects.look(&task).await? == Standing::After,
            };
            if !is_done {
                return Err(Obstacle::Drift {
                    target: change.target,
                    what: "was written, but is not as planned".to_owned(),
                });
            }
        }
        Ok(())
    }

    fn world<'w>(&'w self, objects: &'w Objects<'w>, _plan: &'w Plan) -> impl World + 'w {
        objects
    }
}

/// RFC 7386.
fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(entries) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    for (key, entry) in entries {
        if entry.is_null() {
            value.as_object_mut().map(|object| object.remove(key));
        } else {
            merge(&mut value[key], entry);
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitStatus {
    report::conclude(run(Args::parse()).await)
}

async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output)?;
    match &args.command {
        Command::Apply { changes, step } => {
            let text = std::fs::read_to_string(changes).with_context(|| format!("failed to read {}", changes.display()))?;
            let stages = serde_json::from_str(&text).with_context(|| format!("failed to read {}", changes.display()))?;
            let cluster = connect(&args.common).await?;
            let session = Session::begin(&args.common, &cluster, EveryKind::NAME, "apply", step.run_timeout).await?;
            step::apply(&session, step, &EveryKind { session: &session, stages }).await
        }
        Command::Release(command) => fairlead_release::run(&args.common, command, EveryKind::NAME).await,
    }
}
