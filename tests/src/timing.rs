//! How long each test takes, for the table that `make test` prints: libtest tells it on nightly Rust only.

use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Duration, Instant};

thread_local! {
    static CLOCK: Clock = Clock { begin: Instant::now(), waited: Cell::default() };
}

/// Runs from the first use of the harness to the end of the thread: libtest gives each test a thread, which has the test's name.
struct Clock {
    begin: Instant,
    waited: Cell<Duration>,
}

impl Drop for Clock {
    fn drop(&mut self) {
        let (Some(file), Some(name)) = (std::env::var_os("TEST_SECONDS"), test()) else { return };
        let took = self.begin.elapsed().saturating_sub(self.waited.get()).as_secs_f64();
        let line = format!("{took:.1} {name}\n");
        // A table that lacks a line is no reason to fail.
        let _ = OpenOptions::new().create(true).append(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    }
}

/// The file of tests and the test, like `node::upgrade::with_helm_4`.
fn test() -> Option<String> {
    let thread = std::thread::current();
    let name = thread.name().filter(|name| *name != "main")?;
    let program = std::env::current_exe().ok()?;
    let (file, _hash) = program.file_stem()?.to_str()?.rsplit_once('-')?;
    Some(format!("{file}::{name}"))
}

/// Starts the clock of this test, if it does not run.
pub(crate) fn begin() {
    let _ = CLOCK.try_with(|_| ());
}

/// Waits for something that other tests use: the time is theirs.
pub(crate) fn wait<T>(wait: impl FnOnce() -> T) -> T {
    begin();
    let begin = Instant::now();
    let got = wait();
    let _ = CLOCK.try_with(|clock| clock.waited.set(clock.waited.get() + begin.elapsed()));
    got
}
