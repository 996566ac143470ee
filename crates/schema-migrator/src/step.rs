//! The step: what this job brings to what all jobs do.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::marker::PhantomData;
use std::time::Duration;

use async_trait::async_trait;
use fairlead_driver::step::Step;
use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::failure::Failure;
use fairlead_migration::change::{Change, Images};
use fairlead_migration::executor::{Verified, Watcher as _};
use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::plan::Plan;
use fairlead_migration::ticket::{SecretReference, Told};
use fairlead_release::session;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;
use serde_json::{Value, json};

use crate::configuration::Tables;
use crate::credentials::{Credentials, references};
use crate::database::{self, obstacle};
use crate::executor::{RESERVE, SQL, read_rows};
use crate::filling::{Filling, Progress};
use crate::image::{STATEMENT, image};
use crate::phase::{CONTRACT, EXPAND, FINALIZE, Phase};
use crate::plan;
use crate::state::{self, Writer};
use crate::throttle::Throttled;

/// How long rows are filled in the background before it is said how far that is.
const SPELL: Duration = Duration::from_secs(5);

/// Names of the steps.
pub(crate) trait Named {
    const PHASE: Phase;
    const STEP: &'static str;
}

pub(crate) struct Expand;
pub(crate) struct Contract;
pub(crate) struct Finalize;

impl Named for Expand {
    const PHASE: Phase = Phase::Expand;
    const STEP: &'static str = EXPAND;
}

impl Named for Contract {
    const PHASE: Phase = Phase::Contract;
    const STEP: &'static str = CONTRACT;
}

impl Named for Finalize {
    const PHASE: Phase = Phase::Finalize;
    const STEP: &'static str = FINALIZE;
}

/// A phase of the migrations.
pub(crate) struct Migrating<'m, N> {
    pub(crate) session: &'m session::Session<'m>,
    pub(crate) tables: &'m Tables,
    pub(crate) credentials: Credentials<'m>,
    /// Words of the command line that change the plan.
    pub(crate) flags: Vec<String>,
    /// Whether this process fills what an earlier one has left.
    pub(crate) is_background: bool,
    pub(crate) seen: RefCell<Option<Value>>,
    pub(crate) name: PhantomData<N>,
}

impl<N> Migrating<'_, N> {
    async fn open(&self) -> Result<Session, Failure> {
        database::open(&self.tables.database, self.credentials).await
    }

    /// Whether every change of the catalog is to be seen there.
    async fn look(&self, database: &mut Session, plan: &Plan) -> Result<(), Obstacle> {
        for change in plan.changes() {
            let Some(written) = change.after().or(change.before()) else { continue };
            let refused = |error: serde_json::Error| Obstacle::Refused {
                operation: format!("read {}", change.target),
                source: error.into(),
            };
            let written = image(written).map_err(refused)?;
            let answer = database.text(&written.read).await;
            // What a statement asks for may be gone by now, by an operation behind it.
            if change.target.kind == STATEMENT && matches!(answer, Err(Error::Refused { .. })) {
                continue;
            }
            let answer = answer.map_err(|error| obstacle(&format!("look at {}", change.target), error))?;
            let wanted = change.after().is_some().then_some(written.is);
            if answer != wanted {
                let what = format!(
                    "there is {}, and should be {}",
                    answer.as_deref().unwrap_or("nothing"),
                    wanted.as_deref().unwrap_or("nothing")
                );
                return Err(Obstacle::Drift { target: change.target, what });
            }
        }
        Ok(())
    }

    /// How far a backfill is; in the background it is brought on first.
    async fn rows(&self, database: &mut Session, change: &Change, mark: &str) -> Result<Progress, Obstacle> {
        let Images::Sweep(_, to) = &change.images else { return Ok(Progress { is_done: true, ..Progress::default() }) };
        let target = change.target.to_string();
        let rows = read_rows(&change.target, to)?;
        let failed = |error| obstacle(&format!("fill {target}"), error);
        let token =
            if self.is_background { state::next_token(database, Writer::Background).await.map_err(failed)? } else { 0 };
        let throttled = Throttled::of(&rows, self.credentials)
            .await
            .map_err(|failure| database::unreachable(&format!("fill {target}"), failure))?;
        let writer = Writer::Background;
        let mut filling = Filling { rows: &rows, mark, target: &target, writer, token, throttled };
        if !self.is_background {
            return Ok(filling.progress(database).await.map_err(failed)?.unwrap_or_default());
        }
        // Between two batches, and in one, nobody waits for a process that is frozen.
        database::end_in_silence(database, self.session.common.lease.lease_duration)
            .await
            .map_err(|failure| database::unreachable(&format!("fill {target}"), failure))?;
        let watch = &self.session.watch;
        loop {
            // What speaks against a row is mended, and the run goes on: nobody takes back what new pods have written since.
            let progress = filling.fill(database, SPELL, &|| watch.stop()).await.map_err(|obstacle| match obstacle {
                Obstacle::Verdict { code, message } => Obstacle::OutOfTime { code, message },
                obstacle => obstacle,
            })?;
            watch.wait_for(&said(&target, &progress));
            if progress.is_done || watch.time_left() < RESERVE {
                return Ok(progress);
            }
        }
    }

    /// The address of the ticket of a plan: under it the database remembers how far backfills are.
    async fn mark(&self, database: &mut Session, plan: &Plan) -> Result<Option<String>, Obstacle> {
        let Some(sweep) = plan.changes().find(|change| matches!(change.images, Images::Sweep(..))) else { return Ok(None) };
        let engine = self.tables.database.engine;
        let query = format!(
            "select mark from {} where target = {} order by renewed desc limit 1",
            state::table(engine, "backfill"),
            fairlead_sql::text::literal(engine, &sweep.target.to_string())
        );
        database.text(&query).await.map_err(|error| obstacle("see how far backfills are", error))
    }
}

fn said(target: &str, progress: &Progress) -> String {
    let Progress { changed, missing, mismatched, next, .. } = progress;
    let mut text = format!("{target}: {changed} rows filled");
    for (count, what) in [(missing, "without a value"), (mismatched, "with another value")] {
        if *count > 0 {
            // Writing to a String cannot fail.
            let _ = write!(text, ", {count} {what}");
        }
    }
    match next {
        Some(key) if !progress.is_done => format!("{text}, up to {}", key.join("/")),
        _ => text,
    }
}

#[async_trait(?Send)]
impl<N: Named> Step for Migrating<'_, N> {
    const NAME: &'static str = N::STEP;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const EXECUTOR: &'static str = SQL;

    async fn plan(&self) -> Result<Plan, Failure> {
        let mut database = self.open().await?;
        plan::make(&mut database, self.tables, N::PHASE).await
    }

    fn check(&self, plan: &Plan) -> Result<(), Failure> {
        let Some(blocked) = plan.blocked() else { return Ok(()) };
        let code = fairlead_job::codes::find(&blocked.code).unwrap_or(&codes::NOT_POSSIBLE);
        Err(Failure::new(code, blocked.message.clone()))
    }

    fn told(&self) -> Told {
        Told { configuration: Some(self.tables.document.clone()), flags: self.flags.clone() }
    }

    fn credentials(&self) -> Vec<SecretReference> {
        references(&self.tables.database, self.credentials.namespace)
    }

    async fn verify(&self, plan: &Plan) -> Result<Verified, Obstacle> {
        let opened = self.open().await;
        let mut database = opened.map_err(|failure| database::unreachable("look at the database", failure))?;
        self.look(&mut database, plan).await?;
        let Some(mark) = self.mark(&mut database, plan).await? else { return Ok(Verified::AsPlanned) };
        let (mut left, mut seen) = (Vec::new(), Vec::new());
        for change in plan.changes().filter(|change| matches!(change.images, Images::Sweep(..))) {
            let progress = self.rows(&mut database, &change, &mark).await?;
            let target = change.target.to_string();
            let Progress { changed, missing, mismatched, is_done, .. } = &progress;
            seen.push(json!({"rows": target, "filled": changed, "withoutValue": missing, "withAnotherValue": mismatched, "done": is_done}));
            if *missing + *mismatched > 0 {
                let table = state::table(self.tables.database.engine, "quarantine");
                tracing::warn!("{}; table {table} has each with its reason", said(&target, &progress));
            }
            if !is_done {
                left.push(said(&target, &progress));
            }
        }
        self.seen.replace(Some(json!({"backfills": seen})));
        Ok(if left.is_empty() {
            Verified::AsPlanned
        } else {
            Verified::InBackground(format!("{}; the rest is filled by `background`", left.join("; ")))
        })
    }

    fn evidence(&self) -> Option<Value> {
        self.seen.borrow().clone()
    }
}
