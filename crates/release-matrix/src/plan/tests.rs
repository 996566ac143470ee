use super::*;
use crate::testing::{SEED, matrix, served};
use crate::{helm, json, lint, runbook, text};

fn request(from: &str, to: &str) -> Request {
    Request {
        file: "matrix.yaml".to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
        every_release: false,
        may_lose_way_back: false,
    }
}

fn planned(request: &Request) -> Plan {
    plan(&matrix(SEED), request).unwrap_or_else(|failure| panic!("{failure}"))
}

fn way(plan: &Plan) -> String {
    let stops = plan.steps.iter().map(|step| step.to.clone());
    std::iter::once(plan.from.clone()).chain(stops).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_ways_through_the_proposal() {
    let safe = request("1.0.0", "2.0.1");
    let [lossy, every] =
        [Request { may_lose_way_back: true, ..safe.clone() }, Request { every_release: true, ..safe.clone() }];
    assert_eq!(way(&planned(&safe)), "1.0.0 1.0.2 2.0.0 2.0.1");
    assert_eq!(way(&planned(&lossy)), "1.0.0 1.0.2 2.0.1");
    assert_eq!(way(&planned(&every)), "1.0.0 1.0.1 1.0.2 2.0.0 2.0.1");
    assert_eq!(way(&planned(&request("v1.0.1", "2.0.0"))), "1.0.1 1.0.2 2.0.0");
}

#[test]
fn a_pre_release_is_a_stop_only_if_no_release_can_be_one() {
    let [first, both, candidate, last] = [("1.0.0", "v1"), ("1.5.0", "v1, v2"), ("2.0.0-rc.1", "v1, v2"), ("2.0.0", "v2")];
    let through = |releases: &[_]| {
        way(&plan(&served(releases), &request("1.0.0", "2.0.0")).unwrap_or_else(|failure| panic!("{failure}")))
    };
    assert_eq!(through(&[first, both, candidate, last]), "1.0.0 1.5.0 2.0.0");
    assert_eq!(through(&[first, candidate, last]), "1.0.0 2.0.0-rc.1 2.0.0", "no release does as well");
    assert_eq!(through(&[first, both, ("1.6.0", "v1, v2"), candidate, last]), "1.0.0 1.6.0 2.0.0", "the newest that is one");
}

#[test]
fn the_plan_as_text() {
    let safe = request("1.0.0", "2.0.1");
    insta::assert_snapshot!(text::render(&planned(&safe)));
    insta::assert_snapshot!(text::render(&planned(&Request { may_lose_way_back: true, ..safe })));
    assert_eq!(text::render(&planned(&request("2.0.1", "2.0.1"))), "mojaloop runs 2.0.1 already: nothing to do.\n");
}

#[test]
fn the_plan_as_a_document() {
    insta::assert_snapshot!(json::render(&planned(&request("1.0.0", "2.0.1"))).expect("plain data"));
}

#[test]
fn the_plan_as_commands() {
    let safe = request("1.0.0", "2.0.1");
    insta::assert_snapshot!(
        helm::render(&planned(&Request { every_release: true, ..safe.clone() })).expect("the chart is named")
    );
    let nameless = matrix(&SEED.replace("    reference: mojaloop/mojaloop\n", ""));
    let failure =
        helm::render(&plan(&nameless, &safe).expect("the way is the same")).expect_err("no command would be whole");
    assert_eq!(failure.code.id, "RM106");
}

#[test]
fn the_plan_as_a_runbook() {
    let safe = request("1.0.0", "2.0.1");
    insta::assert_snapshot!(runbook::render(&planned(&safe), &safe));
}

#[test]
fn a_block_that_matches_nothing_is_told_in_every_form() {
    let request = request("1.0.0", "2.0.0");
    let blocked = |to: &str| {
        let spec = format!("{SEED}  blocked: [{{from: 'v1\\..*', to: {to}, reason: mails would be lost}}]\n");
        plan(&matrix(&spec), &request).unwrap_or_else(|failure| panic!("{failure}"))
    };
    let idle = blocked("2.0.0");
    let doubt = "RM202 spec.blocked[0]: no release older than 2.0.0 matches `from`, so that it blocks no upgrade";
    assert!(text::render(&idle).contains(&format!(": 2 upgrades\n{doubt}\n")));
    assert!(helm::render(&idle).expect("the chart is named").contains(&format!("\n# {doubt}\n")));
    assert!(runbook::render(&idle, &request).contains(&format!("\n- [ ] Correct the matrix, and plan again: {doubt}.\n")));
    assert!(json::render(&idle).expect("plain data").contains(&doubt[6..]));
    assert_eq!(blocked("2.0.1").doubts, [""; 0], "this plan does not lead to 2.0.1");
}

/// Helm asks a registry (`oci://…`) for exactly the tag that it is told.
#[test]
fn a_command_has_the_version_as_the_matrix_has_it() {
    let matrix = served(&[("1.0.0", "v1"), ("v1.1.0", "v1")]);
    let plan = plan(&matrix, &request("v1.0.0", "1.1.0")).expect("a way");
    assert_eq!(plan.steps[0].command, "helm upgrade shop CHART --version v1.1.0 --reset-then-reuse-values --wait");
}

#[test]
fn what_must_be_quoted_is_quoted() {
    let odd = SEED.replace("reference: mojaloop/mojaloop", "reference: my charts/a;b\n    namespace: shop");
    let plan = plan(&matrix(&odd), &request("1.0.0", "1.0.2")).expect("a way");
    let command = "helm upgrade mojaloop 'my charts/a;b' -n shop --version 1.0.2 --reset-then-reuse-values --wait";
    assert_eq!(plan.steps[0].command, command);
}

#[test]
fn a_refusal_says_what_is_in_the_way_and_what_does_lead_there() {
    let doubtful = matrix(&SEED.replace("transfer.quoteId: always", "transfer.quoteId: optional"));
    let failure = plan(&doubtful, &request("1.0.0", "2.0.1")).expect_err("2.0.0 does not run on v2.0.0");
    insta::assert_snapshot!(format!("{} {failure}\n{}", failure.code.id, failure.aftermath()));
    let early = matrix(&SEED.replace("apis: [v1.X, v2.0]", "apis: [v1.X]"));
    let failure = plan(&early, &request("1.0.0", "2.0.1")).expect_err("no release serves both");
    insta::assert_snapshot!(format!("{} {failure}\n{}", failure.code.id, failure.aftermath()));
    let blocked = matrix(&format!("{SEED}  blocked:\n    - {{to: 1.0.1, reason: it was withdrawn}}\n"));
    let every = Request { every_release: true, ..request("1.0.0", "2.0.1") };
    let failure = plan(&blocked, &every).expect_err("1.0.1 is blocked");
    insta::assert_snapshot!(format!("{} {failure}\n{}", failure.code.id, failure.aftermath()));
    assert_eq!(plan(&matrix(SEED), &request("2.0.1", "1.0.2")).expect_err("it goes back").code.id, "RM105");
    assert_eq!(plan(&matrix(SEED), &request("1.0.0", "2.0.2")).expect_err("it is not there").code.id, "RM102");
}

/// Everything that the proposal does not have: several APIs, custom resources, conditions, columns that are dropped, lost data.
#[test]
fn a_plan_with_everything() {
    let everything = matrix(
        "apiVersion: fairlead.dev/v1
kind: ReleaseMatrix
metadata: {name: shop}
spec:
  chart: {release: shop, reference: shop/shop, namespace: shop}
  schemaVersions:
    - {version: '1'}
    - {version: '2', kind: expand, migration: add-mail, backfill: [customer.mail]}
    - {version: '3', kind: contract, migration: drop-fax, drops: [customer.fax]}
    - {version: '4', kind: expand, irreversible: it hashes the passwords in place}
  releases:
    - {version: 1.0.0, schema: '1', apis: {orders: [v1], admin: [v1]}, customResources: {orders.shop.example: [v1alpha1, v1]}, uses: [customer.fax]}
    - {version: 1.1.0, schema: '2', apis: {orders: [v1, v2]}, customResources: {orders.shop.example: [v1]}, uses: [customer.mail]}
    - {version: 1.2.0, schema: '3', apis: {orders: [v1, v2]}, customResources: {orders.shop.example: [v1]}}
    - {version: 1.3.0, schema: '4', apis: {orders: [v2]}, customResources: {orders.shop.example: [v1]}}
  stops: [{release: 1.1.0, reason: it fills the rows, url: 'https://shop.example/1.1'}]
  blocked:
    - to: 1.2.0
      reason: mails in the queue would be lost
      url: https://shop.example/mails
      when: [{sql: select count(*) from mails}, {http: 'http://mails.shop/idle'}, {promql: 'sum(mails_queued) > 0'}]
",
    );
    let lossy = Request { may_lose_way_back: true, ..request("1.0.0", "1.3.0") };
    let plan = plan(&everything, &lossy).unwrap_or_else(|failure| panic!("{failure}"));
    insta::assert_snapshot!(text::render(&plan));
    insta::assert_snapshot!(runbook::render(&plan, &lossy));
    insta::assert_snapshot!(helm::render(&plan).expect("the chart is named"));
    insta::assert_snapshot!(lint::render(&everything));
}

#[test]
fn each_version_is_drained_as_the_matrix_says_of_its_own_api() {
    let two = matrix(
        "apiVersion: fairlead.dev/v1
kind: ReleaseMatrix
metadata: {name: shop}
spec:
  releases:
    - {version: 1.0.0, apis: {orders: [v1.0, v1.1, v2], admin: [v1.0, v2]}}
    - {version: 2.0.0, apis: {orders: [v2], admin: [v2]}}
  drains:
    - {api: v1.0, of: orders, close: close v1.0 of orders}
    - {api: v1.1, of: orders, close: close v1.1 of orders}
",
    );
    let plan = plan(&two, &request("1.0.0", "2.0.0")).expect("a way");
    let drains: Vec<_> = plan.steps[0].drains.iter().map(|it| (it.name(), it.close.as_deref().unwrap_or("-"))).collect();
    let expected =
        [("API admin v1.0", "-"), ("API orders v1.0", "close v1.0 of orders"), ("API orders v1.1", "close v1.1 of orders")];
    assert_eq!(drains, expected.map(|(name, close)| (name.to_owned(), close)));
}
