//! A job that is watched while it is at work, and cannot run ahead of who watches it.

use std::io::{BufRead as _, BufReader, Lines, PipeReader};
use std::process::{Child, Command, Stdio};

use rustix::pipe::fcntl_setpipe_size;
use rustix::process::{Pid, Signal, kill_process};

use crate::timing;

/// One page, the least there is: some forty lines of a log.
const PIPE: usize = 4096;

/// Less than a line may be on its way to who reads it.
const BUFFER: usize = 256;

/// A running job. It stands still some forty lines of its log after the last one that was read, its lease included, and is killed when this
/// is dropped.
pub struct Watched {
    child: Child,
    log: Lines<BufReader<PipeReader>>,
}

impl Watched {
    /// Starts a job, and reads its log up to a line that has this.
    #[track_caller]
    pub fn start_until(command: &mut Command, word: &str) -> Self {
        timing::begin();
        let (log, stderr) = std::io::pipe().expect("a pipe");
        fcntl_setpipe_size(&log, PIPE).expect("a pipe may be small");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr).spawn();
        let child = child.unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
        // The command would keep its end open, and the log never end.
        command.stderr(Stdio::null());
        let mut watched = Self { child, log: BufReader::with_capacity(BUFFER, log).lines() };
        watched.until(word);
        watched
    }

    /// Reads on up to a line that has this.
    #[track_caller]
    pub fn until(&mut self, word: &str) {
        self.lines_until(word);
    }

    /// The same, and returns the lines before it.
    #[track_caller]
    pub fn lines_until(&mut self, word: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self.log.by_ref().map_while(Result::ok) {
            if line.contains(word) {
                return lines;
            }
            lines.push(line);
        }
        panic!("it does not say {word}, but:\n{}", lines.join("\n"));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Kills it.
    pub fn kill(self) {}

    /// Kills it at so many lines from here. Returns whether it has lived so long.
    #[must_use]
    pub fn kill_at(mut self, line: usize) -> bool {
        self.log.by_ref().map_while(Result::ok).take(line).count() == line
    }

    /// Reads the rest of its log, and returns its exit status with that.
    pub fn finish(mut self) -> (Option<i32>, Vec<String>) {
        let rest = self.log.by_ref().map_while(Result::ok).collect();
        (self.child.wait().expect("it ends").code(), rest)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
