//! The options of a worker, checked.

use std::path::PathBuf;
use std::time::Duration;

use ferry_core::backoff::Backoff;
use ferry_core::config::SettleMode;
use ferry_core::dialect::Family;
use ferry_core::policy::{ExhaustionRule, OnReturn, Tries};
use ferry_core::queue::QueueName;

/// The options of one worker.
#[derive(Debug, Clone)]
pub struct Options {
    /// The name of the connection, for records and events.
    pub connection: String,
    /// Queues, highest priority first. Never empty.
    pub queues: Vec<QueueName>,
    /// Attempts allowed for jobs that do not say. Defaults to unlimited.
    pub tries: Tries,
    /// What its jobs look like. Defaults to those of think-queue v3.
    pub family: Family,
    /// When a job that used up its tries is given up. Defaults to its last attempt; v1 and v2 reserve it once more.
    pub exhaustion: ExhaustionRule,
    /// How long a job that failed waits for its next attempt. Defaults to 1, 2, 4, ... up to 60 s, with jitter.
    pub backoff: Backoff,
    /// How long a job may run that does not say. `None`: no limit. Defaults to 60 s.
    pub timeout: Option<Duration>,
    /// How long before its timeout a job is warned. `None`: not at all, which is the default.
    pub warning: Option<Duration>,
    /// How long a job that was stopped may take to exit before the process is killed. Defaults to 10 s.
    pub grace: Duration,
    /// How long the running job may go on after the worker was asked to stop; then it is interrupted and goes back with no attempt
    /// burnt. `None`: as long as its own timeout, which is the default.
    pub stop_timeout: Option<Duration>,
    /// How long until the next summary, or 100 jobs. `None`: no summaries, which is the default.
    pub status: Option<Duration>,
    /// How long `once` waits for a job. Defaults to 3 s.
    pub sleep: Duration,
    /// Work one job at most and stop.
    pub once: bool,
    /// Stop as soon as no job is ready.
    pub stop_when_empty: bool,
    /// Stop after so many jobs. `None`: no limit.
    pub max_jobs: Option<u64>,
    /// Stop after so long. `None`: no limit.
    pub max_time: Option<Duration>,
    /// Stop with [`crate::exit::MEMORY`] when the host uses so many bytes. `None`: no limit.
    pub memory: Option<usize>,
    /// The most jobs held at once. At least 1.
    pub prefetch: usize,
    /// How long the broker may be out of reach before the worker stops with [`crate::exit::UNREACHABLE`]. `None`: for ever.
    /// Defaults to 5 minutes.
    pub max_outage: Option<Duration>,
    /// A file written after each answer of the broker, at most once a second. `None`: no file.
    pub health_file: Option<PathBuf>,
    /// How deletions are sent.
    pub settle: SettleMode,
    /// What a handler means that returns without settling its job.
    pub on_return: OnReturn,
    /// The lease length of the connection; `None` when reservations last for ever.
    pub retry_after: Option<Duration>,
    /// How long the lease of one running job is renewed. Defaults to 24 h: a hung job is rescued in the end.
    pub max_lease: Duration,
}

impl Options {
    /// The defaults, for one connection and its queues.
    pub fn new(connection: impl Into<String>, queues: Vec<QueueName>) -> Self {
        Self {
            connection: connection.into(),
            queues,
            tries: Tries::Unlimited,
            family: Family::default(),
            exhaustion: ExhaustionRule::default(),
            backoff: Backoff::STANDARD,
            timeout: Some(Duration::from_secs(60)),
            warning: None,
            grace: Duration::from_secs(10),
            stop_timeout: None,
            status: None,
            sleep: Duration::from_secs(3),
            once: false,
            stop_when_empty: false,
            max_jobs: None,
            max_time: None,
            memory: None,
            max_outage: Some(Duration::from_secs(300)),
            health_file: None,
            prefetch: 64,
            settle: SettleMode::Pipelined,
            on_return: OnReturn::Leave,
            retry_after: Some(Duration::from_secs(60)),
            max_lease: Duration::from_secs(24 * 3600),
        }
    }
}
