//! Which files a path means. A file that is named is read whatever it is, a pipe, too; in folders only those that are manifests by
//! name, each once, however many links lead to it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Error;
use super::passed::Passed;

/// The link to the present version of a ConfigMap that is mounted.
const MOUNTED: &str = "..data";

const EXTENSIONS: [&str; 3] = ["yaml", "yml", "json"];

/// The files that `path` means, in the order of their names.
pub(super) fn files(path: &Path, passed: &mut Passed) -> Result<Vec<PathBuf>, Error> {
    if !fs::metadata(path).map_err(|source| failed(path, source))?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut walk = Walk { seen: HashSet::new(), files: Vec::new(), passed };
    walk.folder(path)?;
    if walk.files.is_empty() {
        return Err(Error::NoFiles { path: path.display().to_string() });
    }
    Ok(walk.files)
}

struct Walk<'a> {
    /// Files and folders, by the path without links.
    seen: HashSet<PathBuf>,
    files: Vec<PathBuf>,
    passed: &'a mut Passed,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path) -> Result<(), Error> {
        if !self.is_new(path)? {
            return Ok(());
        }
        let entries = fs::read_dir(path)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<io::Result<Vec<_>>>());
        let mut entries = entries.map_err(|source| failed(path, source))?;
        // A mounted ConfigMap has its files in a folder `..<date>`, with links beside it that have the names that people know.
        entries.sort_by_key(|name| (name.as_encoded_bytes().starts_with(b".."), name.clone()));
        // What an earlier version of the ConfigMap had is there for as long as a container holds it.
        let is_mounted = entries.iter().any(|name| name == MOUNTED);
        entries.retain(|name| !is_mounted || name == MOUNTED || !name.as_encoded_bytes().starts_with(b".."));
        for name in entries {
            let entry = path.join(name);
            let is_manifest = entry.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known));
            if entry.is_dir() {
                self.folder(&entry)?;
            } else if is_manifest || entry.is_symlink() && !entry.exists() {
                self.file(entry)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: PathBuf) -> Result<(), Error> {
        match fs::metadata(&path) {
            // Whoever opens a pipe waits for its other end.
            Ok(metadata) if !metadata.is_file() => self.passed.add_file(&path.display().to_string(), "no regular file"),
            Ok(_) => {
                if self.is_new(&path)? {
                    self.files.push(path);
                }
            }
            Err(_) if path.is_symlink() => self.passed.add_file(&path.display().to_string(), "a link that leads nowhere"),
            Err(source) => return Err(failed(&path, source)),
        }
        Ok(())
    }

    fn is_new(&mut self, path: &Path) -> Result<bool, Error> {
        Ok(self.seen.insert(fs::canonicalize(path).map_err(|source| failed(path, source))?))
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> Error {
    let path = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => Error::Absent { path },
        _ => Error::Read { path, source },
    }
}
