//! Whether the intake is still closed: what the run has closed, and what was closed when it began. Who opened it is found in managedFields.

use std::time::Duration;

use fairlead_job::codes::drain_waiter as codes;
use fairlead_kube_client::writer::Writer;
use fairlead_migration::change::{Image, Target};
use fairlead_migration::fields;
use fairlead_migration::finding::Finding;
use fairlead_migration::obstacle::Obstacle;
use fairlead_observe::kind::Kind;
use fairlead_observe::source::Source;
use serde_json::Value;
use tokio::time::sleep;

use crate::configuration::Drain;
use crate::entry::{Intake, Redirect};
use crate::intake::Closing;
use crate::surroundings::new_side;

/// A pod that is replaced, or fails a probe, is ready again a moment later: it is looked at again before the gate fails.
const PAUSE: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 10;

/// Fails when an object of the intake is not closed.
pub(crate) async fn expect_closed(source: &Source<'_>, drain: &Drain, release: &str) -> Result<(), Obstacle> {
    for intake in &drain.intake {
        let target = intake.target();
        let kind = Kind::of(&target);
        let live = source.get(&kind, target.namespace.as_deref().unwrap_or_default(), &target.name).await?;
        let message = match live {
            None if intake.may_be_absent() => continue,
            None => format!("{target} is gone: somebody has deleted it"),
            Some(live) => match (opened(intake, &live, release), intake) {
                (Some(how), _) => format!("{target} {how}"),
                // Only a cluster has pods.
                (None, Intake::Redirect(redirect)) => match lasting_trouble(source, &target, &live, redirect).await? {
                    Some(finding) => format!("{target} leads nowhere: {}", finding.message),
                    None => continue,
                },
                (None, _) => continue,
            },
        };
        return Err(Obstacle::Verdict { code: codes::CAME_BACK.id.into(), message });
    }
    Ok(())
}

/// What speaks against the new side of a redirect, and does not pass.
async fn lasting_trouble(
    source: &Source<'_>,
    target: &Target,
    live: &Image,
    redirect: &Redirect,
) -> Result<Option<Finding>, Obstacle> {
    for _ in 0..ATTEMPTS {
        let Some(finding) = new_side(source, target, live, redirect).await? else { return Ok(None) };
        tracing::info!(service = %target, why = finding.message, "the new side is not ready; looking again");
        sleep(PAUSE).await;
    }
    new_side(source, target, live, redirect).await
}

/// What opens it, and who wrote that: `is open: spec.replicas is 1, and must be 0; kubectl (scale) wrote it`.
fn opened(intake: &Intake, live: &Image, release: &str) -> Option<String> {
    let after = match intake.close(live, true, release) {
        Closing::Already(_) => return None,
        Closing::Refused(finding) => return Some(format!("is not what it was: {}", finding.message)),
        Closing::After(after) => after,
    };
    let difference = fields::diff(live, &after)?;
    let leaf = fields::leaves(&difference).into_iter().next()?;
    let (names, wanted): (Vec<&str>, &Value) = match intake {
        Intake::Set(setting) => (setting.field.iter().map(String::as_str).collect(), &setting.value),
        // What a selector names may have dots.
        _ => (leaf.0.splitn(3, '.').collect(), leaf.1),
    };
    let path = names.join(".");
    let found = names.iter().try_fold(live, |value, name| value.get(*name)).unwrap_or(&Value::Null);
    let must = if wanted.is_null() { "must not be there".to_owned() } else { format!("must be {wanted}") };
    let by = match Writer::of(live, &names) {
        Some(Writer { manager, .. }) => format!("{manager} wrote it"),
        None if found.is_null() => "nobody owns it; the API server may know no such field".to_owned(),
        None => "managedFields do not say who wrote it".to_owned(),
    };
    let is = if found.is_null() { "is not there".to_owned() } else { format!("is {found}") };
    Some(format!("is open: {path} {is}, and {must}; {by}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn how(document: Value, live: &Value) -> Option<String> {
        let intake: Intake = serde_json::from_value(document).expect("valid");
        opened(&intake, live, "shop")
    }

    #[test]
    fn who_wrote_the_field_is_named_and_not_who_made_the_object() {
        let scale = json!({"scale": {"namespace": "a", "name": "b"}});
        let entry = |manager: &str, time: &str, fields: Value| json!({"manager": manager, "time": time, "fieldsV1": fields});
        let mut scaled = entry("kubectl", "2026-01-01T00:00:00Z", json!({"f:spec": {"f:replicas": {}}}));
        scaled["subresource"] = "scale".into();
        let managers = json!([entry("helm", "2026-01-02T00:00:00Z", json!({"f:spec": {"f:template": {}}})), scaled]);
        let live = |replicas: u32| json!({"metadata": {"managedFields": managers}, "spec": {"replicas": replicas}});
        assert_eq!(how(scale.clone(), &live(0)), None);
        let expected = "is open: spec.replicas is 1, and must be 0; kubectl (scale) wrote it";
        assert_eq!(how(scale, &live(1)).as_deref(), Some(expected));
    }

    #[test]
    fn each_way_to_close_it_is_expected_to_last() {
        let suspend = json!({"suspend": {"namespace": "a", "name": "b"}});
        assert_eq!(how(suspend.clone(), &json!({"spec": {"suspend": true}})), None);
        assert!(how(suspend, &json!({"spec": {"suspend": false}})).is_some());
        let redirect = json!({"redirect": {"namespace": "a", "name": "b", "selector": {"app": "new"}}});
        assert_eq!(how(redirect.clone(), &json!({"spec": {"selector": {"app": "new"}}})), None);
        assert!(how(redirect.clone(), &json!({"spec": {"selector": {"app": "old"}}})).is_some());
        assert!(
            how(redirect, &json!({"spec": {"selector": {"app": "new", "tier": "old"}}}))
                .expect("open")
                .contains("must not be there")
        );
        let set = json!({"set": {"apiVersion": "example.com/v1", "kind": "Queue", "name": "b", "field": ["spec", "psued"], "value": true}});
        let dropped = how(set, &json!({"spec": {}})).expect("open");
        assert!(dropped.contains("the API server may know no such field"), "{dropped}");
        let dotted = json!({"set": {"apiVersion": "v1", "kind": "ConfigMap", "name": "b", "field": ["metadata", "annotations", "a.b/c"], "value": "x"}});
        let said = how(dotted, &json!({"metadata": {"annotations": {"a.b/c": "y"}}})).expect("open");
        assert!(said.starts_with("is open: metadata.annotations.a.b/c is \"y\", and must be \"x\""), "{said}");
    }
}
