//! Tasks under the engine, with a receiver made of a script and a host made of closures.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ferry_core::backoff::Backoff;
use ferry_core::broker::tasks::{ForeignMessage, ReceivedTask, TaskReceiver, TaskSettlement};
use ferry_core::clock::SystemClock;
use ferry_core::control::WorkerControl;
use ferry_core::memory::MemoryBroker;
use ferry_core::policy::{HandlerLimits, Tries};
use ferry_core::queue::QueueName;
use ferry_core::status::State;
use ferry_core::task::Task;
use ferry_core::{Broker, Error, ErrorKind, Result};
use ferry_worker::{
    Consumer, Decoded, Event, Halt, Host, Interrupter, Options, RunEnd, StopRequest, TaskEnd, TaskEvent, TaskHost, TaskStatus,
    TimeoutStage,
};

const NOW: i64 = 1_700_000_000;

fn task(id: &str, max_retries: i64, current_retry: i64) -> ReceivedTask {
    let body = format!(
        r#"{{"task_id":"{id}","task_type":"mail","payload":[],"priority":5,"max_retries":{max_retries},"current_retry":{current_retry},"created_at":{NOW},"expire_at":{},"metadata":[]}}"#,
        NOW + 3600
    );
    let task = Task::decode(body.as_bytes(), None, NOW).unwrap();
    ReceivedTask::Run { task, body: body.into_bytes() }
}

/// What happened, in order: settlements and events.
type Record = Rc<RefCell<Vec<String>>>;

/// Brings what the script holds. `None` stands for an error of the connection.
#[derive(Clone)]
struct Script {
    arrivals: Rc<RefCell<VecDeque<Option<ReceivedTask>>>>,
    /// Errors of the settlements that come next.
    refusals: Rc<RefCell<VecDeque<Error>>>,
    record: Record,
    opened: Rc<Cell<u32>>,
}

impl Script {
    fn new(arrivals: Vec<Option<ReceivedTask>>) -> Self {
        let arrivals = Rc::new(RefCell::new(arrivals.into()));
        Self { arrivals, refusals: Rc::default(), record: Rc::default(), opened: Rc::default() }
    }

    fn of(tasks: Vec<ReceivedTask>) -> Self {
        Self::new(tasks.into_iter().map(Some).collect())
    }

    fn record(&self) -> Vec<String> {
        self.record.borrow().clone()
    }
}

impl TaskReceiver for Script {
    fn next(&mut self, _: Duration, _: &dyn Fn() -> String) -> Result<Option<ReceivedTask>> {
        match self.arrivals.borrow_mut().pop_front() {
            Some(None) => Err(Error::new(ErrorKind::Connection, "cut")),
            Some(arrival) => Ok(arrival),
            None => Ok(None),
        }
    }

    fn accept(&mut self, body: Vec<u8>, _: &dyn Fn() -> String) -> Result<ReceivedTask> {
        if let Some(error) = self.refusals.borrow_mut().pop_front() {
            return Err(error);
        }
        let task = Task::decode(&body, None, NOW)?;
        Ok(ReceivedTask::Run { task, body })
    }

    fn settle(&mut self, settlement: &TaskSettlement<'_>) -> Result<()> {
        if let Some(error) = self.refusals.borrow_mut().pop_front() {
            return Err(error);
        }
        self.record.borrow_mut().push(match settlement {
            TaskSettlement::Done => "done".to_owned(),
            TaskSettlement::Retry { body, pause } => format!("retry in {pause}: {}", count_in(body)),
            TaskSettlement::Dead { body, message, .. } => format!("dead {message}: {}", count_in(body)),
            TaskSettlement::Poison { why } => format!("poison {why}"),
            TaskSettlement::GiveBack => "give back".to_owned(),
        });
        Ok(())
    }

    fn close(&mut self) -> Result<()> {
        self.record.borrow_mut().push("close".to_owned());
        Ok(())
    }
}

fn count_in(body: &[u8]) -> i64 {
    Task::decode(body, None, NOW).unwrap().current_retry
}

struct FakeHost {
    run: Box<dyn Fn(&Task) -> TaskEnd>,
    decoded: Decoded,
    record: Record,
    unreadable: bool,
    limits: HandlerLimits,
    has_failed_method: bool,
    throw_at: Option<&'static str>,
    paused: Cell<bool>,
    stop: Rc<Cell<bool>>,
    polls: Cell<u32>,
    memory: usize,
}

impl FakeHost {
    fn new(script: &Script, run: impl Fn(&Task) -> TaskEnd + 'static) -> Self {
        Self {
            run: Box::new(run),
            decoded: Decoded::Unknown,
            record: script.record.clone(),
            unreadable: false,
            limits: HandlerLimits::default(),
            has_failed_method: false,
            throw_at: None,
            paused: Cell::default(),
            stop: Rc::default(),
            polls: Cell::default(),
            memory: 64,
        }
    }
}

fn line_of(event: TaskEvent<'_>) -> String {
    match event {
        TaskEvent::Starting(task) => format!("starting {}", task.id),
        TaskEvent::Succeeded(task) => format!("success {}", task.id),
        TaskEvent::Error(task, line) => format!("error {} {line}", task.id),
        TaskEvent::Retry { task, count, most, pause, why } => format!("retry {} {count}/{most} in {pause}: {why}", task.id),
        TaskEvent::Failed(task, why) => format!("failed {} {why}", task.id),
        TaskEvent::Expired(task) => format!("expired {}", task.id),
        TaskEvent::Poison { id, why } => format!("poison event {id} {why}"),
        TaskEvent::TimedOut(task, timeout) => format!("timeout {} {}", task.id, timeout.as_secs()),
        TaskEvent::GivenBack(task) => format!("given back {}", task.id),
    }
}

impl Host for FakeHost {
    fn event(&self, event: Event<'_>) -> std::result::Result<(), Halt> {
        let line = match event {
            Event::Task(event) => line_of(event),
            Event::BrokerError(error) => format!("broker error {error}"),
            Event::BrokerRecovered => "recovered".to_owned(),
            Event::BrokerLost(error) => format!("broker lost {error}"),
            Event::Paused => "paused".to_owned(),
            Event::Resumed => "resumed".to_owned(),
            Event::Stopping(code) => format!("stopping {code}"),
            _ => return Ok(()),
        };
        let halts = self.throw_at.is_some_and(|at| line.starts_with(at));
        self.record.borrow_mut().push(line);
        if halts { Err(Halt::Threw) } else { Ok(()) }
    }

    fn poll_signals(&self) -> std::result::Result<(), Halt> {
        self.polls.set(self.polls.get() + 1);
        if self.paused.get() && self.polls.get() > 2 {
            self.paused.set(false);
        }
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.get()
    }

    fn paused(&self) -> bool {
        self.paused.get()
    }

    fn idle(&self) -> std::result::Result<(), Halt> {
        Ok(())
    }

    fn memory(&self) -> usize {
        self.memory
    }
}

impl TaskHost for FakeHost {
    fn decode(&self, message: &ForeignMessage) -> Decoded {
        self.record.borrow_mut().push(format!("decode {}", message.id));
        self.decoded.clone()
    }

    fn open(&self, _: &Task, _: &[u8]) -> std::result::Result<std::result::Result<(), String>, Halt> {
        Ok(if self.unreadable { Err("no task".to_owned()) } else { Ok(()) })
    }

    fn prepare(&self, _: &Task) -> HandlerLimits {
        self.limits.clone()
    }

    fn failed(&self, why: &str) -> std::result::Result<(), Halt> {
        if self.has_failed_method {
            self.record.borrow_mut().push(format!("failed() {why}"));
        }
        Ok(())
    }

    fn result(&self) -> Option<String> {
        Some("17".to_owned())
    }

    fn run(&self, task: &Task, status: Option<&Rc<TaskStatus>>) -> TaskEnd {
        if let Some(status) = status {
            status.progress(40, Some("on its way".to_owned()));
        }
        (self.run)(task)
    }

    fn limits(&self, task: &Task) -> (i64, i64) {
        (task.max_retries, task.expire_at)
    }

    fn next_body(&self, task: &Task, body: &[u8], count: i64) -> Vec<u8> {
        task.with_retry(body, count)
    }

    fn release(&self) -> std::result::Result<(), Halt> {
        Ok(())
    }

    fn log(&self, event: TaskEvent<'_>) {
        self.record.borrow_mut().push(format!("log {}", line_of(event)));
    }

    fn now(&self) -> i64 {
        NOW
    }

    fn stamp(&self) -> String {
        "2026-01-31 12:00:00".to_owned()
    }
}

fn options() -> Options {
    Options { stop_when_empty: true, ..Options::new("rabbit", vec![QueueName::new(b"task.high").unwrap()]) }
}

fn no_fork() -> u64 {
    0
}

fn run(script: &Script, host: &FakeHost, options: &Options) -> RunEnd {
    consume(script, host, Consumer::new(options, no_fork))
}

fn consume<'a>(script: &'a Script, host: &'a FakeHost, consumer: Consumer<'a>) -> RunEnd {
    let open = |_: &[QueueName]| {
        script.opened.set(script.opened.get() + 1);
        Ok(Box::new(script.clone()) as Box<dyn TaskReceiver>)
    };
    consumer.run(host, Box::new(open)).0
}

fn code(end: &RunEnd) -> u8 {
    match end {
        RunEnd::Code(code) => *code,
        other => panic!("ended as {other:?}"),
    }
}

fn succeeds(_: &Task) -> TaskEnd {
    TaskEnd::Succeeded
}

#[test]
fn a_task_is_settled_before_its_success_is_reported() {
    let script = Script::of(vec![task("a", 3, 0)]);
    let host = FakeHost::new(&script, succeeds);
    assert_eq!(code(&run(&script, &host, &options())), 0);
    assert_eq!(script.record(), ["starting a", "done", "success a", "close", "stopping 0"]);
}

#[test]
fn a_failed_execution_is_tried_again_and_the_last_one_is_a_dead_letter() {
    let throws = |_: &Task| TaskEnd::Threw { line: "E: no".into(), why: "no".into(), trace: "#0".into() };
    let script = Script::of(vec![task("a", 3, 0), task("b", 3, 2)]);
    let host = FakeHost::new(&script, throws);
    run(&script, &host, &options());
    let expected = "starting a, retry in 2: 1, error a E: no, retry a 1/3 in 2: no, \
                    starting b, dead no: 3, error b E: no, failed b no, close, stopping 0";
    assert_eq!(script.record().join(", "), expected);
    let script = Script::of(vec![task("a", 1, 0)]);
    run(&script, &FakeHost::new(&script, |_| TaskEnd::Failed { why: "not now".into(), trace: String::new() }), &options());
    assert_eq!(script.record()[1..3], ["dead not now: 1", "failed a not now"]);
}

#[test]
fn the_tries_and_pauses_of_a_handler_hold_and_it_is_told_once_when_its_task_fails_for_good() {
    let fails = |_: &Task| TaskEnd::Failed { why: "no".into(), trace: String::new() };
    let limits = HandlerLimits { tries: Some(Tries::Limit(5)), timeout: None, backoff: Some(Backoff::List(vec![7, 90])) };
    let script = Script::of(vec![task("a", 3, 0), task("b", 3, 3), task("c", 3, 4)]);
    let host = FakeHost { limits, has_failed_method: true, ..FakeHost::new(&script, fails) };
    run(&script, &host, &options());
    let expected = "starting a, retry in 7: 1, retry a 1/5 in 7: no, starting b, retry in 90: 4, retry b 4/5 in 90: no, \
                    starting c, dead no: 5, failed() no, failed c no, close, stopping 0";
    assert_eq!(script.record().join(", "), expected);
}

#[test]
fn what_needs_no_run_is_reported_and_counts_as_a_unit() {
    let ReceivedTask::Run { task: known, .. } = task("a", 3, 1) else { panic!("a task to run") };
    let script = Script::of(vec![
        ReceivedTask::Expired(known.clone()),
        ReceivedTask::Poison { id: "p".into(), why: "no JSON".into() },
        ReceivedTask::Counted(known.clone(), 2),
        ReceivedTask::LastChance(known.clone()),
        ReceivedTask::CrashLoop(known),
        task("left", 3, 0),
    ]);
    let host = FakeHost::new(&script, |_| panic!("nothing runs"));
    run(&script, &host, &Options { max_jobs: Some(5), ..options() });
    let expected = "expired a, poison event p no JSON, retry a 2/3 in 0: its worker died, \
                    retry a 1/3 in 0: its worker died; it runs once more, failed a every worker that held it died, close, stopping 0";
    assert_eq!(script.record().join(", "), expected);
}

#[test]
fn a_task_that_php_cannot_read_is_a_dead_letter() {
    let script = Script::of(vec![task("a", 3, 0)]);
    let host = FakeHost { unreadable: true, ..FakeHost::new(&script, |_| panic!("must not run")) };
    run(&script, &host, &options());
    assert_eq!(script.record(), ["poison no task", "poison event a no task", "close", "stopping 0"]);
}

fn foreign(id: &str) -> ReceivedTask {
    let (headers, properties) = (Vec::new(), Vec::new());
    ReceivedTask::Foreign(ForeignMessage { id: id.into(), body: b"{}".to_vec(), headers, properties, why: "no type".into() })
}

#[test]
fn a_message_is_run_as_the_task_that_it_is_decoded_to() {
    let ReceivedTask::Run { body, .. } = task("a", 3, 0) else { panic!("a task to run") };
    let script = Script::of(vec![foreign("m")]);
    let fails = |_: &Task| TaskEnd::Failed { why: "no".into(), trace: String::new() };
    let host = FakeHost { decoded: Decoded::Task(body), ..FakeHost::new(&script, fails) };
    run(&script, &host, &options());
    assert_eq!(script.record(), ["decode m", "starting a", "retry in 2: 1", "retry a 1/3 in 2: no", "close", "stopping 0"]);
}

#[test]
fn a_message_that_no_decoder_knows_or_whose_decoder_fails_is_a_dead_letter() {
    for (decoded, why) in [
        (Decoded::Unknown, "no type"),
        (Decoded::Failed("it threw".into()), "it threw"),
        (Decoded::TimedOut, "the decode callback ran longer than the timeout and was stopped"),
    ] {
        let script = Script::of(vec![foreign("m")]);
        let host = FakeHost { decoded, ..FakeHost::new(&script, |_| panic!("nothing runs")) };
        run(&script, &host, &options());
        let expected = format!("decode m, poison {why}, poison event m {why}, close, stopping 0");
        assert_eq!(script.record().join(", "), expected);
    }
}

#[test]
fn a_decoder_that_ends_the_process_leaves_a_dead_letter_and_does_not_end_the_next_process() {
    for (decoded, why, halt) in [
        (Decoded::Exited, "the decode callback ended the process", Halt::Exited),
        (Decoded::Died("fatal".into()), "the decode callback ended the process: fatal", Halt::Died),
    ] {
        let script = Script::of(vec![foreign("m")]);
        let host = FakeHost { decoded, ..FakeHost::new(&script, |_| panic!("nothing runs")) };
        assert!(matches!(run(&script, &host, &options()), RunEnd::Halted(ended) if ended == halt));
        assert_eq!(script.record(), ["decode m".to_owned(), format!("poison {why}"), "close".to_owned()]);
    }
    let script = Script::of(vec![foreign("m")]);
    let host = FakeHost { decoded: Decoded::Unwinding, ..FakeHost::new(&script, |_| panic!("nothing runs")) };
    assert!(matches!(run(&script, &host, &options()), RunEnd::Halted(Halt::Exited)));
    assert_eq!(script.record(), ["decode m", "give back", "close"]);
}

#[test]
fn a_decoded_message_that_cannot_be_settled_comes_again() {
    let ReceivedTask::Run { body, .. } = task("a", 3, 0) else { panic!("a task to run") };
    let script = Script::of(vec![foreign("m"), foreign("m")]);
    script.refusals.borrow_mut().push_back(Error::new(ErrorKind::Connection, "cut"));
    let host = FakeHost { decoded: Decoded::Task(body), ..FakeHost::new(&script, succeeds) };
    run(&script, &host, &options());
    let record = script.record();
    assert_eq!(record.iter().filter(|line| *line == "decode m").count(), 2, "{record:?}");
    assert_eq!(record.iter().filter(|line| *line == "done").count(), 1, "{record:?}");
    assert_eq!(script.opened.get(), 2);
}

#[test]
fn a_listener_that_throws_before_the_task_gives_it_back() {
    let script = Script::of(vec![task("a", 3, 0)]);
    let host = FakeHost { throw_at: Some("starting"), ..FakeHost::new(&script, |_| panic!("must not run")) };
    assert!(matches!(run(&script, &host, &options()), RunEnd::Halted(Halt::Threw)));
    assert_eq!(script.record(), ["starting a", "give back", "close"]);
}

#[test]
fn a_handler_that_ends_the_process_counts_as_failed_and_no_listener_is_called() {
    for (end, halt, why) in
        [(TaskEnd::Exited, Halt::Exited, "the handler ended the process"), (TaskEnd::Died("memory".into()), Halt::Died, "memory")]
    {
        let script = Script::of(vec![task("a", 1, 0)]);
        let host = FakeHost::new(&script, move |_| end.clone());
        assert!(matches!(run(&script, &host, &options()), RunEnd::Halted(halted) if halted == halt));
        assert_eq!(script.record()[1..], [format!("dead {why}: 1"), format!("log failed a {why}"), "close".to_owned()]);
    }
}

#[test]
fn a_task_in_a_job_that_was_stopped_goes_back_uncounted_and_no_listener_is_called() {
    let script = Script::of(vec![task("a", 1, 0)]);
    let host = FakeHost::new(&script, |_| TaskEnd::Unwinding);
    assert!(matches!(run(&script, &host, &options()), RunEnd::Halted(Halt::Exited)));
    assert_eq!(script.record(), ["starting a", "give back", "close"]);
}

#[test]
fn a_settlement_that_the_broker_does_not_accept_is_tried_again_while_the_task_is_held() {
    let script = Script::of(vec![task("a", 3, 0)]);
    script.refusals.borrow_mut().push_back(Error::new(ErrorKind::Refused, "blocked"));
    let host = FakeHost::new(&script, succeeds);
    run(&script, &host, &options());
    assert_eq!(script.record(), ["starting a", "broker error blocked", "done", "success a", "close", "stopping 0"]);
}

#[test]
fn a_settlement_that_the_broker_never_accepts_does_not_outlast_max_time() {
    let script = Script::of(vec![task("a", 3, 0)]);
    script.refusals.borrow_mut().extend((0..1000).map(|_| Error::new(ErrorKind::Refused, "blocked")));
    let options = Options { stop_when_empty: false, max_time: Some(Duration::from_millis(50)), ..options() };
    assert_eq!(code(&run(&script, &FakeHost::new(&script, succeeds), &options)), 0);
    assert!(!script.record().contains(&"success a".to_owned()));
    assert!(script.refusals.borrow().len() > 900, "it was not asked again and again");
}

#[test]
fn a_right_that_is_taken_away_ends_the_consumer_and_one_that_never_was_does_not_let_it_start() {
    let denied = || Error::new(ErrorKind::Denied, "no right");
    let script = Script::of(vec![task("a", 3, 0), task("b", 3, 0)]);
    script.refusals.borrow_mut().push_back(denied());
    let host = FakeHost::new(&script, succeeds);
    assert_eq!(code(&run(&script, &host, &Options { stop_when_empty: false, ..options() })), 1);
    assert_eq!(script.record(), ["starting a", "broker lost no right", "stopping 1"]);
    let mut refuse = |_: &[QueueName]| Err(denied());
    let host = FakeHost::new(&script, succeeds);
    assert!(matches!(Consumer::new(&options(), no_fork).run(&host, Box::new(&mut refuse)).0, RunEnd::NotStarted(_)));
}

#[test]
fn a_task_that_is_no_longer_held_is_not_reported_and_the_consumer_opens_again() {
    let script = Script::of(vec![task("a", 3, 0), task("a", 3, 1)]);
    script.refusals.borrow_mut().push_back(Error::new(ErrorKind::Connection, "cut"));
    let host = FakeHost::new(&script, succeeds);
    run(&script, &host, &options());
    let expected = "starting a, broker error cut, recovered, starting a, done, success a, close, stopping 0";
    assert_eq!(script.record().join(", "), expected);
    assert_eq!(script.opened.get(), 2);
}

#[test]
fn an_outage_ends_with_exit_code_15_and_a_broker_that_never_answered_is_no_outage() {
    let script = Script::new(vec![Some(task("a", 3, 0)), None, None, None]);
    let host = FakeHost::new(&script, succeeds);
    let options = Options { stop_when_empty: false, max_outage: Some(Duration::from_millis(20)), ..options() };
    assert_eq!(code(&run(&script, &host, &options)), 15);
    let record = script.record();
    assert!(record.contains(&"broker error cut".to_owned()) && record.contains(&"broker lost cut".to_owned()), "{record:?}");
    let script = Script::new(vec![None]);
    assert!(matches!(run(&script, &FakeHost::new(&script, succeeds), &options), RunEnd::NotStarted(_)));
}

#[test]
fn a_paused_consumer_gives_back_what_it_holds_and_continues() {
    let script = Script::of(vec![task("a", 3, 0)]);
    let host = FakeHost::new(&script, succeeds);
    host.paused.set(true);
    run(&script, &host, &Options { stop_when_empty: false, max_jobs: Some(1), ..options() });
    assert_eq!(script.record()[..3], ["paused", "resumed", "starting a"]);
}

#[test]
fn queues_that_are_paused_for_all_workers_are_not_opened() {
    let flags = Arc::new(MemoryBroker::new(SystemClock, None));
    flags.pause(&QueueName::new(b"task.high").unwrap()).unwrap();
    let script = Script::of(vec![task("a", 3, 0)]);
    let host = FakeHost::new(&script, succeeds);
    let options = options();
    consume(&script, &host, Consumer::new(&options, no_fork).with_control(Some(flags)));
    assert_eq!((script.record(), script.opened.get()), (vec!["paused".to_owned(), "stopping 0".to_owned()], 0));
}

#[test]
fn memory_and_stop_end_a_consumer_with_their_exit_codes() {
    let script = Script::of(vec![task("a", 3, 0)]);
    assert_eq!(code(&run(&script, &FakeHost::new(&script, succeeds), &Options { memory: Some(64), ..options() })), 12);
    let host = FakeHost::new(&script, succeeds);
    host.stop.set(true);
    assert_eq!(code(&run(&script, &host, &options())), 0);
    assert_eq!(script.arrivals.borrow().len(), 1, "nothing was taken");
}

#[test]
fn the_status_of_a_task_is_kept_by_its_id_from_its_start_to_its_end() {
    let store = Arc::new(MemoryBroker::new(SystemClock, None));
    let ends = Cell::new(0);
    let script = Script::of(vec![task("a", 3, 0), task("b", 3, 0), task("c", 1, 0)]);
    let host = FakeHost::new(&script, move |task| {
        ends.set(ends.get() + 1);
        if task.id == "a" { TaskEnd::Succeeded } else { TaskEnd::Failed { why: "no".into(), trace: String::new() } }
    });
    let options = options();
    consume(&script, &host, Consumer::new(&options, no_fork).with_status_store(Some(store.clone()), 60));
    let find = |id: &str| store.status().unwrap().find(id).unwrap().unwrap();
    let done = find("a");
    assert_eq!((done.state, done.attempts, done.result.as_deref()), (State::Succeeded, 1, Some("17")));
    assert_eq!(
        (done.job.as_str(), done.queue.as_str(), done.connection.as_str()),
        ("mail", "task.normal", options.connection.as_str())
    );
    assert_eq!((find("b").state, find("b").error.as_deref(), find("b").progress), (State::Retrying, Some("no"), 40));
    assert_eq!((find("c").state, find("c").attempts), (State::Failed, 1));
}

/// Asks the handler to exit, as PHP's would be.
struct FakeInterrupter {
    request: StopRequest,
    entered: std::sync::mpsc::SyncSender<TimeoutStage>,
}

impl Interrupter for FakeInterrupter {
    fn enter(&self, stage: TimeoutStage) {
        let _ = self.entered.try_send(stage);
    }

    fn stop_request(&self) -> StopRequest {
        self.request
    }

    fn begin_interruption(&self) {}

    fn clear(&self) {}
}

fn run_watched(request: StopRequest) -> Vec<String> {
    let script = Script::of(vec![task("a", 3, 0)]);
    let (entered, stages) = std::sync::mpsc::sync_channel(9);
    let host = FakeHost::new(&script, move |_| {
        assert_eq!(stages.recv().unwrap(), TimeoutStage::GracefulExit);
        TaskEnd::TimedOut
    });
    let options = Options { timeout: Some(Duration::from_secs(1)), max_jobs: Some(1), ..options() };
    let interrupter = Arc::new(FakeInterrupter { request, entered });
    consume(&script, &host, Consumer::new(&options, no_fork).with_interrupter(interrupter));
    script.record()
}

#[test]
fn a_task_that_runs_too_long_is_a_failed_execution() {
    let expected = "starting a, timeout a 1, retry in 2: 1, \
                    retry a 1/3 in 2: mail ran longer than its timeout of 1 s and was stopped, close, stopping 0";
    assert_eq!(run_watched(StopRequest::No).join(", "), expected);
}

#[test]
fn a_task_that_is_interrupted_by_a_stop_goes_back_uncounted() {
    assert_eq!(run_watched(StopRequest::Again).join(", "), "starting a, give back, given back a, close, stopping 0");
}
