//! The steps that must have run before a purge, and whether what they have seen still holds.

use fairlead_driver::earlier_steps::{objection, target};
use fairlead_job::codes::legacy_purger as codes;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::source::Source;
use fairlead_release::binary::STEPS;

use crate::near::{meant_of, nearest};
use crate::options::Options;

/// The required steps, each with what speaks against it.
pub(crate) struct EarlierSteps(Vec<(String, Option<String>)>);

impl EarlierSteps {
    /// Asks for those that the command line names, and for the drain of the configuration: if it has run for this release, and where
    /// nothing has its name, which nobody would notice.
    pub(crate) async fn observe(
        source: &Source<'_>,
        options: &Options<'_>,
        store: &dyn Store,
        runs: &[RecordedRun],
    ) -> Result<Self, Obstacle> {
        let mut required = options.required_steps.to_vec();
        let has_run = |step: &str| runs.iter().any(|run| run.step == step);
        let drain = options.purge.drained_by.as_ref().filter(|step| has_run(step) || !is_known(step));
        required.extend(drain.filter(|drain| !required.contains(drain)).cloned());
        let mut steps = Vec::new();
        for step in required {
            let objection = objection(&step, runs, options.valid, store, source).await?;
            let unknown = if has_run(&step) { String::new() } else { unknown(&step, options) };
            steps.push((step, objection.map(|objection| objection + &unknown)));
        }
        Ok(Self(steps))
    }

    /// Looks only at the names: files have no ledger. What is nearly the name of a step is a slip of it.
    pub(crate) fn of_names(options: &Options<'_>) -> Self {
        let named = options.required_steps.iter().chain(&options.purge.drained_by);
        let slips = named.filter(|step| !is_known(step) && nearest(step, STEPS).is_some());
        let objection = |step: &String| (step.clone(), Some("no such step is known".to_owned() + &unknown(step, options)));
        Self(slips.map(objection).collect())
    }

    pub(crate) fn is_required(&self, step: &str) -> bool {
        self.0.iter().any(|(required, _)| required == step)
    }

    pub(crate) fn refusals(&self) -> impl Iterator<Item = Finding> {
        let refusal = |(step, objection): &(String, Option<String>)| {
            objection.as_ref().map(|message| codes::NOT_PRECEDED.finding(target(step), message.clone()))
        };
        self.0.iter().filter_map(refusal)
    }
}

fn is_known(step: &str) -> bool {
    STEPS.contains(&step)
}

/// Says of a step that never ran if no job has a step of its name either, and where that name stands.
fn unknown(step: &str, options: &Options<'_>) -> String {
    if is_known(step) {
        return String::new();
    }
    let is_on_command_line = options.required_steps.iter().any(|required| required == step);
    let place = if is_on_command_line { "--require-step" } else { "purge.drainedBy" };
    format!("; {place} names it, and no job of fairlead has a step of that name; {}", meant_of(step, "there are", &STEPS))
}
