//! A server process that ends when it is dropped.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpSocket;

use crate::program::becomes;
use crate::timing;

/// How often a server is started again whose port somebody else has taken meanwhile.
const ATTEMPTS: usize = 3;

/// How often one is whose port, which it must keep, somebody else has for a moment.
const RESTARTS: usize = 50;

/// A server process, and the folder with what it writes.
pub struct Process {
    child: Child,
    folder: TempDir,
}

impl Process {
    /// Starts what `command` makes of an empty folder, and waits until `is_ready`.
    pub fn start<T>(command: impl Fn(&Path) -> (Command, T), is_ready: impl Fn(&T) -> bool) -> (Self, T) {
        timing::begin();
        for attempt in 1.. {
            let folder = tempfile::Builder::new().prefix("server-").tempdir().expect("a temporary folder");
            let (command, ports) = command(folder.path());
            let mut process = Self::spawn(command, folder);
            let mut has_ended = false;
            let settled = becomes(|| {
                has_ended = process.has_ended();
                has_ended || is_ready(&ports)
            });
            if settled && !has_ended {
                return (process, ports);
            }
            assert!(has_ended && attempt < ATTEMPTS, "a server does not become ready:\n{}", process.log());
        }
        unreachable!("it returns or panics")
    }

    fn spawn(mut command: Command, folder: TempDir) -> Self {
        let log = File::create(folder.path().join("log")).expect("a file for its messages");
        let errors = log.try_clone().expect("the same file");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("failed to start {command:?}: {error}; `make servers` builds it"));
        Self { child, folder }
    }

    /// Starts it once more in the same folder, after it was killed.
    pub fn restart(&mut self, mut command: Command, is_ready: impl Fn() -> bool) {
        self.kill();
        let log = File::options().append(true).open(self.folder.path().join("log")).expect("it is there");
        let errors = log.try_clone().expect("the same file");
        command.stdin(Stdio::null()).stdout(log).stderr(errors);
        let mut start = || command.spawn().expect("it has started before");
        self.child = start();
        let mut more = RESTARTS;
        let is_ready = becomes(|| {
            // For a moment somebody's connection may have its port.
            if self.has_ended() && more > 0 {
                more -= 1;
                self.child = start();
            }
            is_ready()
        });
        assert!(is_ready, "a server does not become ready again:\n{}", self.log());
    }

    /// What it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Nothing is answered until [`Self::thaw`], and connections stay.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    /// Goes on.
    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// To the server, and to the processes that serve one connection each.
    fn signal(&self, signal: Signal) {
        let server = Pid::from_child(&self.child);
        kill_process(server, signal).expect("it is alive");
        let children = format!("/proc/{server}/task/{server}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|id| Pid::from_raw(id.parse().ok()?)) {
            // One that has just ended needs no signal.
            let _ = kill_process(child, signal);
        }
    }

    /// Ends it without warning, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The first of the ports for servers, and how many there are. The system gives none of them to a connection, which might have one in the
/// moment when its server starts, or starts again.
const PORTS: (u16, u32) = (10_000, 20_000);

/// A port that nobody listens on, for a server that is about to.
#[must_use]
pub fn free_port() -> u16 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Other processes begin elsewhere.
    let begin = std::process::id().wrapping_mul(257);
    let (first, span) = PORTS;
    let next = || begin.wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed)) % span;
    let mut ports = (0..span).filter_map(|_| Some(first + u16::try_from(next()).ok()?));
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    ports.find(is_free).expect("a free port")
}

/// A port that nobody will ever listen on: a socket has it that does not listen, as long as this process lives.
#[must_use]
pub fn closed_port() -> u16 {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port");
    let port = socket.local_addr().expect("it is bound").port();
    std::mem::forget(socket);
    port
}

/// Status and body of what a server on this machine answers; none if it does not.
#[must_use]
pub fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let status = answer.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
}

/// Whether a server on this machine answers 200.
#[must_use]
pub fn is_ok(port: u16, path: &str) -> bool {
    get(port, path).is_some_and(|(status, _)| status == 200)
}
