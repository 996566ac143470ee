//! Logs go to stderr, so that stdout carries the report and nothing else.

use std::io::{self, IsTerminal as _, Stderr, Write, stderr};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use crate::args::{LogArgs, LogFormat};
use crate::codes::shared;
use crate::failure::Failure;
use crate::redact;

/// Starts logging as `args` ask.
pub fn init(args: &LogArgs) -> Result<(), Failure> {
    // These log an error for every failed attempt, also for those that we repeat; whoever wants that names them.
    let failed = |why: String| Failure::new(&shared::FLAG, format!("--log-level {}: {why}", args.log_level));
    // A word that is no level would be taken for the name of a module, and nothing be logged at all.
    let is_no_level = |part: &&str| !part.contains(['=', '[', ':']) && part.parse::<LevelFilter>().is_err();
    if let Some(part) = args.log_level.split(',').map(str::trim).find(is_no_level) {
        return Err(failed(format!("{part} is none of error, warn, info, debug, trace, off")));
    }
    let filter = EnvFilter::try_new(format!("kube_client=off,async_nats=off,{}", args.log_level))
        .map_err(|error| failed(error.to_string()))?;
    // Where nobody reads the log any more (`2>&1 | head`, a terminal that is gone) the run goes on: it would end in the middle, and a
    // complaint about that would be a panic, because it goes to the same place.
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false).with_writer(|| Redacted(stderr()));
    match args.log_format {
        LogFormat::Plain => builder.with_target(false).with_ansi(stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Takes credentials out of each event, which is written as a whole: errors of others may hold any.
struct Redacted(Stderr);

impl Write for Redacted {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.write_all(redact::text(&String::from_utf8_lossy(event)).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
