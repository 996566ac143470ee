//! The row of a lease: what is asked of the server. It tells the time, so that clocks of two machines are not compared.

use std::time::Duration;

use fairlead_migration::obstacle::Obstacle;
use fairlead_migration::store::{Scope, Terms};
use fairlead_sql::session::Texts;

use crate::link::Link;
use crate::place::{Fence, Place};
use crate::tables::{LEASE, millis};

/// What the row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Empty when nobody holds it.
    pub(super) holder: String,
    pub(super) token: u64,
    pub(super) duration: Duration,
    /// RFC 3339.
    pub(super) renewed: String,
    pub(super) how_far: Option<String>,
    /// Who has asked the holder to stop.
    pub(super) cancel: Option<String>,
    /// Which holder was not given the time to do so.
    pub(super) cancelled: Option<String>,
}

/// The row of one lock.
#[derive(Clone, Copy)]
pub(super) struct LeaseRow<'a> {
    pub(super) place: &'a Place,
    pub(super) scope: Scope,
}

impl LeaseRow<'_> {
    fn scope(self) -> &'static str {
        match self.scope {
            Scope::Release => "release",
            Scope::Background => "background",
        }
    }

    fn key(self) -> String {
        format!("{} and scope = '{}'", self.place.of_release(), self.scope())
    }

    /// `lease of release shop in fairlead.lease of db.shop:5432/ledger`.
    pub(super) fn in_words(self) -> String {
        let Place { link, tables, release, .. } = self.place;
        let scope = if self.scope == Scope::Background { "background " } else { "" };
        format!("the {scope}lease of release {release} in {} of {}", tables.shown(LEASE), link.address)
    }

    fn select(self) -> String {
        let tables = &self.place.tables;
        let renewed = tables.written("renewed", false);
        let from = tables.name(LEASE);
        format!("select holder, token, duration_ms, {renewed}, how_far, cancel, cancelled from {from} where {}", self.key())
    }

    fn operation(self, verb: &str) -> String {
        format!("{verb} {}", self.in_words())
    }

    /// What it says; none when there is no such row.
    pub(super) async fn get(self, link: &Link) -> Result<Option<Row>, Obstacle> {
        let rows = link.rows(&self.operation("read"), &self.select()).await?.unwrap_or_default();
        Ok(rows.first().and_then(read))
    }

    async fn change(self, link: &Link, statements: Vec<String>) -> Result<Option<Row>, Obstacle> {
        let statements = [statements, vec![self.select()]].concat();
        let rows = self.place.write(link, "take the lease", &statements).await?;
        Ok(rows.last().and_then(read))
    }

    /// Creates it as held by this holder, if it is not there; free for no holder.
    pub(super) async fn create(self, link: &Link, holder: &str, duration: Duration) -> Result<Option<Row>, Obstacle> {
        let tables = &self.place.tables;
        let [release, holder] = [&self.place.release, holder].map(|text| tables.text(text));
        let insert = format!(
            "insert into {} (release_name, scope, holder, token, renewed, duration_ms) values ({release}, '{}', {holder}, 0, {}, {}) {}",
            tables.name(LEASE),
            self.scope(),
            tables.now(),
            millis(duration),
            tables.or_nothing()
        );
        self.change(link, vec![insert]).await
    }

    /// Takes it if nobody holds it, or the holder has not renewed it in time. By force it is taken from the holder that has this token.
    pub(super) async fn take(
        self,
        link: &Link,
        terms: &Terms<'_>,
        duration: Duration,
        from: Option<u64>,
    ) -> Result<Option<Row>, Obstacle> {
        let tables = &self.place.tables;
        let holder = tables.text(terms.holder);
        let may = match from {
            None => format!("(holder = '' or holder = {holder} or {})", tables.is_over()),
            Some(token) => format!("token = {token}"),
        };
        // First, because MariaDB reads in an assignment what those before it have written.
        let cancelled = if terms.insists {
            format!("cancelled = case when holder in ('', {holder}) then cancelled else holder end, ")
        } else {
            String::new()
        };
        let update = format!(
            "update {} set {cancelled}holder = {holder}, token = token + 1, renewed = {}, duration_ms = {}, how_far = null, cancel = null \
             where {} and {may}",
            tables.name(LEASE),
            tables.now(),
            millis(duration),
            self.key()
        );
        self.change(link, vec![update]).await
    }

    /// Asks the holder that has this token to stop.
    pub(super) async fn ask_to_stop(self, link: &Link, by: &str, token: u64) -> Result<(), Obstacle> {
        let by = self.place.tables.text(by);
        self.set(link, &format!("cancel = {by}"), &format!("token = {token}")).await.map(drop)
    }

    /// Renews it.
    pub(super) async fn renew(self, link: &Link, fence: &Fence, how_far: Option<&str>) -> Result<Option<Row>, Obstacle> {
        let tables = &self.place.tables;
        let how_far = how_far.map_or_else(|| "null".to_owned(), |text| tables.text(text));
        self.set(link, &format!("renewed = {}, how_far = {how_far}", tables.now()), &self.is_of(fence)).await
    }

    /// Gives it back.
    pub(super) async fn free(self, link: &Link, fence: &Fence) -> Result<(), Obstacle> {
        self.set(link, "holder = '', how_far = null, cancel = null", &self.is_of(fence)).await.map(drop)
    }

    fn is_of(self, Fence { holder, token }: &Fence) -> String {
        format!("holder = {} and token = {token}", self.place.tables.text(holder))
    }

    async fn set(self, link: &Link, change: &str, condition: &str) -> Result<Option<Row>, Obstacle> {
        let tables = &self.place.tables;
        let update = format!("update {} set {change} where {} and {condition}", tables.name(LEASE), self.key());
        let statements = tables.transaction(&[update, self.select()]);
        let rows = link.rows(&self.operation("renew"), &statements).await?.unwrap_or_default();
        Ok(rows.last().and_then(read))
    }
}

/// A row as the server answers it.
fn read(row: &Texts) -> Option<Row> {
    let [Some(holder), Some(token), Some(duration), Some(renewed), how_far, cancel, cancelled] = row.as_slice() else {
        return None;
    };
    Some(Row {
        holder: holder.clone(),
        token: token.parse().ok()?,
        duration: Duration::from_millis(duration.parse().ok()?),
        renewed: renewed.clone(),
        how_far: how_far.clone(),
        cancel: cancel.clone(),
        cancelled: cancelled.clone(),
    })
}
