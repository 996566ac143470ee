//! A target over HTTP. It keeps what it gets, and answers as the test wants.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    Status(u16),
    /// It says nothing until it is told another manner.
    Hold,
    /// It closes the connection.
    Close,
}

/// An event as it came.
#[derive(Clone, Debug)]
pub(super) struct Received {
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

struct State {
    manner: Manner,
    received: Vec<Received>,
}

/// The target. Its threads end with the test's process.
pub(super) struct Sink {
    port: u16,
    state: Arc<(Mutex<State>, Condvar)>,
}

impl Sink {
    pub(super) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::new((Mutex::new(State { manner, received: Vec::new() }), Condvar::new()));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(&stream, &shared));
            }
        });
        Self { port, state }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/events", self.port)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, manner: Manner) {
        self.state.0.lock().expect("no thread has panicked").manner = manner;
        self.state.1.notify_all();
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.state.0.lock().expect("no thread has panicked").received.clone()
    }
}

impl Received {
    /// The value of a header; empty where there is none.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

fn serve(stream: &TcpStream, (state, changed): &(Mutex<State>, Condvar)) {
    let mut reader = BufReader::new(stream);
    while let Some(received) = request(&mut reader) {
        let mut state = state.lock().expect("no thread has panicked");
        state.received.push(received);
        let state = changed.wait_while(state, |state| state.manner == Manner::Hold).expect("no thread has panicked");
        let Manner::Status(status) = state.manner else { return };
        drop(state);
        let length = if status == 204 { "" } else { "Content-Length: 0\r\n" };
        let answer = format!("HTTP/1.1 {status} Whatever\r\n{length}\r\n");
        let mut writer = stream;
        if writer.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

fn request(reader: &mut BufReader<&TcpStream>) -> Option<Received> {
    let mut headers = BTreeMap::new();
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    loop {
        line.clear();
        reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Received { headers, body: String::from_utf8_lossy(&body).into_owned() })
}
