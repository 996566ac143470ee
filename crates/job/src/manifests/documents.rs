//! A stream in documents, cut at the lines that begin with `---` or `...`. YAML forbids such lines inside of any scalar, and JSON
//! has no line that begins like that; so the cut is safe, and a document can be read while it arrives.

use std::io::{self, Read};

/// What is read at once.
const BUFFER: usize = 64 * 1024;

/// A byte order mark, which Windows puts before a text; joined files have it in the middle.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// The longest beginning of a line that is looked at: a byte order mark, a marker, and what follows it.
const LOOK: usize = 8;

/// A stream of documents.
pub(super) struct Documents<R> {
    reader: R,
    buffer: Box<[u8]>,
    begin: usize,
    end: usize,
    is_over: bool,
    /// Lines that have been read.
    lines: u64,
}

/// One document; reads as text without byte order marks.
pub(super) struct Document<'a, R> {
    documents: &'a mut Documents<R>,
    is_at_line: bool,
    has_marker: bool,
    is_over: bool,
    /// The line where more than comments and directives begins, from 1.
    line: Option<u64>,
}

impl<R: Read> Documents<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, buffer: vec![0; BUFFER].into(), begin: 0, end: 0, is_over: false, lines: 0 }
    }

    /// The next document, and how many lines are before it; it has to be read to its end before the next one.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, Document<'_, R>)>> {
        if self.ahead(1)?.is_empty() {
            return Ok(None);
        }
        let lines = self.lines;
        let document = Document { documents: self, is_at_line: true, has_marker: false, is_over: false, line: None };
        Ok(Some((lines, document)))
    }

    /// What comes next, at least `count` bytes if there are as many.
    fn ahead(&mut self, count: usize) -> io::Result<&[u8]> {
        while self.end - self.begin < count && !self.is_over {
            self.buffer.copy_within(self.begin..self.end, 0);
            (self.begin, self.end) = (0, self.end - self.begin);
            match self.reader.read(&mut self.buffer[self.end..]) {
                Ok(0) => self.is_over = true,
                Ok(more) => self.end += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.buffer[self.begin..self.end])
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.ahead(1)?;
            let (length, has_ended) = match ahead.iter().position(|byte| *byte == b'\n') {
                Some(position) => (position + 1, true),
                None => (ahead.len(), ahead.is_empty()),
            };
            self.begin += length;
            if has_ended {
                self.lines += 1;
                return Ok(());
            }
        }
    }
}

impl<R: Read> Document<'_, R> {
    /// The line where more than comments and directives begins, from 1; none as long as nothing has been read.
    pub(super) fn line(&self) -> Option<u64> {
        self.line
    }

    /// Reads over all that is left.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        io::copy(self, &mut io::sink()).map(drop)
    }

    /// Looks at the beginning of a line: it may be that of another document.
    fn begin_line(&mut self) -> io::Result<()> {
        loop {
            let ahead = self.documents.ahead(LOOK)?;
            let line = ahead.strip_prefix(MARK).unwrap_or(ahead);
            let mark = ahead.len() - line.len();
            let is = |marker| starts_with_marker(line, marker);
            let (is_marker, is_end) = (is(b"---"), is(b"..."));
            let has_text = !matches!(line.first(), None | Some(b'#' | b'%' | b'\r' | b'\n'));
            let is_bare = matches!(line.get(3), None | Some(b'\r' | b'\n'));
            let is_empty = self.line.is_none() && !self.has_marker;
            if is_end {
                self.documents.skip_line()?;
                if is_empty && !self.documents.is_over {
                    continue;
                }
            }
            self.is_over = is_end || is_marker && !is_empty;
            if self.is_over {
                return Ok(());
            }
            if is_marker || self.line.is_none() {
                self.documents.begin += mark;
            }
            self.has_marker |= is_marker;
            let has_content = if is_marker { !is_bare } else { has_text };
            self.line = self.line.or(has_content.then_some(self.documents.lines + 1));
            return Ok(());
        }
    }
}

fn starts_with_marker(line: &[u8], marker: &[u8]) -> bool {
    line.strip_prefix(marker).is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace))
}

impl<R: Read> Read for Document<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut written = 0;
        while written < out.len() && !self.is_over {
            if self.is_at_line {
                self.begin_line()?;
                if self.is_over {
                    break;
                }
                self.is_at_line = false;
            }
            // What is there is given before more is waited for.
            let documents = &mut *self.documents;
            let ahead = if written == 0 { documents.ahead(1)? } else { &documents.buffer[documents.begin..documents.end] };
            let ahead = &ahead[..ahead.len().min(out.len() - written)];
            if ahead.is_empty() {
                self.is_over |= documents.is_over;
                break;
            }
            let length = ahead.iter().position(|byte| *byte == b'\n').map_or(ahead.len(), |position| position + 1);
            out[written..written + length].copy_from_slice(&ahead[..length]);
            self.is_at_line = ahead[length - 1] == b'\n';
            documents.lines += u64::from(self.is_at_line);
            documents.begin += length;
            written += length;
        }
        Ok(written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Vec<(u64, String)> {
        // One byte at a time: a marker is found wherever the buffer ends.
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
                let count = usize::from(!self.0.is_empty());
                out[..count].copy_from_slice(&self.0[..count]);
                self.0 = &self.0[count..];
                Ok(count)
            }
        }
        let (mut documents, mut all) = (Documents::new(Slow(text.as_bytes())), Vec::new());
        while let Some((lines, mut document)) = documents.next().expect("memory can be read") {
            let mut text = String::new();
            document.read_to_string(&mut text).expect("memory can be read");
            all.push((lines, text));
        }
        all
    }

    #[test]
    fn documents_end_at_markers_and_nowhere_else() {
        let cut = |text: &str, expected: &[(u64, &str)]| {
            let expected: Vec<(u64, String)> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
            assert_eq!(documents(text), expected, "{text:?}");
        };
        cut("", &[]);
        cut("a: 1", &[(0, "a: 1")]);
        cut("a: 1\n---\nb: 2\n", &[(0, "a: 1\n"), (1, "---\nb: 2\n")]);
        cut("a: 1\r\n---\r\nb: 2", &[(0, "a: 1\r\n"), (1, "---\r\nb: 2")]);
        cut("# why\n%YAML 1.2\n---\na: 1\n", &[(0, "# why\n%YAML 1.2\n---\na: 1\n")]);
        cut("---\n---\na: 1\n", &[(0, "---\n"), (1, "---\na: 1\n")]);
        cut("--- a\n--- b", &[(0, "--- a\n"), (1, "--- b")]);
        cut("a: |\n  ---\n ---\n----\n", &[(0, "a: |\n  ---\n ---\n----\n")]);
        cut("a: 1\n...\nb: 2\n...\n", &[(0, "a: 1\n"), (2, "b: 2\n")]);
        cut("\u{feff}a: 1\n\u{feff}---\n\u{feff}b: 2\n", &[(0, "a: 1\n"), (1, "---\nb: 2\n")]);
    }
}
