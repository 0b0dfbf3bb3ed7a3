//! A file that shows a probe whether the broker answers this worker.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the file is written at most.
const EVERY: Duration = Duration::from_secs(1);

/// The file, written after each answer of the broker, at most once a second. Its age is the time since the last answer.
pub struct Health {
    path: Option<PathBuf>,
    written: Option<Instant>,
}

impl Health {
    /// Without a path nothing is written.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, written: None }
    }

    /// The broker has answered. Errors are not reported: a probe sees that the file grows old.
    pub fn alive(&mut self, now: Instant) {
        let Some(path) = &self.path else { return };
        if self.written.is_none_or(|written| now >= written + EVERY) {
            let _ = std::fs::write(path, format!("{}\n", std::process::id()));
            self.written = Some(now);
        }
    }

    /// The worker stops: there is nothing to probe any more.
    pub fn remove(&self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}
