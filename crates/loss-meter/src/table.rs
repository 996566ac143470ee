//! A verdict for people.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use comfy_table::{Table, presets};

use crate::latency::millis;
use crate::received::Gap;
use crate::verdict::{Delivered, Published, Verdict};

/// What publishers saw, and what each subscription has got.
pub(crate) fn text(verdict: &Verdict) -> String {
    let mut published = table(&["STREAM", "SENT", "ACCEPTED", "P50", "P99", "SLOWEST", "NOT ACCEPTED"]);
    for Published { stream, sent, accepted, faults, latency } in &verdict.streams {
        let faults: Vec<String> = faults.iter().map(|(what, count)| format!("{count} {what}")).collect();
        let faults = if faults.is_empty() { "-".to_owned() } else { faults.join("; ") };
        let [p50, p99, slowest] = [latency.p50, latency.p99, latency.max].map(millis);
        published.add_row([stream.clone(), sent.to_string(), accepted.to_string(), p50, p99, slowest, faults]);
    }
    let mut delivered = table(&[
        "SUBSCRIPTION",
        "STREAM",
        "RECEIVED",
        "MISSING",
        "DOUBLED",
        "REORDERED",
        "LONGEST GAP",
        "P50",
        "P99",
        "SLOWEST",
    ]);
    for it in &verdict.subscriptions {
        let doubled = if it.redelivered == 0 {
            it.doubled.to_string()
        } else {
            format!("{} ({} redelivered)", it.doubled, it.redelivered)
        };
        let [p50, p99, slowest] = [it.latency.p50, it.latency.p99, it.latency.max].map(millis);
        let counts = [it.received, it.missing].map(|count| count.to_string());
        let [received, missing] = counts;
        let names = [it.subscription.clone(), it.stream.clone()];
        delivered.add_row(names.into_iter().chain([
            received,
            missing,
            doubled,
            it.reordered.to_string(),
            gap(it.longest_gap),
            p50,
            p99,
            slowest,
        ]));
    }
    let [published, delivered] = [published, delivered].map(|table| table.trim_fmt());
    let mut text = format!("{published}\n\n{delivered}\n\n");
    // Writing to a String cannot fail.
    for it in verdict.subscriptions.iter().filter(|it| it.missing > 0) {
        let _ = writeln!(text, "{}", missing(it));
    }
    for it in verdict.subscriptions.iter().filter(|it| it.refused > 0) {
        let _ = writeln!(text, "{} has got {} events of {} that were not accepted.", it.subscription, it.refused, it.stream);
    }
    let (lost, doubled) = (verdict.missing(), verdict.doubled());
    let _ = writeln!(text, "Run {}: {lost} missing, {doubled} doubled without a redelivery.", verdict.run);
    text
}

fn missing(it: &Delivered) -> String {
    let numbers: Vec<String> = it.missing_numbers.iter().map(u32::to_string).collect();
    let more = it.missing.saturating_sub(it.missing_numbers.len() as u64);
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    format!("{} misses {} of {}: {}{more}", it.subscription, it.missing, it.stream, numbers.join(", "))
}

fn gap(Gap { millis, ended_micros }: Gap) -> String {
    if millis == 0 {
        return "-".to_owned();
    }
    let at = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_micros(ended_micros)).to_string();
    let time = at.split_once('T').map_or(at.as_str(), |(_, time)| time);
    format!("{millis} ms until {time}")
}

fn table(heads: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(heads);
    if let Some(first) = table.column_mut(0) {
        first.set_padding((0, 1));
    }
    table
}
