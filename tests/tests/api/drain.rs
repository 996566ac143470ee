//! `drain-waiter`: the intake is closed and opened again, what is left is waited for, and the certificate says so.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use fairlead_tests::cluster::{Lease, lease};
use fairlead_tests::program::{Ended, job, run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Nothing that is waited for takes long here.
const QUICK: [&str; 4] = ["--grace-period", "1s", "--interval", "100ms"];

/// A cluster with a Deployment that takes messages, a `CronJob` that makes them, and a `ConfigMap` that says how many are left.
struct Scene {
    cluster: Lease,
    folder: TempDir,
}

impl Scene {
    fn new(drain: &Value) -> Self {
        let cluster = lease();
        let kinds = "deployments,cronjobs,services,leases.coordination.k8s.io";
        cluster.kubectl(&["delete", kinds, "--all", "-n", "default"]).expect(0);
        let labels = json!({"app": "intake"});
        let container = json!([{"name": "main", "image": "example.com/intake"}]);
        cluster.apply(&json!([
            {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "default", "name": "intake"},
                "spec": {"replicas": 2, "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": container}}}},
            {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"namespace": "default", "name": "reports"},
                "spec": {"schedule": "0 0 1 1 *", "jobTemplate": {"spec": {"template":
                    {"spec": {"restartPolicy": "Never", "containers": container}}}}}},
            {"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": "default", "name": "front"},
                "spec": {"selector": {"app": "old", "tier": "front"}, "ports": [{"port": 80}]}},
        ]));
        let scene = Self { cluster, folder: tempfile::tempdir().expect("a temporary folder") };
        scene.configure(drain);
        scene.leave(&json!(0));
        scene
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("fairlead.json")
    }

    fn configure(&self, drain: &Value) {
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "drain": drain});
        std::fs::write(self.file(), document.to_string()).expect("written");
    }

    /// How much is left in the queue: an annotation of a Lease, which is any object.
    fn leave(&self, left: &Value) {
        self.cluster.apply(&json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"namespace": "default", "name": "queue"},
            "spec": {"leaseTransitions": left}}));
    }

    fn command(&self, args: &[&str]) -> std::process::Command {
        let mut command = job("drain-waiter");
        command.args(args).args(QUICK).args(["--kubeconfig", self.cluster.kubeconfig()]);
        command.args(["--ledger-namespace", "default", "--config"]).arg(self.file());
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(&mut self.command(args), "")
    }

    fn replicas(&self) -> Value {
        self.cluster.get("deployment", "default", "intake")["spec"]["replicas"].clone()
    }

    fn is_suspended(&self) -> bool {
        self.cluster.get("cronjob", "default", "reports")["spec"]["suspend"] == true
    }

    /// Who owns which field, without times.
    fn managers(&self) -> Value {
        let mut managers = self.cluster.get("deployment", "default", "intake")["metadata"]["managedFields"].clone();
        for entry in managers.as_array_mut().into_iter().flatten() {
            entry.as_object_mut().map(|entry| entry.remove("time"));
        }
        managers
    }
}

fn queue() -> Value {
    json!({"name": "orders", "kubernetes": {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "queue",
        "until": {"field": {"pointer": "/spec/leaseTransitions", "is": 0}}}})
}

fn both() -> Value {
    json!({"sources": [queue()], "intake": [
        {"scale": {"namespace": "default", "name": "intake"}}, {"suspend": {"namespace": "default", "name": "reports"}},
    ]})
}

#[test]
fn the_intake_is_closed_the_queue_is_waited_for_and_the_certificate_holds_until_it_is_opened_again() {
    let scene = Scene::new(&both());
    scene.leave(&json!(3));
    let before = scene.managers();
    assert!(scene.run(&["check"]).expect(4).stderr.contains("error DW002: orders: 3 left"));
    let plan = scene.run(&["plan"]).expect(0);
    assert!(plan.stdout.contains("Deployment default/intake") && plan.stdout.contains("2 to update"), "{}", plan.stdout);
    let mut applying = scene
        .command(&["apply", "--stall", "10m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(applying.stderr.take().expect("piped")).lines();
    // Closed, and it waits.
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("orders: 3 left")));
    assert!(scene.replicas() == 0 && scene.is_suspended());
    assert_eq!(scene.managers(), before);
    scene.leave(&json!(0));
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(applying.wait().expect("it ends").code(), Some(0), "{}", rest.join("\n"));
    assert!(rest.iter().any(|line| line.contains("proven: every source was empty")), "{}", rest.join("\n"));
    assert!(scene.run(&["check"]).expect(0).stdout.contains("orders: empty"));

    let certificate = scene.run(&["certificate"]).expect(0).stdout;
    let file = scene.folder.path().join("certificate.json");
    std::fs::write(&file, &certificate).expect("written");
    let verify = || run(job("drain-waiter").args(["certificate", "--verify"]).arg(&file), "");
    let holds = verify().expect(0);
    assert!(holds.stdout.contains("orders was empty in "), "{}", holds.stdout);
    std::fs::write(&file, certificate.replace("\"samples\": 3", "\"samples\": 2")).expect("written");
    assert!(verify().expect(4).stderr.contains("error DW117: it was changed"));
    let mut plugin = job("kubectl-fairlead");
    let plugin = plugin.args(["certificate", "fairlead", "-n", "default", "--kubeconfig", scene.cluster.kubeconfig()]);
    assert_eq!(run(plugin, "").expect(0).stdout, certificate);

    scene.run(&["rollback", "--last"]).expect(0);
    assert!(scene.replicas() == 2 && !scene.is_suspended());
    assert_eq!(scene.managers(), before);
    std::fs::write(&file, scene.run(&["certificate"]).expect(0).stdout).expect("written");
    assert!(verify().expect(4).stderr.contains("so its intake is open again"));
}

#[test]
fn what_does_not_drain_fails_and_the_intake_is_open_again() {
    let scene = Scene::new(&both());
    for (left, code, said) in [
        (json!(3), 4, "error DW111: orders: 3 left, and nothing less for 2s (--stall"),
        (Value::Null, 4, "error DW115: orders: it has no field /spec/leaseTransitions"),
    ] {
        scene.leave(&left);
        let failed = scene.run(&["apply", "--stall", "2s"]).expect(code);
        assert!(failed.stderr.contains(said), "{said}\n{}", failed.stderr);
        assert!(scene.replicas() == 2 && !scene.is_suspended(), "{said}");
    }
    // The deadline comes first.
    scene.leave(&json!(3));
    let said = "error FL007: the deadline of the run has passed: orders: 3 left";
    // On a slow machine it may come before the first look.
    let mut late = None;
    let is_late = ["4s", "8s", "16s"].into_iter().any(|limit| {
        let ended = scene.run(&["apply", "--run-timeout", limit]);
        late.insert(ended).stderr.contains(said)
    });
    assert!(is_late, "{late:?}");
    late.expect("it ran").expect(124);
    assert!(scene.replicas() == 2 && !scene.is_suspended());
}

#[test]
fn what_somebody_opens_again_fails_the_run_with_its_name() {
    let scene = Scene::new(&both());
    scene.leave(&json!(3));
    let mut applying = scene
        .command(&["apply", "--stall", "10m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(applying.stderr.take().expect("piped")).lines();
    // Closed, and it waits: before that, who owned which field is still being put back.
    assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("orders: 3 left")));
    scene.cluster.kubectl(&["scale", "deployment/intake", "--replicas=1", "-n", "default"]).expect(0);
    let stderr = lines.map_while(Result::ok).collect::<Vec<_>>().join("\n");
    assert_eq!(applying.wait().expect("it ends").code(), Some(4), "{stderr}");
    let said = "error DW114: Deployment default/intake is open: spec.replicas is 1, and must be 0; kubectl (scale) wrote it";
    assert!(stderr.contains(said), "{stderr}");
    // What they wrote stays; the rest is open.
    assert!(scene.replicas() == 1 && !scene.is_suspended());
}

/// Whatever came in meanwhile may be in the queue.
#[test]
fn who_opens_it_and_closes_it_again_leaves_no_proof_behind() {
    let scene = Scene::new(&both());
    scene.leave(&json!(0));
    scene.run(&["apply"]).expect(0);
    let plan = || {
        let mut plan = job("legacy-purger");
        plan.args(["plan", "--require-step", "drain-waiter", "--ledger-namespace", "default"]);
        run(plan.args(["--kubeconfig", scene.cluster.kubeconfig()]), "").expect(0).stdout
    };
    assert!(!plan().contains("LP103"), "{}", plan());
    for suspend in ["false", "true"] {
        let patch = format!(r#"{{"spec":{{"suspend":{suspend}}}}}"#);
        scene.cluster.kubectl(&["patch", "cronjob", "reports", "-n", "default", "--type=merge", "-p", &patch]).expect(0);
    }
    assert!(plan().contains("its spec has been written since, and may have been another (generation"), "{}", plan());
}

#[test]
fn bad_input_is_found_before_anything_is_closed() {
    let absent = json!({"name": "gone", "kubernetes": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": "gone", "until": "stopped"}});
    let unstoppable = json!({"name": "node", "kubernetes": {"apiVersion": "apps/v1", "kind": "DaemonSet", "namespace": "default", "name": "agent", "until": "stopped"}});
    let mut slow = queue();
    slow["redelivery"] = "10m".into();
    let scene = Scene::new(&both());
    let labels = json!({"app": "agent"});
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}});
    scene
        .cluster
        .apply(&json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"namespace": "default", "name": "agent"},
        "spec": {"selector": {"matchLabels": labels}, "template": template}}));
    let target = |name: &str| json!({"namespace": "default", "name": name});
    let redirect = json!({"redirect": {"namespace": "default", "name": "front", "selector": {"app": "new"}}});
    let mut to_intake = redirect.clone();
    to_intake["redirect"]["selector"]["app"] = "intake".into();
    for (drain, more, said) in [
        (json!({"sources": [queue(), absent]}), "", "DW103 Source gone: there is no Deployment default/gone"),
        (json!({"sources": [queue()], "intake": [{"scale": target("gone")}]}), "", "DW105 Deployment default/gone"),
        (
            json!({"sources": [slow]}),
            "",
            "DW119 Source drain: the time after which the broker delivers again takes 10m, and the run has ",
        ),
        (
            with_set(&["spec", "pausedd"], &json!(true)),
            "",
            "DW106 Deployment default/intake: field spec.pausedd cannot be true: ",
        ),
        (
            with_set(&["spec", "paused"], &json!("yes")),
            "",
            "DW106 Deployment default/intake: field spec.paused cannot be \"yes\": ",
        ),
        (json!({"sources": [unstoppable]}), "", "DW103 Source node: DaemonSet default/agent never stops"),
        (json!({"intake": [{"scale": target("intake")}]}), "--require-proof", "DW110 Source drain"),
        (
            json!({"sources": [queue()], "intake": [to_intake, {"scale": target("intake")}]}),
            "",
            "DW108 Deployment default/intake: Service default/front is redirected to its pods in the same run",
        ),
        (
            json!({"sources": [queue()], "intake": [redirect]}),
            "",
            "DW109 Service default/front: no pod with app=new is ready",
        ),
    ] {
        scene.configure(&drain);
        let args: Vec<&str> = ["apply", more].into_iter().filter(|arg| !arg.is_empty()).collect();
        let refused = scene.run(&args).expect(4);
        assert!(refused.stderr.contains("error DW001: ") && refused.stderr.contains(said), "{said}\n{}", refused.stderr);
        assert_eq!(scene.replicas(), 2, "{said}");
    }
}

#[test]
fn a_run_that_fails_does_not_hide_the_proof_that_is_in_force() {
    let scene = Scene::new(&both());
    scene.run(&["apply"]).expect(0);
    scene.leave(&json!(3));
    let failed = scene.run(&["apply", "--stall", "1s"]).expect(4).stderr;
    assert!(failed.contains("error DW111: orders: 3 left"), "{failed}");
    let certificate = scene.run(&["certificate"]).expect(0);
    let (document, said) = (certificate.json(), &certificate.stderr);
    assert_eq!((&document["phase"], &document["evidence"]["isProven"]), (&json!("Committed"), &json!(true)));
    assert!(said.contains("this is what run 1 has seen; run 2 is RolledBack"), "{said}");
}

#[test]
fn check_says_what_cannot_be_read_with_the_code_that_the_plan_has() {
    let absent = |name: &str| {
        json!({"name": name, "kubernetes": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default", "name": name,
            "until": "stopped"}})
    };
    let scene = Scene::new(&json!({"sources": [queue(), absent("gone"), absent("away")]}));
    scene.leave(&json!(3));
    let refused = scene.run(&["check"]).expect(4);
    assert!(refused.stdout.contains("orders: 3 left") && refused.stdout.contains("away: not known: "), "{}", refused.stdout);
    let said = "error DW103: gone: there is no Deployment default/gone; and 1 more cannot be read";
    assert!(refused.stderr.contains(said), "{}", refused.stderr);
}

fn with_set(field: &[&str], value: &Value) -> Value {
    json!({"sources": [queue()], "intake": [{"set": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "default",
        "name": "intake", "field": field, "value": value}}]})
}

/// Also what was closed before the run: it is in the certificate, and must stay closed.
#[test]
fn what_was_closed_before_and_is_opened_while_the_job_waits_fails_the_run() {
    let queue_object =
        json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "default", "name": "queue"});
    let mut set = queue_object.clone();
    set.as_object_mut()
        .expect("a map")
        .extend([("field".to_owned(), json!(["metadata", "annotations", "open"])), ("value".to_owned(), json!("no"))]);
    let scene = Scene::new(&json!({"sources": [queue()], "intake": [
        {"suspend": {"namespace": "default", "name": "reports"}}, {"set": set}]}));
    let suspend = |is: bool| {
        let patch = json!({"spec": {"suspend": is}}).to_string();
        scene.cluster.kubectl(&["patch", "cronjob", "reports", "-n", "default", "--type=merge", "-p", &patch]).expect(0);
    };
    let open = |how: &str| {
        let annotation = format!("open={how}");
        scene.cluster.kubectl(&["annotate", "lease", "queue", "-n", "default", "--overwrite", &annotation]).expect(0);
    };
    for (name, opened) in [("CronJob default/reports", true), ("Lease default/queue", false)] {
        suspend(true);
        open("no");
        let mut waiting = scene.command(&["apply", "--samples", "1000"]);
        let mut applying = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(applying.stderr.take().expect("piped")).lines();
        assert!(lines.by_ref().map_while(Result::ok).any(|line| line.contains("orders: empty")), "it does not wait");
        if opened {
            suspend(false);
        } else {
            open("yes");
        }
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        assert_eq!(applying.wait().expect("it ends").code(), Some(4), "{}", rest.join("\n"));
        assert!(rest.iter().any(|line| line.contains(&format!("error DW114: {name} is open: "))), "{}", rest.join("\n"));
    }
    suspend(true);
    open("no");
    scene.run(&["apply"]).expect(0);
    let certificate = scene.run(&["certificate"]).expect(0).json();
    let rests_on = certificate["evidence"]["restsOn"].as_array().expect("a list");
    let found: Vec<Value> = rests_on.iter().map(|it| json!([it["kind"], it["fields"]])).collect();
    let expected =
        [json!(["CronJob", {"spec": {"suspend": true}}]), json!(["Lease", {"metadata": {"annotations": {"open": "no"}}}])];
    assert!(expected.iter().all(|it| found.contains(it)) && found.len() == 2, "{found:?}");
}

/// A pod that is replaced, or fails one probe, is ready again a moment later.
#[test]
fn a_new_side_that_is_not_ready_for_a_moment_does_not_fail_the_run() {
    let redirect = json!({"redirect": {"namespace": "default", "name": "front", "selector": {"app": "new"}}});
    let scene = Scene::new(&json!({"sources": [queue()], "intake": [redirect]}));
    let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "it", "image": "none"}]});
    scene.cluster.apply(
        &json!([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": "default", "name": "default"}}]),
    );
    scene.cluster.apply(&json!({"apiVersion": "v1", "kind": "Pod", "spec": spec,
        "metadata": {"namespace": "default", "name": "new", "labels": {"app": "new"}}}));
    let ready = |is: &str| {
        let status = json!({"status": {"conditions": [{"type": "Ready", "status": is}]}}).to_string();
        let patch = ["patch", "pod", "new", "-n", "default", "--subresource=status", "--type=merge", "-p", &status];
        scene.cluster.kubectl(&patch).expect(0);
    };
    ready("True");
    scene.leave(&json!(3));
    let mut waiting = scene.command(&["apply"]);
    let mut applying = waiting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(applying.stderr.take().expect("piped")).lines();
    let mut says = |words: &str| lines.by_ref().map_while(Result::ok).any(|line| line.contains(words));
    assert!(says("orders: 3 left"), "it does not wait");
    ready("False");
    assert!(says("the new side is not ready; looking again"), "it does not look again");
    ready("True");
    scene.leave(&json!(0));
    assert!(says("proven: every source was empty in a row of rounds"), "it is not proven");
    assert_eq!(applying.wait().expect("it ends").code(), Some(0));
    scene.cluster.kubectl(&["delete", "pod", "new", "-n", "default", "--force"]).expect(0);
}

#[test]
fn without_a_source_it_says_that_nothing_is_proven() {
    let scene = Scene::new(&json!({"intake": [{"scale": {"namespace": "default", "name": "intake"}}]}));
    let ended = scene.run(&["apply"]).expect(0);
    assert!(ended.stdout.contains("DW201") && ended.stderr.contains("nothing is proven"), "{}", ended.output());
    assert_eq!(scene.replicas(), 0);
    let certificate = scene.run(&["certificate"]).expect(0).json();
    assert_eq!(certificate["evidence"]["isProven"], false);
}

/// A purge of other kinds has no Kyma, and neither has a cluster without its kinds.
#[test]
fn where_nothing_is_to_be_drained_nothing_is_done() {
    let scene = Scene::new(&both());
    let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "Configuration", "purge": {"kinds": []}});
    std::fs::write(scene.file(), document.to_string()).expect("written");
    let ended = scene.run(&["apply"]).expect(0);
    assert!(ended.stdout.contains("Nothing to do"), "{}", ended.output());
}

#[test]
fn status_says_what_is_left_of_the_old_side_and_whose_it_is() {
    let scene = Scene::new(&both());
    let annotations = ["meta.helm.sh/release-name=bus", "meta.helm.sh/release-namespace=kyma"];
    scene.cluster.kubectl(&[&["annotate", "deployment", "intake"], &annotations[..]].concat()).expect(0);
    scene.run(&["apply"]).expect(0);
    let status = |form: &str| {
        let mut status = job("drain-waiter");
        run(
            status.args(["status", "-o", form, "--ledger-namespace", "default", "--kubeconfig", scene.cluster.kubeconfig()]),
            "",
        )
        .expect(0)
    };
    let text = status("text").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "Left of the old side: Deployment default/intake stands still. Release bus in namespace kyma has made it, and a version of \
                    its chart without it takes it away CronJob default/reports stands still. When nobody wants to go back any more: \
                    kubectl -n default delete cronjob reports";
    assert!(text.contains(expected), "{text}");
    let left = || status("json").json()["leftOver"].clone();
    assert_eq!(left()[0]["helmRelease"], json!({"name": "bus", "namespace": "kyma"}));
    scene.cluster.kubectl(&["scale", "deployment", "intake", "--replicas=1"]).expect(0);
    scene.cluster.kubectl(&["delete", "cronjob", "reports"]).expect(0);
    assert_eq!(left(), json!([]));
}
