//! Expands and contracts the tables of PostgreSQL and MariaDB while they are in use, and takes it back.
//!
//! - [`args`], [`configuration`], [`phase`]: what the job is told
//!   - [`migration`]: migration files; [`operation`]: what they may say, of a [`table`]; `lint`: what is wrong with them
//! - `plan`: from migrations and the `catalog` to a plan: `rows` that are filled, and the `others` beside one; `foreseen`; `drafts`: the changes behind an operation; `finalize`: what is dropped for good
//!   - `postgresql`, `mariadb`: the statements and queries of each engine, for each `primitive`
//!   - `image`: a change as it stands in a ticket
//! - [`executor`]: carries changes out and takes them back, whatever they are; `state`: what fairlead keeps in the database
//! - [`backfill`]: filling rows, as files say it; `rows`: its statements; `filling`: its batches; `throttle`: when it waits; `ilp_packet`
//! - `step`: the step; `database`, `credentials`: how it gets a connection
//!
//! # Decision: a change is two texts of the catalog, and the statements between them
//!
//! Situation: the image of an old release takes back what it has never heard of. Decision: a ticket holds for each target the query that
//! reads it, the answers before and after, and the statements both ways, each with the query that says whether it is done. Consequence: the
//! executor knows no operation; after a crash the catalog decides; a new operation needs no new executor.
//!
//! # Decision: what was filled in stays
//!
//! Situation: a backfill writes only where NULL is, from what the database holds; its undo would have to know which rows it has written, and
//! nobody has written since. Decision: taking a backfill back ends it, and leaves the values. Consequence: rows are as before when the
//! column that was added goes, too; a column that was there before keeps values that the old release ignores.
//!
//! # Decision: the rest of a backfill is filled where the run is looked at
//!
//! Situation: two days of filling outlive a hook. Decision: the run makes all its other changes and stays in phase Background; `background`
//! fills the rows while it watches the run, under a number of its own that ends it when somebody goes back. Consequence: nothing new in the
//! ledger; a contract sees in the database that rows are still being filled, and waits.

pub mod args;
pub mod backfill;
mod beside;
mod catalog;
pub mod configuration;
mod credentials;
mod database;
mod drafts;
pub mod executor;
mod filling;
mod finalize;
mod foreseen;
mod ilp_packet;
mod image;
mod label;
mod lint;
mod mariadb;
pub mod migration;
mod objections;
pub mod operation;
pub mod phase;
mod plan;
mod postgresql;
mod primitive;
mod raw_sql;
mod rows;
mod sessions;
mod state;
mod step;
pub mod table;
mod throttle;

use std::cell::RefCell;
use std::marker::PhantomData;

use fairlead_driver::apply::apply;
use fairlead_driver::args::StepArgs;
use fairlead_driver::background::background;
use fairlead_driver::show::shown;
use fairlead_job::codes::shared;
use fairlead_job::exit::ExitStatus;
use fairlead_job::failure::Failure;
use fairlead_job::log;
use fairlead_kube_client::access::quoted;
use fairlead_kube_client::cluster::Cluster;
use fairlead_release::binary::{Binary, OtherStore};
use fairlead_release::explain::explain;
use fairlead_release::session::{self, Session, connect, place};
use fairlead_sql::address::{Address, Values};
use fairlead_sql_ledger::store::SqlLedger;

use crate::args::{Args, Command, Tickets};
use crate::configuration::Tables;
use crate::credentials::Credentials;
use crate::executor::Sql;
use crate::phase::Phase;
use crate::step::{Contract, Expand, Finalize, Migrating, Named};

/// The binary.
const BINARY: &str = "schema-migrator";

/// Schema (PostgreSQL), and with an underscore prefix (MariaDB), of the tables with tickets.
const PLACE: &str = "fairlead";

/// The whole job.
pub async fn run(args: Args) -> anyhow::Result<ExitStatus> {
    log::init(&args.common.output.log)?;
    match &args.command {
        Command::Plan { exit_code } => plan(&args, *exit_code).await,
        Command::Apply(step) => carry_out(&args, step, false).await,
        Command::Background(step) => carry_out(&args, step, true).await,
        Command::Release(command) => {
            let is_elsewhere = args.tables.store == Tickets::Database;
            let tables = is_elsewhere.then(|| Tables::read_database(args.tables.config.as_deref())).transpose()?;
            let cluster = cluster(&args, tables.as_ref()).await?;
            let store = Store::of(&args, tables.as_ref(), &cluster).await?;
            fairlead_release::run(&cluster, &args.common, command, store.binary(&args, &cluster)).await
        }
        Command::Explain { code } => explain(code.as_deref(), args.common.output.output),
    }
}

fn tables(args: &Args) -> anyhow::Result<Tables> {
    Ok(Tables::read(args.tables.config.as_deref(), &args.tables.migrations)?)
}

/// The cluster; none where nothing is kept there, neither tickets nor credentials.
async fn cluster(args: &Args, tables: Option<&Tables>) -> anyhow::Result<Cluster> {
    let is_needed = tables.is_none_or(|tables| !credentials::references(&tables.database, "").is_empty());
    if args.tables.store == Tickets::Database && !is_needed {
        return Ok(Cluster::absent(args.common.cluster.request_timeout));
    }
    let cluster = connect(&args.common).await;
    // With nothing to read there, whoever has none is a pipeline.
    let is_pipeline = tables.is_none_or(|tables| credentials::references(&tables.database, "").is_empty());
    Ok(cluster.map_err(|failure| if is_pipeline { with_other_store(failure) } else { failure })?)
}

/// A failure for want of a cluster names the store that needs none.
fn with_other_store(failure: Failure) -> Failure {
    if *failure.code != shared::CONFIGURATION {
        return failure;
    }
    failure.with_aftermath(
        "Without a cluster the runs are recorded in the database itself: add `--store database` to each command, and `--config FILE`.\n",
    )
}

/// Where tickets are kept that are not in the cluster.
struct Store {
    elsewhere: Option<Elsewhere>,
}

struct Elsewhere {
    address: Address,
    values: Values,
    /// As people call it.
    name: String,
    /// The flags that name it.
    flags: String,
}

impl Store {
    async fn of(args: &Args, tables: Option<&Tables>, cluster: &Cluster) -> anyhow::Result<Self> {
        let Some(tables) = tables.filter(|_| args.tables.store == Tickets::Database) else {
            return Ok(Self { elsewhere: None });
        };
        let namespace = place(&args.common, cluster, BINARY).namespace;
        let values = Credentials { cluster: Some(cluster), namespace }.of(&tables.database).await?;
        let address = tables.database.clone();
        let flags: Vec<String> = args.tables.files().iter().map(|flag| quoted(flag)).collect();
        let (name, flags) = (format!("database {address}"), format!("--store database {}", flags.join(" ")));
        Ok(Self { elsewhere: Some(Elsewhere { address, values, name, flags }) })
    }

    /// What this binary has beside what every binary has.
    fn binary<'a>(&'a self, args: &'a Args, cluster: &'a Cluster) -> Binary<'a> {
        let namespace = place(&args.common, cluster, BINARY).namespace;
        let executor = Sql::new(Some(cluster), namespace, args.common.lease);
        let store = self.elsewhere.as_ref().map(|Elsewhere { address, values, name, flags }| {
            let ledger = SqlLedger::new(address.clone(), values.clone(), PLACE, &args.common.release.release);
            OtherStore { store: Box::new(ledger), name, flags }
        });
        Binary { executors: vec![Box::new(executor)], store, ..Binary::from(BINARY) }
    }
}

async fn plan(args: &Args, exit_code: bool) -> anyhow::Result<ExitStatus> {
    let tables = tables(args)?;
    // A pipeline that has the password in a variable needs no cluster.
    let needs_cluster = !credentials::references(&tables.database, "").is_empty();
    let cluster = if needs_cluster { Some(connect(&args.common).await?) } else { None };
    let namespace = cluster.as_ref().map_or("", |cluster| place(&args.common, cluster, BINARY).namespace);
    let credentials = Credentials { cluster: cluster.as_ref(), namespace };
    let mut database = database::open(&tables.database, credentials).await?;
    let plan = plan::make(&mut database, &tables, args.tables.phase).await?;
    shown(&args.common, exit_code, plan)
}

async fn carry_out(args: &Args, step: &StepArgs, is_background: bool) -> anyhow::Result<ExitStatus> {
    match args.tables.phase {
        Phase::Expand => carry_out_phase::<Expand>(args, step, is_background).await,
        Phase::Contract => carry_out_phase::<Contract>(args, step, is_background).await,
        Phase::Finalize => carry_out_phase::<Finalize>(args, step, is_background).await,
    }
}

async fn carry_out_phase<N: Named>(args: &Args, step: &StepArgs, is_background: bool) -> anyhow::Result<ExitStatus> {
    let tables = tables(args)?;
    let cluster = cluster(args, Some(&tables)).await?;
    let store = Store::of(args, Some(&tables), &cluster).await?;
    let command = if is_background { session::Command::Background } else { session::Command::Apply };
    let session = Session::begin(&args.common, &cluster, store.binary(args, &cluster), command, step.run_timeout).await?;
    let credentials = Credentials { cluster: Some(&cluster), namespace: session.place.namespace };
    let (flags, seen, name) = (args.tables.told(), RefCell::default(), PhantomData::<N>);
    let migrating = Migrating { session: &session, tables: &tables, credentials, flags, is_background, seen, name };
    if is_background { background(&session, step, &migrating).await } else { apply(&session, step, &migrating).await }
}
