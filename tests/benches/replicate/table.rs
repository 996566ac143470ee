//! What is printed.

use std::fmt::Display;
use std::fs;
use std::io::Write as _;
use std::thread::available_parallelism;
use std::time::SystemTime;

/// A line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// With how many objects, where that matters.
    pub(crate) objects: Option<usize>,
    /// What came out, with its unit.
    pub(crate) figure: String,
}

impl Row {
    /// A line about `objects` objects.
    pub(crate) fn new(what: impl Into<String>, objects: usize, figure: String) -> Self {
        Self { what: what.into(), objects: Some(objects), figure }
    }
}

/// Prints the table to stdout, and above it where it was measured.
pub(crate) fn print(version: &str, rows: &[Row]) {
    let date = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let date = date.split('T').next().unwrap_or_default();
    let cpu = entry("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown CPU".to_owned());
    let cores = available_parallelism().map_or(0, Into::into);
    let memory = entry("/proc/meminfo", "MemTotal").and_then(|text| text.trim_end_matches(" kB").parse::<u64>().ok());
    let gibibytes = memory.unwrap_or(0).div_ceil(1024 * 1024);
    let mut text = format!(
        "{version}, measured by `make bench` on {date}: {cpu}, {cores} cores, {gibibytes} GiB; etcd, API server and client share \
         them. Medians, with the lowest and the highest in brackets.\n\n| | objects | |\n|---|--:|--:|\n"
    );
    for Row { what, objects, figure } in rows {
        let objects = objects.map(thousands).unwrap_or_default();
        text.extend(["| ", what, " | ", &objects, " | ", figure, " |\n"]);
    }
    std::io::stdout().lock().write_all(text.as_bytes()).expect("stdout takes the table");
}

/// The first entry of this key in a file of `/proc`.
fn entry(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(key))?.split_once(':')?;
    Some(value.trim().to_owned())
}

/// Median, lowest and highest; of a single figure only that.
pub(crate) fn spread(mut figures: Vec<f64>, unit: &str, show: impl Fn(f64) -> String) -> String {
    figures.sort_by(f64::total_cmp);
    match figures.as_slice() {
        [] => String::new(),
        [only] => format!("{} {unit}", show(*only)),
        [lowest, .., highest] => {
            format!("{} {unit} ({}–{})", show(figures[figures.len() / 2]), show(*lowest), show(*highest))
        }
    }
}

/// A whole number with commas.
pub(crate) fn thousands(number: impl Display) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// `bytes` in MiB.
pub(crate) fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / 1024.0 / 1024.0)
}

/// Milliseconds; what is long without a fraction.
pub(crate) fn milliseconds(seconds: Vec<f64>) -> String {
    let show = |seconds: f64| if seconds < 0.1 { format!("{:.1}", seconds * 1e3) } else { thousands(seconds * 1e3) };
    spread(seconds, "ms", show)
}

/// For ratios and units.
#[expect(clippy::cast_precision_loss, reason = "nothing here reaches 2^52")]
pub(crate) fn float(number: usize) -> f64 {
    number as f64
}
