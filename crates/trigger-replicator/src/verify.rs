//! Looks at the world after the writes: is everything as planned?

use fairlead_mesh::kinds;
use fairlead_mesh::namespaces::INJECTION_LABELS;
use fairlead_migration::change::{Action, Targets};
use fairlead_migration::executor::Verified;
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_observe::source::Source;

use crate::args::Args;
use crate::carried_out::{is_carried_out, pending};
use crate::make::{Unplannable, make_plan};
use crate::ready::{self, Awaited, Patience, Wait};

/// Verifies that `plan` has been carried out and that what it created is ready.
pub(crate) async fn verify(
    source: &Source<'_>,
    args: &Args,
    patience: &mut Patience<'_>,
    plan: &Plan,
) -> Result<Verified, Obstacle> {
    if is_carried_out(source, plan).await? {
        return Ok(Verified::AsPlanned);
    }
    loop {
        let again = plan_again(source, args).await?;
        compare(plan, &again)?;
        let awaited = awaited(plan, &again);
        drop(again);
        match ready::wait(source, &awaited, patience).await? {
            Wait::Ready => return Ok(Verified::AsPlanned),
            Wait::Behind(left) => return Ok(Verified::InBackground(left)),
            // Either somebody has deleted what is needed, or a service was deprovisioned and it is needed no more.
            Wait::Gone => {}
        }
    }
}

/// Plans again: a change that is planned twice was not made. See the documentation of this crate.
async fn plan_again(source: &Source<'_>, args: &Args) -> Result<Plan, Obstacle> {
    make_plan(source, args).await.map_err(|error| match error {
        Unplannable::Obstacle(obstacle) => obstacle,
        Unplannable::NotServed(failure) => Obstacle::Refused { operation: "plan again".to_owned(), source: failure.into() },
    })
}

fn compare(plan: &Plan, again: &Plan) -> Result<(), Obstacle> {
    let mut ours = Targets::default();
    plan.changes().for_each(|change| ours.insert(&change.target));
    let refused = again.refusals().iter().map(|refusal| (refusal.target.clone(), refusal.message.clone()));
    let planned = again.changes().filter_map(|change| {
        let what = match change.action() {
            Action::Create => "somebody has deleted it",
            // A replica that is told of yet another Subscription is the next run's.
            Action::Update if change.target.kind == kinds::TRIGGER.kind => return None,
            _ => "it should be written again",
        };
        Some((change.target, format!("{what}: {}", change.reason)))
    });
    match refused.chain(planned).find(|(target, _)| ours.contains(target)) {
        Some((target, what)) => {
            Err(Obstacle::Drift { target, what: format!("was written, but is not as planned now: {what}") })
        }
        None => Ok(()),
    }
}

/// Objects that were created and are still asked for; somebody may have deprovisioned a service meanwhile.
fn awaited(plan: &Plan, again: &Plan) -> Awaited {
    let mut wanted = Targets::default();
    again.unchanged().iter().for_each(|unchanged| wanted.insert(&unchanged.target));
    // A replica that another Subscription has come to share is still asked for.
    again.changes().for_each(|change| wanted.insert(&change.target));
    // Reported in the plan, not waited for.
    let pending = pending(again);
    let mut awaited = Awaited::default();
    for change in plan.changes() {
        let target = &change.target;
        let is_labelled = change.after().is_some_and(|after| after["metadata"]["labels"].get(INJECTION_LABELS[0]).is_some());
        if target.kind == kinds::NAMESPACE.kind && is_labelled {
            awaited.add_broker_of(&target.name);
        }
        let is_pending =
            target.kind == kinds::TRIGGER.kind && target.namespace.as_ref().is_some_and(|it| pending.contains(it));
        if change.action() == Action::Create && !is_pending {
            if wanted.contains(target) {
                awaited.add(target);
            } else {
                tracing::warn!(target = %target, "nobody asks for it any more");
            }
        }
    }
    awaited
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::tests::{created, plan_from};

    fn subscription(name: &str) -> Value {
        json!({
            "apiVersion": "eventing.kyma-project.io/v1alpha1", "kind": "Subscription",
            "metadata": {"namespace": "orders", "name": name},
            "spec": {"source_id": "shop", "event_type": "a", "event_type_version": "v1", "endpoint": "http://mail.orders/"},
        })
    }

    fn broker() -> Value {
        json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": "orders", "name": "default"}})
    }

    #[test]
    fn a_trigger_is_waited_for_where_it_is_asked_for_and_there_is_a_broker() {
        let plan = plan_from(vec![subscription("a"), broker()], &[]);
        let trigger = created(&plan).remove(0);
        let awaited_after = |objects: Vec<Value>| {
            let again = plan_from(objects, &[]);
            compare(&plan, &again).expect("it is as planned");
            awaited(&plan, &again).len()
        };
        assert_eq!(awaited_after(vec![subscription("a"), broker(), trigger.clone()]), 1);
        // Another Subscription has come to share it: told so by the next run, and needed all the same.
        assert_eq!(awaited_after(vec![subscription("a"), subscription("b"), broker(), trigger.clone()]), 1);
        assert_eq!(awaited_after(vec![broker(), trigger.clone()]), 0);
        assert_eq!(awaited_after(vec![subscription("a"), trigger]), 0);
    }

    #[test]
    fn what_is_planned_again_has_not_been_done() {
        let plan = plan_from(vec![subscription("a"), broker()], &[]);
        let obstacle = compare(&plan, &plan).expect_err("somebody has deleted it");
        assert!(obstacle.to_string().contains("somebody has deleted it"), "{obstacle}");
    }
}
