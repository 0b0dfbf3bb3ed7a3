//! The status of tasks: the same states, store and thread as for jobs. A task has the id that its producer gave it.

use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use ferry_core::status::{Ending, JobRef, State, StatusChange, StatusUpdate};
use ferry_core::task::Task;
use ferry_core::{Broker, Error, Result};
use ferry_support::threads::PanicSlot;

use crate::status_writer::{StatusQueue, StatusReporter};

/// How long a consumer that stops waits for statuses that are not written yet.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes the statuses of one consumer's tasks, on a thread of its own.
pub struct TaskStatuses {
    reporter: StatusReporter,
    queue: Arc<StatusQueue>,
    thread: JoinHandle<()>,
}

impl TaskStatuses {
    /// Starts the thread. `store` is a broker with a status store; statuses are kept for `ttl` seconds.
    pub fn start(store: Arc<dyn Broker>, connection: &str, ttl: u32, panics: &PanicSlot) -> Result<Self> {
        let (queue, thread) = StatusQueue::start(store, panics)?;
        Ok(Self { reporter: StatusReporter::new(queue.clone(), Arc::from(connection), ttl), queue, thread })
    }

    /// The status of a task, if its id can have one.
    pub fn of(&self, task: &Task) -> Option<Rc<TaskStatus>> {
        StatusUpdate::can_be_about(&task.id).then(|| {
            let attempts = u32::try_from(task.current_retry.saturating_add(1)).unwrap_or(u32::MAX);
            Rc::new(TaskStatus { reporter: self.reporter.clone(), task: reference(task), id: task.id.clone(), attempts })
        })
    }

    /// Why statuses cannot be written, once an outage.
    pub fn take_failure(&self) -> Option<Error> {
        self.queue.take_failure()
    }

    /// Waits a little for what is not written yet, and ends the thread.
    pub fn close(self) {
        self.queue.flush(FLUSH_TIMEOUT);
        self.queue.close();
        // A panic was reported by the thread itself.
        let _ = self.thread.join();
    }
}

fn reference(task: &Task) -> JobRef {
    JobRef { job: task.kind.clone(), queue: task.level().queue().to_owned(), connection: String::new() }
}

/// Reports one execution of a task.
pub struct TaskStatus {
    reporter: StatusReporter,
    task: JobRef,
    id: String,
    attempts: u32,
}

impl TaskStatus {
    /// Its handler is about to be called.
    pub fn running(&self) {
        self.report(StatusChange::Running { attempts: self.attempts });
    }

    /// How far its handler is.
    pub fn progress(&self, percent: u8, message: Option<String>) {
        self.report(StatusChange::Progress { attempts: self.attempts, percent, message });
    }

    /// It goes back, uncounted.
    pub fn given_back(&self) {
        self.report(StatusChange::GivenBack { attempts: self.attempts });
    }

    /// It succeeded; `result` is JSON text.
    pub fn succeeded(&self, result: Option<String>) {
        self.ended(State::Succeeded, None, result);
    }

    /// The execution is over without success.
    pub fn failed(&self, state: State, why: &str) {
        self.ended(state, Some(why.to_owned()), None);
    }

    fn ended(&self, state: State, error: Option<String>, result: Option<String>) {
        self.report(StatusChange::ended(self.attempts, Ending { state, error, result }));
    }

    fn report(&self, change: StatusChange) {
        self.reporter.report_as(&self.id, self.task.clone(), change);
    }
}
