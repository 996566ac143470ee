//! The hooks of `helm rollback`, and a rollback now.

use serde_json::{Value, json};

use crate::{ALL_JOBS, CHART, HELMS, names, objects, template, text};

fn rendered(helm: &str, values: &str, more: &[&str]) -> Vec<Value> {
    let set = ["--set", values];
    objects(&template(helm, CHART, &[&set, more].concat()).expect(0).stdout)
}

/// The pods' specification of the only Job that is named so.
fn pod<'a>(objects: &'a [Value], job: &str) -> &'a Value {
    let jobs: Vec<&Value> =
        objects.iter().filter(|object| object["kind"] == "Job" && object["metadata"]["name"] == job).collect();
    assert_eq!(jobs.len(), 1, "{job} in {:?}", names(objects));
    &jobs[0]["spec"]["template"]["spec"]
}

/// A list of text, as a shell would have it.
fn words(list: &Value) -> String {
    list.as_array().into_iter().flatten().map(|word| word.as_str().expect("text")).collect::<Vec<_>>().join(" ")
}

fn variable(pod: &Value, name: &str) -> Value {
    let variables = pod["containers"][0]["env"].as_array().into_iter().flatten();
    let mut values = variables.filter(|variable| variable["name"] == name).map(|variable| variable["value"].clone());
    values.next().unwrap_or(Value::Null)
}

const OFF: &str = "triggerReplicator.enabled=false";

#[test]
fn a_release_is_armed_with_all_jobs_off() {
    for helm in HELMS {
        let objects = rendered(helm, OFF, &[]);
        assert_eq!(
            names(&objects),
            [
                "ServiceAccount shop-fairlead-rollback",
                "ClusterRole fairlead-fairlead-rollback-0b6553f4",
                "ClusterRoleBinding fairlead-fairlead-rollback-0b6553f4",
                "Role shop-fairlead-rollback",
                "RoleBinding shop-fairlead-rollback",
                "Job shop-fairlead-pre-rollback",
                "Job shop-fairlead-post-rollback",
            ]
        );
        let hooks = objects.iter().map(|object| &object["metadata"]["annotations"]);
        let hooks = hooks.map(|it| [text(&it["helm.sh/hook"]), text(&it["helm.sh/hook-weight"])]);
        let mut expected = [["pre-rollback", "0"]; 7];
        (expected[5], expected[6]) = (["pre-rollback", "10"], ["post-rollback", "10"]);
        assert_eq!(hooks.collect::<Vec<_>>(), expected);
        let args = |job: &str| words(&pod(&objects, job)["containers"][0]["args"]);
        assert_eq!(args("shop-fairlead-pre-rollback"), "rollback --to-revision 1 --undo-at pre-rollback");
        assert_eq!(
            args("shop-fairlead-post-rollback"),
            "rollback --to-revision 1 --undo-at post-rollback --wait-for workloads,restored --wait-timeout 2m"
        );
        assert_eq!(rendered(helm, &format!("{OFF},rollback.enabled=false"), &[]), Vec::<Value>::new());
        assert_eq!(rendered(helm, &format!("{OFF},mode=job"), &[]), Vec::<Value>::new());
    }
}

#[test]
fn both_hooks_run_as_one_account_and_are_told_their_own_names() {
    for objects in [rendered("helm4", OFF, &[]), rendered("helm4", &format!("{OFF},release=system"), &[])] {
        for job in ["shop-fairlead-pre-rollback", "shop-fairlead-post-rollback"] {
            let pod = pod(&objects, job);
            assert_eq!(pod["serviceAccountName"], "shop-fairlead-rollback");
            assert_eq!(variable(pod, "FAIRLEAD_JOB"), job);
            let is_renamed = variable(pod, "FAIRLEAD_RELEASE") == "system";
            assert_eq!(variable(pod, "FAIRLEAD_HELM_RELEASE") == "shop", is_renamed);
        }
    }
}

#[test]
fn an_empty_wait_is_not_an_argument() {
    let objects = rendered("helm4", OFF, &["--set-json", "rollback.waitFor=[]"]);
    let args = &pod(&objects, "shop-fairlead-post-rollback")["containers"][0]["args"];
    assert_eq!(words(args), "rollback --to-revision 1 --undo-at post-rollback --wait-timeout 2m");
}

#[test]
fn a_rollback_now_is_one_job_and_nothing_beside_it() {
    for helm in HELMS {
        for rollback in ["rollback.enabled=true", "rollback.enabled=false"] {
            let values = format!("{ALL_JOBS},mode=job,{rollback}");
            let now = ["--set-string", "rollback.now={--to-revision,3,--undo-at,pre-rollback}"];
            let objects = rendered(helm, &values, &now);
            let kinds: Vec<&str> = objects.iter().map(|object| text(&object["kind"])).collect();
            assert_eq!(kinds, ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "Job"]);
            let pod = pod(&objects, "shop-fairlead-rollback");
            assert_eq!(words(&pod["containers"][0]["args"]), "rollback --to-revision 3 --undo-at pre-rollback");
            assert_eq!(pod["serviceAccountName"], "shop-fairlead-rollback");
            assert!(!json!(objects).to_string().contains("helm.sh/hook"), "{objects:?}");
        }
    }
}

#[test]
fn a_job_is_told_only_a_revision_that_helm_knows() {
    let revisions = |values: &str, more: &[&str]| {
        let objects = rendered("helm4", values, more);
        // What watches in the background goes on whatever Helm's revision is.
        let is_of_revision =
            |object: &&Value| object["kind"] == "Job" && !text(&object["metadata"]["name"]).contains("background");
        let jobs = objects.iter().filter(is_of_revision);
        jobs.map(|job| variable(&job["spec"]["template"]["spec"], "FAIRLEAD_HELM_REVISION")).collect::<Vec<_>>()
    };
    assert_eq!(revisions(ALL_JOBS, &[]), vec![Value::Null; 7]);
    assert_eq!(revisions(ALL_JOBS, &["--is-upgrade"]), vec![json!("1"); 7]);
    assert_eq!(revisions(&format!("{ALL_JOBS},mode=job"), &["--is-upgrade"]), vec![Value::Null; 4]);
}
