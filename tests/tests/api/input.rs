//! What `plan --from` makes of files as people have them. `cases` are after public bug reports.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use fairlead_tests::cluster::lease;
use fairlead_tests::program::{Ended, job, root, run};
use serde_json::{Value, json};

use crate::fixtures::subscription;
use crate::person::Person;

fn case(name: &str) -> PathBuf {
    root().join("tests/tests/api/cases").join(name)
}

fn plan_from(path: &Path) -> Ended {
    run(job("trigger-replicator").args(["plan", "-o", "json", "--from"]).arg(path), "")
}

fn plan_of(input: &str) -> Ended {
    run(job("trigger-replicator").args(["plan", "-o", "json", "--from", "-"]), input)
}

/// How many Triggers are created.
fn created(ended: Ended) -> usize {
    let plan = ended.expect(0).json();
    let is_trigger = |change: &&Value| change["target"]["kind"] == "Trigger" && change["action"] == "create";
    plan["changes"].as_array().expect("a list").iter().filter(is_trigger).count()
}

#[track_caller]
fn says(ended: Ended, words: &[&str]) {
    let ended = ended.expect(2);
    for word in words {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
}

#[test]
fn an_object_is_planned_once_however_many_links_lead_to_its_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name);
    // As a kubelet mounts a ConfigMap.
    fs::create_dir(path("..2026_11_26")).expect("created");
    fs::copy(case("configmap-mount/data/legacy.yaml"), path("..2026_11_26/legacy.yaml")).expect("copied");
    symlink("..2026_11_26", path("..data")).expect("a link");
    symlink("..data/legacy.yaml", path("legacy.yaml")).expect("a link");
    let once = plan_from(&case("configmap-mount/data")).expect(0).stdout;
    assert_eq!(plan_from(folder.path()).expect(0).stdout, once);
    symlink(".", path("loop")).expect("a link");
    symlink("turns", path("turns")).expect("a link");
    assert_eq!(plan_from(folder.path()).expect(0).stdout, once);
}

#[test]
fn a_link_that_leads_nowhere_is_passed_over() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::copy(case("configmap-mount/data/legacy.yaml"), folder.path().join("legacy.yaml")).expect("copied");
    let once = plan_from(folder.path()).expect(0).stdout;
    symlink("nowhere", folder.path().join("gone.yaml")).expect("a link");
    let ended = plan_from(folder.path()).expect(0);
    assert_eq!(ended.stdout, once);
    assert!(ended.stderr.contains("gone.yaml (a link that leads nowhere)"), "{}", ended.stderr);
}

#[test]
fn kinds_and_namespaces_that_the_input_does_not_have_are_said() {
    let input = subscription("default", "one", "order.one").to_string();
    let plan = |args: &[&str], input: &str| {
        run(job("trigger-replicator").args(["plan", "--from", "-"]).args(args), input).expect(0).stderr
    };
    let said = plan(&["--exclude-namespace", "nope"], &input);
    for word in [
        "--exclude-namespace names one that is not there",
        "namespace=\"nope\"",
        "neither objects nor the definition of Trigger.eventing.knative.dev, Broker.eventing.knative.dev, ",
        "neither objects nor the definition of EventActivation.applicationconnector.kyma-project.io: ",
    ] {
        assert!(said.contains(word), "{word}\n{said}");
    }
    assert!(!plan(&["--exclude-namespace", "default"], &input).contains("not there"));
    let broker = json!({"apiVersion": "eventing.knative.dev/v1", "kind": "Broker", "metadata": {"namespace": "a", "name": "default"}});
    let said = plan(&[], &format!("{input}\n---\n{broker}"));
    assert!(said.contains("the definition of Trigger.eventing.knative.dev, Channel."), "{said}");
}

#[test]
fn the_dump_that_help_shows_is_made_also_where_a_kind_is_not_served() {
    let (cluster, person) = (lease(), Person::new());
    cluster.apply(&subscription("default", "one", "order.one"));
    let help = person.paste("trigger-replicator --help", None).expect(0).stdout;
    let end = "done > dump.yaml\n";
    let begin = help.find("    for kind in ").expect("the loop is shown");
    let shown = &help[begin..begin + help[begin..].find(end).expect("the loop ends") + end.len()];
    let shown = shown.replace("for kind in ", "for kind in nosuch.example.com ");
    let dumped = person.paste(&shown, Some(Path::new(cluster.kubeconfig()))).expect(0);
    assert!(dumped.stderr.contains("doesn't have a resource type \"nosuch\""), "{}", dumped.stderr);
    let plan = person.paste("trigger-replicator plan --from dump.yaml -o json", None).expect(0);
    assert!(!plan.stderr.contains("neither objects"), "{}", plan.stderr);
    assert_eq!(created(plan), 1);
}

#[test]
fn two_dumps_of_the_same_are_one_and_two_that_differ_are_both_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in ["one.yaml", "two.yaml"] {
        fs::copy(case("duplicates/brokersub/dump.yaml"), folder.path().join(name)).expect("copied");
    }
    let once = plan_from(&case("duplicates/brokersub")).expect(0).stdout;
    assert_eq!(plan_from(folder.path()).expect(0).stdout, once);
    let differ = plan_from(&case("duplicates"));
    let object = "Subscription depot/one: document 1 of ";
    says(differ, &["a/dump-monday.yaml", "b/dump-tuesday.yaml: document 1, line 1, item 1: ", object, "otherwise"]);
}

#[test]
fn what_is_no_text_is_named_by_file_document_and_field() {
    let names = "metadata.namespace is not text but";
    for (folder, what) in [("numeric-namespace", "a number"), ("brace-namespace", "an object")] {
        says(plan_from(&case(folder)), &["subscription.yaml: document 1, line 2: Subscription", names, what]);
    }
}

#[test]
fn empty_lists_byte_order_marks_and_texts_one_after_the_other_are_read() {
    for (folder, triggers) in [
        ("empty-typed-list", 1),
        ("bom-crlf/first", 2),
        ("bom-crlf/joined", 2),
        ("bom-crlf/json", 1),
        ("bom-crlf", 5),
        ("json-stream/stream.json", 2),
    ] {
        assert_eq!(created(plan_from(&case(folder))), triggers, "{folder}");
    }
    let text = |file: &str| fs::read_to_string(case(file)).expect("a text");
    assert_eq!(created(plan_of(&text("json-stream/stream.txt"))), 2);
    assert_eq!(created(plan_of(&text("bom-crlf/json/e.json"))), 1);
}

#[test]
fn a_failed_kubectl_is_no_empty_plan() {
    for input in ["", "\n", "# nothing\n", "{\"apiVersion\": \"v1\", \"items\": [], \"kind\": \"List\"}", "---\n---\n"] {
        says(plan_of(input), &["error FL005", "standard input holds no object"]);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    says(plan_from(folder.path()), &["error FL005", "has no file that ends with"]);
    fs::write(folder.path().join("empty.yaml"), "").expect("written");
    says(plan_from(folder.path()), &["error FL005", "holds no object"]);
    let absent = folder.path().join("absent.yaml");
    says(plan_from(&absent), &["error FL042: ", "there is no file or folder ", "absent.yaml"]);
}

#[test]
fn what_is_none_of_ours_is_passed_over_and_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect("written");
    write("ours.json", &subscription("default", "one", "order.created").to_string());
    write("values.yaml", "replicas: 3\n");
    write("job.yaml", "apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: migrate-}\nspec: {}\n");
    run(Command::new("mkfifo").arg(folder.path().join("pipe.yaml")), "").expect(0);
    let _socket = UnixListener::bind(folder.path().join("socket.json")).expect("a socket");
    let ended = plan_from(folder.path());
    for word in ["passed over", "values.yaml", "pipe.yaml", "socket.json", "1 Job"] {
        assert!(ended.stderr.contains(word), "{word}\n{}", ended.stderr);
    }
    assert_eq!(ended.stderr.matches("passed over").count(), 1, "{}", ended.stderr);
    assert_eq!(created(ended), 1);
}

#[test]
fn a_field_of_the_wrong_type_is_no_panic() {
    let edited = |pointer: &str, value: Value| {
        let mut object = subscription("default", "one", "order.created");
        object["metadata"]["labels"] = json!({"a": "b"});
        *object.pointer_mut(pointer).expect(pointer) = value;
        object
    };
    for (pointer, value, what) in [
        ("/spec", json!(["a"]), "spec is not an object but a list"),
        ("/metadata/labels", json!("a"), "metadata.labels is not an object but text"),
        ("/metadata/labels/a", json!(7), "metadata.labels.a is not text but a number"),
        ("/metadata", json!(null), "metadata.name is missing"),
        ("/metadata/name", json!(7), "metadata.name is not text but a number"),
        ("/kind", json!(7), "kind is not text but a number"),
        ("/apiVersion", json!([]), "apiVersion is not text but a list"),
    ] {
        says(plan_of(&edited(pointer, value).to_string()), &["-: document 1: ", what]);
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": {"a": "b"}});
    says(plan_of(&list.to_string()), &["-: document 1: List: items is not a list but an object"]);
    says(plan_of("kind: A\napiVersion: v1\nkind: B\n"), &["-: document 1 is not YAML, line 3: key \"kind\" stands twice\n"]);
}

#[test]
fn a_password_in_an_address_is_told_in_no_format() {
    // The harness looks for it in whatever a job writes.
    for output in ["text", "json", "yaml", "junit", "github"] {
        for program in ["trigger-replicator", "legacy-purger"] {
            let plan = ["plan", "-o", output, "--log-level", "debug", "--from"];
            let ended = run(job(program).args(plan).arg(case("password")), "").expect(0);
            // A purge of what gets no events says nothing of where they would go.
            let is_told = program == "legacy-purger" || ended.stdout.contains("(redacted)@hook.depot");
            assert!(is_told, "{}", ended.stdout);
        }
    }
}

#[test]
fn a_name_that_is_no_label_is_refused_in_the_plan() {
    for (folder, length) in [("long-names/event", 79), ("long-names/app", 68)] {
        let plan = plan_from(&case(folder)).expect(0).json();
        let refusal = &plan["refusals"][0];
        let message = refusal["message"].as_str().expect("a text");
        assert_eq!(refusal["code"], "TR115");
        assert!(message.contains(&format!("would have {length} characters, and may have 63")), "{message}");
    }
}

#[test]
fn a_wrong_log_level_is_told_with_those_that_there_are() {
    let ended = run(job("trigger-replicator").args(["plan", "--from", "-", "--log-level", "x=loud"]), "");
    says(ended, &["error FL041: --log-level x=loud", "error, warn, info, debug"]);
}
