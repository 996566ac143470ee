//! What an operator sees while the job waits: a line per source every few seconds, or one that changes on a terminal.

use std::io::{IsTerminal as _, stderr};
use std::time::Duration;

use fairlead_backlog::reading::{Left, Reading};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::proof::{Span, Verdict, WaitingFor, Watched};

/// Where there is no terminal a line is logged this often.
const REPORT_INTERVAL: Duration = Duration::from_secs(5);

/// Over how long the rate is taken.
const RATE_WINDOW: Duration = Duration::from_secs(30);

/// What has been shown.
pub(crate) struct Progress {
    /// Hidden where there is no terminal.
    bar: ProgressBar,
    reported: Option<Duration>,
    /// How much was left when, per source.
    history: Vec<Vec<(Duration, u64)>>,
}

impl Progress {
    /// Of so many sources.
    pub(crate) fn new(sources: usize) -> Self {
        let target = if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let style =
            ProgressStyle::with_template("{spinner} {elapsed} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { bar, reported: None, history: vec![Vec::new(); sources] }
    }

    /// Shows a round.
    pub(crate) fn show(&mut self, span: Span, sources: &[Watched], readings: &[Reading], verdict: &Verdict) {
        for (history, reading) in self.history.iter_mut().zip(readings) {
            if let Some(left) = count(&reading.left) {
                history.push((span.to, left));
                history.retain(|(at, _)| span.to.saturating_sub(*at) <= RATE_WINDOW);
            }
        }
        let Verdict::Waiting(waiting) = verdict else { return self.bar.finish_and_clear() };
        let lines: Vec<String> = sources
            .iter()
            .zip(readings)
            .zip(&self.history)
            .map(|((source, reading), history)| line(source, reading, history))
            .collect();
        let waiting = match waiting {
            WaitingFor::Intake => "until the intake is closed",
            WaitingFor::Backlog => "until everything is empty",
            WaitingFor::Sentinel => "until another sentinel is passed; messages came behind the one before",
            WaitingFor::Samples => "whether everything stays empty",
            WaitingFor::Grace => "until the grace period is over; everything is proven empty",
        };
        self.bar.set_message(format!("waiting {waiting}; {}", lines.join("; ")));
        self.bar.tick();
        if self.bar.is_hidden() && self.reported.is_none_or(|at| span.to.saturating_sub(at) >= REPORT_INTERVAL) {
            self.reported = Some(span.to);
            if lines.is_empty() {
                tracing::info!("waiting {waiting}");
            }
            for line in lines {
                tracing::info!("{line} (waiting {waiting})");
            }
        }
    }
}

fn count(left: &Left) -> Option<u64> {
    match left {
        Left::Empty => Some(0),
        Left::Some(left) => Some(*left),
        Left::Unknown(_) => None,
    }
}

/// `orders: 120 left, 24 a second, 5s to go`; of an intake whether it is closed.
pub(crate) fn line(source: &Watched, reading: &Reading, history: &[(Duration, u64)]) -> String {
    let said = match (source.is_intake, &reading.left) {
        (true, _) if reading.seen["exists"] == false => "does not exist".to_owned(),
        (true, Left::Empty) => "nothing of it is at work".to_owned(),
        (true, Left::Some(left)) => format!("{left} at work"),
        (_, left) => said(left, history),
    };
    format!("{}: {said}", source.name)
}

/// `120 left, 24 a second, 5s to go`.
pub(crate) fn said(left: &Left, history: &[(Duration, u64)]) -> String {
    let left = match left {
        Left::Empty => return "empty".to_owned(),
        Left::Unknown(why) => return format!("not known: {why}"),
        Left::Some(left) => *left,
    };
    let Some(((began, most), (ended, least))) = history.first().zip(history.last()) else { return format!("{left} left") };
    let (time, gone) = (ended.saturating_sub(*began), most.saturating_sub(*least));
    if time.is_zero() || gone == 0 {
        return format!("{left} left");
    }
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let (rate, left_as_float) = (gone as f64 / time.as_secs_f64(), left as f64);
    let to_go = Duration::try_from_secs_f64((left_as_float / rate).ceil()).unwrap_or_default();
    format!("{left} left, {rate:.1} a second, {} to go", humantime::format_duration(to_go))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_long_it_takes_where_that_is_known() {
        let at = |seconds: u64, left: u64| (Duration::from_secs(seconds), left);
        assert_eq!(said(&Left::Some(20), &[at(0, 120), at(5, 20)]), "20 left, 20.0 a second, 1s to go");
        assert_eq!(said(&Left::Some(20), &[at(0, 20), at(5, 20)]), "20 left");
        assert_eq!(said(&Left::Some(20), &[at(0, 10), at(5, 20)]), "20 left");
        assert_eq!(said(&Left::Some(20), &[]), "20 left");
        assert_eq!(said(&Left::Empty, &[at(0, 10)]), "empty");
        assert_eq!(said(&Left::Unknown("no leader".to_owned()), &[]), "not known: no leader");
    }
}
