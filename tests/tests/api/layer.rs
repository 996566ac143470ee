//! compatibility-layer as a process, between publishers and targets: what it accepts has arrived, and what has not arrived it does not accept.
//!
//! - `sink`: a target over HTTP that answers as a test wants
//! - `publishers`: what each API takes; `refused`: what each refuses, and what is answered when a target does not accept
//! - `limits`: clients that are slow, too many, or gone; `age`: connections that have become old; `ending`: SIGTERM; `jet_stream`: a real stream; `subscribed`: Triggers of a real cluster

mod age;
mod ending;
mod jet_stream;
mod limits;
mod publishers;
mod refused;
mod sink;
mod subscribed;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fairlead_tests::program::{becomes, job};
use fairlead_tests::servers::process::{free_port, get, is_ok};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// A running server. It is killed when it is dropped.
struct Layer {
    child: Child,
    port: u16,
    /// For probes and metrics.
    probes: u16,
    folder: TempDir,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    /// Line by line, in lower case.
    headers: String,
    body: String,
}

/// The legacy event of the proposal, word for word.
const EVENT: &str = r#"
    {
		"event-type": "order.created",
		"event-type-version": "v1",
		"event-time": "2020-09-28T14:47:16.491Z",
		"data": {"orderCode": "987"}
  	}
"#;

impl Layer {
    /// Starts it with this section `layer`.
    #[track_caller]
    fn start(layer: &str, flags: &[&str]) -> Self {
        Self::start_with(layer, flags, |command| command)
    }

    /// The same, with more for its process.
    #[track_caller]
    fn start_with(layer: &str, flags: &[&str], more: impl FnOnce(&mut Command) -> &mut Command) -> Self {
        let folder = tempfile::Builder::new().prefix("layer-").tempdir().expect("a temporary folder");
        let config = folder.path().join("layer.yaml");
        let text = format!("apiVersion: fairlead.dev/v1\nkind: Configuration\nlayer: {layer}\n");
        std::fs::write(&config, text).expect("written");
        let (port, probes) = (free_port(), free_port());
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let mut command = job("compatibility-layer");
        command.arg("serve").arg("--config").arg(&config).args(["--listen", &format!("127.0.0.1:{port}")]);
        command.args(["--probe-listen", &format!("127.0.0.1:{probes}")]).args(flags);
        // No cluster of the machine.
        more(command.env("HOME", folder.path()));
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
        let layer = Self { child, port, probes, folder };
        assert!(becomes(|| is_ok(probes, "/healthz")), "it does not listen: {}", layer.log());
        layer
    }

    /// One that sends everything to this address.
    #[track_caller]
    fn to(url: &str, flags: &[&str]) -> Self {
        Self::start(&format!("{{target: {{http: {{url: '{url}'}}}}}}"), flags)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// A connection, on which nothing waits for ever.
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_mins(1))).expect("a timeout");
        stream
    }

    /// Posts over a connection of its own.
    #[track_caller]
    fn post(&self, path: &str, headers: &[&str], body: &[u8]) -> Answer {
        let mut stream = self.connect();
        begin(&mut stream, path, headers, body);
        read(stream)
    }

    /// Publishes an event of the proposal for this Application.
    #[track_caller]
    fn publish(&self, application: &str) -> Answer {
        self.post(&format!("/{application}/v1/events"), &["Content-Type: application/json"], EVENT.as_bytes())
    }

    /// Whether its metrics have this line.
    fn counts(&self, line: &str) -> bool {
        get(self.probes, "/metrics").is_some_and(|(_, page)| page.lines().any(|other| other == line))
    }

    #[track_caller]
    fn expect_count(&self, line: &str) {
        assert!(self.counts(line), "no {line} in:\n{}", get(self.probes, "/metrics").unwrap_or_default().1);
    }
}

impl Drop for Layer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request whose answer ends the connection.
fn begin(stream: &mut TcpStream, path: &str, headers: &[&str], body: &[u8]) {
    let is_chunked = headers.iter().any(|header| header.starts_with("Transfer-Encoding"));
    let length = if is_chunked { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let headers: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
    let head = format!("POST {path} HTTP/1.1\r\nHost: layer\r\nConnection: close\r\n{length}{headers}");
    let request = [head.as_bytes(), b"\r\n", body].concat();
    stream.write_all(&request).expect("it is taken");
}

/// Reads an answer to the end of its connection.
#[track_caller]
fn read(mut stream: TcpStream) -> Answer {
    let mut text = String::new();
    let whole = stream.read_to_string(&mut text);
    assert!(whole.is_ok(), "{whole:?}\n{text}");
    let (head, body) = text.split_once("\r\n\r\n").expect("an answer");
    let (first, headers) = head.split_once("\r\n").expect("headers");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, headers: headers.to_lowercase(), body: body.to_owned() }
}

/// A request whose connection stays open.
fn request(body: &str) -> String {
    format!("POST /shop/v1/events HTTP/1.1\r\nHost: layer\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Reads the next answer of a connection; none when it has ended. A reset is a failure.
#[track_caller]
fn next(stream: &mut BufReader<TcpStream>) -> Option<Answer> {
    let (mut first, mut headers) = (String::new(), String::new());
    if stream.read_line(&mut first).expect("no reset") == 0 {
        return None;
    }
    while !headers.ends_with("\r\n\r\n") {
        assert!(stream.read_line(&mut headers).expect("no reset") > 0, "half an answer: {headers}");
    }
    let headers = headers.to_lowercase();
    let length = headers.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).expect("no reset");
    let status = first.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Some(Answer { status, headers, body: String::from_utf8(body).expect("text") })
}

impl Answer {
    /// Asserts the status; the answer is shown when it is another one.
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect(&self.body)
    }

    fn has(&self, header: &str) -> bool {
        self.headers.lines().any(|line| line.starts_with(header))
    }
}
