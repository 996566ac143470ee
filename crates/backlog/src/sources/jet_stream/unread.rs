//! Messages of a stream that no consumer takes: nobody reads them, or the server will publish them later.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::JetStream;
use super::consumer::{Consumer, Verdict};
use super::stream::{Retention, Stream};
use super::subject::is_covered;
use crate::source::OpenError;

/// The most subjects whose names are read, and the most of which the last message is looked at.
const MOST_SUBJECTS: u64 = 10_000;
const MOST_SCHEDULES: usize = 100;

/// What no consumer takes.
#[derive(Default)]
pub(super) struct Unread {
    /// Messages that nobody reads, and one of their subjects.
    orphans: Option<(u64, String)>,
    /// Messages that the server will publish later.
    pub(super) schedules: u64,
    unknown: Option<String>,
}

impl Unread {
    fn unknown(why: String) -> Self {
        Self { unknown: Some(why), ..Self::default() }
    }

    pub(super) fn add_to(&self, verdict: &mut Verdict, stream: &str) {
        verdict.left += self.schedules;
        if let Some(why) = &self.unknown {
            verdict.unknown.get_or_insert_with(|| why.clone());
        }
        if let Some((count, subject)) = &self.orphans {
            verdict.fail(format!(
                "stream {stream} holds {count} messages that no consumer takes, like those of {subject}: nobody reads them; name them under acceptUnread if nobody needs them"
            ));
        }
    }
}

/// `STREAM.MSG.GET`.
#[derive(Deserialize)]
struct Found {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    /// In base64.
    #[serde(default)]
    hdrs: String,
}

impl Message {
    /// Whether it tells the server to publish something later.
    fn is_schedule(&self) -> bool {
        let headers = STANDARD.decode(&self.hdrs).unwrap_or_default();
        let headers = String::from_utf8_lossy(&headers).to_lowercase();
        headers.lines().any(|line| line.starts_with("nats-schedule:"))
    }
}

impl JetStream {
    /// What no consumer takes; asked for only where there may be such messages.
    pub(super) async fn unread(&self, stream: &Stream, consumers: &[Consumer]) -> Result<Unread, OpenError> {
        let names = &self.configuration.consumers;
        let has_schedules = stream.config.allow_msg_schedules && !stream.keeps_until_acknowledged(names.is_empty());
        let is_limited = stream.config.retention == Retention::Limits;
        let all = consumers.iter().flat_map(Consumer::filters).collect::<Vec<_>>();
        let is_taken = consumers.iter().any(|consumer| consumer.takes_all(stream)) || stream.is_taken_by(&all);
        let may_have_orphans = is_limited && names.is_empty() && !consumers.is_empty() && !is_taken;
        if stream.state.messages == 0 || !has_schedules && !may_have_orphans {
            return Ok(Unread::default());
        }
        let (name, count) = (&stream.config.name, stream.state.num_subjects);
        if count > MOST_SUBJECTS {
            return Ok(Unread::unknown(format!(
                "stream {name} has {count} subjects: too many to see who reads them; name consumers"
            )));
        }
        let detailed: Stream =
            self.request(&format!("STREAM.INFO.{name}"), &json!({"subjects_filter": ">"}).to_string()).await?;
        let mut subjects = detailed.state.subjects;
        subjects.retain(|subject, _| !is_covered(subject, &self.configuration.accept_unread));
        let mut unread = Unread::default();
        if has_schedules {
            if subjects.len() > MOST_SCHEDULES {
                let count = subjects.len();
                return Ok(Unread::unknown(format!(
                    "stream {name} takes schedules, and has {count} subjects: too many to look at each"
                )));
            }
            for subject in subjects.keys().cloned().collect::<Vec<_>>() {
                // Of each subject only the last message can be one.
                let last = json!({"last_by_subj": subject}).to_string();
                let found: Found = self.request(&format!("STREAM.MSG.GET.{name}"), &last).await?;
                if found.message.is_schedule() {
                    unread.schedules += 1;
                    subjects.remove(&subject);
                }
            }
        }
        if may_have_orphans {
            subjects.retain(|subject, _| !is_covered(subject, all.iter().copied()));
            let first = subjects.keys().next().cloned();
            unread.orphans = first.map(|subject| (subjects.values().sum(), subject));
        }
        Ok(unread)
    }
}
