//! The steps that must have run before a purge, and whether what they have seen still holds.

use fairlead_driver::earlier_steps::{objection, target};
use fairlead_job::codes::legacy_purger as codes;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::run::RecordedRun;
use fairlead_migration::store::Store;
use fairlead_observe::source::Source;

use crate::options::Options;

/// The required steps, each with what speaks against it.
pub(crate) struct EarlierSteps(Vec<(String, Option<String>)>);

impl EarlierSteps {
    /// Asks for those that the command line names, and for the drain of the configuration if it has run for this release.
    pub(crate) async fn observe(
        source: &Source<'_>,
        options: &Options<'_>,
        store: &dyn Store,
        runs: &[RecordedRun],
    ) -> Result<Self, Obstacle> {
        let mut required = options.required_steps.to_vec();
        let has_run = |step: &&String| runs.iter().any(|run| run.step == **step);
        let drain = options.purge.drained_by.as_ref().filter(has_run);
        required.extend(drain.filter(|drain| !required.contains(drain)).cloned());
        let mut steps = Vec::new();
        for step in required {
            let objection = objection(&step, runs, options.valid, store, source).await?;
            steps.push((step, objection));
        }
        Ok(Self(steps))
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
