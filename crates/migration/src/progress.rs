//! How far a run has come, as it is written down while it goes on.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::snapshot::Manifest;
use crate::stage::UndoWait;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// The snapshot is being stored; nothing has been written elsewhere.
    Planned,
    /// Changes are being made.
    Applying,
    /// The world is being looked at.
    Verifying,
    /// All changes are made, and what follows from them takes longer than a hook may.
    Background,
    /// Done.
    Committed,
    /// Changes are being taken back.
    RollingBack,
    /// Everything is as before.
    RolledBack,
    /// Not everything is as before; a human must look.
    Dirty,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 8] = [
        Self::Planned,
        Self::Applying,
        Self::Verifying,
        Self::Background,
        Self::Committed,
        Self::RollingBack,
        Self::RolledBack,
        Self::Dirty,
    ];

    /// The phase that is written so.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// Whether the next run of the step goes on here.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Planned | Self::Applying | Self::Verifying | Self::Background | Self::RollingBack)
    }

    /// As it is written in the ticket and in its label.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Applying => "Applying",
            Self::Verifying => "Verifying",
            Self::Background => "Background",
            Self::Committed => "Committed",
            Self::RollingBack => "RollingBack",
            Self::RolledBack => "RolledBack",
            Self::Dirty => "Dirty",
        }
    }
}

/// What to do about objects that somebody else has changed since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum OnDrift {
    /// Take back nothing at all, list them, exit with 6.
    #[default]
    Stop,
    /// Leave them as they are, and take back everything else.
    Keep,
    /// Take back the fields that nobody else has changed.
    Merge,
    /// Take back everything: what others have written to them is lost.
    Overwrite,
}

/// Why a run is taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum WhyBack {
    /// The run failed.
    Failed(Cause),
    /// Somebody, or Helm, asked for it.
    Asked(Asked),
    /// The run was to be taken back from the beginning: a heartbeat is created, used and deleted, and that is success.
    Planned,
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The job's own verdict, `LP101`; none for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// One sentence.
    pub message: String,
}

/// How somebody asked for a run to be taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What becomes of objects that somebody else has changed since.
    #[serde(default)]
    pub on_drift: OnDrift,
    /// The newest revision of the Helm release at that time, if that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u32>,
    /// Sequence of the newest run of the release at that time. One rollback took back all runs that have the same value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// The revision to go back to, if one was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u32>,
}

/// How far a sweep has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// How many objects were written.
    pub count: usize,
    /// Where to go on; none when the sweep is done, or has to begin again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How far a run has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Where it is.
    pub phase: Phase,
    /// Changes below this position may have been made; those from it on have not been begun.
    pub begun: usize,
    /// Changes below `begun` that met drift and wrote nothing, by position.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untouched: Vec<usize>,
    /// Why everything is taken back; none while it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_back: Option<WhyBack>,
    /// How far the first part of a rollback in two parts is: the stages that are undone before Helm applies the old manifests.
    #[serde(default)]
    pub first_part: FirstPart,
    /// Changes of holds and switches that have ended, by position: what somebody stops later on purpose stays stopped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<usize>,
    /// Until when drains what its switches led to, because they have been undone; milliseconds since 1970. Before that nothing goes that an
    /// older run has added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drains_until: Option<u64>,
    /// How many objects were left when it was taken back, as others have changed them or because one of those may need them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub kept: usize,
    /// Sweeps that are under way, by position of their change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub swept: BTreeMap<usize, Swept>,
    /// Digests of the chunks that hold the evidence, once it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Manifest>,
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

impl Progress {
    /// Of a run that has not made any change.
    #[must_use]
    pub fn planned() -> Self {
        Self {
            phase: Phase::Planned,
            begun: 0,
            untouched: Vec::new(),
            why_back: None,
            first_part: FirstPart::NotBegun,
            ended: Vec::new(),
            drains_until: None,
            kept: 0,
            swept: BTreeMap::new(),
            evidence: None,
        }
    }

    /// A switch has been undone: what it led to drains from now on, for the time that its stage says.
    pub fn begin_to_drain(&mut self, undone_waits: &[UndoWait], now: SystemTime) {
        let seconds: u64 = undone_waits.iter().map(UndoWait::seconds).sum();
        if seconds > 0 {
            let until = millis(now) + seconds * 1000;
            self.drains_until = Some(self.drains_until.map_or(until, |before| before.max(until)));
        }
    }

    /// How many seconds more it drains; none when it does not, or not any more.
    #[must_use]
    pub fn drains_for(&self, now: SystemTime) -> Option<u64> {
        let left = self.drains_until?.saturating_sub(millis(now));
        (left > 0).then(|| left.div_ceil(1000))
    }

    /// Whether the first part has been taken back, and the rest waits for Helm.
    #[must_use]
    pub fn is_undone_before_helm(&self) -> bool {
        self.first_part == FirstPart::Undone
    }

    /// Why the run failed, if that is why it is taken back.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match &self.why_back {
            Some(WhyBack::Failed(cause)) => Some(cause),
            _ => None,
        }
    }

    /// How somebody asked for the run to be taken back, if that is why.
    #[must_use]
    pub fn asked(&self) -> Option<&Asked> {
        match &self.why_back {
            Some(WhyBack::Asked(asked)) => Some(asked),
            _ => None,
        }
    }
}

/// The first of two parts in which a run is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FirstPart {
    /// Nobody has begun it, or everything is taken back at once.
    #[default]
    NotBegun,
    /// Some of it may have been taken back.
    Begun,
    /// All of it has been taken back.
    Undone,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn progress_is_written_as_it_will_be_read_for_ever() {
        let asked = Asked { on_drift: OnDrift::Keep, revision: Some(7), after: Some(3), to: Some(5) };
        let progress = Progress {
            phase: Phase::RollingBack,
            begun: 4,
            untouched: vec![2],
            why_back: Some(WhyBack::Asked(asked)),
            first_part: FirstPart::Begun,
            ended: vec![0],
            drains_until: Some(1_795_000_000_000),
            kept: 0,
            swept: BTreeMap::from([(3, Swept { count: 500, next: Some("token".into()) })]),
            evidence: None,
        };
        let document = json!({
            "phase": "RollingBack", "begun": 4, "untouched": [2], "firstPart": "begun", "ended": [0], "drainsUntil": 1_795_000_000_000_u64,
            "whyBack": {"asked": {"onDrift": "keep", "revision": 7, "after": 3, "to": 5}},
            "swept": {"3": {"count": 500, "next": "token"}},
        });
        assert_eq!(serde_json::to_value(&progress).expect("plain data"), document);
        assert_eq!(serde_json::from_value::<Progress>(document).expect("written by us"), progress);
        let failed = json!({"failed": {"code": "LP101", "message": "no Trigger"}});
        let why: WhyBack = serde_json::from_value(failed).expect("written by us");
        assert_eq!(why, WhyBack::Failed(Cause { code: Some("LP101".into()), message: "no Trigger".into() }));
    }

    #[test]
    fn every_phase_is_read_as_it_is_written() {
        for phase in Phase::ALL {
            assert_eq!(Phase::parse(phase.as_str()), Some(phase));
            assert_eq!(serde_json::to_value(phase).expect("plain data"), phase.as_str());
        }
        assert_eq!(Phase::parse("Paused"), None);
    }
}
