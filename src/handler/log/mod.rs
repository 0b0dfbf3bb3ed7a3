//! What a worker says: lines in the shape of think-queue's, JSON, or calls of a PSR-3 logger.
//!
//! | file | topic |
//! |---|---|
//! | `entry.rs` | what there is to say about an event |
//! | `banner.rs` | what a worker says when it starts |

mod banner;
mod entry;

use std::cell::RefCell;

use ext_php_rs::ffi::php_output_write;
use ext_php_rs::types::{ZendHashTable, Zval};
use ferry_core::config::ConnectionConfig;
use ferry_core::display::{indented, one_line};
use ferry_worker::{Event, Options, TaskEvent};

use crate::zend::call::{self, Called, guarded};
use crate::zend::dates::formatted;
use crate::zend::objects::{number, text};

pub use entry::LogLevel;
use entry::{Entry, Subject, runtime};

/// Where lines go.
pub enum Sink {
    /// Nowhere; trouble still goes to standard error.
    None,
    /// Standard output, through PHP's output layer; what is no line of a job goes to standard error when it is trouble.
    Plain,
    /// The same as one JSON object a line.
    Json,
    /// An object with a method `log($level, $message, $context)`.
    Psr(Zval),
}

/// The voice of a worker.
pub struct Log {
    sink: Sink,
    least: LogLevel,
    /// The last second shown, and its text.
    date: RefCell<(i64, String)>,
}

impl Log {
    /// Says what is at least as grave as `least`.
    pub fn new(sink: Sink, least: LogLevel) -> Self {
        Self { sink, least, date: RefCell::default() }
    }

    /// For jobs that run inside push.
    pub fn silent() -> Self {
        Self::new(Sink::None, LogLevel::Info)
    }

    /// The logger, for the cycle collector.
    pub fn each_value(&self, visit: &mut dyn FnMut(&Zval)) {
        if let Sink::Psr(logger) = &self.sink {
            visit(logger);
        }
    }

    /// Whether saying something calls PHP code.
    pub fn calls_php(&self) -> bool {
        matches!(self.sink, Sink::Psr(_))
    }

    /// Says what there is to say about an event; `exception` is the object that goes with it, for a logger.
    ///
    /// Fails only when a logger throws.
    pub fn event(&self, event: Event<'_>, exception: impl FnOnce() -> Option<Zval>) -> Called<()> {
        entry::of(event).map_or(Ok(()), |entry| self.write(&entry, exception))
    }

    /// Says what the worker was asked to do, and what an operator may have overlooked.
    ///
    /// `any_class`: object jobs may make objects of any class.
    pub fn begin(&self, options: &Options, config: &ConnectionConfig, any_class: bool) -> Called<()> {
        banner::entries(options, config, any_class).iter().try_for_each(|entry| self.write(entry, || None))
    }

    /// Logs an error that has no event of its own. Fails only when a logger throws.
    pub fn error(&self, text: &str) -> Called<()> {
        guarded(|| self.write(&Entry::trouble("error", text.to_owned()), || None))
    }

    /// Logs an event while PHP is on its way out: a logger is not called.
    #[cfg(feature = "amqp")]
    pub fn event_at_exit(&self, event: Event<'_>) {
        if !self.calls_php() {
            // Without a logger nothing can throw.
            let _ = self.event(event, || None);
        }
    }

    /// The lines of every job are the hot ones: with a higher level they cost a comparison.
    pub fn skips(&self, event: &Event<'_>) -> bool {
        let of_every_job = matches!(event, Event::Looping | Event::Processing(_) | Event::Processed(_))
            || matches!(event, Event::Task(TaskEvent::Starting(_) | TaskEvent::Succeeded(_)));
        of_every_job && (self.least > LogLevel::Info || matches!(self.sink, Sink::None))
    }

    fn write(&self, entry: &Entry<'_>, exception: impl FnOnce() -> Option<Zval>) -> Called<()> {
        if entry.level < self.least {
            return Ok(());
        }
        match &self.sink {
            Sink::None if entry.is_trouble() => self.to_stderr(&self.plain(entry)),
            Sink::None => {}
            Sink::Plain => self.put(entry, &self.plain(entry)),
            Sink::Json => self.put(entry, &self.json(entry)),
            Sink::Psr(logger) => return self.call(logger, entry, exception()),
        }
        Ok(())
    }

    fn put(&self, entry: &Entry<'_>, line: &str) {
        if entry.is_trouble() {
            return self.to_stderr(line);
        }
        // SAFETY: the bytes are live for the call; PHP copies them.
        unsafe { php_output_write(line.as_ptr().cast(), line.len()) };
    }

    fn to_stderr(&self, line: &str) {
        use std::io::Write;
        // There is nobody to tell when standard error is closed. One write, so that lines of several processes do not mix.
        let _ = std::io::stderr().write_all(line.as_bytes());
    }

    /// `[2026-01-31 12:00:00][id] Processing: Class`, as think-queue writes it.
    fn plain(&self, entry: &Entry<'_>) -> String {
        let now = self.now();
        match &entry.subject {
            Subject::Job { job, word, more, ran } => {
                let (id, name, more) = (job.id(), job.display_name(), one_line(more));
                let end = ran.map_or_else(String::new, |ran| format!(" ({}, {})", one_line(job.queue()), runtime(ran)));
                format!("[{now}][{}] {word:<11} {}{more}{end}\n", one_line(&id), one_line(&name))
            }
            Subject::Task { text, .. } => format!("[Task] {}\n", one_line(text)),
            Subject::Worker { text, .. } => format!("[{now}] ferry: {}\n", indented(text)),
        }
    }

    fn json(&self, entry: &Entry<'_>) -> String {
        let head = vec![
            ("time", formatted(b"c", seconds()).into()),
            ("level", entry.level.name().into()),
            ("event", entry.event.into()),
            ("message", entry.message().into()),
            ("pid", std::process::id().into()),
        ];
        let pair = |(name, value): (&str, serde_json::Value)| format!("\"{name}\":{value}");
        let pairs: Vec<String> = head.into_iter().chain(entry.context()).map(pair).collect();
        format!("{{{}}}\n", pairs.join(","))
    }

    fn call(&self, logger: &Zval, entry: &Entry<'_>, exception: Option<Zval>) -> Called<()> {
        let mut context = ZendHashTable::new();
        let mut add = |name: &str, value: Zval| {
            // An array takes any key as long as there is memory, and without that PHP ends the process.
            let _ = context.insert(name, value);
        };
        add("event", text(entry.event.as_bytes()));
        for (name, value) in entry.context() {
            add(name, of_json(&value));
        }
        if let Some(exception) = exception {
            add("exception", exception);
        }
        let mut array = Zval::new();
        array.set_hashtable(context);
        let mut arguments = [text(entry.level.name().as_bytes()), text(entry.message().as_bytes()), array];
        let mut logger = logger.shallow_clone();
        let Some(logger) = logger.object_mut() else { return Ok(()) };
        call::method(logger, "log", &mut arguments).map(|_| ())
    }

    fn now(&self) -> String {
        let second = seconds();
        let mut date = self.date.borrow_mut();
        if date.0 != second {
            *date = (second, formatted(b"Y-m-d H:i:s", second));
        }
        date.1.clone()
    }
}

fn seconds() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}

fn of_json(value: &serde_json::Value) -> Zval {
    match value {
        serde_json::Value::String(string) => text(string.as_bytes()),
        serde_json::Value::Number(count) => {
            count.as_i64().map_or_else(|| crate::zend::objects::float(count.as_f64().unwrap_or_default()), number)
        }
        serde_json::Value::Bool(truth) => crate::zend::objects::truth(*truth),
        serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => Zval::null(),
    }
}
