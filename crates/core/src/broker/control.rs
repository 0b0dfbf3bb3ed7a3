//! What a whole fleet of workers is asked for, and who works: kept in the broker, because every machine sees it.
//! `docs/decisions/0008-operations.md` says why it is shaped like this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::queue::QueueName;

/// A worker that has not reported for so many seconds is gone.
pub const GONE_AFTER: i64 = 60;

/// The flags of a fleet, and the reports of its workers. Any thread may call any word; each is one round trip.
pub trait WorkerControl: Send + Sync {
    /// What is asked for now.
    fn flags(&self) -> Result<FleetFlags>;

    /// Asks workers to leave `queue` alone. Pausing it again changes nothing.
    fn pause(&self, queue: &QueueName) -> Result<()>;

    /// Lets workers take from `queue` again.
    fn resume(&self, queue: &QueueName) -> Result<()>;

    /// Asks every worker to leave.
    fn command(&self, command: ControlCommand) -> Result<()>;

    /// Stores what a worker does, in place of what it said before.
    fn report(&self, report: &WorkerReport) -> Result<()>;

    /// Forgets a worker that leaves.
    fn deregister(&self, id: &str) -> Result<()>;

    /// The workers that reported within the last [`GONE_AFTER`] seconds, longest at work first.
    fn workers(&self) -> Result<Vec<WorkerReport>>;
}

/// What every worker is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlCommand {
    /// Leave at the end of the job, to be started again.
    Restart,
    /// Leave at the end of the job, and stay away.
    Stop,
}

impl ControlCommand {
    /// The name of its counter.
    pub fn name(self) -> &'static str {
        match self {
            ControlCommand::Restart => "restart",
            ControlCommand::Stop => "stop",
        }
    }
}

/// What is written before the name of a queue that is paused, in a store of names and numbers.
const PAUSED: &str = "paused:";

/// What a fleet is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FleetFlags {
    /// How often it was told to restart.
    pub restart: i64,
    /// How often it was told to stop.
    pub stop: i64,
    /// Paused queues, each with the Unix second since when.
    pub paused: BTreeMap<String, i64>,
}

impl FleetFlags {
    /// The name under which a pause is stored.
    pub fn name_of_pause(queue: &QueueName) -> String {
        [PAUSED, queue.as_str()].concat()
    }

    /// Flags out of stored names and numbers. Names that mean nothing to us are a newer version's.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, i64)>) -> Self {
        let mut flags = Self::default();
        for (name, number) in pairs {
            match name.strip_prefix(PAUSED) {
                Some(queue) => {
                    flags.paused.insert(queue.to_owned(), number);
                }
                None if name == ControlCommand::Restart.name() => flags.restart = number,
                None if name == ControlCommand::Stop.name() => flags.stop = number,
                None => {}
            }
        }
        flags
    }

    /// Whether workers leave `queue` alone.
    pub fn is_paused(&self, queue: &QueueName) -> bool {
        self.paused.contains_key(queue.as_str())
    }

    /// Whether a worker that saw `before` when it started is asked to leave.
    pub fn asks_to_leave(&self, before: &FleetFlags) -> bool {
        self.restart != before.restart || self.stop != before.stop
    }
}

/// What one worker does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerReport {
    /// `host:pid:` and a random word: a pid may be used again.
    pub id: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// The queues it works, highest priority first.
    pub queues: Vec<String>,
    /// When it began, in Unix seconds of its machine.
    pub started: i64,
    /// When it reported, in Unix seconds. Written by the broker, where that has a clock.
    pub seen: i64,
    /// Jobs it worked.
    pub processed: u64,
    /// Jobs that failed for good under it.
    pub failed: u64,
    /// Bytes it uses.
    pub memory: u64,
    /// What it is at.
    pub state: WorkerState,
    /// The name of the job that ran when it reported.
    pub job: Option<String>,
}

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WorkerState {
    /// It waits for jobs.
    #[default]
    Idle,
    /// It works jobs.
    Working,
    /// It was told to pause.
    Paused,
}

impl WorkerState {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            WorkerState::Idle => "idle",
            WorkerState::Working => "working",
            WorkerState::Paused => "paused",
        }
    }
}

impl WorkerReport {
    /// The text for a store.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report is strings and numbers")
    }

    /// The report in a stored text, seen at `seen`. `None` for what no worker of ours wrote.
    pub fn from_json(text: &[u8], seen: i64) -> Option<Self> {
        serde_json::from_slice(text).ok().map(|report| Self { seen, ..report })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(name: &str) -> QueueName {
        QueueName::new(name.as_bytes()).unwrap()
    }

    #[test]
    fn flags_are_read_from_names_and_numbers_and_unknown_ones_are_left_alone() {
        let pause = FleetFlags::name_of_pause(&queue("a:b"));
        let flags = FleetFlags::from_pairs([("restart".into(), 3), (pause, 17), ("later".into(), 9)]);
        assert_eq!(flags, FleetFlags { restart: 3, stop: 0, paused: [("a:b".to_owned(), 17)].into() });
        assert!(flags.is_paused(&queue("a:b")));
        assert!(!flags.is_paused(&queue("a")));
    }

    #[test]
    fn a_pause_asks_nobody_to_leave_and_each_order_does() {
        let before = FleetFlags { restart: 3, ..FleetFlags::default() };
        assert!(!FleetFlags { paused: [("a".to_owned(), 1)].into(), ..before.clone() }.asks_to_leave(&before));
        assert!(FleetFlags { restart: 4, ..before.clone() }.asks_to_leave(&before));
        assert!(FleetFlags { stop: 1, ..before.clone() }.asks_to_leave(&before));
        // The flags were lost, or another database took the name: what a worker noted at its start is no more.
        assert!(FleetFlags::default().asks_to_leave(&before));
    }

    #[test]
    fn a_report_survives_its_store_and_one_of_a_newer_version_too() {
        let report =
            WorkerReport { id: "h:1:x".into(), pid: 1, queues: vec!["mail".into()], processed: 7, ..WorkerReport::default() };
        let text = report.to_json();
        assert_eq!(WorkerReport::from_json(text.as_bytes(), 5), Some(WorkerReport { seen: 5, ..report }));
        let newer = WorkerReport::from_json(br#"{"id":"h:2:y","more":true}"#, 0).unwrap();
        assert_eq!(newer.id, "h:2:y");
        assert_eq!(WorkerReport::from_json(b"[]x", 0), None);
    }
}
