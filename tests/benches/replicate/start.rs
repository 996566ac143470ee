//! How soon the job asks the server something: it is given a server that listens and never answers.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use fairlead_tests::cluster::Cluster;
use serde_json::json;

use crate::process::Job;
use crate::say;
use crate::table::{Row, milliseconds};

const RUNS: usize = 20;

/// The time without and with TLS.
pub(crate) fn measure(job: &Job) -> Vec<Row> {
    say("time to the first request");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("kubeconfig");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");

    let plain = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "silent",
        "clusters": [{"name": "silent", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "silent", "context": {"cluster": "silent", "user": "u"}}],
    });
    fs::write(&file, plain.to_string()).expect("written");
    let requests: Vec<f64> = (0..RUNS).map(|_| first_byte(job, &file, &listener)).collect();

    let text = fs::read_to_string(Cluster::control_plane().kubeconfig()).expect("the harness's kubeconfig");
    let silent = |line: &str| match line.split_once("server: ") {
        Some((indent, _)) => format!("{indent}server: https://{address}\n"),
        None => format!("{line}\n"),
    };
    fs::write(&file, text.lines().map(silent).collect::<String>()).expect("written");
    let handshakes: Vec<f64> = (0..RUNS).map(|_| first_byte(job, &file, &listener)).collect();

    [
        ("from exec to the first request, plain HTTP", requests),
        ("from exec to the beginning of the TLS handshake", handshakes),
    ]
    .map(|(what, times)| Row { what: what.to_owned(), objects: None, figure: milliseconds(times) })
    .into()
}

/// Seconds.
fn first_byte(job: &Job, kubeconfig: &Path, listener: &TcpListener) -> f64 {
    let started = Instant::now();
    let mut child = job.command("plan").arg("--kubeconfig").arg(kubeconfig).spawn().expect("the job starts");
    let (mut connection, _) = listener.accept().expect("the job connects");
    connection.read_exact(&mut [0]).expect("the job sends something");
    let elapsed = started.elapsed();
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    elapsed.as_secs_f64()
}
