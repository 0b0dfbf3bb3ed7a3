//! Where the database is. Only the file's metadata is asked for: closing a handle of our own would drop SQLite's locks.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database file, and how long a write may wait for other writers.
#[derive(Debug, Clone)]
pub struct DatabaseFile {
    /// Absolute, so that a later `chdir` does not lead the next connection to another file.
    pub(super) path: PathBuf,
    pub(super) busy_timeout: Duration,
}

impl DatabaseFile {
    pub(super) fn new(path: &Path, busy_timeout: Duration) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        // SQLite takes milliseconds in an i32.
        let longest = Duration::from_millis(i32::MAX as u64);
        Self { path, busy_timeout: busy_timeout.min(longest) }
    }

    /// The file beside the database into which every commit is written.
    pub(super) fn wal(&self) -> PathBuf {
        let mut wal = self.path.clone().into_os_string();
        wal.push("-wal");
        wal.into()
    }

    /// Device and inode. `None` when there is no such file.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.path).ok().map(|file| (file.dev(), file.ino()))
    }
}
