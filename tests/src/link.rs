//! A way to a server that a test can cut: both ends stay connected then, and nothing arrives.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::cluster::Cluster;

/// A port of this machine that leads to another one until it is dropped.
pub struct Link {
    port: u16,
    is_open: watch::Sender<bool>,
    asked: Arc<AtomicUsize>,
    _runtime: Runtime,
}

impl Link {
    /// Begins to lead to `port`, where nobody needs to listen yet.
    #[must_use]
    pub fn to(port: u16) -> Self {
        Self::begin(bind("127.0.0.1:0"), port)
    }

    /// The same from within a cluster: its pods find the port at `NODE_ADDRESS`.
    #[must_use]
    pub fn from_cluster(cluster: &Cluster, port: u16) -> Self {
        Self::begin(cluster.inside(|| bind("0.0.0.0:0")), port)
    }

    fn begin(listener: std::net::TcpListener, port: u16) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
        listener.set_nonblocking(true).expect("it is open");
        let listener = runtime.block_on(async { TcpListener::from_std(listener) }).expect("it is open");
        let own = listener.local_addr().expect("it is bound").port();
        let (is_open, open) = watch::channel(true);
        let asked = Arc::<AtomicUsize>::default();
        runtime.spawn(accept(listener, port, Way { open, asked: Arc::clone(&asked) }));
        Self { port: own, is_open, asked, _runtime: runtime }
    }

    /// Where it begins.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Nothing arrives any more. Connections stay, and new ones are taken: neither end is told.
    pub fn cut(&self) {
        self.is_open.send_replace(false);
    }

    /// Everything arrives, also what was sent meanwhile.
    pub fn mend(&self) {
        self.is_open.send_replace(true);
    }

    /// How often the server was asked: what a client sends after an answer is one question.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn bind(address: &str) -> std::net::TcpListener {
    std::net::TcpListener::bind(address).expect("a free port")
}

#[derive(Clone)]
struct Way {
    open: watch::Receiver<bool>,
    asked: Arc<AtomicUsize>,
}

async fn accept(listener: TcpListener, to: u16, way: Way) {
    while let Ok((client, _)) = listener.accept().await {
        // An end that goes away is an ordinary event.
        tokio::spawn(carry(client, to, way.clone()));
    }
}

async fn carry(client: TcpStream, to: u16, mut way: Way) -> io::Result<()> {
    way.wait().await;
    let server = TcpStream::connect(("127.0.0.1", to)).await?;
    // Without it a small message waits for an acknowledgement.
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let is_answered = Arc::new(AtomicBool::new(true));
    let (answered, asked) = (Arc::clone(&is_answered), Arc::clone(&way.asked));
    let note_question = move || {
        if answered.swap(false, Ordering::SeqCst) {
            asked.fetch_add(1, Ordering::SeqCst);
        }
    };
    tokio::spawn(copy(from_client, to_server, way.clone(), note_question));
    copy(from_server, to_client, way, move || is_answered.store(true, Ordering::SeqCst)).await
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut way: Way, on_data: impl Fn()) -> io::Result<()> {
    let mut buffer = vec![0; 16 << 10];
    loop {
        // An end that is lost has nothing more to say, and the other one is told.
        let length = from.read(&mut buffer).await.unwrap_or(0);
        way.wait().await;
        if length == 0 {
            return to.shutdown().await;
        }
        on_data();
        to.write_all(&buffer[..length]).await?;
    }
}

impl Way {
    /// Waits until it is open.
    async fn wait(&mut self) {
        // A link that is gone takes its connections along.
        let _ = self.open.wait_for(|is_open| *is_open).await;
    }
}
