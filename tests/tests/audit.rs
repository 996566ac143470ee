//! Run after all other tests, because it reads what their API servers have noted: every rule of the chart was used by some run
//! of a job, whose token allows nothing else. A rule that no run uses is one too many.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use fairlead_tests::access::{self, Rule};
use fairlead_tests::program::root;
use serde_json::Value;

/// The job that has sent a request, and the rule that it needed, if it was one of ours and was answered.
fn used(event: &Value) -> Option<(&'static str, Rule)> {
    let user = event["user"]["username"].as_str()?.strip_prefix("system:serviceaccount:")?;
    let (job, _) = access::JOBS.into_iter().find(|(job, _)| user.ends_with(job))?;
    let is_allowed = event["responseStatus"]["code"].as_i64().is_some_and(|code| code != 401 && code != 403);
    let object = &event["objectRef"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let resource = [text(&object["resource"]), text(&object["subresource"])].join("/");
    let resource = resource.trim_end_matches('/').to_owned();
    is_allowed.then(|| (job, Rule { group: text(&object["apiGroup"]), resource, verb: text(&event["verb"]) }))
}

/// Who a request of a job said that it was, if it did not say so right.
fn stranger(event: &Value) -> Option<String> {
    let user = event["user"]["username"].as_str()?.strip_prefix("system:serviceaccount:")?;
    let (job, _) = access::JOBS.into_iter().find(|(job, _)| user.ends_with(job))?;
    let agent = event["userAgent"].as_str().unwrap_or_default();
    let is_right = agent.strip_prefix("fairlead/").is_some_and(|rest| rest.split_once(' ').is_some());
    (!is_right).then(|| format!("{job}: {agent:?}"))
}

#[test]
#[ignore = "needs the audit logs of all other tests: `make test` runs it last"]
fn every_rule_of_the_chart_was_used() {
    let folder = root().join("target/audit");
    let logs = std::fs::read_dir(&folder).expect("the tests write audit logs there");
    let (mut seen, mut strangers) = (BTreeSet::new(), BTreeSet::new());
    for log in logs {
        let file = std::fs::File::open(log.expect("an entry").path()).expect("a log");
        // The last line of an API server that was killed may be incomplete.
        let events = BufReader::new(file).lines().map_while(Result::ok);
        for event in events.filter_map(|line| serde_json::from_str(&line).ok()) {
            seen.extend(used(&event));
            strangers.extend(stranger(&event));
        }
    }
    assert!(strangers.is_empty(), "requests that do not say who asks: {strangers:?}");
    for (job, _) in access::JOBS {
        let rendered = access::rules(&access::rendered("fairlead", job));
        let unused: Vec<&Rule> = rendered.iter().filter(|rule| !seen.contains(&(job, (*rule).clone()))).collect();
        assert!(!rendered.is_empty() && unused.is_empty(), "no run of {job} used {unused:?}");
    }
}
