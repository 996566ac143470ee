//! What each account may do, and what both the job's and that of the rollback hooks may.

use std::collections::BTreeMap;

use fairlead_tests::access::{self, Rule};
use fairlead_tests::program::root;
use serde_json::{Value, json};

use crate::{ALL_JOBS, CHART, HELMS, objects, release, template, text};

/// Those of this kind that belong to a job.
fn of<'a>(objects: &'a [Value], kind: &str, job: &str) -> Vec<&'a Value> {
    let is_it = |object: &&Value| object["kind"] == kind && object["metadata"]["labels"]["app.kubernetes.io/name"] == job;
    objects.iter().filter(is_it).collect()
}

#[test]
fn what_undoing_takes_is_given_to_the_account_of_the_rollback_hooks() {
    for helm in HELMS {
        for name in ["shop", &"r".repeat(53)] {
            let of_mode = |mode: &str| {
                let values = format!("{ALL_JOBS},mode={mode}");
                objects(&release(helm, "shop", name, CHART, &["--set", &values]).expect(0).stdout)
            };
            let [hooks, plain] = ["hook", "job"].map(of_mode);
            let account = |job: &str| {
                let accounts = of(&hooks, "ServiceAccount", job);
                json!({"kind": "ServiceAccount", "name": accounts[0]["metadata"]["name"], "namespace": "shop"})
            };
            for job in ["trigger-replicator", "drain-waiter", "legacy-purger"] {
                for objects in [&hooks, &plain] {
                    let [roles, bindings] = ["ClusterRole", "ClusterRoleBinding"].map(|kind| of(objects, kind, job));
                    assert_eq!((roles.len(), bindings.len()), (2, 2), "the step's own, and that for going back");
                    let undo = bindings[1];
                    assert!(text(&undo["metadata"]["name"]).starts_with(&format!("fairlead-{job}-undo-")), "{undo}");
                    assert_eq!(undo["roleRef"]["name"], roles[1]["metadata"]["name"]);
                    // A purge that fails opens the intake again, and so does the first job of the next upgrade.
                    let later: &[&str] = if job == "drain-waiter" {
                        &["legacy-purger", "trigger-replicator", "schema-migrator"]
                    } else {
                        &[]
                    };
                    let accounts: Vec<Value> =
                        [job, "fairlead-rollback"].iter().chain(later).map(|it| account(it)).collect();
                    assert_eq!(undo["subjects"], json!(accounts));
                    assert_eq!(bindings[0]["subjects"], json!([account(job)]));
                }
            }
        }
    }
}

/// Every resource that these objects name, with its verbs.
fn permissions(objects: &[&Value]) -> String {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut objects: Vec<Value> = objects.iter().map(|object| (*object).clone()).collect();
    // Rules for some objects alone are looked at where they are.
    for rules in objects.iter_mut().filter_map(|object| object.get_mut("rules")?.as_array_mut()) {
        rules.retain(|rule| rule["resourceNames"].is_null());
    }
    for Rule { group, resource, verb } in access::rules(&objects) {
        let verbs = all.entry(format!("{resource}.{group}")).or_default();
        assert!(!verbs.contains(&verb), "{verb} {resource} is given twice");
        verbs.push(verb);
    }
    let lines = all.iter_mut().map(|(resource, verbs)| {
        verbs.sort();
        format!("  {}: {}\n", resource.trim_end_matches('.'), verbs.join(" "))
    });
    lines.collect()
}

/// What each account of these may do.
fn table(values: &[&str]) -> String {
    let objects = objects(&template("helm4", CHART, values).expect(0).stdout);
    let mut table = String::new();
    for job in ["trigger-replicator", "drain-waiter", "legacy-purger", "schema-migrator", "unhold"] {
        let roles = [of(&objects, "ClusterRole", job), of(&objects, "Role", job)].concat();
        table.extend([job, "\n", &permissions(&roles)]);
    }
    let undo = |object: &&Value| text(&object["metadata"]["name"]).contains("-undo-");
    for job in ["trigger-replicator", "drain-waiter", "legacy-purger"] {
        let roles: Vec<&Value> = of(&objects, "ClusterRole", job).into_iter().filter(undo).collect();
        table.extend([job, ", for going back\n", &permissions(&roles)]);
    }
    let own = ["ClusterRole", "Role"].map(|kind| of(&objects, kind, "fairlead-rollback")).concat();
    table + "fairlead-rollback, beside what the jobs bring\n" + &permissions(&own)
}

#[test]
fn each_account_may_do_what_it_needs_and_no_verb_is_given_twice() {
    insta::assert_snapshot!(table(&["--set", ALL_JOBS]));
}

/// Every place of a configuration that names a kind, some of them twice, and what nobody can guess from it.
#[test]
fn what_the_configuration_names_is_allowed_instead_of_what_is_built_in() {
    let workload = |kind: &str| json!({"apiVersion": "apps/v1", "kind": kind, "namespace": "shop", "name": "maker"});
    let kind = |group: &str, kind: &str| json!({"group": group, "kind": kind});
    let values = json!({
        "triggerReplicator": {"enabled": false},
        "legacyPurger": {"enabled": true, "rules": [{"apiGroups": ["example.com"], "resources": ["oxen"], "verbs": ["get"]}]},
        "configuration": {"purge": {
            "kinds": [kind("example.com", "Widget"), kind("example.com", "Gateway"), kind("example.com", "AccessPolicy"), kind("example.com", "Mesh")],
            "consumers": [{"workload": workload("StatefulSet"), "hold": true}, {"workload": workload("Deployment")}],
            "finalizers": [{"name": "f", "owner": workload("Deployment"), "deletes": [kind("example.com", "Part"), kind("example.com", "Widget")]}],
            "dependents": [kind("", "ConfigMap"), kind("example.com", "Widget")],
            "owned": "all",
            "stays": [kind("example.com", "Lease"), kind("example.com", "Part")],
        }},
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), values.to_string()).expect("written");
    insta::assert_snapshot!(table(&["--values", file.path().to_str().expect("UTF-8")]));
}

/// Every way to close an intake, and credentials in another namespace and in that of the release.
#[test]
fn what_is_drained_is_allowed_and_no_other_secret_is_read() {
    let object = |kind: &str| json!({"apiVersion": "example.com/v1", "kind": kind, "namespace": "shop", "name": "x"});
    let secret = |namespace: &str, name: &str| json!({"namespace": namespace, "name": name, "key": "password"});
    let values = json!({
        "triggerReplicator": {"enabled": false},
        "drainWaiter": {"enabled": true, "rules": [{"apiGroups": ["example.com"], "resources": ["oxen"], "verbs": ["get", "patch"]}]},
        "configuration": {"purge": {"kinds": [{"group": "example.com", "kind": "Widget"}]}, "drain": {
            "sources": [
                {"name": "a", "kubernetes": {"apiVersion": "example.com/v1", "kind": "Import", "namespace": "shop", "name": "x", "until": {"condition": "Done"}}},
                {"name": "b", "http": {"url": "http://x", "headers": [{"value": secret("queues", "rabbit")}], "password": secret("shop", "here")}},
            ],
            "intake": [
                {"scale": {"kind": "StatefulSet", "namespace": "shop", "name": "x"}}, {"suspend": {"namespace": "shop", "name": "x"}},
                {"redirect": {"namespace": "shop", "name": "x", "selector": {"app": "new"}, "event": {
                    "url": "http://x", "headers": {"authorization": secret("queues", "front")}, "body": secret("queues", "no-secret"),
                }}},
                {"set": {"apiVersion": "example.com/v1", "kind": "Queue", "name": "x", "field": ["spec", "paused"], "value": true}},
                {"scale": object("Worker")},
                {"each": {"apiVersion": "example.com/v1", "kind": "Shop"}, "redirect": {"namespace": "shop", "name": "{each}", "selector": {"app": "{each}"}}},
            ],
        }},
    });
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    std::fs::write(file.path(), values.to_string()).expect("written");
    let values = ["--values", file.path().to_str().expect("UTF-8")];
    insta::assert_snapshot!(table(&values));
    let objects = objects(&template("helm4", CHART, &values).expect(0).stdout);
    let is_of_secrets = |object: &&Value| {
        let mut rules = object["rules"].as_array().into_iter().flatten();
        rules.any(|rule| rule["resources"] == json!(["secrets"]) && rule["resourceNames"].is_array())
    };
    let [role] = objects.iter().filter(is_of_secrets).collect::<Vec<_>>()[..] else { panic!("one role reads Secrets") };
    assert_eq!((&role["kind"], &role["metadata"]["namespace"]), (&json!("Role"), &json!("queues")));
    let expected =
        json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["front", "rabbit"], "verbs": ["get"]}]);
    assert_eq!(role["rules"], expected);
    assert!(!objects.iter().any(|object| object["metadata"]["name"] == "shop-legacy-purger"));
}

/// Kyma's kinds need more than others: whether their events arrive on the mesh.
#[test]
fn a_part_of_kymas_kinds_is_allowed_what_all_of_them_need_to_be_judged() {
    for (kind, group) in [("Subscription", "eventing"), ("EventActivation", "applicationconnector")] {
        let entry = "legacyPurger.enabled=true,configuration.purge.kinds[0]";
        let values = format!("{entry}.kind={kind},configuration.purge.kinds[0].group={group}.kyma-project.io");
        let objects = objects(&template("helm4", CHART, &["--set", &values]).expect(0).stdout);
        let table = permissions(&of(&objects, "ClusterRole", "legacy-purger"));
        for resource in [
            "brokers.eventing.knative.dev",
            "channels.messaging.knative.dev",
            "eventactivations.applicationconnector.kyma-project.io",
            "subscriptions.eventing.kyma-project.io",
            "subscriptions.messaging.knative.dev",
            "triggers.eventing.knative.dev",
        ] {
            let line = table.lines().find(|line| line.contains(&format!("{resource}:")));
            assert!(line.is_some_and(|line| line.contains("list")), "{kind}: {resource}\n{table}");
        }
    }
}

/// Resources with the verbs of a job alone, and of going back.
type Documented = BTreeMap<String, [Vec<String>; 2]>;

/// What a section of `docs/permissions.md` says.
fn documented(section: &str) -> Documented {
    let page = std::fs::read_to_string(root().join("docs/permissions.md")).expect("the page is there");
    let (_, rest) = page.split_once(&format!("\n## {section}\n")).expect("it has the section");
    let rows = rest.split("\n## ").next().unwrap_or_default().lines().filter(|line| line.starts_with("| `"));
    let sorted = |cell: &str| {
        let mut verbs: Vec<String> =
            cell.split(',').map(|verb| verb.trim().to_owned()).filter(|it| !it.is_empty()).collect();
        verbs.sort();
        verbs
    };
    let mut all = Documented::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').collect();
        for resource in cells[1].split(',').map(|resource| resource.trim().trim_matches('`').to_owned()) {
            let before = all.insert(resource.clone(), [cells[2], cells[3]].map(sorted));
            assert_eq!(before, None, "{resource} stands twice");
        }
    }
    all
}

/// What the chart gives: roles for the job alone, and roles for going back.
fn given(roles: [&[&Value]; 2]) -> Documented {
    let mut all = Documented::new();
    for (place, roles) in roles.into_iter().enumerate() {
        let roles: Vec<Value> = roles.iter().map(|role| (*role).clone()).collect();
        for Rule { group, resource, verb } in access::rules(&roles) {
            let resource = format!("{resource}.{group}").trim_end_matches('.').to_owned();
            all.entry(resource).or_default()[place].push(verb);
        }
    }
    all.values_mut().flatten().for_each(|verbs| verbs.sort());
    all
}

#[test]
fn the_page_on_permissions_says_what_the_chart_gives() {
    let all = format!("{ALL_JOBS},compatibilityLayer.enabled=true");
    let objects = objects(&template("helm4", CHART, &["--set", &all]).expect(0).stdout);
    let accounts = [
        ("trigger-replicator", "trigger-replicator"),
        ("drain-waiter", "drain-waiter"),
        ("legacy-purger", "legacy-purger"),
        ("schema-migrator", "schema-migrator"),
        ("compatibility-layer", "compatibility-layer"),
        ("unhold", "unhold"),
        ("fairlead-rollback", "The rollback hooks"),
    ];
    for (account, section) in accounts {
        let is_undo = |role: &&&Value| text(&role["metadata"]["name"]).contains("-undo-");
        let roles = of(&objects, "ClusterRole", account);
        let (back, own): (Vec<&Value>, Vec<&Value>) = roles.iter().partition(|role| is_undo(role));
        assert_eq!(documented(section), given([&own, &back]), "{section}");
    }
    let role = |account: &str| of(&objects, "Role", account);
    for job in ["trigger-replicator", "drain-waiter", "legacy-purger", "schema-migrator"] {
        let given = given([&role(job), &role("fairlead-rollback")]);
        assert_eq!(documented("In the release's namespace"), given, "{job}");
    }
}

/// It is not in the audit: what it may do is a part of what is looked at there.
#[test]
fn what_watches_in_the_background_creates_nothing_and_may_do_no_more_than_the_job() {
    let objects = objects(&template("helm4", CHART, &["--set", "mode=job"]).expect(0).stdout);
    let rules = |account: &str| {
        let roles = [of(&objects, "ClusterRole", account), of(&objects, "Role", account)].concat();
        access::rules(&roles.into_iter().cloned().collect::<Vec<_>>())
    };
    let (ours, jobs) = (rules(access::BACKGROUND), rules("trigger-replicator"));
    let more: Vec<&Rule> = ours.iter().filter(|rule| !jobs.contains(rule)).collect();
    assert!(more.is_empty() && ours.len() > 20, "{more:?}");
    let ledger = ["secrets", "events", "leases"];
    let created = ours.iter().filter(|rule| rule.verb == "create" && !ledger.contains(&rule.resource.as_str()));
    assert_eq!(created.collect::<Vec<_>>(), Vec::<&Rule>::new());
}

/// Helm waits for hooks. The first upgrade brings it, and no installation of a fresh system.
#[test]
fn what_watches_in_the_background_is_no_hook() {
    let jobs = |values: &[&str]| -> Vec<Value> {
        let objects = objects(&template("helm4", CHART, values).expect(0).stdout);
        objects
            .into_iter()
            .filter(|object| object["kind"] == "Job" && text(&object["metadata"]["name"]).contains("background"))
            .collect()
    };
    let job = jobs(&["--is-upgrade"]).pop().expect("it is there");
    assert_eq!(job["metadata"]["annotations"], json!({}), "{job}");
    let container = &job["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["args"], json!(["background"]));
    let patience = json!({"name": "FAIRLEAD_READY_TIMEOUT", "value": "15m"});
    assert!(container["env"].as_array().expect("a list").contains(&patience), "{container}");
    assert_eq!(jobs(&[]), Vec::<Value>::new());
    assert_eq!(jobs(&["--is-upgrade", "--set", "triggerReplicator.background.enabled=false"]), Vec::<Value>::new());
}
