//! The console lines of a worker, in the shape of think-queue's: `[2026-01-31 12:00:00][id] Processing: Class`.

use std::cell::RefCell;

use ext_php_rs::boxed::ZBox;
use ext_php_rs::ffi::php_output_write;
use ext_php_rs::types::ZendStr;
use ferry_worker::{Event, HeldJob, Why};

use crate::zend::engine::php_format_date;

/// Where the lines go.
pub struct Console {
    loud: bool,
    /// The last second shown, and its text.
    date: RefCell<(i64, String)>,
}

impl Console {
    /// Lines on standard output, through PHP's output layer.
    pub fn plain() -> Self {
        Self { loud: true, date: RefCell::default() }
    }

    /// No lines; trouble still goes to standard error.
    pub fn silent() -> Self {
        Self { loud: false, date: RefCell::default() }
    }

    /// Shows an event that has a line.
    pub fn show(&self, event: Event<'_>) {
        match event {
            Event::BrokerTrouble(error) => self.trouble(&format!("{error}; trying again")),
            Event::BrokerBack => self.trouble("the broker answers again"),
            Event::BrokerGone(error) => self.trouble(&format!("{error}; leaving")),
            Event::Unsettled(job, error) => {
                let (id, queue) = (job.id(), job.queue());
                self.trouble(&format!("job {id} of `{queue}` is not settled and stays reserved until its lease ends: {error}"));
            }
            Event::SettleLost { id, queue } => {
                self.trouble(&format!("job {id} of `{queue}` was done, but its lease had ended: it may run again"));
            }
            _ if !self.loud => {}
            Event::Processing(job) => self.line(job, "Processing:", ""),
            Event::Processed(job) => self.line(job, "Processed:", ""),
            Event::TimedOut(job, timeout) => self.line(job, "Timed out:", &format!(" (after {} s)", timeout.as_secs_f64())),
            Event::Failed(job, why) => self.line(job, "Failed:", &because(why)),
            Event::Released(job, delay) => self.line(job, "Released:", &format!(" (again in {delay} s)")),
            Event::Lost(job) => self.line(job, "Lost:", " (another worker has it)"),
            Event::Exception(job, why) if !job.has_failed() => self.line(job, "Exception:", &because(why)),
            Event::Exception(..) | Event::Looping | Event::Stopping(_) => {}
        }
    }

    /// A line on standard error.
    pub fn trouble(&self, text: &str) {
        use std::io::Write;
        // There is nobody to tell when standard error is closed.
        let _ = writeln!(std::io::stderr(), "[{}] ferry: {text}", self.now());
    }

    fn line(&self, job: &HeldJob, what: &str, more: &str) {
        let line = format!("[{}][{}] {what:<11} {}{more}\n", self.now(), job.id(), job.payload().job);
        // SAFETY: the bytes are live for the call; PHP copies them.
        unsafe { php_output_write(line.as_ptr().cast(), line.len()) };
    }

    fn now(&self) -> String {
        let second = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let second = i64::try_from(second).unwrap_or(0);
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            const FORMAT: &[u8] = b"Y-m-d H:i:s";
            // SAFETY: the format is read with its length; the answer is a string that we own.
            let text =
                unsafe { ZBox::<ZendStr>::from_raw(php_format_date(FORMAT.as_ptr().cast(), FORMAT.len(), second, true).cast()) };
            *date = (second, String::from_utf8_lossy(text.as_bytes()).into_owned());
        }
        date.1.clone()
    }
}

/// The first line of an exception.
fn because(why: &Why) -> String {
    why.text.lines().next().map_or_else(String::new, |line| format!(" ({line})"))
}
