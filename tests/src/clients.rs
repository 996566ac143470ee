//! Clients that work on the table of transfers all the time, and what they saw.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use sqlx::mysql::MySqlConnection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

use crate::servers::database::{Database, Kind};
use crate::transfers::packet;

/// What a client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Inserts as the old release does: without the new column.
    OldInsert,
    /// Inserts as the new release does.
    NewInsert,
    /// Updates rows that everybody updates.
    Update,
    /// Reads through a prepared statement that names its columns.
    Read,
    /// Sits on the table for a second in a transaction, and does nothing.
    Sit,
}

/// What all clients have seen.
#[derive(Default)]
pub struct Seen {
    errors: Mutex<Vec<String>>,
    longest: AtomicU64,
    done: AtomicU64,
    /// Numbers of transfers whose insert was acknowledged.
    pub written: Mutex<Vec<String>>,
    stop: AtomicBool,
    number: AtomicU64,
}

impl Seen {
    /// What went wrong.
    #[must_use]
    pub fn errors(&self) -> Vec<String> {
        self.errors.lock().expect("nobody panics with it").clone()
    }

    /// The longest time that one of them had to wait.
    #[must_use]
    pub fn longest(&self) -> Duration {
        Duration::from_micros(self.longest.load(Ordering::Relaxed))
    }

    /// How much they have done.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }
}

/// Ends the clients, whatever happens meanwhile.
struct Stop<'s>(&'s Seen);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

enum Client {
    PostgreSql(PgConnection),
    MariaDb(MySqlConnection),
}

impl Client {
    async fn connect(kind: Kind, database: &Database) -> Self {
        match kind {
            Kind::PostgreSql => {
                let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(database.port());
                let options = options.username("root").database("test");
                let options = options.ssl_mode(PgSslMode::Disable).disable_statement_logging();
                Self::PostgreSql(PgConnection::connect_with(&options).await.expect("it lets us in"))
            }
            Kind::MariaDb => Self::MariaDb(MySqlConnection::connect_with(&database.mysql()).await.expect("it lets us in")),
        }
    }

    /// As a prepared statement, that is kept; or as text.
    async fn run(&mut self, statement: &str, is_prepared: bool) -> Result<(), sqlx::Error> {
        let sql = AssertSqlSafe(statement.to_owned());
        match (self, is_prepared) {
            (Self::PostgreSql(connection), true) => sqlx::query(sql).fetch_all(connection).await.map(drop),
            (Self::MariaDb(connection), true) => sqlx::query(sql).fetch_all(connection).await.map(drop),
            (Self::PostgreSql(connection), false) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
            (Self::MariaDb(connection), false) => sqlx::raw_sql(sql).execute(connection).await.map(drop),
        }
    }
}

/// Does something while clients work.
pub fn with_clients<T>(database: &Database, kind: Kind, all: &[Work], seen: &Seen, what: impl FnOnce() -> T) -> T {
    seen.stop.store(false, Ordering::Relaxed);
    thread::scope(|scope| {
        let _stop = Stop(seen);
        for work in all {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
                runtime.block_on(client(kind, database, *work, seen));
            });
        }
        what()
    })
}

async fn client(kind: Kind, database: &Database, work: Work, seen: &Seen) {
    let mut client = Client::connect(kind, database).await;
    while !seen.stop.load(Ordering::Relaxed) {
        let number = seen.number.fetch_add(1, Ordering::Relaxed);
        let id = format!("live-{number:09}");
        let hot = number % 7 + 1;
        let began = Instant::now();
        let result = match work {
            Work::OldInsert => client.run(&inserted(&id, None), false).await,
            Work::NewInsert => client.run(&inserted(&id, Some(&id)), false).await,
            Work::Update => {
                client.run(&format!("update transfer set amount = amount + 1 where transferId = '{hot:08}'"), false).await
            }
            Work::Read => client.run("select transferId, amount from transfer where transferId = '00000003'", true).await,
            Work::Sit => {
                let mut result = client.run("begin", false).await;
                if result.is_ok() {
                    result = client.run("select count(*) from transfer where transferId = '00000001'", false).await;
                }
                tokio::time::sleep(Duration::from_secs(1)).await;
                let result = client.run("commit", false).await.and(result);
                tokio::time::sleep(Duration::from_secs(1)).await;
                result
            }
        };
        if work != Work::Sit {
            seen.longest.fetch_max(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
        match result {
            Ok(()) => {
                seen.done.fetch_add(1, Ordering::Relaxed);
                if matches!(work, Work::OldInsert | Work::NewInsert) {
                    seen.written.lock().expect("nobody panics with it").push(id);
                }
            }
            Err(error) => seen.errors.lock().expect("nobody panics with it").push(format!("{work:?}: {error}")),
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// A transfer, and the packet that goes with it. The old release sends the quote in the packet only.
fn inserted(id: &str, quote: Option<&str>) -> String {
    let (column, value) = quote.map_or_else(Default::default, |quote| (", quoteId".to_owned(), format!(", '{quote}'")));
    format!(
        "begin; insert into transferDuplicateCheck values ('{id}'); insert into transfer (transferId, amount, currencyId{column}) values ('{id}', 1, 'XOF'{value}); \
         insert into ilpPacket values ('{id}', '{}'); commit",
        packet(id)
    )
}
