//! What is printed as the next command is pasted into a shell, and does what is said of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use fairlead_tests::cluster::{Cluster, lease};
use fairlead_tests::program::{self, root, run, tool};
use fairlead_tests::watched::Watched;
use fairlead_tests::{printed, state};
use serde_json::{Value, json};

use crate::fixtures::{free_lease, namespace, subscription, tickets};
use crate::person::Person;

fn ask(cluster: &Cluster) -> String {
    format!("kubectl fairlead status fairlead -n default --kubeconfig {}", cluster.kubeconfig())
}

/// By a person with all rights.
fn job(cluster: &Cluster, args: &[&str]) -> Command {
    let mut job = program::job("trigger-replicator");
    job.args(args).args(["--ledger-namespace", "default", "--kubeconfig", cluster.kubeconfig()]);
    job
}

fn apply(cluster: &Cluster, more: &[&str]) {
    run(&mut job(cluster, &[&["apply"], more].concat()), "").expect(0);
}

/// Without hooks, so nothing waits for pods: Helm's own part of an upgrade.
fn helm(cluster: &Cluster, folder: &Path, args: &[&str]) {
    let mut helm = tool("helm4");
    run(helm.args(args).args(["-n", "default", "--kubeconfig", cluster.kubeconfig()]).current_dir(folder), "").expect(0);
}

/// Revision 2 of a chart without our hooks, whose run is in force.
fn upgraded_without_hooks(cluster: &Cluster, person: &Person) -> PathBuf {
    let chart = person.home.path().join("chart");
    std::fs::create_dir_all(chart.join("templates")).expect("a folder");
    std::fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: chart\nversion: 1.0.0\n").expect("written");
    let settings = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {bus: {{ .Values.bus }}}\n";
    std::fs::write(chart.join("templates/settings.yaml"), settings).expect("written");
    helm(cluster, person.home.path(), &["install", "fairlead", "chart", "--set", "bus=old"]);
    apply(cluster, &["--helm-revision", "2"]);
    helm(cluster, person.home.path(), &["upgrade", "fairlead", "chart", "--set", "bus=mesh"]);
    chart
}

fn bus(cluster: &Cluster) -> Value {
    cluster.get("configmap", "default", "settings")["data"]["bus"].clone()
}

#[test]
fn a_run_that_was_killed_is_finished_and_taken_back_as_it_was_told() {
    let (cluster, person) = (lease(), Person::new());
    cluster.create((0..100).map(|n| subscription("default", &format!("s{n}"), &format!("order.created.{n}"))));
    cluster.apply(&namespace("pasted"));
    cluster.apply(&subscription("pasted", "excluded", "order.excluded"));
    let before = state::of(&cluster);
    let mut killed = job(&cluster, &["apply", "--exclude-namespace", "pasted", "--concurrency", "1"]);
    Watched::start_until(&mut killed, "changed").kill();
    free_lease(&cluster);
    let next = person.next(&ask(&cluster), None);
    assert!(
        next[0].starts_with("trigger-replicator apply")
            && next[1].ends_with(&format!("--last --kubeconfig {}", cluster.kubeconfig())),
        "{next:?}"
    );
    person.paste(&next[0], None).expect(0);
    let triggers = cluster.list("triggers");
    assert!(
        triggers.len() == 100 && triggers.iter().all(|it| it["metadata"]["namespace"] == "default"),
        "{}",
        triggers.len()
    );
    person.paste(&next[1], None).expect(0);
    assert_eq!(state::differences(&before, &state::of(&cluster)), Vec::<String>::new());
    // Nothing is left: a look at everything is offered, by a job as well, whose plan would lack what it was told.
    assert!(matches!(person.paste(&person.next(&ask(&cluster), None)[0], None).status, Some(0 | 4)));
    let of_job = format!("trigger-replicator status --ledger-namespace default --kubeconfig {}", cluster.kubeconfig());
    let look = person.next(&of_job, None);
    assert!(look.len() == 1 && look[0].starts_with("kubectl fairlead check"), "{look:?}");
    assert!(matches!(person.paste(&look[0], None).status, Some(0 | 4)));
}

#[test]
fn runs_outside_helm_are_taken_back_one_or_all_or_in_two_parts() {
    let (cluster, person) = (lease(), Person::new());
    for name in ["one", "two", "three"] {
        cluster.apply(&subscription("default", name, &format!("order.{name}")));
        apply(&cluster, &[]);
    }
    let next = person.next(&ask(&cluster), None);
    assert_eq!(next.len(), 2, "{next:?}");
    person.paste(&next[0], None).expect(0);
    assert_eq!(cluster.list("triggers").len(), 2);
    let first_part = format!("{} --undo-at pre-rollback", next[1]);
    person.paste(&first_part, None).expect(0);
    let rest = person.next(&ask(&cluster), None);
    assert!(rest[0].contains("--undo-at post-rollback --wait-for restored"), "{rest:?}");
    // What cannot go on now says what can.
    let refused = run(&mut job(&cluster, &["apply"]), "").expect(4).stderr;
    let shown: Vec<String> = printed::commands(&refused).iter().map(ToString::to_string).collect();
    assert_eq!(shown, rest[..1], "{refused}");
    person.paste(&rest[0], None).expect(0);
    assert_eq!((cluster.list("triggers").len(), tickets(&cluster).len()), (0, 3));
}

#[test]
fn a_revision_without_hooks_is_gone_back_to_in_three_commands_and_out_of_order_each_names_the_one_before() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    upgraded_without_hooks(&cluster, &person);
    let next = person.next(&ask(&cluster), None);
    assert!(next.len() >= 3 && next[1].starts_with("helm rollback fairlead 1 -n default"), "{next:?}");
    let refused = person.paste(&next[2], None).expect(4).stderr;
    let named = printed::commands(&refused).into_iter().map(|shown| shown.to_string()).find(|it| it.contains(" -n default"));
    let named = named.filter(|_| refused.contains("error FL034")).unwrap_or_else(|| unreachable!("{refused}"));
    person.paste(&next[0], None).expect(0);
    assert_eq!(bus(&cluster), "mesh");
    // Also in the form for revisions whose hooks cannot succeed.
    person.paste(&named, None).expect(0);
    assert_eq!(bus(&cluster), "old");
    person.paste(&next[2], None).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    helm(&cluster, person.home.path(), &["uninstall", "fairlead"]);
}

#[test]
fn what_others_have_changed_is_decided_with_the_command_that_is_printed() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    apply(&cluster, &[]);
    let name = cluster.list("triggers")[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    let elsewhere = r#"{"spec": {"subscriber": {"uri": "http://elsewhere.default/"}}}"#;
    cluster.kubectl(&["patch", "trigger", "-n", "default", &name, "--type=merge", "-p", elsewhere]).expect(0);
    for more in [&["--to", "0", "--undo-at", "post-rollback"][..], &["--last"], &["--to", "0"]] {
        let stopped = run(&mut job(&cluster, &[&["rollback"], more].concat()), "").expect(6).stderr;
        let decided: Vec<String> = printed::commands(&stopped).iter().map(ToString::to_string).collect();
        let decided: Vec<&String> = decided.iter().filter(|command| command.starts_with("kubectl fairlead")).collect();
        assert!(decided.len() == 1 && decided[0].contains("--on-drift keep"), "{stopped}");
        // Whoever asks for the status instead is told the same.
        let next = person.next(&ask(&cluster), None);
        assert!(next[0].contains("--last --on-drift keep"), "{next:?}");
        let dry_run = person.paste(&format!("{} --dry-run", decided[0]), None).expect(0).stdout;
        assert!(dry_run.contains("somebody else has changed it since"), "{dry_run}");
        if more.contains(&"--last") {
            continue;
        }
        person.paste(decided[0], None).expect(0);
        assert_eq!(cluster.list("triggers").len(), 1, "it is left as it is");
        cluster.kubectl(&["delete", "trigger", "-n", "default", &name]).expect(0);
        apply(&cluster, &[]);
        cluster.kubectl(&["patch", "trigger", "-n", "default", &name, "--type=merge", "-p", elsewhere]).expect(0);
    }
}

/// A way back that is not there is better known before the way there is gone.
#[test]
fn an_upgrade_of_a_release_that_is_not_armed_says_so_and_what_to_do_about_it() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    let charts = root().join("charts");
    let folder = person.home.path();
    let chart = |hooks: &str| format!("triggerReplicator.enabled=false,rollback.enabled={hooks}");
    let path = charts.join("fairlead").display().to_string();
    for (revision, hooks) in [(1, "false"), (3, "true")] {
        // Nothing that runs pods is waited for: the records are all that counts here.
        helm(&cluster, folder, &["upgrade", "--install", "fairlead", &path, "--no-hooks", "--set", &chart(hooks)]);
        helm(&cluster, folder, &["upgrade", "fairlead", &path, "--no-hooks", "--set", &chart("true")]);
        let newest = (revision + 1).to_string();
        let said = run(&mut job(&cluster, &["apply", "--helm-revision", &newest]), "").expect(0).stderr;
        assert_eq!(said.contains("not armed: it has no rollback hooks"), revision == 1, "{said}");
        let named = format!("next=\"kubectl fairlead status fairlead -n default --kubeconfig {}\"", cluster.kubeconfig());
        assert_eq!(said.contains(&named), revision == 1, "{said}");
        run(&mut job(&cluster, &["rollback", "--last"]), "").expect(0);
    }
    helm(&cluster, folder, &["uninstall", "fairlead", "--no-hooks"]);
}

/// Helm's revision 4 is a rollback to 3, which was a rollback to 1.
#[test]
fn a_rollback_to_a_rollback_has_brought_the_old_manifests() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    upgraded_without_hooks(&cluster, &person);
    let rest = ["rollback", "--to-revision", "1", "--undo-at", "post-rollback"];
    let refused = run(&mut job(&cluster, &rest), "").expect(4).stderr;
    assert!(refused.contains("error FL034"), "{refused}");
    for revision in ["1", "3"] {
        helm(&cluster, person.home.path(), &["rollback", "fairlead", revision]);
    }
    let other = run(&mut job(&cluster, &["rollback", "--to-revision", "0", "--undo-at", "post-rollback"]), "").expect(4);
    assert!(other.stderr.contains("error FL034"), "{}", other.stderr);
    run(&mut job(&cluster, &rest), "").expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    helm(&cluster, person.home.path(), &["uninstall", "fairlead"]);
}

/// Two clusters in one kubeconfig: whoever has named a context must not end in the other.
#[test]
fn a_command_leads_to_the_cluster_that_was_asked() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    let mut kubeconfig = cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]).expect(0).json();
    let mut context = kubeconfig["contexts"][0].clone();
    context["name"] = "the one".into();
    kubeconfig["contexts"] = json!([context]);
    kubeconfig["current-context"] = "nowhere".into();
    let file = person.home.path().join("two clusters");
    std::fs::write(&file, kubeconfig.to_string()).expect("written");
    let flags = ["apply", "--context", "the one", "--ledger-namespace", "default"];
    run(program::job("trigger-replicator").args(flags).env("KUBECONFIG", &file), "").expect(0);
    let by_variable = person.next("kubectl fairlead status fairlead -n default --context 'the one'", Some(&file));
    assert!(by_variable[0].ends_with("--last --context 'the one'"), "{by_variable:?}");
    let by_flag = "kubectl fairlead status fairlead -n default --kubeconfig 'two clusters' --context 'the one'";
    let by_flag = person.next(by_flag, None);
    assert!(by_flag[0].ends_with("--last --kubeconfig 'two clusters' --context 'the one'"), "{by_flag:?}");
    person.paste(&by_variable[0], Some(&file)).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
    run(program::job("trigger-replicator").args(flags).env("KUBECONFIG", &file), "").expect(0);
    person.paste(&by_flag[0], None).expect(0);
    assert_eq!(cluster.list("triggers"), Vec::<Value>::new());
}

#[test]
fn the_page_of_plain_jobs_waits_for_the_end_of_a_job() {
    let cluster = lease();
    cluster.apply(&namespace("shop"));
    let container = json!({"name": "main", "image": "example.com/main:1"});
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [container]}});
    cluster.apply(&json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"namespace": "shop", "name": "work"},
        "spec": {"suspend": true, "template": template}}));
    let page = std::fs::read_to_string(root().join("docs/plain-jobs.md")).expect("a page");
    let line = page.lines().find_map(|line| line.strip_prefix("$ has_ended()")).expect("the page has it");
    let kubectl = root().join("target/tools/bin/kubectl");
    let script = format!(
        "kubectl() {{ {} --kubeconfig {} \"$@\"; }}\nhas_ended(){line}\nhas_ended work",
        kubectl.display(),
        cluster.kubeconfig()
    );
    let has_ended = || Command::new("bash").args(["-c", &script]).status().expect("bash runs").success();
    let with = |status: Value| {
        let patch = json!({"status": status}).to_string();
        let args = ["patch", "job", "work", "-n", "shop", "--subresource", "status", "--type", "merge", "-p", &patch];
        cluster.kubectl(&args).expect(0);
        has_ended()
    };
    assert!(!has_ended());
    let condition = |kind: &str, is: &str| json!({"type": kind, "status": is});
    let paused = condition("Suspended", "True");
    assert!(!with(json!({"conditions": [paused]})));
    let resumed = condition("Suspended", "False");
    let began = "2026-01-01T00:00:00Z";
    cluster.kubectl(&["patch", "job", "work", "-n", "shop", "-p", "{\"spec\": {\"suspend\": false}}"]).expect(0);
    assert!(!with(json!({"startTime": began, "conditions": [resumed, condition("FailureTarget", "True")]})));
    assert!(with(json!({"conditions": [resumed, condition("FailureTarget", "True"), condition("Failed", "True")]})));
}
