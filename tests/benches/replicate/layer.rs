//! The cost of an event in compatibility-layer, beside a proxy that only passes requests on. Both have one thread. The bench compares their own
//! processor time: publishers and target work on the same machine.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use fairlead_tests::program::becomes;
use fairlead_tests::servers::process::{free_port, is_ok};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::say;
use crate::table::{Row, float, mebibytes, spread, thousands};

/// Publishers at once, each with a connection of its own.
const PUBLISHERS: usize = 16;

/// The same for memory.
const MANY: usize = 1_000;

/// Events of a round.
const EVENTS: usize = 50_000;

const ROUNDS: usize = 3;

/// Ticks of `/proc/PID/stat` in a second, on every Linux.
const TICKS: f64 = 100.0;

/// A server in between.
struct Between {
    child: Child,
    port: u16,
}

impl Between {
    /// The layer.
    fn layer(binary: &Path, target: u16) -> Self {
        let port = free_port();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = folder.path().join("layer.yaml");
        let target = format!("{{target: {{http: {{url: 'http://127.0.0.1:{target}/'}}}}}}");
        fs::write(&config, format!("apiVersion: fairlead.dev/v1\nkind: Configuration\nlayer: {target}\n")).expect("written");
        let mut command = Command::new(binary);
        let listen = format!("127.0.0.1:{port}");
        command.env_clear().args(["serve", "--listen", &listen, "--probe-listen", "127.0.0.1:0", "--config"]).arg(&config);
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
        assert!(becomes(|| is_ok(port, "/healthz")), "the layer does not listen");
        Self { child, port }
    }

    /// The proxy: this program once more.
    fn proxy(target: u16) -> Self {
        let program = std::env::current_exe().expect("a program has a file");
        let mut command = Command::new(program);
        let mut child = command.args(["--proxy-to", &target.to_string()]).stdout(Stdio::piped()).spawn().expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says its port");
        Self { child, port: line.trim().parse().expect("a port") }
    }

    /// Seconds of processor time.
    fn used(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        // utime and stime: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
        [11, 12].iter().map(|field| fields[*field].parse::<f64>().expect("a number")).sum::<f64>() / TICKS
    }

    /// The most memory that was resident, in bytes.
    fn peak(&self) -> f64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is there");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Measures both.
pub(crate) fn measure(binary: &Path) -> Vec<Row> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let target = target();
    let mut rows = Vec::new();
    let mut rates = Vec::new();
    for name in ["compatibility-layer", "a proxy of the same library that passes requests on"] {
        let (mut of_core, mut of_clock) = (Vec::new(), Vec::new());
        for round in 1..=ROUNDS {
            say(&format!("{name}, round {round}"));
            let between =
                if name == "compatibility-layer" { Between::layer(binary, target) } else { Between::proxy(target) };
            publish(&runtime, between.port, PUBLISHERS, EVENTS / 10);
            let (before, started) = (between.used(), Instant::now());
            publish(&runtime, between.port, PUBLISHERS, EVENTS);
            of_core.push(float(EVENTS) / (between.used() - before));
            of_clock.push(float(EVENTS) / started.elapsed().as_secs_f64());
        }
        rates.push(of_core.iter().sum::<f64>());
        rows.push(Row::new(
            format!("{name}: events of 130 bytes in a second of its processor time"),
            EVENTS,
            spread(of_core, "", thousands),
        ));
        let what = format!("{name}: events in a second, with {PUBLISHERS} publishers and the target on the same processors");
        rows.push(Row::new(what, EVENTS, spread(of_clock, "", thousands)));
    }
    let share = format!("{:.0} %", 100.0 * rates[0] / rates[1]);
    rows.push(Row {
        what: "compatibility-layer: events of the proxy's, for the same processor time".to_owned(),
        objects: None,
        figure: share,
    });
    let between = Between::layer(binary, target);
    let without = between.peak();
    let in_turn = publish_in_turn(&runtime, between.port, MANY, || between.peak());
    publish(&runtime, between.port, MANY, EVENTS);
    for (what, peak) in [
        ("memory without a connection", without),
        ("peak memory with 1,000 connections that publish in turn", in_turn),
        ("peak memory with 1,000 connections that publish at once", between.peak()),
    ] {
        rows.push(Row { what: format!("compatibility-layer: {what}"), objects: None, figure: mebibytes(peak) });
    }
    rows
}

/// A legacy event as a request.
fn request() -> String {
    let body = r#"{"event-type":"order.created","event-type-version":"v1","event-time":"2020-09-28T14:47:16.491Z","data":{"orderCode":"987654321"}}"#;
    let head = "POST /shop/v1/events HTTP/1.1\r\nHost: layer\r\nContent-Type: application/json\r\n";
    format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
}

/// Publishes so many events over so many connections.
fn publish(runtime: &Runtime, port: u16, publishers: usize, events: usize) {
    let (request, left) = (Arc::new(request()), Arc::new(AtomicUsize::new(events)));
    runtime.block_on(async {
        let publishers: Vec<_> =
            (0..publishers).map(|_| tokio::spawn(publisher(port, Arc::clone(&request), Arc::clone(&left)))).collect();
        for publisher in publishers {
            publisher.await.expect("every event is accepted");
        }
    });
}

/// Opens so many connections, publishes an event over each of them in turn, and keeps all open until `look` has looked.
fn publish_in_turn(runtime: &Runtime, port: u16, connections: usize, look: impl FnOnce() -> f64) -> f64 {
    let request = request();
    runtime.block_on(async {
        let mut open = Vec::new();
        for _ in 0..connections {
            open.push(connect(port).await);
        }
        for stream in &mut open {
            exchange(stream, &request).await;
        }
        look()
    })
}

async fn publisher(port: u16, request: Arc<String>, left: Arc<AtomicUsize>) {
    let mut stream = connect(port).await;
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        exchange(&mut stream, &request).await;
    }
}

async fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    stream.set_nodelay(true).expect("a socket");
    stream
}

/// Sends a request, and reads its answer, which is one of success.
async fn exchange(stream: &mut TcpStream, request: &str) {
    stream.write_all(request.as_bytes()).await.expect("it is taken");
    let mut buffer = [0; 4096];
    let mut length = 0;
    // Both answer with a body of known length, or with none, in one piece or more.
    loop {
        let read = stream.read(&mut buffer[length..]).await.expect("an answer");
        assert!(read > 0, "the connection has ended");
        length += read;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 20"), "{text}");
        let expected = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() >= expected.unwrap_or_default() {
            return;
        }
    }
}

/// A target in a thread of its own, which accepts everything; its port.
fn target() -> u16 {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            tell.send(listener.local_addr().expect("an address").port()).expect("somebody waits");
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(accept(stream));
            }
        });
    });
    told.recv().expect("it starts")
}

/// Answers each request. Requests come one after the other, each with a body.
async fn accept(mut stream: TcpStream) {
    let mut buffer = vec![0; 8192];
    let mut length = 0;
    while let Ok(read) = stream.read(&mut buffer[length..]).await {
        if read == 0 {
            return;
        }
        length += read;
        let text = String::from_utf8_lossy(&buffer[..length]);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let expected = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        if body.len() < expected.unwrap_or_default() {
            continue;
        }
        length = 0;
        if stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.is_err() {
            return;
        }
    }
}

/// The least that a proxy of the same library does: it reads a request, sends it on, and passes the answer back.
pub(crate) mod proxy {
    use std::convert::Infallible;
    use std::io::Write as _;

    use http_body_util::{BodyExt as _, Full};
    use hyper::body::{Bytes, Incoming};
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use hyper::{Request, Response};
    use hyper_util::client::legacy::Client;
    use hyper_util::client::legacy::connect::HttpConnector;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::net::TcpListener;
    use tokio::runtime::Builder;

    /// Serves until it is killed, and says its port on stdout.
    pub(crate) fn serve(target: u16) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            writeln!(std::io::stdout(), "{}", listener.local_addr().expect("an address").port()).expect("it is read");
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                let client = client.clone();
                let service = service_fn(move |request| pass(client.clone(), target, request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
    }

    async fn pass(
        client: Client<HttpConnector, Full<Bytes>>,
        target: u16,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let (mut head, body) = request.into_parts();
        head.uri = format!("http://127.0.0.1:{target}/").parse().expect("an address");
        head.headers.remove("host");
        let body = body.collect().await.expect("a body").to_bytes();
        let answer = client.request(Request::from_parts(head, Full::new(body))).await.expect("an answer");
        let (head, body) = answer.into_parts();
        Ok(Response::from_parts(head, Full::new(body.collect().await.expect("a body").to_bytes())))
    }
}
