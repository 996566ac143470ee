//! What the API server says of a field before it is set: whether there is such a field, and whether it takes the value.

use fairlead_job::codes::drain_waiter as codes;
use fairlead_kube_client::objects::Objects;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::fields;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::source::Source;

use crate::entry::Setting;

/// Findings of a dry run; none where there is no cluster to ask.
pub(crate) async fn rehearsed(
    source: &Source<'_>,
    target: &Target,
    setting: &Setting,
    [before, after]: [&Image; 2],
) -> Result<Vec<Finding>, Obstacle> {
    let (Source::Cluster(cluster, discovery), Some(patch)) = (source, fields::diff(before, after)) else {
        return Ok(Vec::new());
    };
    let name = setting.field.join(".");
    let refused = |what: String| codes::NOT_CLOSABLE.finding(target.clone(), what);
    let answer = Objects::new(cluster, *discovery).rehearse_update(target, &patch).await?;
    let refusal = match answer {
        Some(Err(why)) => {
            // The API server quotes the whole object first.
            let why = why.rsplit_once("\": ").map_or(why.as_str(), |(_, why)| why);
            Some(refused(format!("field {name} cannot be {}: {why}", setting.value)))
        }
        Some(Ok(object)) if !fields::holds(&patch, &object) => {
            Some(refused(format!("the API server leaves field {name} as it is")))
        }
        _ => None,
    };
    let is_new = setting.field.iter().try_fold(before, |value, name| value.get(name)).is_none();
    let warning = || codes::NEW_FIELD.finding(target.clone(), format!("field {name} is not there today"));
    Ok(match refusal {
        Some(refusal) => vec![refusal],
        None if is_new => vec![warning()],
        None => Vec::new(),
    })
}
