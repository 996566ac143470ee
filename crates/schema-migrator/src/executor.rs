//! The executor `sql`. It knows statements and queries, and nothing of operations: everything stands in the ticket.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fairlead_job::codes::schema_migrator as codes;
use fairlead_job::failure::Failure;
use fairlead_job::watch::Watch;
use fairlead_kube_client::cluster::Cluster;
use fairlead_migration::change::{Change, Images, Target};
use fairlead_migration::executor::{Standing, Task, Watcher as _, World};
use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_migration::progress::{OnDrift, Swept};
use fairlead_migration::stage::{Stage, UndoWait};
use fairlead_migration::store::Lock;
use fairlead_release::args::LeaseArgs;
use fairlead_release::executors::{Executor, Way, Work};
use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::{LockWait, Session};
use tokio::sync::Mutex;

use crate::backfill::{Kept, Rows};
use crate::beside::Beside;
use crate::credentials::Credentials;
use crate::database::{self, obstacle};
use crate::filling::{Filling, Progress};
use crate::image::{Image, STATEMENT, Statement, image};
use crate::state::{self, Writer};
use crate::throttle::Throttled;
use crate::{mariadb, postgresql, sessions};

/// What a user of MariaDB needs.
const GRANT: &str = "grant select, insert, update, delete, create, drop, index, alter, references, trigger, create view, create temporary tables";

/// As tickets name it.
pub(crate) const SQL: &str = "sql";

/// How long a statement is tried that somebody's lock is in the way of; as long going back as it takes a person to come.
const LOCK_PATIENCE: Duration = Duration::from_mins(1);
const LOCK_PATIENCE_BACK: Duration = Duration::from_mins(10);

/// How long a statement may still take when the run is to end. A pod that is told to end has 30 seconds by default.
const ALMOST_DONE: Duration = Duration::from_secs(5);

/// Pauses between those tries: the first, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// The same where a try waits for nothing: MariaDB is asked so often that the moment between two transactions is met.
const POLL: Duration = Duration::from_millis(10);

/// How often it is said who is in the way.
const SAY: Duration = Duration::from_secs(5);

/// How long rows are filled before it is written down in the ticket how far that is.
const SWEEP: Duration = Duration::from_secs(2);

/// So much of the run's time is left when a backfill goes on in the background: enough to take everything back.
pub(crate) const RESERVE: Duration = Duration::from_secs(30);

/// Changes a database.
pub struct Sql<'a> {
    cluster: Option<&'a Cluster>,
    namespace: &'a str,
    lease: LeaseArgs,
}

impl<'a> Sql<'a> {
    /// With Secrets of a cluster, in this namespace where they name none. Another release that works on the same database is waited for
    /// as long as another run of this one; the server ends our session when it has been silent for twice the lease.
    #[must_use]
    pub fn new(cluster: Option<&'a Cluster>, namespace: &'a str, lease: LeaseArgs) -> Self {
        Self { cluster, namespace, lease }
    }

    fn credentials(&self) -> Credentials<'_> {
        Credentials { cluster: self.cluster, namespace: self.namespace }
    }
}

#[async_trait(?Send)]
impl Executor for Sql<'_> {
    fn name(&self) -> &'static str {
        SQL
    }

    async fn require(&self, work: Work<'_>) -> Result<(), Failure> {
        let Some(address) = database::address(work.plan)? else { return Ok(()) };
        let mut session = database::open(&address, self.credentials()).await?;
        let tables = tables(work.plan.changes());
        let ask = match address.engine {
            Engine::PostgreSql => postgresql::forbidden(&tables, "public"),
            Engine::MariaDb => mariadb::forbidden(&tables),
        };
        let forbidden = if tables.is_empty() { None } else { session.text(&ask).await.map_err(database::failure)? };
        if let Some(tables) = forbidden {
            let what = match address.engine {
                Engine::PostgreSql => format!("{tables}: user {} is not their owner", address.username),
                Engine::MariaDb => {
                    let user = session.text("select concat(quote(substring_index(current_user(), '@', 1)), '@', quote(substring_index(current_user(), '@', -1)))");
                    let user = user.await.map_err(database::failure)?.unwrap_or_default();
                    format!("{tables}: {} on `{}`.* to {user}", GRANT, address.database)
                }
            };
            return Err(Failure::new(&codes::FORBIDDEN, format!("{address}: {} may not alter {what}", address.username)));
        }
        state::prepare(&mut session).await.map_err(database::failure)
    }

    async fn world<'w>(&'w self, work: Work<'w>, lock: &'w dyn Lock) -> Result<Box<dyn World + 'w>, Failure> {
        let Some(address) = database::address(work.plan)? else {
            return Err(Failure::new(&codes::REFUSED, "the run has no change, so there is no database to make it in"));
        };
        let mut session = database::open(&address, self.credentials()).await?;
        state::prepare(&mut session).await.map_err(database::failure)?;
        database::lock(&mut session, &address.database, self.lease.lease_wait, work.watch).await?;
        // The session is ours alone: behind a pooler this would be said to others, too.
        database::end_in_silence(&mut session, self.lease.lease_duration).await?;
        let token = state::next_token(&mut session, Writer::Changes).await.map_err(database::failure)?;
        let id = session.id().await.map_err(database::failure)?;
        let beside = Beside { address, credentials: self.credentials(), session: id };
        let (session, way) = (Mutex::new(session), work.way);
        Ok(Box::new(Catalog { session, beside, token, lock, watch: work.watch, way, throttled: RefCell::default() }))
    }
}

/// The tables that changes are made to.
fn tables(changes: impl Iterator<Item = Change>) -> Vec<crate::table::Table> {
    let mut all: Vec<_> = changes
        .filter(|change| !["Statement", "Migration", "View", "Table"].contains(&change.target.kind.as_str()))
        .filter_map(|change| change.target.namespace?.parse().ok())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// A database, under the lock of the release and its own.
struct Catalog<'w> {
    session: Mutex<Session>,
    beside: Beside<'w>,
    token: u64,
    lock: &'w dyn Lock,
    watch: &'w Watch,
    way: Way,
    /// Of the last backfill, by its target.
    throttled: RefCell<Option<(String, Throttled)>>,
}

/// The images of a change, as they are written.
struct Written {
    before: Option<Image>,
    after: Option<Image>,
}

impl Written {
    fn of(change: &Change) -> Result<Self, Obstacle> {
        let read = |value: Option<&serde_json::Value>| value.map(image).transpose();
        let damaged = |error: serde_json::Error| Obstacle::Refused {
            operation: format!("read {}", change.target),
            source: error.into(),
        };
        Ok(Self { before: read(change.before()).map_err(damaged)?, after: read(change.after()).map_err(damaged)? })
    }

    fn read(&self) -> &str {
        self.after.as_ref().or(self.before.as_ref()).map_or("", |image| &image.read)
    }

    /// What brings the target from before to after.
    fn statements(&self) -> &[Statement] {
        match (&self.before, &self.after) {
            (_, Some(after)) => &after.to,
            (Some(before), None) => &before.away,
            (None, None) => &[],
        }
    }

    fn standing(&self, answer: Option<&str>, is_undo: bool) -> Standing {
        let is = |image: &Option<Image>| image.as_ref().map(|image| image.is.as_str()) == answer;
        match answer {
            _ if is(&self.after) => Standing::After,
            _ if is(&self.before) => Standing::Before,
            answer => {
                let shown = |image: &Option<Image>| {
                    image.as_ref().map_or_else(|| "nothing".to_owned(), |image| format!("`{}`", image.is))
                };
                let there = answer.map_or_else(|| "nothing".to_owned(), |answer| format!("`{answer}`"));
                let (before, made) = if is_undo { (&self.after, &self.before) } else { (&self.before, &self.after) };
                let (before, made) = (shown(before), shown(made));
                Standing::Other(format!("there is {there}; before the run there was {before}, and the run makes {made}"))
            }
        }
    }

    /// Why it does not come back, where that is to be done.
    fn lost(&self) -> Option<&str> {
        let coming = self.after.as_ref().or(self.before.as_ref())?;
        coming.lost.as_deref().filter(|_| self.statements().is_empty())
    }
}

impl Catalog<'_> {
    fn require_lock(&self) -> Result<(), Obstacle> {
        if self.lock.lasts(Duration::from_secs(1)) { Ok(()) } else { Err(Obstacle::Stopped(Stop::LeaseOver)) }
    }

    async fn answer(&self, session: &mut Session, task: &Task<'_>, read: &str) -> Result<Option<String>, Obstacle> {
        let answer = self.cancellable(task, session.text(read)).await?;
        answer.map_err(|error| obstacle(&format!("look at {}", task.change.target), error))
    }

    /// Sends a statement, and again while somebody's lock is in the way.
    async fn send(&self, session: &mut Session, task: &Task<'_>, statement: &Statement) -> Result<(), Obstacle> {
        let target = &task.change.target;
        let operation = format!("change {target}");
        let failed = |error: Error| obstacle(&operation, error);
        session.lock_wait(statement.lock_wait()).await.map_err(failed)?;
        let (began, mut pause, mut tries, mut said) = (Instant::now(), FIRST_PAUSE, 0_u32, None);
        let mut is_polled = session.engine == Engine::MariaDb && !session.is_mysql() && !statement.patient;
        let patience = if self.way == Way::Forward { LOCK_PATIENCE } else { LOCK_PATIENCE_BACK };
        loop {
            tries += 1;
            let error = match self.cancellable(task, session.execute(&statement.sql)).await? {
                Ok(()) => return Ok(()),
                Err(error) if error.is_locked() => error,
                Err(error) => return Err(failed(error)),
            };
            let is_due = said.is_none_or(|said: Instant| said.elapsed() > SAY) || began.elapsed() > patience;
            // Who it is helps a person, and is no reason to fail.
            let blockers = if is_due { self.blockers(session, target).await.unwrap_or_default() } else { None };
            if began.elapsed() > patience {
                let who = blockers.map(|who| format!("; in the way: {who}")).unwrap_or_default();
                let took = humantime::format_duration(Duration::from_secs(began.elapsed().as_secs()));
                let message = format!("{target}: {error} after {tries} tries in {took}{who}");
                return Err(Obstacle::Verdict { code: codes::LOCKED.id.into(), message });
            }
            if is_due {
                tracing::info!(%target, tries, blockers, "waiting for a lock, without keeping anybody waiting");
                said = Some(Instant::now());
            }
            if is_polled && began.elapsed() > patience / 2 {
                // The end of an online change has to meet such a moment, too.
                tracing::warn!(%target, "no moment without a lock was found: from now on others may wait for a second");
                session.lock_wait(LockWait::Second).await.map_err(failed)?;
                is_polled = false;
            }
            let time = if is_polled { POLL } else { pause };
            let pausing = async {
                tokio::time::sleep(time).await;
                Ok(())
            };
            self.unless_stopped(task, pausing).await?;
            pause = (pause * 3 / 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits for something, unless the run is to end.
    async fn unless_stopped<T>(
        &self,
        task: &Task<'_>,
        work: impl Future<Output = Result<T, Obstacle>>,
    ) -> Result<T, Obstacle> {
        match (self.way, task.is_undo) {
            (Way::Forward, false) | (Way::Back, _) => self.watch.guard(work).await,
            // It was told to end, and this is what it does before.
            (Way::Forward, true) if self.watch.stop().is_some_and(|stop| stop != Stop::DeadlinePassed) => work.await,
            (Way::Forward, true) => self.watch.guard_patiently(work).await,
        }
    }

    async fn say_for_whom_it_waits(&self, task: &Task<'_>) {
        let target = &task.change.target;
        if let Some(who) = self.beside.waits_for().await {
            tracing::info!(%target, who, "its statement waits for other sessions");
        }
    }

    /// Waits for what was sent. When the run is to end before that has ended, the server is asked to leave it: it would go on there.
    async fn cancellable<T>(
        &self,
        task: &Task<'_>,
        sent: impl Future<Output = Result<T, Error>>,
    ) -> Result<Result<T, Error>, Obstacle> {
        let mut executing = std::pin::pin!(sent);
        let spoken_of = async {
            loop {
                tokio::select! {
                    ended = executing.as_mut() => return Ok(ended),
                    () = tokio::time::sleep(SAY) => self.say_for_whom_it_waits(task).await,
                }
            }
        };
        let stop = match self.unless_stopped(task, spoken_of).await {
            Err(Obstacle::Stopped(stop)) => stop,
            ended => return ended,
        };
        let target = &task.change.target;
        // What is almost done gets its time.
        if let Ok(ended) = tokio::time::timeout(ALMOST_DONE, executing.as_mut()).await {
            return Ok(ended);
        }
        tracing::warn!(%target, "the run is to end: its statement is cancelled");
        if let Err(failure) = self.beside.cancel().await {
            tracing::warn!(%target, error = %failure, "it could not be cancelled, and is waited for");
        }
        match executing.await {
            Err(Error::Refused { .. } | Error::Locked { .. }) => Err(Obstacle::Stopped(stop)),
            ended => Ok(ended),
        }
    }

    async fn blockers(&self, session: &mut Session, target: &Target) -> Result<Option<String>, Error> {
        let table = target.namespace.as_deref().unwrap_or(&target.name);
        let Ok(table) = table.parse::<crate::table::Table>() else { return Ok(None) };
        match session.text(&sessions::in_the_way(&table, session.engine)).await {
            Err(Error::Forbidden { .. }) if session.engine == Engine::MariaDb => {
                Ok(Some("whom only a user with PROCESS sees (grant process on *.*)".to_owned()))
            }
            who => who,
        }
    }

    async fn was_begun(&self, session: &mut Session, task: &Task<'_>) -> Result<bool, Obstacle> {
        let target = task.change.target.to_string();
        let begun = state::was_intended(session, task.mark, &target).await;
        begun.map_err(|error| obstacle(&format!("see what was done to {target}"), error))
    }

    async fn carry_out(&self, session: &mut Session, task: &Task<'_>, statement: &Statement) -> Result<(), Obstacle> {
        let target = &task.change.target;
        let operation = format!("change {target}");
        let failed = |error: Error| obstacle(&operation, error);
        if self.cancellable(task, session.is_true(&statement.done)).await?.map_err(failed)? {
            return Ok(());
        }
        if let Some(unless) = &statement.unless
            && let Some(why) = self.cancellable(task, session.text(unless)).await?.map_err(failed)?
        {
            return Err(Obstacle::Verdict { code: codes::ROWS.id.into(), message: format!("{target}: {why}") });
        }
        self.require_lock()?;
        let number = state::intend(session, self.token, task.mark, &target.to_string(), &statement.sql).await;
        let number = number.map_err(failed)?.ok_or(Obstacle::Stopped(Stop::LeaseOver))?;
        tracing::debug!(%target, sql = statement.sql, "sending");
        self.send(session, task, statement).await?;
        tracing::debug!(%target, "sent");
        state::done(session, &number).await.map_err(failed)
    }
}

#[async_trait(?Send)]
impl World for Catalog<'_> {
    async fn admit(&self, _stage: &Stage) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn bring(&self, task: &Task<'_>) -> Result<(), Obstacle> {
        let written = Written::of(task.change)?;
        let target = &task.change.target;
        let mut session = self.session.lock().await;
        let answer = self.answer(&mut session, task, written.read()).await?;
        let is_lost = written.standing(answer.as_deref(), task.is_undo) != Standing::After;
        if let Some(lost) = written.lost().filter(|_| is_lost) {
            let message = format!("{target}: {lost}");
            return Err(Obstacle::Verdict { code: codes::NO_WAY_BACK.id.into(), message });
        }
        if let Standing::Other(what) = written.standing(answer.as_deref(), task.is_undo) {
            match task.on_drift {
                OnDrift::Overwrite => {}
                OnDrift::Keep => return Ok(()),
                OnDrift::Stop | OnDrift::Merge => return Err(Obstacle::Drift { target: target.clone(), what }),
            }
        }
        // What this run has not even begun is not its own to take away.
        if task.is_undo && !self.was_begun(&mut session, task).await? {
            return Ok(());
        }
        for statement in written.statements() {
            self.carry_out(&mut session, task, statement).await?;
        }
        let answer = self.answer(&mut session, task, written.read()).await?;
        match written.standing(answer.as_deref(), task.is_undo) {
            Standing::After => Ok(()),
            _ => Err(Obstacle::Refused {
                operation: format!("change {target}"),
                source: format!("after all its statements there is {}", answer.as_deref().unwrap_or("nothing")).into(),
            }),
        }
    }

    async fn sweep(&self, task: &Task<'_>, _next: Option<&str>) -> Result<Swept, Obstacle> {
        let target = task.change.target.to_string();
        let Images::Sweep(_, to) = &task.change.images else { return Ok(Swept::default()) };
        let mut session = self.session.lock().await;
        if serde_json::from_str::<Kept>(to).is_ok_and(|kept| kept.keep) {
            let failed = |error| obstacle(&format!("end {target}"), error);
            // Whoever fills in the background writes nothing any more.
            state::next_token(&mut session, Writer::Background).await.map_err(failed)?;
            state::forget_backfill(&mut session, task.mark, &target).await.map_err(failed)?;
            return Ok(Swept::default());
        }
        let rows: Rows = read_rows(&task.change.target, to)?;
        self.require_lock()?;
        let kept = self.throttled.take().filter(|(of, _)| *of == target);
        let throttled = match kept {
            Some((_, throttled)) => throttled,
            None => Throttled::of(&rows, self.beside.credentials)
                .await
                .map_err(|failure| database::unreachable(&format!("fill {target}"), failure))?,
        };
        let mut filling =
            Filling { rows: &rows, mark: task.mark, target: &target, writer: Writer::Changes, token: self.token, throttled };
        let before = filling.progress(&mut session).await.map_err(|error| obstacle(&format!("fill {target}"), error))?;
        // What is left then goes on in the background.
        let is_late = self.watch.time_left() < RESERVE;
        let time = if is_late { Duration::ZERO } else { SWEEP };
        let filled = filling.fill(&mut session, time, &|| self.watch.stop()).await?;
        let Filling { throttled, .. } = filling;
        self.throttled.replace(Some((target.clone(), throttled)));
        let Progress { changed, next, is_done, .. } = &filled;
        let count = changed - before.map_or(0, |before| before.changed);
        let next = (!is_done && !is_late).then(|| next.as_ref().map(|key| key.join("/")).unwrap_or_default());
        Ok(Swept { count: usize::try_from(count).unwrap_or(usize::MAX), next })
    }

    async fn settle(&self, _task: &Task<'_>) -> Result<(), Obstacle> {
        Ok(())
    }

    async fn look(&self, task: &Task<'_>) -> Result<Standing, Obstacle> {
        if matches!(task.change.images, Images::Sweep(..)) {
            return Ok(Standing::After);
        }
        let written = Written::of(task.change)?;
        let mut session = self.session.lock().await;
        let answer = match self.cancellable(task, session.text(written.read())).await? {
            // What a statement asks for may have been made away with by an operation behind it, which goes back first.
            Err(Error::Refused { .. }) if task.change.target.kind == STATEMENT => return Ok(Standing::After),
            answer => answer.map_err(|error| obstacle(&format!("look at {}", task.change.target), error))?,
        };
        // A change is looked at as it was made, also before it is taken back.
        let lost = written.after.as_ref().or(written.before.as_ref()).and_then(|image| image.lost.as_deref());
        match (written.standing(answer.as_deref(), task.is_undo), lost) {
            (Standing::After, Some(lost)) => {
                let message = format!("{}: {lost}", task.change.target);
                Err(Obstacle::Verdict { code: codes::NO_WAY_BACK.id.into(), message })
            }
            (standing, _) => Ok(standing),
        }
    }

    async fn wait(&self, _wait: &UndoWait, _stop: &dyn Fn() -> Option<Stop>) -> Result<(), Obstacle> {
        Ok(())
    }

    fn lacking(&self) -> Vec<(Target, String)> {
        Vec::new()
    }
}

/// A backfill as a ticket holds it.
pub(crate) fn read_rows(target: &Target, text: &str) -> Result<Rows, Obstacle> {
    serde_json::from_str(text)
        .map_err(|error| Obstacle::Refused { operation: format!("read {target}"), source: error.into() })
}
