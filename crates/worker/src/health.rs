//! A file that shows a probe whether the broker answers this worker.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often the file is written at most.
const EVERY: Duration = Duration::from_secs(1);

/// The file, written after each answer of the broker, at most once a second. Its age is the time since the last answer.
pub struct Health {
    path: Option<PathBuf>,
    written: Option<Instant>,
    failed: bool,
}

impl Health {
    /// Without a path nothing is written.
    pub fn new(path: Option<PathBuf>) -> Self {
        Self { path, written: None, failed: false }
    }

    /// The broker has answered. Returns why the file cannot be written, once until it can be again.
    pub fn alive(&mut self, now: Instant) -> Option<String> {
        let path = self.path.as_ref()?;
        if self.written.is_some_and(|written| now < written + EVERY) {
            return None;
        }
        self.written = Some(now);
        let result = std::fs::write(path, format!("{}\n", std::process::id()));
        let failed_before = std::mem::replace(&mut self.failed, result.is_err());
        let error = result.err().filter(|_| !failed_before)?;
        Some(format!("the health file {} cannot be written: {error} (a probe will take this worker for dead)", path.display()))
    }

    /// The worker stops: there is nothing to probe any more.
    pub fn remove(&self) {
        if let Some(path) = &self.path {
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_is_reported_once() {
        let mut health = Health::new(Some("/nowhere/of/ours/health".into()));
        let now = Instant::now();
        assert!(health.alive(now).is_some_and(|text| text.contains("/nowhere/of/ours/health")));
        assert_eq!(health.alive(now + 2 * EVERY), None);
    }

    #[test]
    fn without_a_path_nothing_is_written_and_nothing_reported() {
        assert_eq!(Health::new(None).alive(Instant::now()), None);
    }
}
