//! What there is to say about an event: how grave it is, in words, and as names and values.

use std::time::Duration;

use ferry_core::Error;
use ferry_core::failed::Reason;
use ferry_worker::{Event, FailureCause, HeldJob, Summary, TaskEvent};
use serde_json::Value;

/// How grave something is, as PSR-3 has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For those who look for a fault.
    Debug,
    /// The line of every job.
    Info,
    /// The life of the worker.
    Notice,
    /// A job or a broker that will be tried again.
    Warning,
    /// A job that failed for good.
    Error,
}

impl LogLevel {
    /// All, the least grave first.
    pub const ALL: [LogLevel; 5] = [LogLevel::Debug, LogLevel::Info, LogLevel::Notice, LogLevel::Warning, LogLevel::Error];

    /// Its name in PSR-3.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Notice => "notice",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
    }
}

/// Names and values, in the order in which they are shown.
pub type Values = Vec<(&'static str, Value)>;

/// One thing to say.
pub struct Entry<'a> {
    /// How grave it is.
    pub level: LogLevel,
    /// The name of the event.
    pub event: &'static str,
    /// About what.
    pub subject: Subject<'a>,
}

/// What an entry is about.
pub enum Subject<'a> {
    /// A job: a word for the line, and what stands behind the name of its class.
    Job {
        /// The job.
        job: &'a HeldJob,
        /// `Processing:`
        word: &'static str,
        /// ` (again in 5 s)`
        more: String,
        /// How long it ran, where nothing follows.
        ran: Option<Duration>,
    },
    /// A task.
    Task {
        /// Its id.
        id: &'a str,
        /// Its type, when it was read.
        kind: Option<&'a str>,
        /// `Retry 1/3: ` and the id.
        text: String,
    },
    /// The worker itself.
    Worker {
        /// The sentence.
        text: String,
        /// The same as names and values.
        values: Values,
    },
}

impl<'a> Entry<'a> {
    fn job(level: LogLevel, event: &'static str, job: &'a HeldJob, word: &'static str, more: String) -> Self {
        Self { level, event, subject: Subject::Job { job, word, more, ran: None } }
    }

    /// The last of a job.
    fn end_of_job(level: LogLevel, event: &'static str, job: &'a HeldJob, word: &'static str, more: String) -> Self {
        Self { level, event, subject: Subject::Job { job, word, more, ran: Some(job.elapsed()) } }
    }

    fn task(level: LogLevel, event: &'static str, id: &'a str, kind: Option<&'a str>, text: String) -> Self {
        Self { level, event, subject: Subject::Task { id, kind, text } }
    }

    /// About the worker.
    pub fn worker(level: LogLevel, event: &'static str, text: String, values: Values) -> Self {
        Self { level, event, subject: Subject::Worker { text, values } }
    }

    /// About something that went wrong outside a job.
    pub fn trouble(event: &'static str, text: String) -> Self {
        Self::worker(LogLevel::Warning, event, text, Vec::new())
    }

    /// Whether it belongs on standard error: it is about the worker, and not good.
    pub fn is_trouble(&self) -> bool {
        matches!(self.subject, Subject::Worker { .. }) && self.level >= LogLevel::Warning
    }

    /// In words, without the time.
    pub fn message(&self) -> String {
        match &self.subject {
            Subject::Job { job, word, more, .. } => format!("{word} {}{more}", job.display_name()),
            Subject::Task { text, .. } | Subject::Worker { text, .. } => text.clone(),
        }
    }

    /// As names and values.
    pub fn context(&self) -> Values {
        match &self.subject {
            Subject::Worker { values, .. } => values.clone(),
            Subject::Task { id, kind, .. } => {
                let kind = kind.map(|kind| ("type", kind.into()));
                std::iter::once(("id", (*id).into())).chain(kind).collect()
            }
            Subject::Job { job, ran, .. } => {
                let mut values = vec![
                    ("id", job.id().into()),
                    ("job", job.display_name().into()),
                    ("queue", job.queue().into()),
                    ("connection", job.connection().into()),
                    ("attempts", job.attempts().into()),
                ];
                values.extend(ran.map(|ran| ("runtime", (ran.as_micros() as f64 / 1e6).into())));
                values
            }
        }
    }
}

/// The entry of an event that has one.
pub fn of(event: Event<'_>) -> Option<Entry<'_>> {
    let none = String::new();
    Some(match event {
        Event::Looping | Event::Ready => return None,
        Event::Processing(job) => Entry::job(LogLevel::Info, "processing", job, "Processing:", none),
        Event::Processed(job) => Entry::end_of_job(LogLevel::Info, "processed", job, "Processed:", none),
        Event::TimedOut(job, timeout) => {
            Entry::job(LogLevel::Warning, "timeout", job, "Timed out:", format!(" (after {} s)", timeout.as_secs_f64()))
        }
        Event::Failed(job, why) => Entry::end_of_job(LogLevel::Error, "failed", job, "Failed:", because(why)),
        Event::Released(job, delay) => {
            Entry::job(LogLevel::Notice, "released", job, "Released:", format!(" (again in {delay} s)"))
        }
        Event::NotSettled(job) => Entry::job(LogLevel::Warning, "not_settled", job, "Unsettled:", not_settled()),
        Event::Lost(job) => Entry::job(LogLevel::Warning, "lost", job, "Lost:", " (another worker has it)".to_owned()),
        Event::Exception(job, _) if job.has_failed() => return None,
        // What else may be missing says itself what to do.
        Event::Exception(job, why) if why.reason == Reason::NoHandler && why.text.starts_with("class ") => {
            let hint = "; is its autoloader loaded, and does this machine have the release it belongs to?";
            Entry::job(LogLevel::Warning, "exception", job, "Exception:", format!(" ({}{hint})", first_line(&why.text)))
        }
        Event::Exception(job, why) => Entry::job(LogLevel::Warning, "exception", job, "Exception:", because(why)),
        Event::BrokerError(error) => Entry::trouble("broker_error", format!("{error}; trying again")),
        Event::BrokerRecovered => Entry::trouble("broker_recovered", "the broker answers again".to_owned()),
        Event::BrokerLost(error) => Entry::trouble("broker_lost", format!("{error}; the worker stops")),
        Event::Unsettled(job, error) => Entry::trouble("unsettled", unsettled(job, error)),
        Event::ControlError(error) => {
            Entry::trouble("control_error", format!("the control flags cannot be read: {error}; jobs go on without"))
        }
        Event::StatusError(error) => {
            Entry::trouble("status_error", format!("the status of jobs cannot be written: {error}; jobs go on without"))
        }
        Event::Task(event) => of_task(event),
        Event::Notice(notice) => Entry::trouble("warning", notice.to_owned()),
        Event::ThreadPanicked(panic) => {
            Entry::worker(LogLevel::Error, "thread_panicked", format!("{panic}; the worker stops"), Vec::new())
        }
        Event::SettleLost { id, queue } => {
            Entry::trouble("settle_lost", format!("job {id} of `{queue}` was done, but its lease had ended: it may run again"))
        }
        Event::Paused => Entry::worker(LogLevel::Notice, "paused", "paused".to_owned(), Vec::new()),
        Event::Resumed => Entry::worker(LogLevel::Notice, "resumed", "resumed".to_owned(), Vec::new()),
        Event::Status(summary) => status(summary),
        Event::Stopping(code) => {
            Entry::worker(LogLevel::Debug, "stopping", format!("stopping with {code}"), vec![("code", code.into())])
        }
    })
}

/// The entry of a task, in the words of the original design.
fn of_task(event: TaskEvent<'_>) -> Entry<'_> {
    use TaskEvent::{Error, Expired, Failed, GivenBack, Poison, Retry, Starting, Succeeded, TimedOut};
    let because = |why: &str| format!(" ({})", first_line(why));
    let (level, name, word, task, more) = match event {
        Starting(task) => (LogLevel::Info, "starting", "Starting", task, because(&task.kind)),
        Succeeded(task) => (LogLevel::Info, "success", "Success", task, String::new()),
        Error(task, line) => (LogLevel::Warning, "error", "Error", task, because(line)),
        Failed(task, why) => (LogLevel::Error, "failed", "Failed", task, because(why)),
        Expired(task) => (LogLevel::Warning, "expired", "Expired", task, String::new()),
        TimedOut(task, timeout) => {
            (LogLevel::Warning, "timeout", "Timed out", task, format!(" (after {} s)", timeout.as_secs_f64()))
        }
        GivenBack(task) => (LogLevel::Notice, "released", "Released", task, String::new()),
        Retry { task, count, most, why, .. } => {
            let text = format!("Retry {count}/{most}: {} - {}", task.id, first_line(why));
            return Entry::task(LogLevel::Notice, "retry", &task.id, Some(&task.kind), text);
        }
        Poison { id, why } => {
            return Entry::task(LogLevel::Error, "poison", id, None, format!("Error: {id}{}", because(why)));
        }
    };
    Entry::task(level, name, &task.id, Some(&task.kind), format!("{word}: {}{more}", task.id))
}

fn not_settled() -> String {
    let why = "its handler returned without delete() or release(), so it runs again after retry_after";
    format!(" ({why}; set the option on_return to `delete` where a return means done)")
}

fn unsettled(job: &HeldJob, error: &Error) -> String {
    let (id, queue) = (job.id(), job.queue());
    format!("job {id} of `{queue}` is not settled and stays reserved until its lease ends: {error}")
}

fn status(summary: &Summary) -> Entry<'static> {
    let Summary { processed, failed, pending, rate, memory, uptime } = summary;
    let rate = (rate * 10.0).round() / 10.0;
    let waiting = pending.map_or_else(|| "?".to_owned(), |pending| pending.to_string());
    let text = format!(
        "status: processed {processed}, failed {failed}, pending {waiting}, {rate} jobs/s, memory {} MiB, up {}",
        memory >> 20,
        span(*uptime)
    );
    let values = vec![
        ("processed", (*processed).into()),
        ("failed", (*failed).into()),
        ("pending", (*pending).into()),
        ("rate", rate.into()),
        ("memory", (*memory).into()),
        ("uptime", uptime.as_secs().into()),
    ];
    Entry::worker(LogLevel::Notice, "status", text, values)
}

/// `12 ms`, `3.2 s`, then as [`span`].
pub fn runtime(time: Duration) -> String {
    match time.as_millis() {
        milliseconds @ 0..1000 => format!("{milliseconds} ms"),
        1000..60_000 => format!("{:.1} s", time.as_secs_f64()),
        _ => span(time),
    }
}

/// `1 h 02 min`, `3 min 20 s`, `7 s`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60) {
        (0, 0, 0, seconds) => format!("{seconds} s"),
        (0, 0, minutes, seconds) => format!("{minutes} min {seconds:02} s"),
        (0, hours, minutes, _) => format!("{hours} h {minutes:02} min"),
        (days, hours, ..) => format!("{days} d {hours:02} h"),
    }
}

/// The first line of an exception.
fn because(why: &FailureCause) -> String {
    format!(" ({})", first_line(&why.text))
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
