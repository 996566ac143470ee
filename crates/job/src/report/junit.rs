//! JUnit XML, which every CI shows: a change is a test that passes, what is unchanged is skipped, a refusal fails.

use fairlead_migration::finding::{Finding, Unchanged};
use fairlead_migration::plan::Plan;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use fairlead_migration::obstacle::chain;

use crate::outcome::Ended;
use crate::redact;

/// One document of these suites: a reader takes no more from a file.
pub(super) fn render(suites: Vec<TestSuite>) -> Result<String, quick_junit::SerializeError> {
    let mut report = Report::new("fairlead");
    report.add_test_suites(suites);
    report.to_string()
}

/// A plan, or a run that has ended.
pub(super) fn suite(plan: &Plan, ended: Option<&Ended>) -> TestSuite {
    let mut suite = TestSuite::new(plan.step());
    let mut add = |name: String, status| {
        let mut case = TestCase::new(name, status);
        case.set_classname(plan.step());
        suite.add_test_case(case);
    };
    if let Some(blocked) = plan.blocked().filter(|_| ended.is_none()) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        let message = format!("BLOCKED: {}", redact::text(&blocked.message));
        status.set_type(&*blocked.code).set_message(message).set_description(&*blocked.hint);
        add("plan".to_owned(), status);
    }
    for change in plan.changes() {
        let mut status = TestCaseStatus::success();
        status.set_message(redact::text(&change.reason));
        add(format!("{} {}", change.action(), change.target), status);
    }
    for Unchanged { target, reason } in super::unchanged(plan) {
        let mut status = TestCaseStatus::skipped();
        status.set_message(reason.as_str());
        add(target.to_string(), status);
    }
    for Finding { code, target, message, hint } in plan.warnings() {
        let mut status = TestCaseStatus::skipped();
        status.set_type(&**code).set_message(format!("warning: {message}")).set_description(&**hint);
        add(format!("{code} {target}"), status);
    }
    for Finding { code, target, message, hint } in plan.refusals() {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_type(&**code).set_message(message.as_str()).set_description(&**hint);
        add(format!("{code} {target}"), status);
    }
    if let Some(failure) = ended.and_then(|ended| ended.failure.as_ref()) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type(failure.code.id).set_message(chain(failure)).set_description(failure.code.next);
        add("apply".to_owned(), status);
    }
    suite
}
