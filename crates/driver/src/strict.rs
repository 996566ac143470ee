//! `--strict`: nothing is done where something is refused.

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_migration::plan::Plan;

/// The plan, which says first that nothing of it would be done.
pub(crate) fn blocked(strict: bool, plan: Plan) -> Plan {
    match refused(strict, &plan) {
        Some(message) => plan.blocked_by(shared::STRICT.blocked(message)),
        None => plan,
    }
}

/// Fails where something is refused and `--strict` is set.
pub(crate) fn check(strict: bool, plan: &Plan) -> Result<(), Failure> {
    refused(strict, plan).map_or(Ok(()), |message| Err(Failure::new(&shared::STRICT, message)))
}

fn refused(strict: bool, plan: &Plan) -> Option<String> {
    let count = plan.refusals().len();
    (strict && count > 0)
        .then(|| if count == 1 { "1 object is refused".to_owned() } else { format!("{count} objects are refused") })
}

#[cfg(test)]
mod tests {
    use fairlead_migration::change::Target;
    use fairlead_migration::plan::PlanBuilder;

    use super::*;

    fn plan(refusals: usize) -> Plan {
        let mut plan = PlanBuilder::new("step", Vec::new());
        for number in 0..refusals {
            let target = Target { api_version: "v1".into(), kind: "A".into(), namespace: None, name: format!("a{number}") };
            plan.refuse(shared::DRIFT.finding(target, "no"));
        }
        plan.build()
    }

    #[test]
    fn a_plan_is_blocked_exactly_where_it_would_not_be_carried_out() {
        for (strict, refusals, says) in [(false, 2, None), (true, 0, None), (true, 1, Some("1 object is refused"))] {
            let plan = blocked(strict, plan(refusals));
            assert_eq!(plan.blocked().map(|blocked| blocked.message.as_str()), says);
            assert_eq!(
                check(strict, &plan).map_err(|failure| failure.to_string()),
                says.map_or(Ok(()), |says| Err(says.to_owned()))
            );
        }
        // What speaks against the whole of it anyway is more.
        let earlier = plan(2).blocked_by(shared::DRIFT.blocked("the step says so"));
        assert_eq!(blocked(true, earlier).blocked().map(|blocked| &*blocked.code), Some(shared::DRIFT.id));
    }
}
