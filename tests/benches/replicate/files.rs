//! What a plan from files costs: 100 MiB as kubectl writes them.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use crate::objects::subscription_object;
use crate::process::{Job, Ran};
use crate::say;
use crate::table::{Row, float, mebibytes};

/// How large each file is at least.
const SIZE: usize = 100 * 1024 * 1024;

/// A row for each kind of file.
pub(crate) fn measure(job: &Job) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str| folder.path().join(name);
    let planned = |what: &str, path: &Path, objects: usize| {
        say(&format!("a plan of {what}"));
        let ran = job.plan_from(path);
        std::fs::remove_file(path).expect("it is there");
        Row::new(format!("plan from 100 MiB: {what}"), objects, figure(&ran))
    };
    let all = write_list(&file("all.json"), |_| true);
    let all = planned("a JSON List of Subscriptions that all need a Trigger", &file("all.json"), all);
    let some = write_list(&file("some.json"), |number| number % 10 == 0);
    let some = planned("a JSON List of a cluster, one object in ten a Subscription", &file("some.json"), some);
    let stream = write_stream(&file("all.yaml"));
    let stream = planned("a YAML stream of such Subscriptions", &file("all.yaml"), stream);
    vec![all, some, stream]
}

fn figure(ran: &Ran) -> String {
    let seconds = ran.elapsed.as_secs_f64();
    format!("{seconds:.1} s, {:.0} MB/s, {}", float(SIZE) / 1e6 / seconds, mebibytes(float(ran.peak)))
}

/// `kubectl get -o json`, and how many objects it has.
fn write_list(path: &Path, is_subscription: impl Fn(usize) -> bool) -> usize {
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    let (mut size, mut count) = (0, 0);
    out.write_all(b"{\n    \"apiVersion\": \"v1\",\n    \"items\": [\n").expect("written");
    while size < SIZE {
        let object = if is_subscription(count) { subscription(count) } else { pod(count) };
        let text = serde_json::to_string_pretty(&object).expect("plain data");
        let separator = if count == 0 { "" } else { ",\n" };
        write!(out, "{separator}{text}").expect("written");
        size += separator.len() + text.len();
        count += 1;
    }
    out.write_all(b"\n    ],\n    \"kind\": \"List\"\n}\n").expect("written");
    out.flush().expect("written");
    count
}

/// Documents as people keep them, and how many.
fn write_stream(path: &Path) -> usize {
    let mut out = BufWriter::new(File::create(path).expect("a file"));
    let (mut size, mut count) = (0, 0);
    while size < SIZE {
        let object = subscription(count);
        let text = format!(
            "---\napiVersion: {}\nkind: {}\nmetadata:\n{}spec:\n{}",
            object["apiVersion"].as_str().expect("text"),
            object["kind"].as_str().expect("text"),
            block(&object["metadata"], 2),
            block(&object["spec"], 2),
        );
        out.write_all(text.as_bytes()).expect("written");
        size += text.len();
        count += 1;
    }
    out.flush().expect("written");
    count
}

/// An object in YAML, key by key.
fn block(value: &Value, indent: usize) -> String {
    let entry = |(key, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{:indent$}{key}:\n{}", "", block(value, indent + 2)),
        scalar => format!("{:indent$}{key}: {scalar}\n", ""),
    };
    value.as_object().into_iter().flatten().map(entry).collect()
}

/// With what a server adds.
fn subscription(number: usize) -> Value {
    let mut object = subscription_object(number);
    let metadata = &mut object["metadata"];
    metadata["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": metadata.to_string()});
    metadata["creationTimestamp"] = "2020-03-31T10:00:00Z".into();
    metadata["generation"] = 1.into();
    metadata["resourceVersion"] = number.to_string().into();
    metadata["uid"] = format!("00000000-0000-0000-0000-{number:012x}").into();
    object
}

fn pod(number: usize) -> Value {
    let environment: Vec<Value> =
        (0..8).map(|index| json!({"name": format!("SETTING_{index}"), "value": "x".repeat(30)})).collect();
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": format!("team-{}", number / 100), "name": format!("pod-{number}")},
        "spec": {"containers": [{"name": "main", "image": "example.com/main:1", "env": environment}]},
        "status": {"phase": "Running"},
    })
}
