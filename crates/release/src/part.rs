//! A file that has its name only when all of it is written. Until then it is one of another name beside it, which goes with this value.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use fairlead_job::codes::shared;
use fairlead_job::failure::Failure;

/// So many names are tried: files of earlier exports that were killed may have them.
const NAMES: u32 = 100;

/// The part of a file, open. Only for us to read.
pub(crate) struct Part {
    file: File,
    path: PathBuf,
    whole: PathBuf,
}

impl Part {
    /// Opens it.
    ///
    /// # Errors
    ///
    /// `FL043` where the file is there already, which is somebody's, or no part can be written beside it.
    pub(crate) fn of(whole: &Path) -> Result<Self, Failure> {
        if whole.exists() {
            let why = "there is a file of that name already";
            return Err(unwritten(whole, Error::new(ErrorKind::AlreadyExists, why)));
        }
        let mut number = 0;
        loop {
            let path = beside(whole, number);
            match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
                Ok(file) => return Ok(Self { file, path, whole: whole.to_owned() }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < NAMES => number += 1,
                Err(error) => return Err(unwritten(whole, named(&path, &error))),
            }
        }
    }

    /// Writes all of it, and gives it its name.
    ///
    /// # Errors
    ///
    /// `FL043`; then there is no file of that name, unless somebody else has written one meanwhile.
    pub(crate) fn finish(mut self, content: &[u8]) -> Result<(), Failure> {
        let written = self.file.write_all(content).and_then(|()| self.file.sync_all());
        written.map_err(|error| unwritten(&self.whole, named(&self.path, &error)))?;
        // A link, unlike a new name, never takes the place of a file that has come meanwhile. Not every file system has links.
        let put = match std::fs::hard_link(&self.path, &self.whole) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists && !self.whole.exists() => {
                std::fs::rename(&self.path, &self.whole)
            }
            linked => linked,
        };
        put.map_err(|error| unwritten(&self.whole, error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.path) {
            Ok(()) => {}
            // It has its name.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, file = %self.path.display(), "a part of an export stays behind"),
        }
    }
}

fn beside(whole: &Path, number: u32) -> PathBuf {
    let mut name = whole.file_name().unwrap_or_default().to_owned();
    let more = if number == 0 { String::new() } else { format!("-{number}") };
    name.push(format!(".{}{more}.part", std::process::id()));
    whole.with_file_name(name)
}

fn named(path: &Path, error: &Error) -> Error {
    Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// A file that was to be written, and was not.
pub(crate) fn unwritten(path: &Path, error: Error) -> Failure {
    Failure::caused(&shared::OUTPUT, format!("failed to write {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use fairlead_migration::obstacle::chain;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_part_that_stands_in_the_way_is_gone_round_and_ours_never_stays() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let whole = folder.path().join("tickets.json");
        // A process of the same number was killed, as the first of every container may be.
        let killed = beside(&whole, 0);
        std::fs::write(&killed, "half").expect("written");
        Part::of(&whole).expect("another name").finish(b"whole").expect("written");
        let killed = killed.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        assert_eq!(names(folder.path()), ["tickets.json".to_owned(), killed.clone()]);
        assert_eq!(std::fs::read_to_string(&whole).expect("text"), "whole");
        // The ledger could not be read.
        drop(Part::of(&folder.path().join("other.json")).map(drop));
        assert_eq!(names(folder.path()).len(), 2);
        // Somebody has written one of the name meanwhile.
        let late = folder.path().join("late.json");
        let part = Part::of(&late).expect("a part");
        std::fs::write(&late, "theirs").expect("written");
        assert!(part.finish(b"ours").is_err());
        assert_eq!(std::fs::read_to_string(&late).expect("text"), "theirs");
        assert_eq!(names(folder.path()), ["late.json".to_owned(), "tickets.json".to_owned(), killed]);
    }

    #[test]
    fn an_error_names_the_file_that_could_not_be_made() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let whole = folder.path().join("nowhere/tickets.json");
        let failure = Part::of(&whole).map(drop).expect_err("no such folder");
        let said = chain(&failure);
        assert!(
            said.starts_with(&format!("failed to write {}: {}: ", whole.display(), beside(&whole, 0).display())),
            "{said}"
        );
    }
}
