//! Fills rows, batch by batch: each in a transaction with how far it has come, under the number of this process.

use std::time::{Duration, Instant};

use fairlead_migration::obstacle::{Obstacle, Stop};
use fairlead_sql::engine::Engine;
use fairlead_sql::error::Error;
use fairlead_sql::session::Session;
use fairlead_sql::text::{literal, nullable};

use crate::backfill::{OnMissing, Rows, Value};
use crate::database::obstacle;
use crate::ilp_packet;
use crate::rows::Key;
use crate::state::{self, Writer};
use crate::throttle::Throttled;

/// Rows of a batch, at least and at most.
const LEAST: u64 = 100;
const MOST: u64 = 10_000;

/// Bytes of packets that a batch may read: they are in our memory, and again in the statement that writes what was found in them.
const MOST_BYTES: u64 = 1 << 20;

/// How often a batch is tried again that somebody's lock was in the way of.
const ATTEMPTS: u32 = 100;

/// How far a backfill is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Keys up to this one are done.
    pub(crate) next: Option<Key>,
    /// The largest key when it began: rows that came later are other people's business.
    pub(crate) last: Option<Key>,
    /// Rows written.
    pub(crate) changed: u64,
    /// Rows without a value.
    pub(crate) missing: u64,
    /// Rows whose value is another one than it would be.
    pub(crate) mismatched: u64,
    /// Whether all of it is done.
    pub(crate) is_done: bool,
}

/// A backfill under way.
pub(crate) struct Filling<'f> {
    pub(crate) rows: &'f Rows,
    /// The address of the ticket.
    pub(crate) mark: &'f str,
    /// As people write it: `Rows transfer/quoteId`.
    pub(crate) target: &'f str,
    pub(crate) writer: Writer,
    pub(crate) token: u64,
    pub(crate) throttled: Throttled,
}

/// What a batch has done.
#[derive(Default)]
struct Batch {
    changed: u64,
    missing: u64,
    mismatched: u64,
    /// Bytes of packets that it has read.
    bytes: u64,
}

/// What ends a batch early.
enum Cut {
    Server(Error),
    Fenced,
}

impl From<Error> for Cut {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl Filling<'_> {
    /// Fills until it is done, or this time is over. `stop` is asked before each batch.
    pub(crate) async fn fill(
        &mut self,
        session: &mut Session,
        time: Duration,
        stop: &dyn Fn() -> Option<Stop>,
    ) -> Result<Progress, Obstacle> {
        let failed = |error| obstacle(&format!("fill {}", self.target), error);
        let is_planned = session.engine == Engine::PostgreSql;
        // The key's index has the rows of a batch in their order. Without statistics PostgreSQL reads and sorts the whole rest of the table
        // for each batch instead. What costs so much by these settings would be compiled first.
        if is_planned {
            let settings = "set enable_seqscan = off; set enable_bitmapscan = off; set jit = off";
            session.execute(settings).await.map_err(failed)?;
        }
        let filled = self.fill_for(session, time, stop).await;
        if is_planned {
            // What comes next has other tables to look at; a connection that is gone has said so already.
            let reset = session.execute("reset enable_seqscan; reset enable_bitmapscan; reset jit").await;
            if filled.is_ok() {
                reset.map_err(|error| obstacle(&format!("fill {}", self.target), error))?;
            }
        }
        filled
    }

    async fn fill_for(
        &mut self,
        session: &mut Session,
        time: Duration,
        stop: &dyn Fn() -> Option<Stop>,
    ) -> Result<Progress, Obstacle> {
        let began = Instant::now();
        let failed = |error| obstacle(&format!("fill {}", self.target), error);
        let mut progress = match self.progress(session).await.map_err(failed)? {
            Some(progress) => progress,
            None => self.begin(session).await.map_err(|cut| self.cut(cut))?,
        };
        let mut size = self.rows.backfill.batch.rows;
        let mut attempts = 0;
        while !progress.is_done && began.elapsed() < time {
            if let Some(stop) = stop() {
                return Err(Obstacle::Stopped(stop));
            }
            if self.throttled.wait(session, &self.rows.backfill.throttle).await.map_err(failed)? {
                continue;
            }
            let at = Instant::now();
            let bytes = match self.batch(session, &mut progress, size).await {
                Ok(bytes) => bytes,
                Err(Cut::Server(error)) if error.is_locked() && attempts < ATTEMPTS => {
                    attempts += 1;
                    session.execute("rollback").await.map_err(failed)?;
                    size = (size / 2).max(LEAST);
                    tokio::time::sleep(Duration::from_millis(20 * u64::from(attempts.min(50)))).await;
                    continue;
                }
                Err(cut) => {
                    let _ = session.execute("rollback").await;
                    return Err(self.cut(cut));
                }
            };
            attempts = 0;
            let took = at.elapsed();
            let target = Duration::from_millis(self.rows.backfill.batch.target_millis);
            size = adapted(size, bytes, took, target);
            self.throttled.sleep(session, &self.rows.backfill.throttle, took, stop).await.map_err(failed)?;
        }
        Ok(progress)
    }

    fn cut(&self, cut: Cut) -> Obstacle {
        match cut {
            Cut::Server(error) => obstacle(&format!("fill {}", self.target), error),
            Cut::Fenced => Obstacle::Stopped(Stop::LeaseOver),
        }
    }

    fn is_this(&self) -> String {
        let engine = self.rows.engine();
        format!("mark = {} and target = {}", literal(engine, self.mark), literal(engine, self.target))
    }

    /// How far it is; none when it has not begun.
    pub(crate) async fn progress(&self, session: &mut Session) -> Result<Option<Progress>, Error> {
        let query = format!(
            "select next_key, last_key, changed, missing, mismatched, is_done from {} where {}",
            state::table(self.rows.engine(), "backfill"),
            self.is_this()
        );
        let Some(row) = session.rows(&query).await?.into_iter().next() else { return Ok(None) };
        let key = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        let number = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok()).unwrap_or_default();
        Ok(Some(Progress {
            next: key(&row[0]),
            last: key(&row[1]),
            changed: number(&row[2]),
            missing: number(&row[3]),
            mismatched: number(&row[4]),
            is_done: row[5].as_deref() == Some("1"),
        }))
    }

    async fn begin(&self, session: &mut Session) -> Result<Progress, Cut> {
        let last: Option<Key> =
            session.rows(&self.rows.last_key()).await?.into_iter().next().and_then(|row| row.into_iter().collect());
        let engine = self.rows.engine();
        let is_done = last.is_none();
        let text = last.as_ref().map(|key| serde_json::to_string(key).expect("plain data"));
        session.execute("begin").await?;
        if !state::is_ours(session, self.writer, self.token).await? {
            return Err(Cut::Fenced);
        }
        session
            .execute(&format!(
                "insert into {} (mark, target, last_key, is_done) values ({}, {}, {}, {})",
                state::table(engine, "backfill"),
                literal(engine, self.mark),
                literal(engine, self.target),
                nullable(engine, text.as_deref()),
                u8::from(is_done)
            ))
            .await?;
        session.execute("commit").await?;
        Ok(Progress { last, is_done, ..Progress::default() })
    }

    async fn batch(&self, session: &mut Session, progress: &mut Progress, size: u64) -> Result<u64, Cut> {
        let Some(last) = progress.last.clone() else { return Ok(0) };
        let after = progress.next.clone();
        let end = session.rows(&self.rows.batch_end(after.as_ref(), &last, size)).await?;
        let end: Option<Key> = end.into_iter().next().and_then(|row| row.into_iter().collect());
        let is_done = end.is_none();
        let to = end.unwrap_or(last);
        session.execute("begin").await?;
        if !state::is_ours(session, self.writer, self.token).await? {
            return Err(Cut::Fenced);
        }
        let done = match &self.rows.backfill.value {
            Value::Sql(expression) => self.compute(session, expression, after.as_ref(), &to).await?,
            Value::IlpPacket(_) => self.decode(session, after.as_ref(), &to).await?,
        };
        let engine = self.rows.engine();
        let now = if engine == Engine::PostgreSql { "clock_timestamp()" } else { "now(6)" };
        let next = serde_json::to_string(&to).expect("plain data");
        let Batch { changed, missing, mismatched, bytes } = done;
        session
            .execute(&format!(
                "update {} set next_key = {}, scanned = scanned + {size}, changed = changed + {changed}, missing = missing + {missing}, \
                 mismatched = mismatched + {mismatched}, is_done = {}, renewed = {now} where {}",
                state::table(engine, "backfill"),
                literal(engine, &next),
                u8::from(is_done),
                self.is_this()
            ))
            .await?;
        session.execute("commit").await?;
        tracing::debug!(target = self.target, changed, missing, "batch");
        progress.next = Some(to);
        progress.changed += changed;
        progress.missing += missing;
        progress.mismatched += mismatched;
        progress.is_done = is_done;
        Ok(bytes)
    }

    async fn compute(&self, session: &mut Session, expression: &str, after: Option<&Key>, to: &Key) -> Result<Batch, Error> {
        let engine = self.rows.engine();
        let expression = match &self.rows.backfill.on_missing {
            OnMissing::Literal(text) => format!("coalesce(({expression}), {})", literal(engine, text)),
            _ => expression.to_owned(),
        };
        let reason = "the expression is NULL for this row";
        if self.rows.backfill.on_missing != OnMissing::Quarantine {
            let changed = session.written(&self.rows.update(&expression, after, to)).await?;
            return Ok(Batch { changed, ..Batch::default() });
        }
        if engine == Engine::PostgreSql {
            let both = self.rows.update_or_quarantine(&expression, self.mark, self.target, reason, after, to);
            let answer = session.rows(&both).await?.into_iter().next().unwrap_or_default();
            let mut counts = answer.into_iter().map(|count| count.and_then(|count| count.parse().ok()).unwrap_or_default());
            let [changed, missing] = [(); 2].map(|()| counts.next().unwrap_or_default());
            return Ok(Batch { changed, missing, ..Batch::default() });
        }
        let changed = session.written(&self.rows.update(&expression, after, to)).await?;
        let missing = session.written(&self.rows.quarantine_nulls(self.mark, self.target, reason, after, to)).await?;
        Ok(Batch { changed, missing, ..Batch::default() })
    }

    async fn decode(&self, session: &mut Session, after: Option<&Key>, to: &Key) -> Result<Batch, Error> {
        let Value::IlpPacket(packet) = &self.rows.backfill.value else { return Ok(Batch::default()) };
        let query = self.rows.packets(after, to).unwrap_or_default();
        let (mut values, mut quarantine, mut batch) = (Vec::new(), Vec::new(), Batch::default());
        for mut row in session.rows(&query).await? {
            let (value, present) = (row.pop().flatten(), row.pop().flatten());
            batch.bytes += value.as_ref().map_or(0, |value| value.len() as u64);
            let Some(key) = row.into_iter().collect::<Option<Key>>() else { continue };
            let found = value.map_or_else(
                || Err(format!("there is no row of {}", packet.table)),
                |value| ilp_packet::field(&value, &packet.pointer),
            );
            match (present, found, &self.rows.backfill.on_missing) {
                (Some(present), Ok(found), _) if present != found => {
                    batch.mismatched += 1;
                    quarantine.push((key, format!("the column holds {present}, the packet {found}")));
                }
                (Some(_), _, _) | (None, Err(_), OnMissing::Leave) => {}
                (None, Ok(found), _) => values.push((key, found)),
                (None, Err(_), OnMissing::Literal(text)) => values.push((key, text.clone())),
                (None, Err(reason), OnMissing::Quarantine) => {
                    batch.missing += 1;
                    quarantine.push((key, reason));
                }
            }
        }
        if !values.is_empty() {
            batch.changed = session.written(&self.rows.write(&values)).await?;
        }
        let engine = self.rows.engine();
        for (key, reason) in &quarantine {
            let [mark, target, key, reason] =
                [self.mark, self.target, &key.join("/"), reason].map(|text| literal(engine, text));
            let table = state::table(engine, "quarantine");
            session
                .execute(&format!(
                    "insert into {table} (mark, target, row_key, reason) values ({mark}, {target}, {key}, {reason})"
                ))
                .await?;
        }
        Ok(batch)
    }
}

/// The size of the next batch, after one of this size has read so many bytes and took so long.
fn adapted(size: u64, bytes: u64, took: Duration, target: Duration) -> u64 {
    let by_time = if took > target * 2 {
        size / 2
    } else if took < target / 2 {
        (size * 3 / 2).min(MOST)
    } else {
        size
    };
    by_time.min(size.saturating_mul(MOST_BYTES).checked_div(bytes).unwrap_or(MOST)).max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_as_large_as_its_time_allows() {
        let target = Duration::from_millis(100);
        assert_eq!(adapted(1000, 0, Duration::from_millis(10), target), 1500);
        assert_eq!(adapted(9000, 0, Duration::from_millis(10), target), MOST);
        assert_eq!(adapted(1000, 0, Duration::from_millis(100), target), 1000);
        assert_eq!(adapted(1000, 0, Duration::from_secs(1), target), 500);
        assert_eq!(adapted(120, 0, Duration::from_secs(1), target), LEAST);
    }

    #[test]
    fn a_batch_of_large_packets_has_few_of_them() {
        let (target, quick) = (Duration::from_millis(100), Duration::from_millis(10));
        assert_eq!(adapted(1000, 2 * MOST_BYTES, quick, target), 500);
        assert_eq!(adapted(1000, MOST_BYTES / 2, quick, target), 1500);
        assert_eq!(adapted(1000, 64 * MOST_BYTES, quick, target), LEAST);
    }
}
