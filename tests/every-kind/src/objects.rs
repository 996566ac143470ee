//! Changes objects of a cluster. The file holds stages, each with the stage's own fields and `wanted`: targets, and what they are to
//! become. `patch` is a merge patch on what is there, `object` is created, `sweep` names two versions, and without any of them the target
//! is deleted.

use std::path::Path;

use anyhow::Context as _;
use async_trait::async_trait;
use fairlead_driver::step::Step;
use fairlead_job::failure::Failure;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{Standing, Task, Verified, World as _};
use fairlead_migration::fields::merge;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::progress::OnDrift;
use fairlead_migration::stage::Stage;
use fairlead_release::session::Session;
use serde::Deserialize;
use serde_json::Value;

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
    sweep: Option<[String; 2]>,
}

/// The step.
pub(crate) struct EveryKind<'a> {
    session: &'a Session<'a>,
    stages: Vec<Wishes>,
}

impl<'a> EveryKind<'a> {
    /// Reads what it is to do.
    pub(crate) fn read(session: &'a Session<'a>, changes: &Path) -> anyhow::Result<Self> {
        let failed = || format!("failed to read {}", changes.display());
        let text = std::fs::read_to_string(changes).with_context(failed)?;
        Ok(Self { session, stages: serde_json::from_str(&text).with_context(failed)? })
    }
}

#[async_trait(?Send)]
impl Step for EveryKind<'_> {
    const NAME: &'static str = "every-kind";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    async fn plan(&self) -> Result<Plan, Failure> {
        let objects = Objects::new(self.session.cluster, &self.session.discovery);
        let mut plan = PlanBuilder::new(Self::NAME, self.stages.iter().map(|wishes| wishes.stage.clone()).collect());
        for (stage, wishes) in self.stages.iter().enumerate() {
            let mut wanted: Vec<&Wish> = wishes.wanted.iter().collect();
            wanted.sort_by_key(|wish| &wish.target);
            for wish in wanted {
                if let Some([from, to]) = &wish.sweep {
                    let images = Images::Sweep(from.clone(), to.clone());
                    plan.push(&Change { stage, target: wish.target.clone(), images, reason: "the file says so".to_owned() });
                    continue;
                }
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
        Ok(plan.build())
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        let discovery = self.session.cluster.discover_for(plan, &self.session.discovery).await?;
        let objects = Objects::new(self.session.cluster, discovery);
        for change in plan.changes() {
            let stage = &plan.stages()[change.stage];
            let task = Task { change: &change, stage, mark: "", is_undo: false, on_drift: OnDrift::Stop };
            // A created object carries the mark of its ticket, which is not looked at here: it is there.
            let is_done = match &change.images {
                Images::Create(_) => objects.get(&change.target).await?.is_some(),
                _ => objects.look(&task).await? == Standing::After,
            };
            if !is_done {
                return Err(Obstacle::Drift {
                    target: change.target,
                    what: "was written, but is not as planned".to_owned(),
                });
            }
        }
        Ok(Verified::AsPlanned)
    }
}
