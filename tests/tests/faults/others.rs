//! Other writers, webhooks and namespaces that go while a run is at work.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use fairlead_tests::api::Api;
use fairlead_tests::program::{Ended, becomes, job, run};
use fairlead_tests::proxy::{Asked, Fault, Moment};
use fairlead_tests::state::{State, differences};
use fairlead_tests::webhook::{LABEL, Mood, Webhook};
use serde_json::{Value, json};

use crate::scenario::{Method, Order, SHORT, Stage, clusters, kind};

fn stage(name: &str) -> Stage {
    let stage = Stage::new(&clusters()[0], name);
    stage.reset();
    stage
}

fn map(stage: &Stage, name: &str) -> String {
    format!("{}/{name}?fieldManager=somebody", stage.path("/api/v1", "configmaps"))
}

fn edit(stage: &Stage, name: &str, patch: &Value) {
    stage.api.expect(&Method::PATCH, &map(stage, name), patch);
}

/// Runs the job; when it is about to send this kind of write for the first time, somebody else is quicker.
fn run_beside(stage: &Stage, order: Order, at: &'static str, path: String, edit: Value) -> Ended {
    run_beside_one(stage, order, at, Method::PATCH, path, edit)
}

fn run_beside_one(stage: &Stage, order: Order, at: &'static str, method: Method, path: String, edit: Value) -> Ended {
    // It is made before: the proxy's thread, which waits for the edit, forwards the renewals of the lease, too. And it stays: that thread could
    // not end the editor's runtime.
    static EDITOR: LazyLock<Api> = LazyLock::new(|| Api::new(clusters()[0].kubeconfig().as_ref()));
    let (editor, is_done) = (LazyLock::force(&EDITOR), AtomicBool::new(false));
    let (ended, _) = stage.run(order, &[], move |asked| {
        if kind(asked) == at && !is_done.swap(true, Ordering::SeqCst) {
            // The proxy's thread has a runtime of its own already.
            std::thread::scope(|scope| {
                scope.spawn(|| editor.expect(&method, &path, &edit)).join().expect("the edit is made")
            });
        }
        None
    });
    ended
}

fn without(state: &State, name: &str) -> State {
    state
        .iter()
        .filter(|(key, _)| !key.ends_with(&format!("\"{name}\"")))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

#[test]
fn an_editor_of_other_fields_does_not_disturb_and_keeps_what_is_his() {
    let stage = stage("other-fields");
    let old = stage.state();
    let edit = json!({"data": {"theirs": "x"}});
    run_beside(&stage, Order::Apply, "patch configmaps", map(&stage, "settings"), edit).expect(0);
    let settings = || stage.api.get(&map(&stage, "settings"))["data"].clone();
    assert_eq!(settings(), json!({"bus": "mesh", "theirs": "x"}));
    let edit = json!({"data": {"theirs": "y"}});
    run_beside(&stage, Order::Rollback, "patch configmaps", map(&stage, "settings"), edit).expect(0);
    assert_eq!(settings(), json!({"bus": "legacy", "retries": "3", "theirs": "y"}));
    // But for his field, and that it is his, everything is as it was.
    assert_eq!(differences(&without(&old, "settings"), &without(&stage.state(), "settings")), Vec::<String>::new());
    let managers = stage.api.get(&map(&stage, "settings"))["metadata"]["managedFields"].clone();
    let mut names: Vec<&str> =
        managers.as_array().expect("a list").iter().filter_map(|entry| entry["manager"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["helm", "somebody"]);
}

/// The ticket of the first run.
fn ticket(stage: &Stage) -> String {
    format!("{}/fairlead.v1.{}.1", stage.path("/api/v1", "secrets"), stage.name)
}

/// A policy that labels every Secret, say: nobody has taken over.
#[test]
fn a_run_whose_ticket_is_labelled_meanwhile_goes_on() {
    let stage = stage("touched");
    let old = stage.state();
    let touch =
        json!({"metadata": {"annotations": {"example.com/touched": "yes"}, "labels": {"example.com/touched": "yes"}}});
    run_beside(&stage, Order::Apply, "patch configmaps", ticket(&stage), touch).expect(0);
    let touch = json!({"metadata": {"annotations": {"example.com/touched": "again"}}});
    run_beside(&stage, Order::Rollback, "patch configmaps", ticket(&stage), touch).expect(0);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// What was done is taken back, and nobody misses the ticket then.
#[test]
fn a_ticket_that_is_deleted_in_the_middle_is_named_and_not_missed_when_all_is_back() {
    let stage = stage("deleted-ticket");
    let old = stage.state();
    let none = Value::Null;
    let at = "patch configmaps";
    let failed = run_beside_one(&stage, Order::Apply, at, Method::DELETE, ticket(&stage), none.clone()).expect(4);
    let gone = "error FL016: Secret deleted-ticket/fairlead.v1.deleted-ticket.1 is damaged: it is not there: somebody has deleted it";
    assert!(failed.stderr.contains(gone) && failed.stderr.contains("everything is as before"), "{}", failed.stderr);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
    assert!(!stage.ask(&["status"]).expect(0).stdout.contains("MISSING"));
    stage.run_to_the_end(Order::Apply).expect(0);
    let second = ticket(&stage).replace("ticket.1", "ticket.2");
    run_beside_one(&stage, Order::Rollback, at, Method::DELETE, second, none).expect(0);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
    assert!(!stage.ask(&["status"]).expect(0).stdout.contains("MISSING"));
    // Nothing is left but how the runs have ended.
    let answers = stage.ask(&["check"]).expect(0).stdout;
    assert!(answers.contains("ok  armed: no Helm release deleted-ticket is known here"), "{answers}");
}

#[test]
fn an_editor_of_our_fields_is_drift_and_everything_else_is_taken_back() {
    let stage = stage("our-fields");
    let old = stage.state();
    let edit = json!({"data": {"bus": "theirs"}});
    let ended = run_beside(&stage, Order::Apply, "patch configmaps", map(&stage, "settings"), edit).expect(6);
    assert!(
        ended.stderr.contains("ConfigMap our-fields/settings: somebody else has written the same fields"),
        "{}",
        ended.stderr
    );
    assert_eq!(differences(&without(&old, "settings"), &without(&stage.state(), "settings")), Vec::<String>::new());
    assert_eq!(stage.api.get(&map(&stage, "settings"))["data"]["bus"], "theirs");
}

/// What others have changed since: an updated object, a created one, and a deleted one that they have created again.
fn drifted(name: &str) -> (Stage, State) {
    let stage = stage(name);
    let old = stage.state();
    stage.run_to_the_end(Order::Apply).expect(0);
    edit(&stage, "settings", &json!({"data": {"bus": "theirs"}}));
    edit(&stage, "new", &json!({"data": {"bus": "theirs"}}));
    let widgets = stage.path("/apis/example.com/v1", "widgets");
    stage.api.expect(&Method::PATCH, &format!("{widgets}/new"), &json!({"spec": {"size": 9}}));
    let again =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "owner"}, "spec": {"size": 7}});
    stage.api.expect(&Method::POST, &widgets, &again);
    (stage, old)
}

#[test]
fn drift_stops_a_rollback_before_its_first_change() {
    let (stage, _) = drifted("drift-stop");
    let before = stage.state();
    let (stopped, _) = stage.run(Order::Rollback, &[], |_| None);
    let stopped = stopped.expect(6);
    for word in [
        "Nothing was taken back",
        "ConfigMap drift-stop/settings:",
        "Widget drift-stop/new:",
        "Widget drift-stop/owner:",
        "--on-drift",
    ] {
        assert!(stopped.stderr.contains(word), "{word}\n{}", stopped.stderr);
    }
    assert_eq!(differences(&before, &stage.state()), Vec::<String>::new());
}

/// The older one would meet it only when the newer one is back.
#[test]
fn drift_between_two_runs_stops_the_rollback_of_both_before_its_first_change() {
    let stage = stage("between");
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "between", "name": "settings"});
    let wish = |bus: &str| {
        let wanted = json!([{"target": target, "patch": {"data": {"bus": bus}}}]);
        stage.wish(
            &json!([{"name": "bus", "kind": "expand", "undoAt": "post-rollback", "concurrency": 1, "wanted": wanted}]),
        );
        stage.run_to_the_end(Order::Apply).expect(0);
    };
    wish("first");
    edit(&stage, "settings", &json!({"data": {"bus": "theirs"}}));
    wish("second");
    let before = stage.state();
    let refused = stage.run(Order::Rollback, &[], |_| None).0.expect(6).output();
    let told = "ConfigMap between/settings: somebody else has changed the same fields between the two runs";
    assert!(refused.contains(told) && refused.contains("Nothing was taken back"), "{refused}");
    assert_eq!(differences(&before, &stage.state()), Vec::<String>::new());
    stage.run(Order::Rollback, &["--on-drift", "keep"], |_| None).0.expect(0);
    assert_eq!(stage.api.get(&map(&stage, "settings"))["data"]["bus"], "theirs");
}

#[test]
fn drift_is_kept_merged_or_overwritten_as_asked() {
    for mode in ["keep", "merge", "overwrite"] {
        let (stage, old) = drifted(&format!("drift-{mode}"));
        let (ended, _) = stage.run(Order::Rollback, &["--on-drift", mode], |_| None);
        let ended = ended.expect(0);
        let said = match mode {
            "keep" => "5 changes taken back, 4 left as others have changed them",
            "merge" => "9 changes taken back, of 4 of them only what others have not changed",
            _ => "9 changes taken back, 4 of them over what others had written",
        };
        assert!(ended.stdout.contains(said), "{}", ended.output());
        let now = stage.state();
        let untouched = |state: &State| {
            ["settings", "new", "owner", "owned"].iter().fold(state.clone(), |state, name| without(&state, name))
        };
        assert_eq!(differences(&untouched(&old), &untouched(&now)), Vec::<String>::new(), "{mode}");
        let data = stage.api.get(&map(&stage, "settings"))["data"].clone();
        let size = |name: &str| {
            let path = format!("{}/{name}", stage.path("/apis/example.com/v1", "widgets"));
            stage.api.ask(&Method::GET, &path, &Value::Null).1["spec"]["size"].clone()
        };
        let found = (data, size("owner"), size("new"));
        let expected = match mode {
            "keep" => (json!({"bus": "theirs"}), json!(7), json!(9)),
            "merge" => (json!({"bus": "theirs", "retries": "3"}), json!(7), json!(9)),
            _ => (json!({"bus": "legacy", "retries": "3"}), json!(3), Value::Null),
        };
        assert_eq!(found, expected, "{mode}");
    }
}

/// A ticket says itself how it is undone: a binary that has never heard of the step takes it back.
#[test]
fn another_binary_takes_back_what_it_has_never_heard_of() {
    let stage = stage("another-binary");
    let old = stage.state();
    stage.run_to_the_end(Order::Apply).expect(0);
    let mut other = job("trigger-replicator");
    other.args(["rollback", "--last", "--release", &stage.name, "--ledger-namespace", &stage.name]);
    let ended = run(other.args(["--kubeconfig", clusters()[0].kubeconfig()]), "").expect(0);
    assert!(ended.stderr.contains("step=\"every-kind\""), "{}", ended.stderr);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

#[test]
fn a_webhook_that_refuses_or_does_not_answer_is_named_and_everything_is_taken_back() {
    for (mood, name, said) in [
        (Mood::Refuses, "webhook-refuses", "the webhook says no"),
        (Mood::Silent, "webhook-silent", "failed calling webhook"),
    ] {
        let (stage, webhook) = (stage(name), Webhook::start(&clusters()[0], mood));
        let old = stage.state();
        let configuration = webhook.configuration(name, "CREATE", "configmaps", name);
        let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
        stage.api.expect(&Method::POST, configurations, &configuration);
        wait_until_asked(&stage);
        let (ended, _) = stage.run(Order::Apply, &["--request-timeout", "3s", "--lease-duration", "10s"], |_| None);
        stage.api.expect(&Method::DELETE, &format!("{configurations}/{name}"), &Value::Null);
        let ended = ended.expect(1);
        let who = format!("MutatingWebhookConfiguration {name}");
        for word in [said, "who has a say there:", &who, "everything is as before"] {
            assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
        }
        assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
    }
}

/// The API server learns of a configuration a moment after it is written.
fn wait_until_asked(stage: &Stage) {
    let probe = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "probe"}});
    let path = format!("{}?dryRun=All", stage.path("/api/v1", "configmaps"));
    let is_asked = || {
        let (status, answer) = stage.api.ask(&Method::POST, &path, &probe);
        status != 201 || !answer["metadata"]["labels"][LABEL].is_null()
    };
    assert!(becomes(is_asked), "the webhook is not asked");
}

#[test]
fn what_a_webhook_changes_at_creation_is_taken_back_all_the_same_and_put_right_in_what_is_restored() {
    let (stage, webhook) = (stage("webhook-changes"), Webhook::start(&clusters()[0], Mood::Changes));
    let old = stage.state();
    let configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    let configuration = webhook.configuration("webhook-changes", "CREATE", "configmaps", "webhook-changes");
    stage.api.expect(&Method::POST, configurations, &configuration);
    wait_until_asked(&stage);
    stage.run_to_the_end(Order::Apply).expect(0);
    assert_eq!(stage.api.get(&map(&stage, "new"))["metadata"]["labels"][LABEL], "yes");
    // It labels what is created again, too; the last write of the way back takes that away.
    stage.run_to_the_end(Order::Rollback).expect(0);
    stage.api.expect(&Method::DELETE, &format!("{configurations}/webhook-changes"), &Value::Null);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

#[test]
fn a_namespace_that_goes_in_the_middle_is_left_as_it_was() {
    let stage = stage("going");
    let old = stage.state();
    // The ledger lies elsewhere: in the namespace nothing can be created any more.
    let ledger = Stage::new(&clusters()[0], "going-ledger");
    let kubeconfig = clusters()[0].kubeconfig().to_owned();
    let is_done = AtomicBool::new(false);
    let (ended, _) = stage.run(Order::Apply, &["--ledger-namespace", &ledger.name], move |asked| {
        if kind(asked) == "create configmaps" && !is_done.swap(true, Ordering::SeqCst) {
            let kubeconfig = kubeconfig.clone();
            let delete = std::thread::spawn(move || {
                Api::new(kubeconfig.as_ref()).expect(&Method::DELETE, "/api/v1/namespaces/going", &Value::Null)
            });
            delete.join().expect("the namespace goes");
        }
        None
    });
    let ended = ended.expect(1);
    assert!(ended.stderr.contains("because it is being terminated"), "{}", ended.stderr);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// Goes back while `apply` is at work, whose requests take so long; returns how both ended.
fn go_back_beside(
    stage: &Stage,
    back: impl FnOnce() -> Ended,
    delay: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static,
) -> [Ended; 2] {
    std::thread::scope(|scope| {
        let (begun, begins) = mpsc::channel();
        let apply = scope.spawn(|| {
            // Renewed long before it ends, however slow the answers are.
            stage.run(Order::Apply, &["--request-timeout", "3s", "--lease-duration", "10s"], move |asked| {
                if kind(asked) == "patch deployments/scale" {
                    // Nobody may listen any more.
                    let _ = begun.send(());
                }
                delay(asked)
            })
        });
        begins.recv_timeout(Duration::from_mins(10)).expect("it begins");
        let back = back();
        [apply.join().expect("it ends").0, back]
    })
}

/// It asks, and the other one stops.
#[test]
fn a_rollback_stops_the_run_that_is_at_work_and_takes_it_back() {
    let stage = stage("cancelled");
    let old = stage.state();
    let has_begun = AtomicBool::new(false);
    let back = || stage.run(Order::Rollback, &[], |_| None).0;
    let [apply, back] = go_back_beside(&stage, back, move |asked| {
        // From then on so slow that it is still at work when it next renews its lease and sees that it is asked.
        let slow = Duration::from_millis(if has_begun.load(Ordering::SeqCst) { 1500 } else { 600 });
        has_begun.fetch_or(kind(asked) == "patch deployments/scale", Ordering::SeqCst);
        (asked.write.is_some() && kind(asked) != "renew lease").then_some(Fault::Delay(slow))
    });
    assert!(apply.stderr.contains("error FL020: a rollback has asked this run to end"), "{}", apply.stderr);
    assert_eq!((apply.status, back.status), (Some(1), Some(0)), "{}\n{}", apply.output(), back.output());
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// Helm's hooks do not take back a run that is of no later revision: to stop it would leave it half done.
#[test]
fn a_rollback_waits_for_a_run_that_it_does_not_take_back() {
    let stage = stage("waited-for");
    let part = |at: &str| stage.ask(&["rollback", "--to-revision", "2", "--undo-at", at]);
    let slow = |asked: &Asked| asked.write.is_some().then_some(Fault::Delay(Duration::from_millis(600)));
    let [apply, back] = go_back_beside(&stage, || part("pre-rollback"), slow);
    let (_, back) = (apply.expect(0), back.expect(0));
    assert!(back.stderr.contains("waiting for another run to end"), "{}", back.stderr);
    for told in [back.stdout, part("post-rollback").expect(0).stdout] {
        assert!(told.contains("Nothing to take back: no run of a revision after 2 is in force."), "{told}");
    }
    assert_eq!(stage.phases().into_values().collect::<Vec<_>>(), ["Committed"]);
}

/// One that has no time left for that takes over: the other one writes nothing more, and is not run again.
#[test]
fn a_rollback_without_patience_takes_over() {
    let stage = stage("wrested");
    let old = stage.state();
    // Slow enough that it is still at work, and not so slow that its requests are given up.
    let more = ["--lease-wait", "0s", "--request-timeout", "3s", "--lease-duration", "10s"];
    let back = || stage.run(Order::Rollback, &more, |_| None).0;
    let [apply, back] =
        go_back_beside(&stage, back, |asked| (asked.method == "GET").then_some(Fault::Delay(Duration::from_millis(700))));
    assert_eq!((apply.status, back.status), (Some(1), Some(0)), "{}\n{}", apply.output(), back.output());
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// A newer change that is due after Helm's manifests, and an older one of the same object that is due before them.
#[test]
fn what_helm_would_take_back_in_the_wrong_order_is_refused_before_anything() {
    let stage = Stage::new(&clusters()[0], "crossed");
    stage.reset();
    let old = stage.state();
    let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "crossed", "name": "settings"});
    let wish = |kind: &str, undo_at: &str, mut wanted: Value| {
        wanted["target"] = target.clone();
        stage.wish(&json!([{"name": "it", "kind": kind, "undoAt": undo_at, "concurrency": 1, "wanted": [wanted]}]));
        stage.run_to_the_end(Order::Apply).expect(0);
    };
    wish("contract", "pre-rollback", json!({}));
    let again = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "crossed", "name": "settings"}});
    wish("expand", "post-rollback", json!({"object": again}));
    let new = stage.state();
    let (refused, _) = stage.run(Order::BeforeHelm, &[], |_| None);
    let refused = refused.expect(4);
    for word in [
        "error FL024: run 1 (every-kind) has changed ConfigMap crossed/settings",
        "kubectl fairlead rollback crossed -n crossed --to-revision 1",
    ] {
        assert!(refused.stderr.contains(word), "{word}\n{}", refused.stderr);
    }
    assert_eq!(differences(&new, &stage.state()), Vec::<String>::new());
    // By hand, in their order.
    stage.run_to_the_end(Order::Rollback).expect(0);
    assert_eq!(differences(&old, &stage.state()), Vec::<String>::new());
}

/// It waits for the lease of a run that has died, and a rollback has come half its way meanwhile: the rest of that waits for Helm.
#[test]
fn a_run_that_has_waited_does_not_finish_half_a_rollback() {
    let stage = stage("waited");
    let verifying = |asked: &Asked| kind(asked) == "patch ticket, phase Verifying";
    let die = move |asked: &Asked| verifying(asked).then_some(Fault::Kill(Moment::BeforeSent));
    let (killed, _) = stage.run_for_its_lease(Order::Apply, &SHORT, die);
    assert_eq!(killed.status, None, "{}", killed.output());
    let before = stage.state();
    let ticket = stage.phases().into_keys().next().expect("it has begun");
    let path = format!("{}/{ticket}", stage.path("/api/v1", "secrets"));
    let progress =
        json!({"phase": "RollingBack", "begun": 100, "firstPart": "undone", "whyBack": {"asked": {}}}).to_string();
    let half = json!({"metadata": {"labels": {"fairlead.dev/phase": "RollingBack"}, "annotations": {"fairlead.dev/progress": progress}}});
    let refused = run_beside(&stage, Order::Apply, "take lease", path, half).expect(4);
    assert!(refused.stderr.contains("error FL026"), "{}", refused.stderr);
    assert_eq!(differences(&before, &stage.state()), Vec::<String>::new());
}
