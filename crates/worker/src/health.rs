//! A file that shows a probe whether the broker answers this worker.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::libc::{O_NOFOLLOW, O_NONBLOCK};

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
        let result = write(path);
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

/// Writes the process id. The folder may be writable for others: a link that lies there is not followed, and a pipe does not block.
fn write(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
    writeln!(options.open(path)?, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_not_followed_and_what_it_points_to_stays() {
        let folder = std::env::temp_dir().join(format!("ferry-health-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (other, link) = (folder.join("other"), folder.join("health"));
        std::fs::write(&other, "important").unwrap();
        std::os::unix::fs::symlink(&other, &link).unwrap();
        let mut health = Health::new(Some(link.clone()));
        assert!(health.alive(Instant::now()).is_some_and(|text| text.contains("symbolic link")));
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "important");
        std::fs::remove_file(&link).unwrap();
        assert_eq!(health.alive(Instant::now() + 2 * EVERY), None);
        assert_eq!(std::fs::read_to_string(&link).unwrap(), format!("{}\n", std::process::id()));
        health.remove();
        assert!(!link.exists());
        std::fs::remove_dir_all(&folder).unwrap();
    }

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
