//! `loss-meter` finds what gets lost on the way, and says so.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use fairlead_tests::program::{Ended, becomes, job, run};
use fairlead_tests::request::read;
use fairlead_tests::servers::process::free_port;
use fairlead_tests::watched::Watched;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Subscribers, and a file that says what is sent.
struct Scene {
    receiver: Watched,
    address: String,
    folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let address = format!("127.0.0.1:{}", free_port());
        let receiver = Watched::start_until(job("loss-meter").args(["receive", "--listen", &address]), "listening");
        Self { receiver, address, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("streams.json")
    }

    /// Sends 500 events of each API, which go to `to`.
    fn send(&self, to: &str, more: &[&str]) -> Ended {
        let stream = |name: &str, api: &str| {
            json!({"name": name, "url": format!("http://{to}/orders"), "api": api, "source": "shop", "type": "order.created",
                "typeVersion": "v1", "rate": 1000, "senders": 4, "subscriptions": ["orders"]})
        };
        let streams = [stream("legacy", "legacy"), stream("events", "cloudEvents")];
        let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "streams": streams,
            "receivers": [format!("http://{}", self.address)]});
        std::fs::write(self.file(), document.to_string()).expect("written");
        let mut command = job("loss-meter");
        command.args(["send", "--count", "500", "--settle", "1s", "--config"]).arg(self.file()).args(more);
        run(&mut command, "")
    }

    /// How many events have arrived at the subscription orders.
    fn received(&self) -> usize {
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("it reads");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it answers");
        let report: Value = serde_json::from_str(said.split_once("\r\n\r\n").expect("a body").1).expect("JSON");
        let counts = report["subscriptions"]["orders"][0]["timeline"].as_array().cloned().unwrap_or_default();
        counts.iter().filter_map(|second| second["count"].as_u64()).map(|count| usize::try_from(count).unwrap_or(0)).sum()
    }

    /// Tells a subscription how to answer.
    fn answer(&self, name: &str, answer: &Value) {
        let body = answer.to_string();
        let mut stream = TcpStream::connect(&self.address).expect("it listens");
        let head = format!("PUT /{name} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).expect("it reads");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("it answers");
        assert!(said.starts_with("HTTP/1.1 200"), "{said}");
    }
}

/// A broker that answers 202 to everything: it drops the event with this count, and brings the one after it twice.
fn broken_broker(to: String, dropped: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    let count = Arc::new(AtomicUsize::new(0));
    // Both end with the test's process; a client that hangs up ends its thread.
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (to, count) = (to.clone(), Arc::clone(&count));
            std::thread::spawn(move || {
                let mut stream = stream;
                while let Some((_, request)) = read(&mut stream) {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let times = usize::from(number != dropped) + usize::from(number == dropped + 1);
                    (0..times).for_each(|_| deliver(&to, &request));
                    if stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn deliver(to: &str, body: &str) {
    let mut stream = TcpStream::connect(to).expect("it listens");
    let head = format!("POST /orders HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).expect("it reads");
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn everything_that_arrives_once_is_the_good_end() {
    let scene = Scene::new();
    let good = scene.send(&scene.address, &["-o", "json"]).expect(0).json();
    for delivered in good["subscriptions"].as_array().expect("a list") {
        assert_eq!(
            (&delivered["accepted"], &delivered["received"], &delivered["missing"]),
            (&json!(500), &json!(500), &json!(0))
        );
        assert!(delivered["latency"]["p99Micros"].as_u64().is_some_and(|p99| p99 > 0), "{delivered}");
    }
    let text = scene.send(&scene.address, &[]).expect(0).stdout;
    assert!(text.contains(": 0 missing, 0 doubled without a redelivery."), "{text}");
    scene.receiver.signal(Signal::TERM);
    assert_eq!(scene.receiver.finish().0, Some(0));
}

#[test]
fn one_event_that_a_broker_drops_is_named_and_so_is_one_that_comes_twice() {
    let scene = Scene::new();
    let broker = broken_broker(scene.address.clone(), 321);
    let ended = scene.send(&broker, &["-o", "json"]).expect(4);
    assert!(ended.stderr.contains("error LM101: run ") && ended.stderr.contains(": 1 event missing"), "{}", ended.stderr);
    let verdict = ended.json();
    let sum = |field: &str| {
        verdict["subscriptions"].as_array().expect("a list").iter().map(|it| it[field].as_u64().unwrap_or(0)).sum::<u64>()
    };
    assert_eq!((sum("missing"), sum("doubled"), sum("received")), (1, 1, 999));
    let named: usize = verdict["subscriptions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| it["missingNumbers"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(named, 1);
}

/// As Kyma's own services would: they take no id but a UUID.
#[test]
fn the_compatibility_layer_takes_what_the_meter_sends_on_both_of_its_apis() {
    let scene = Scene::new();
    let (config, port) = (scene.folder.path().join("layer.yaml"), free_port());
    let target = format!("{{target: {{http: {{url: 'http://{}/orders'}}}}}}", scene.address);
    std::fs::write(&config, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\nlayer: {target}\n"))
        .expect("written");
    let mut command = job("compatibility-layer");
    command
        .env("HOME", scene.folder.path())
        .args(["serve", "--listen", &format!("127.0.0.1:{port}"), "--probe-listen", "127.0.0.1:0", "--config"])
        .arg(&config);
    let _layer = Watched::start_until(&mut command, "listening");
    let stream = |name: &str, path: &str, api: &str| {
        json!({"name": name, "url": format!("http://127.0.0.1:{port}/{path}"), "api": api, "source": "shop", "type": "order.created",
            "typeVersion": "v1", "rate": 200, "subscriptions": ["orders"]})
    };
    let streams = [stream("legacy", "shop/v1/events", "legacy"), stream("events", "publish", "cloudEvents")];
    let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "streams": streams,
        "receivers": [format!("http://{}", scene.address)]});
    std::fs::write(scene.file(), document.to_string()).expect("written");
    let mut command = job("loss-meter");
    command.args(["send", "--count", "100", "--settle", "1s", "-o", "json", "--config"]).arg(scene.file());
    let verdict = run(&mut command, "").expect(0).json();
    for stream in verdict["streams"].as_array().expect("a list") {
        assert_eq!((&stream["accepted"], &stream["faults"]), (&json!(100), &json!({})));
    }
}

#[test]
fn a_subscriber_that_is_down_is_told_from_one_that_was_never_sent_anything() {
    let scene = Scene::new();
    // Sent straight to it: the publisher is refused, and nothing that was accepted is missing.
    scene.answer("orders", &json!({"status": 503}));
    let down = scene.send(&scene.address, &[]).expect(4);
    assert!(down.stdout.contains("500 HTTP 503") && down.stderr.contains("error LM104: "), "{}", down.output());
    scene.answer("orders", &json!({"afterMillis": 20}));
    let slow = scene.send(&scene.address, &["-o", "json"]).expect(0).json();
    assert!(slow["streams"][0]["latency"]["p50Micros"].as_u64().is_some_and(|p50| p50 >= 20_000), "{slow}");
}

#[test]
fn a_stream_that_nobody_accepts_is_no_good_end_of_the_others() {
    let scene = Scene::new();
    scene.answer("down", &json!({"status": 503}));
    let stream = |name: &str| {
        json!({"name": name, "url": format!("http://{}/{name}", scene.address), "api": "cloudEvents", "source": "shop", "type": "t",
            "rate": 100, "subscriptions": [name]})
    };
    let document = json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "streams": [stream("up"), stream("down")],
        "receivers": [format!("http://{}", scene.address)]});
    std::fs::write(scene.file(), document.to_string()).expect("written");
    let mut command = job("loss-meter");
    let ended = run(command.args(["send", "--count", "5", "--settle", "1s", "--config"]).arg(scene.file()), "").expect(4);
    assert!(ended.stderr.contains("nobody has accepted an event of down"), "{}", ended.stderr);
}

#[test]
fn a_meter_that_cannot_measure_says_so_before_it_sends() {
    let scene = Scene::new();
    let (address, folder) = (scene.address.clone(), &scene.folder);
    let file = folder.path().join("bad.json");
    for (receiver, url, status, said) in [
        ("http://127.0.0.1:1".to_owned(), format!("http://{address}/"), 4, "error LM103: receiver http://127.0.0.1:1: "),
        (format!("http://{address}"), "orders".to_owned(), 2, "stream a: \"orders\" is no URL of http"),
    ] {
        let stream = json!({"name": "a", "url": url, "api": "cloudEvents", "source": "shop", "type": "t", "rate": 1, "subscriptions": ["orders"]});
        let document =
            json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "receivers": [receiver], "streams": [stream]});
        std::fs::write(&file, document.to_string()).expect("written");
        let refused = run(job("loss-meter").args(["send", "--count", "1", "--config"]).arg(&file), "").expect(status);
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
    }
    let taken = run(job("loss-meter").args(["receive", "--listen", &address]), "").expect(4).stderr;
    assert!(taken.contains("error LM105: cannot listen at "), "{taken}");
}

#[test]
fn a_receiver_that_has_forgotten_and_one_that_is_named_twice_are_no_loss_and_no_doubles() {
    let scene = Scene::new();
    let stream = json!({"name": "a", "url": format!("http://{}/orders", scene.address), "api": "cloudEvents", "source": "shop", "type": "t",
        "rate": 50, "subscriptions": ["orders"]});
    let write = |receivers: &[String]| {
        let document =
            json!({"apiVersion": "fairlead.dev/v1", "kind": "LossMeter", "receivers": receivers, "streams": [stream]});
        std::fs::write(scene.file(), document.to_string()).expect("written");
    };
    let port = scene.address.split_once(':').expect("a port").1;
    write(&[format!("http://{}", scene.address), format!("http://localhost:{port}")]);
    let args = ["send", "--count", "100", "--settle", "1s", "--config"];
    let twice = run(job("loss-meter").args(args).arg(scene.file()), "").expect(2).stderr;
    assert!(twice.contains("error LM106: receiver http://localhost:"), "{twice}");

    write(&[format!("http://{}", scene.address)]);
    let mut sending = job("loss-meter");
    sending.args(args).arg(scene.file()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    let sending = sending.spawn().expect("it starts");
    assert!(becomes(|| scene.received() > 10), "nothing arrives");
    let Scene { receiver, address, .. } = scene;
    receiver.kill();
    let _again = Watched::start_until(job("loss-meter").args(["receive", "--listen", &address]), "listening");
    let ended = sending.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{said}");
    assert!(said.contains("error LM107: receiver http://127.0.0.1:"), "{said}");
}
