//! A gate: it changes nothing, looks at a file, and keeps what it has read. `empty` lets pass, `later N` goes on in the background,
//! everything else is refused with a code of a job.

use std::cell::RefCell;
use std::path::Path;

use async_trait::async_trait;
use fairlead_driver::step::{Step, StepKind};
use fairlead_job::failure::Failure;
use fairlead_migration::executor::Verified;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::{Plan, PlanBuilder};
use serde_json::{Value, json};

/// The step.
pub(crate) struct Gate<'a> {
    file: &'a Path,
    read: RefCell<Option<String>>,
}

impl<'a> Gate<'a> {
    /// Looks at this file.
    pub(crate) fn of(file: &'a Path) -> Self {
        Self { file, read: RefCell::default() }
    }
}

#[async_trait(?Send)]
impl Step for Gate<'_> {
    const NAME: &'static str = "every-gate";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const KIND: StepKind = StepKind::Gate;

    async fn plan(&self) -> Result<Plan, Failure> {
        Ok(PlanBuilder::new(Self::NAME, Vec::new()).build())
    }

    async fn verify(&self, _plan: &Plan) -> Result<Verified, Obstacle> {
        let text = std::fs::read_to_string(self.file).unwrap_or_default();
        let text = text.trim();
        self.read.replace(Some(text.to_owned()));
        match text.strip_prefix("later ") {
            Some(left) => Ok(Verified::InBackground(format!("{left} are left"))),
            None if text == "empty" => Ok(Verified::AsPlanned),
            None => Err(Obstacle::Verdict { code: "LP103".into(), message: format!("it is not empty: {text}") }),
        }
    }

    fn evidence(&self) -> Option<Value> {
        self.read.borrow().as_ref().map(|text| json!({"read": text}))
    }
}
