//! A client of a server in a process of its own, which does what each line says and answers it with a line.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A client that ends when it is dropped.
pub struct Talker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Talker {
    /// Starts it, and waits for its first line.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child =
            child.unwrap_or_else(|error| panic!("failed to start {command:?}: {error}; `make servers` builds it"));
        let input = child.stdin.take().expect("it is piped");
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut talker = Self { child, input, output };
        let first = talker.line();
        assert!(!first.starts_with("failed") && !first.is_empty(), "{command:?}: {first}");
        talker
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it is text");
        line.trim_end().to_owned()
    }

    /// Says a line, which must not fail, and returns the answer.
    #[track_caller]
    pub fn say(&mut self, line: &str) -> String {
        self.try_say(line).unwrap_or_else(|failure| panic!("{line}: {failure}"))
    }

    /// The same, which may fail.
    ///
    /// # Errors
    ///
    /// What the client says of the failure.
    pub fn try_say(&mut self, line: &str) -> Result<String, String> {
        writeln!(self.input, "{line}").expect("it listens");
        let answer = self.line();
        if answer.starts_with("failed") || answer.is_empty() { Err(answer) } else { Ok(answer) }
    }

    /// Ends it without warning: the server is not told.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        self.kill();
    }
}
