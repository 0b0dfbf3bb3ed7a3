//! What the process really uses: extensions and libraries take memory that PHP's allocator does not see.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Reading it takes some 20 us, so an answer counts for a while.
const FRESH: Duration = Duration::from_millis(100);

/// The anonymous resident memory of this process: what is mapped from files or shared (opcache, libraries) is not its own.
#[derive(Default)]
pub struct Resident(Cell<Option<(Instant, usize)>>);

impl Resident {
    /// Bytes; 0 where the system does not tell.
    pub fn bytes(&self) -> usize {
        let now = Instant::now();
        match self.0.get() {
            Some((read, bytes)) if now < read + FRESH => bytes,
            _ => {
                let bytes = std::fs::read_to_string("/proc/self/status").ok().and_then(|text| anonymous(&text)).unwrap_or(0);
                self.0.set(Some((now, bytes)));
                bytes
            }
        }
    }
}

/// `RssAnon:     1234 kB`
fn anonymous(status: &str) -> Option<usize> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.split_whitespace().next()?.parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}
