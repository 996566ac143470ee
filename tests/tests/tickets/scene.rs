//! A place for tickets of its own for each test, in servers that the tests share.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::evidence::digest;
use fairlead_migration::plan::{Plan, PlanBuilder};
use fairlead_migration::progress::{Phase, Progress};
use fairlead_migration::snapshot::Snapshot;
use fairlead_migration::stage::{Stage, StageKind, UndoAt};
use fairlead_migration::store::{Journal, Scope, Store, Terms};
use fairlead_migration::ticket::{FORMAT, Ticket, Told, Tool};
use fairlead_sql::address::{Address, Values};
use fairlead_sql::engine::Engine;
use fairlead_sql::session::Session;
use fairlead_sql_ledger::store::SqlLedger;
use fairlead_tests::servers::database::{Database, Kind};
use serde_json::json;

pub(crate) const BOTH: [Kind; 2] = [Kind::PostgreSql, Kind::MariaDb];

/// The server of each kind, while a test has it. The last one ends it.
static SERVERS: [Mutex<Weak<Database>>; 2] = [const { Mutex::new(Weak::new()) }; 2];

static PLACES: AtomicU32 = AtomicU32::new(0);

/// A place for tickets.
pub(crate) struct Scene {
    pub(crate) database: Arc<Database>,
    kind: Kind,
    place: String,
    /// Where the stores connect.
    port: u16,
}

impl Scene {
    /// In a server that others have, too.
    pub(crate) fn new(kind: Kind) -> Self {
        let server = &SERVERS[usize::from(kind == Kind::MariaDb)];
        let mut server = server.lock().unwrap_or_else(PoisonError::into_inner);
        let database = server.upgrade().unwrap_or_else(|| Arc::new(Database::start(kind, None)));
        *server = Arc::downgrade(&database);
        Self::in_server(kind, database)
    }

    /// In this server.
    pub(crate) fn in_server(kind: Kind, database: Arc<Database>) -> Self {
        let place = format!("it's{}", PLACES.fetch_add(1, Ordering::Relaxed));
        let port = database.port();
        Self { database, kind, place, port }
    }

    /// The same, and the stores connect to this port.
    pub(crate) fn through(self, port: u16) -> Self {
        Self { port, ..self }
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn address(&self) -> Address {
        let engine = if self.kind == Kind::PostgreSql { Engine::PostgreSql } else { Engine::MariaDb };
        let [host, database, username] = ["127.0.0.1", "test", "root"].map(str::to_owned);
        Address { engine, host, port: Some(self.port), database, username, password: None, tls: None }
    }

    /// The store, as another process opens it.
    pub(crate) fn store(&self) -> SqlLedger {
        self.store_of("shop")
    }

    pub(crate) fn store_of(&self, release: &str) -> SqlLedger {
        SqlLedger::new(self.address(), Values::default(), &self.place, release)
    }

    pub(crate) fn table(&self, table: &str) -> String {
        match self.kind {
            Kind::PostgreSql => format!("\"{}\".{table}", self.place),
            Kind::MariaDb => format!("`_{}_{table}`", self.place),
        }
    }

    /// What somebody does to a table: `TABLE` stands for its name.
    pub(crate) fn run(&self, table: &str, statement: &str) -> String {
        self.database.run(&statement.replace("TABLE", &self.table(table))).trim().to_owned()
    }

    /// How many tables there are in this place.
    pub(crate) fn tables(&self) -> String {
        let place = self.place.replace('\'', "''");
        let which = match self.kind {
            Kind::PostgreSql => format!("table_schema = '{place}'"),
            Kind::MariaDb => format!("table_name like '%{place}%'"),
        };
        self.database.run(&format!("select count(*) from information_schema.tables where {which}")).trim().to_owned()
    }

    /// The holder of every lease has not been heard of for years: it is paused.
    pub(crate) async fn run_out(&self) {
        let change = format!("update {} set renewed = '2020-01-01 00:00:00'", self.table("lease"));
        self.session().await.execute(&change).await.expect("it is changed");
    }

    /// Waits until a lease is renewed.
    pub(crate) async fn renewal(&self) {
        let (mut session, select) =
            (self.session().await, format!("select cast(renewed as char(40)) from {}", self.table("lease")));
        let first = session.text(&select).await.expect("it answers");
        while session.text(&select).await.expect("it answers") == first {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// A connection of somebody else.
    pub(crate) async fn session(&self) -> Session {
        Session::open(&self.address(), &Values::default()).await.expect("it is there")
    }
}

/// Plays this in a place of each kind of server.
#[expect(clippy::needless_pass_by_value, reason = "it is written in place")]
pub(crate) fn in_both(scenario: impl AsyncFn(&Scene)) {
    for kind in BOTH {
        play(scenario(&Scene::new(kind)));
    }
}

/// Runs this to its end, on one thread as the jobs do.
pub(crate) fn play<T>(play: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(play)
}

/// How a holder asks that has all the time of a test.
pub(crate) fn terms(holder: &str) -> Terms<'_> {
    let (scope, insists) = (Scope::Release, false);
    Terms { scope, holder, duration: Duration::from_mins(1), patience: Duration::ZERO, insists }
}

/// A plan of one change whose snapshot has several chunks for some hundred pages.
pub(crate) fn plan(pages: usize) -> Plan {
    let stage = Stage::new("Columns", StageKind::Expand, UndoAt::PostRollback, 1);
    // Hex of hashes: it compresses to half at best.
    let noise: String = (0..pages * 64).map(|part| digest(&json!(part))).collect();
    let text = r"it's \ 'ž' -- ; \' $1 ";
    let [api_version, kind, name] = ["sql/v1", "Column", "orders.total"].map(str::to_owned);
    let target = Target { api_version, kind, namespace: None, name };
    let images = Images::Create(json!({"metadata": {"name": "orders.total"}, "text": text, "noise": noise}));
    let mut builder = PlanBuilder::new("tables", vec![stage]);
    builder.push(&Change { stage: 0, target, images, reason: "a total".to_owned() });
    builder.build()
}

pub(crate) fn ticket(plan: &Plan, snapshot: &Snapshot<'_>) -> Ticket {
    let [name, version] = ["schema-migrator", "0.1.0"].map(str::to_owned);
    let [step, executor, release] = ["tables", "sql", "shop"].map(str::to_owned);
    Ticket {
        format: FORMAT,
        min_reader: FORMAT,
        tool: Tool { name, version, image: None },
        step,
        executor,
        release,
        helm_revision: Some(3),
        installation: None,
        told: Told { configuration: Some(json!({"why": r"it's \ 'ž' -- ; \'"})), flags: Vec::new() },
        credentials: Vec::new(),
        plan_digest: plan.digest(),
        changes: plan.len(),
        holds: false,
        snapshot: snapshot.manifest.clone(),
    }
}

pub(crate) fn progress(phase: Phase) -> Progress {
    Progress { phase, begun: 1, ..Progress::planned() }
}

/// Opens a run of one change, and records this phase.
pub(crate) async fn open(journal: &mut dyn Journal, phase: Phase) {
    let plan = plan(1);
    let snapshot = Snapshot::of(&plan).expect("plain data");
    journal.open(&ticket(&plan, &snapshot), &snapshot).await.expect("it is stored");
    if phase != Phase::Planned {
        journal.record(&progress(phase)).await.expect("it is recorded");
    }
}

/// Runs that have come to these phases.
pub(crate) async fn runs(store: &SqlLedger, phases: &[Phase]) {
    let lock = store.lock(terms("somebody")).await.expect("nobody has it");
    for phase in phases {
        open(&mut *store.journal(&*lock), *phase).await;
    }
    lock.release().await;
}
