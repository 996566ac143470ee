//! A plan that somebody has approved, and whether it is the one that is right now.

use std::collections::BTreeSet;
use std::path::Path;

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;
use fairlead_job::manifests;
use fairlead_migration::change::Target;
use fairlead_migration::plan::Plan;
use fairlead_release::place::Place;
use serde_json::Value;

/// So many differences are named.
const NAMED: usize = 5;

/// A plan that `plan -o json` has written.
pub(crate) struct Approved {
    digest: String,
    /// What it would do, in words.
    changes: BTreeSet<String>,
}

impl Approved {
    /// Reads the plan of a step.
    pub(crate) fn read(path: &Path, step: &str) -> Result<Self, Failure> {
        let documents = manifests::read(path).map_err(Failure::input)?;
        let plan = documents.iter().find(|document| document["kind"] == "Plan" && document["step"] == step);
        let digest = plan.and_then(|plan| plan["digest"].as_str().map(|digest| (plan, digest.to_owned())));
        let (plan, digest) = digest.ok_or_else(|| {
            let message = format!("{} holds no plan of {step}; `{step} plan -o json` writes one", path.display());
            Failure::new(&shared::INPUT, message)
        })?;
        let changes = plan["changes"].as_array().into_iter().flatten().filter_map(in_words).collect();
        Ok(Self { digest, changes })
    }

    /// Whether this is the plan. One that has nothing to do, and refuses nothing, has it done already.
    pub(crate) fn check(&self, plan: &Plan) -> Result<(), Failure> {
        let now = plan.digest();
        if self.digest == now || plan.is_empty() && plan.refusals().is_empty() {
            return Ok(());
        }
        let planned = plan.changes().map(|change| words(&change.action().to_string(), &change.target)).collect();
        let message = format!("approved was {}, now it is {now}: {}", self.digest, self.difference(&planned));
        Err(Failure::new(&shared::NOT_APPROVED, message))
    }

    /// Whether this is the plan that an earlier run has begun with.
    pub(crate) fn check_begun(&self, digest: &str, sequence: u64, place: Place<'_>) -> Result<(), Failure> {
        if self.digest == digest {
            return Ok(());
        }
        let message =
            format!("approved was {}, and run {sequence}, which has not come to its end, is of plan {digest}", self.digest);
        let (back, status) = (place.command("rollback --last"), place.command("status"));
        let next = format!(
            "Nothing was changed. To take that run back: {back}\nTo finish it, give its step without --plan: {status}\n"
        );
        Err(Failure::new(&shared::NOT_APPROVED, message).with_aftermath(next))
    }

    fn difference(&self, planned: &BTreeSet<String>) -> String {
        let more = planned.difference(&self.changes).map(|change| format!("not approved is: {change}"));
        let less = self.changes.difference(planned).map(|change| format!("approved, and not planned any more: {change}"));
        let all: Vec<String> = more.chain(less).collect();
        match all.len() {
            0 => "the same objects, with other contents".to_owned(),
            count if count > NAMED => format!("{}; and {} more", all[..NAMED].join("; "), count - NAMED),
            _ => all.join("; "),
        }
    }
}

fn words(action: &str, target: &Target) -> String {
    format!("{action} {target}")
}

fn in_words(change: &Value) -> Option<String> {
    let target: Target = serde_json::from_value(change["target"].clone()).ok()?;
    Some(words(change["action"].as_str()?, &target))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_what_differs() {
        let set = |changes: &[&str]| changes.iter().map(|change| (*change).to_owned()).collect::<BTreeSet<String>>();
        let approved = Approved { digest: "a".to_owned(), changes: set(&["create Trigger a/b", "create Trigger a/c"]) };
        assert_eq!(approved.difference(&approved.changes), "the same objects, with other contents");
        assert_eq!(
            approved.difference(&set(&["create Trigger a/b", "delete Trigger a/d"])),
            "not approved is: delete Trigger a/d; approved, and not planned any more: create Trigger a/c"
        );
        let many: Vec<String> = (0..9).map(|n| format!("create Trigger x/{n}")).collect();
        let many = approved.difference(&many.into_iter().chain(approved.changes.clone()).collect());
        assert!(many.ends_with("create Trigger x/4; and 4 more"), "{many}");
    }
}
