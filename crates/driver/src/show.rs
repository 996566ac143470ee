//! What changes nothing: shows the plan of a step.

use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::{manifests, report};
use fairlead_migration::plan::Plan;
use fairlead_observe::kind::Asked;
use fairlead_observe::manifests::Manifests;
use fairlead_observe::source::Source;
use fairlead_release::args::CommonArgs;
use fairlead_release::session::connect;

use crate::args::PlanArgs;
use crate::strict;

/// Shows the plan that `make` makes of a cluster, or of files, in which objects of `kinds` are known to be in namespaces.
pub async fn show(
    common: &CommonArgs,
    args: &PlanArgs,
    kinds: impl Into<Asked<'_>>,
    make: impl AsyncFnOnce(&Source<'_>) -> Result<Plan, Failure>,
) -> anyhow::Result<ExitStatus> {
    let plan = if let Some(path) = &args.from {
        let kinds = kinds.into();
        let mut objects = Manifests::new(kinds, args.knative_version.as_str());
        let wants = |api_version: &str, kind: &str| kinds.wants(api_version, kind);
        manifests::stream(path, &wants, &mut |place, object| objects.add(&place.file, place.document, object))
            .map_err(Failure::input)?;
        make(&Source::Manifests(&objects.sorted())).await?
    } else {
        let cluster = connect(common).await?;
        let discovery = cluster.discover().await.map_err(Failure::from)?;
        make(&Source::Cluster(&cluster, &discovery)).await?
    };
    shown(common, args.exit_code, plan)
}

/// Shows a plan that is made already. With `exit_code` the process says whether there is something to do.
pub fn shown(common: &CommonArgs, exit_code: bool, plan: Plan) -> anyhow::Result<ExitStatus> {
    let plan = strict::blocked(common.strict, plan);
    report::print_plan(common.output.output, &plan)?;
    strict::check(common.strict, &plan)?;
    Ok(if exit_code && !plan.is_empty() { ExitStatus::Changes } else { ExitStatus::Done })
}
