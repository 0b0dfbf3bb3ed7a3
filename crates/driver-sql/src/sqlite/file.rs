//! Where the database is. An existing file is only asked for its metadata: closing a handle of our own would drop SQLite's locks.

use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
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

    /// Creates the file where it is missing, readable by its owner only: payloads are private. `-wal` and `-shm` get its mode from
    /// SQLite, which would make it 0644. Whatever cannot be done here is left to SQLite, which says why.
    ///
    /// It is made under another name and linked: closing a handle of a file that others may have open would drop their locks.
    pub(super) fn create_private(&self) {
        if self.path.exists() {
            return;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mut new = self.path.clone().into_os_string();
        new.push(format!(".new-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed)));
        if OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).is_ok() {
            // Another process may have been first, and some file systems have no links.
            let _ = std::fs::hard_link(&new, &self.path);
            let _ = std::fs::remove_file(&new);
        }
    }

    /// Device and inode. `None` when there is no such file.
    pub(super) fn identity(&self) -> Option<(u64, u64)> {
        std::fs::metadata(&self.path).ok().map(|file| (file.dev(), file.ino()))
    }
}
