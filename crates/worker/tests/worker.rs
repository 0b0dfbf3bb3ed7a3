//! The worker with the memory broker and a host made of closures.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ferry_core::StatusStore;
use ferry_core::backoff::Backoff;
use ferry_core::broker::{
    Admin, Broker, Capabilities, ExtendResult, Isolation, PendingReserve, SentDeletion, Settle, SettleResult, Settlement, Sizes,
};
use ferry_core::clock::SystemClock;
use ferry_core::config::SettleMode;
use ferry_core::control::{ControlCommand, WorkerControl};
use ferry_core::job::NewJob;
use ferry_core::memory::MemoryBroker;
use ferry_core::policy::{HandlerLimits, OnReturn, Tries};
use ferry_core::queue::QueueName;
use ferry_core::status::{State, Status};
use ferry_core::{Claim, Error, ErrorKind, Reservation};
use ferry_worker::{
    CallEnd, Event, FailureCause, Halt, HeldJob, Host, InFlightJob, Interrupter, JobHost, Options, RunEnd, StopRequest,
    TimeoutStage, Worker, work_now,
};

type Handler = Box<dyn FnMut(&Rc<HeldJob>) -> CallEnd>;

struct FakeHost {
    handler: RefCell<Handler>,
    on_failed: CallEnd,
    events: RefCell<Vec<String>>,
    stop: Rc<Cell<bool>>,
    paused: Rc<Cell<bool>>,
    at_poll: RefCell<Box<dyn FnMut()>>,
    throw_at: Option<&'static str>,
    limits: HandlerLimits,
    /// No class is found.
    is_missing: bool,
    /// A factory knows no class.
    factory_lacks_it: bool,
    again: fn(u32) -> Result<Option<bool>, CallEnd>,
}

impl FakeHost {
    fn new(handler: impl FnMut(&Rc<HeldJob>) -> CallEnd + 'static) -> Self {
        Self {
            handler: RefCell::new(Box::new(handler)),
            on_failed: CallEnd::Returned,
            events: RefCell::default(),
            stop: Rc::default(),
            paused: Rc::default(),
            at_poll: RefCell::new(Box::new(|| {})),
            throw_at: None,
            limits: HandlerLimits::default(),
            is_missing: false,
            factory_lacks_it: false,
            again: |_| Ok(None),
        }
    }

    fn events(&self) -> Vec<String> {
        self.events.borrow().clone()
    }
}

impl JobHost for FakeHost {
    fn prepare(&self, _job: &InFlightJob) -> Result<HandlerLimits, CallEnd> {
        if self.is_missing { Err(CallEnd::NoHandler("class J does not exist".into())) } else { Ok(self.limits.clone()) }
    }

    fn lacks_handler(&self, _job: &InFlightJob) -> Result<bool, CallEnd> {
        Ok(self.factory_lacks_it)
    }

    fn backoff(&self) -> Option<Backoff> {
        None
    }

    fn can_retry(&self, _job: &Rc<HeldJob>, made: u32) -> Result<Option<bool>, CallEnd> {
        (self.again)(made)
    }

    fn call(&self, job: &Rc<HeldJob>) -> CallEnd {
        (self.handler.borrow_mut())(job)
    }

    fn failed(&self, job: &Rc<HeldJob>, why: &FailureCause) -> Result<CallEnd, Halt> {
        self.events.borrow_mut().push(format!("failed() {} {}", job.id(), why.reason.as_str()));
        Ok(self.on_failed.clone())
    }
}

impl Host for FakeHost {
    fn event(&self, event: Event<'_>) -> Result<(), Halt> {
        let line = match event {
            Event::Looping | Event::Ready => return Ok(()),
            Event::Paused => "paused".to_owned(),
            Event::Resumed => "resumed".to_owned(),
            Event::ControlError(error) => format!("control error {error}"),
            Event::StatusError(error) => format!("status error {error}"),
            Event::Status(summary) => format!("status {} {:?}", summary.processed, summary.pending),
            Event::Processing(job) => format!("processing {}", job.id()),
            Event::Processed(job) => format!("processed {}", job.id()),
            Event::Exception(job, why) => format!("exception {} {}", job.id(), why.text),
            Event::TimedOut(job, timeout) => format!("timed out {} {}", job.id(), timeout.as_secs()),
            Event::Failed(job, why) => format!("failed {} {}", job.id(), why.reason.as_str()),
            Event::Released(job, delay) => format!("released {} {delay}", job.id()),
            Event::NotSettled(job) => format!("not settled {}", job.id()),
            Event::Lost(job) => format!("lost {}", job.id()),
            Event::SettleLost { id, queue } => format!("settle_lost {id} {queue}"),
            Event::BrokerError(error) => format!("broker error {error}"),
            Event::BrokerRecovered => "recovered".to_owned(),
            Event::BrokerLost(error) => format!("broker lost {error}"),
            Event::Unsettled(job, error) => format!("unsettled {} {error}", job.id()),
            Event::Task(_) => return Ok(()),
            Event::Notice(notice) => format!("notice {notice}"),
            Event::ThreadPanicked(panic) => format!("panicked {panic}"),
            Event::Stopping(code) => format!("stopping {code}"),
        };
        let halt = self.throw_at.is_some_and(|at| line.starts_with(at));
        self.events.borrow_mut().push(line);
        if halt { Err(Halt::Threw) } else { Ok(()) }
    }

    fn poll_signals(&self) -> Result<(), Halt> {
        (self.at_poll.borrow_mut())();
        Ok(())
    }

    fn paused(&self) -> bool {
        self.paused.get()
    }

    fn idle(&self) -> Result<(), Halt> {
        Ok(())
    }

    fn stopping(&self) -> bool {
        self.stop.get()
    }

    fn memory(&self) -> usize {
        64
    }
}

fn queue() -> QueueName {
    QueueName::default()
}

fn body(id: &str, attempts: u32) -> Vec<u8> {
    format!(r#"{{"job":"J","maxTries":null,"timeout":null,"data":1,"id":"{id}","attempts":{attempts}}}"#).into_bytes()
}

fn broker_with(bodies: &[Vec<u8>]) -> Arc<MemoryBroker<SystemClock>> {
    let broker = MemoryBroker::new(SystemClock, Some(60));
    for body in bodies {
        broker.push(&queue(), NewJob::ready(body.clone())).unwrap();
    }
    Arc::new(broker)
}

fn options() -> Options {
    Options { stop_when_empty: true, ..Options::new("memory", vec![queue()]) }
}

fn no_fork() -> u64 {
    0
}

fn run(broker: &Arc<MemoryBroker<SystemClock>>, options: Options, host: &FakeHost) -> RunEnd {
    Worker::new(broker.clone(), options, no_fork).run(host)
}

fn code(end: &RunEnd) -> u8 {
    match end {
        RunEnd::Code(code) => *code,
        other => panic!("ended as {other:?}"),
    }
}

fn throws(_: &Rc<HeldJob>) -> CallEnd {
    CallEnd::Threw("boom".into())
}

#[test]
fn a_deleted_job_is_gone_and_its_events_fire_in_order() {
    for settle in [SettleMode::Pipelined, SettleMode::Immediate] {
        let broker = broker_with(&[body("a", 0), body("b", 0)]);
        let host = FakeHost::new(|job| {
            job.delete().unwrap();
            CallEnd::Returned
        });
        let end = run(&broker, Options { settle, ..options() }, &host);
        assert_eq!(code(&end), 0);
        assert_eq!(host.events(), ["processing a", "processed a", "processing b", "processed b", "stopping 0"]);
        assert_eq!(broker.size(&queue()).unwrap().total(), 0);
    }
}

#[test]
fn a_throw_is_released_with_the_delay_and_keeps_its_attempts() {
    let broker = broker_with(&[body("a", 0)]);
    let host = FakeHost::new(throws);
    run(&broker, Options { tries: Tries::Limit(3), backoff: Backoff::Fixed(5), ..options() }, &host);
    assert_eq!(host.events(), ["processing a", "exception a boom", "released a 5", "stopping 0"]);
    assert_eq!(broker.size(&queue()).unwrap().delayed, 1);
}

#[test]
fn the_last_attempt_is_buried_with_the_bytes_as_popped_then_told() {
    let broker = broker_with(&[body("a", 2)]);
    let host = FakeHost::new(throws);
    run(&broker, Options { tries: Tries::Limit(3), ..options() }, &host);
    assert_eq!(host.events(), ["processing a", "failed() a exception", "failed a exception", "exception a boom", "stopping 0"]);
    let failed = broker.failed(&queue(), 0, 9).unwrap();
    assert_eq!(failed[0].payload, body("a", 2));
    assert_eq!((failed[0].attempts, failed[0].exception.as_str()), (Some(3), "boom"));
}

#[test]
fn an_exhausted_job_is_not_run() {
    let broker = broker_with(&[body("a", 1)]);
    let host = FakeHost::new(|_| panic!("must not run"));
    run(&broker, Options { tries: Tries::Limit(1), ..options() }, &host);
    assert_eq!(host.events()[..3], ["processing a", "failed() a max_attempts", "failed a max_attempts"]);
}

#[test]
fn a_job_that_says_whether_it_is_tried_again_is_believed() {
    let ended = |attempts, again: fn(u32) -> Result<Option<bool>, CallEnd>| {
        let broker = broker_with(&[body("a", attempts)]);
        let host = FakeHost { again, ..FakeHost::new(throws) };
        let code = run(&broker, Options { tries: Tries::Limit(3), ..options() }, &host);
        (host.events()[1].clone(), code)
    };
    assert_eq!(ended(0, |_| Ok(Some(false))).0, "failed() a exception");
    assert_eq!(ended(0, |_| Ok(Some(true))).0, "exception a boom");
    assert_eq!(ended(2, |made| Ok(Some(made < 9))).0, "exception a boom", "beyond its tries");
    assert_eq!(ended(4, |made| Ok(Some(made == 4 || made == 5))).0, "exception a boom", "asked before it starts, and after");
    assert_eq!(ended(3, |_| Ok(None)).0, "failed() a max_attempts");
    assert_eq!(ended(3, |_| Ok(Some(false))).0, "failed() a max_attempts");
}

#[test]
fn a_job_that_ends_the_process_when_it_is_asked_is_settled_by_its_tries() {
    for (attempts, failed) in [(0, 0), (2, 1), (3, 1)] {
        let broker = broker_with(&[body("a", attempts)]);
        let host = FakeHost { again: |_| Err(CallEnd::Exited), ..FakeHost::new(throws) };
        run(&broker, Options { tries: Tries::Limit(3), ..options() }, &host);
        let sizes = broker.size(&queue()).unwrap();
        assert_eq!((sizes.failed, sizes.reserved, sizes.total()), (failed, 0, 1 - failed), "after {attempts}");
    }
}

#[test]
fn a_throwing_failed_callback_does_not_unbury_the_job() {
    let broker = broker_with(&[body("a", 0)]);
    let host = FakeHost { on_failed: CallEnd::Threw("failed() threw".into()), ..FakeHost::new(throws) };
    run(&broker, Options { tries: Tries::Limit(1), ..options() }, &host);
    assert_eq!(host.events(), ["processing a", "failed() a exception", "failed a exception", "stopping 0"]);
    assert_eq!(broker.size(&queue()).unwrap().failed, 1);
}

#[test]
fn poison_and_refused_handlers_are_buried_and_the_worker_continues() {
    let broker = broker_with(&[b"zzz".to_vec(), br#"{"x":1}"#.to_vec(), body("c", 0), body("d", 0)]);
    let host = FakeHost::new(|job| {
        if job.id() == "c" {
            return CallEnd::Refused("class Nope has no method fire()".into());
        }
        job.delete().unwrap();
        CallEnd::Returned
    });
    run(&broker, options(), &host);
    let reasons: Vec<String> = broker.failed(&queue(), 0, 9).unwrap().into_iter().map(|job| job.reason).collect();
    assert_eq!(reasons, ["no_handler", "poison", "poison"]);
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
    assert_eq!(host.events().iter().filter(|line| line.starts_with("processed")).count(), 1);
}

#[test]
fn a_settled_job_is_not_touched_again_when_its_handler_throws() {
    let broker = broker_with(&[body("a", 0), body("b", 2)]);
    let host = FakeHost::new(|job| {
        if job.id() == "a" {
            job.delete().unwrap()
        } else {
            job.release(7).unwrap()
        }
        CallEnd::Threw("boom".into())
    });
    run(&broker, Options { tries: Tries::Limit(3), ..options() }, &host);
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!((sizes.delayed, sizes.failed, sizes.total()), (1, 0, 1));
    assert!(!host.events().iter().any(|line| line.starts_with("failed")));
}

#[test]
fn a_handler_fails_its_own_job_and_the_first_settlement_counts() {
    let broker = broker_with(&["a", "b", "c", "d"].map(|id| body(id, 0)));
    let host = FakeHost::new(|job| {
        let ours = match job.id().as_str() {
            "b" => job.delete().map(|()| false),
            "c" => job.fail("first".into()),
            _ => Ok(true),
        };
        assert_eq!(job.fail(format!("no use: {}", job.id())).unwrap(), ours.unwrap() && job.id() != "c");
        assert_eq!(job.has_failed(), job.id() != "b");
        if job.id() == "d" { CallEnd::Threw("boom".into()) } else { CallEnd::Returned }
    });
    run(&broker, options(), &host);
    let events = "processing a, failed a asked, processed a, processing b, processed b, processing c, failed c asked, processed c, \
                processing d, failed d asked, exception d boom, stopping 0";
    assert_eq!(host.events().join(", "), events);
    let failed = broker.failed(&queue(), 0, 9).unwrap();
    let texts: Vec<&str> = failed.iter().map(|job| job.exception.as_str()).collect();
    assert_eq!(texts, ["no use: d", "first", "no use: a"]);
    assert_eq!((failed[2].payload.as_slice(), failed[2].reason.as_str()), (body("a", 0).as_slice(), "asked"));
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
}

#[test]
fn a_return_without_settling_leaves_the_job_reserved_or_deletes_it_by_option() {
    for (on_return, left) in [(OnReturn::Leave, 1), (OnReturn::Delete, 0)] {
        let broker = broker_with(&[body("a", 0)]);
        run(&broker, Options { on_return, ..options() }, &FakeHost::new(|_| CallEnd::Returned));
        assert_eq!(broker.size(&queue()).unwrap().reserved, left);
    }
}

#[test]
fn exit_in_a_handler_counts_as_a_throw_and_gives_the_neighbours_back() {
    let bodies: Vec<Vec<u8>> = (0..40).map(|n| body(&n.to_string(), 0)).collect();
    let broker = broker_with(&bodies);
    let host = FakeHost::new(|job| {
        if job.id() == "20" {
            return CallEnd::Exited;
        }
        job.delete().unwrap();
        CallEnd::Returned
    });
    let end = run(&broker, options(), &host);
    assert!(matches!(end, RunEnd::Halted(Halt::Exited)));
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!((sizes.ready, sizes.delayed, sizes.reserved), (19, 1, 0));
    let next = broker.reserve(&[queue()], 1, Duration::ZERO).unwrap();
    assert_eq!(next[0].body, body("21", 0), "no attempt is burnt and the order is kept");
}

#[test]
fn stop_ends_after_the_current_job_and_gives_the_rest_back() {
    let bodies: Vec<Vec<u8>> = (0..10).map(|n| body(&n.to_string(), 0)).collect();
    let broker = broker_with(&bodies);
    let seen = Rc::new(Cell::new(0));
    let count = seen.clone();
    let mut host = FakeHost::new(move |job| {
        count.set(count.get() + 1);
        job.delete().unwrap();
        CallEnd::Returned
    });
    host.throw_at = Some("processed 4");
    let end = run(&broker, options(), &host);
    assert!(matches!(end, RunEnd::Halted(Halt::Threw)));
    assert_eq!(seen.get(), 5);
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!((sizes.ready, sizes.reserved), (5, 0));
}

#[test]
fn a_listener_that_throws_before_the_job_gives_it_back() {
    let broker = broker_with(&[body("a", 0)]);
    let host = FakeHost { throw_at: Some("processing"), ..FakeHost::new(|_| panic!("must not run")) };
    assert!(matches!(run(&broker, options(), &host), RunEnd::Halted(Halt::Threw)));
    assert_eq!(broker.reserve(&[queue()], 1, Duration::ZERO).unwrap()[0].body, body("a", 0));
}

#[test]
fn limits_end_the_worker_with_their_exit_codes() {
    let bodies: Vec<Vec<u8>> = (0..9).map(|n| body(&n.to_string(), 0)).collect();
    let delete = |job: &Rc<HeldJob>| {
        job.delete().unwrap();
        CallEnd::Returned
    };
    for (options, exit, left) in [
        (Options { max_jobs: Some(3), ..options() }, 0, 6),
        (Options { once: true, ..options() }, 0, 8),
        (Options { memory: Some(64), ..options() }, 12, 9),
        (Options { max_time: Some(Duration::ZERO), ..options() }, 0, 9),
    ] {
        let broker = broker_with(&bodies);
        assert_eq!(code(&run(&broker, options, &FakeHost::new(delete))), exit);
        assert_eq!(broker.size(&queue()).unwrap().total(), left);
    }
}

#[test]
fn a_lost_reservation_is_reported_and_nobody_elses_copy_is_touched() {
    let broker = Arc::new(MemoryBroker::new(SystemClock, Some(0)));
    broker.push(&queue(), NewJob::ready(body("a", 0))).unwrap();
    let thief = broker.clone();
    let host = FakeHost::new(move |job| {
        assert_eq!(thief.reserve(&[queue()], 1, Duration::ZERO).unwrap().len(), 1, "the lease has ended");
        job.release(0).unwrap_err();
        CallEnd::Returned
    });
    let options = Options { retry_after: None, once: true, ..options() };
    run(&broker, options, &host);
    assert!(host.events().contains(&"lost a".to_owned()), "{:?}", host.events());
    assert_eq!(broker.size(&queue()).unwrap().reserved, 1);
}

#[test]
fn a_deletion_that_comes_too_late_is_reported() {
    let broker = Arc::new(MemoryBroker::new(SystemClock, Some(0)));
    broker.push(&queue(), NewJob::ready(body("a", 0))).unwrap();
    let thief = broker.clone();
    let host = FakeHost::new(move |job| {
        thief.reserve(&[queue()], 1, Duration::ZERO).unwrap();
        job.delete().unwrap();
        CallEnd::Returned
    });
    run(&broker, Options { retry_after: None, once: true, ..options() }, &host);
    assert!(host.events().contains(&"settle_lost a default".to_owned()), "{:?}", host.events());
}

#[test]
fn a_child_forked_in_a_handler_settles_nothing_and_ends() {
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    fn generation() -> u64 {
        GENERATION.load(Ordering::SeqCst)
    }
    let broker = broker_with(&[body("a", 0), body("b", 0)]);
    let host = FakeHost::new(|job| {
        GENERATION.fetch_add(1, Ordering::SeqCst);
        job.delete().unwrap_err();
        CallEnd::Returned
    });
    let end = Worker::new(broker.clone(), options(), generation).run(&host);
    assert!(matches!(end, RunEnd::Halted(Halt::Forked)));
    assert_eq!(broker.size(&queue()).unwrap().reserved, 1);
}

#[test]
fn sync_runs_a_job_without_a_broker() {
    let host = FakeHost::new(|job| {
        assert_eq!((job.attempts(), job.connection()), (1, "sync"));
        CallEnd::Returned
    });
    work_now("sync", &queue(), body("a", 0), 0, &host, no_fork, None).unwrap();
    assert_eq!(host.events(), ["processing a", "processed a"]);
    let host = FakeHost::new(throws);
    work_now("sync", &queue(), body("a", 0), 0, &host, no_fork, None).unwrap();
    assert_eq!(host.events(), ["processing a", "failed() a exception", "failed a exception", "exception a boom"]);
}

#[test]
fn a_job_that_timed_out_is_a_failed_attempt_and_reported_as_such() {
    let broker = broker_with(&[body("a", 0), body("b", 1)]);
    let host = FakeHost::new(|_| CallEnd::TimedOut);
    run(
        &broker,
        Options { tries: Tries::Limit(2), timeout: Some(Duration::from_secs(7)), backoff: Backoff::Fixed(0), ..options() },
        &host,
    );
    let why = "J ran longer than its timeout of 7 s and was stopped";
    let released = ["processing a".into(), "timed out a 7".into(), format!("exception a {why}"), "released a 0".into()];
    assert_eq!(host.events()[..4], released);
    assert_eq!(host.events()[4..7], ["processing b", "timed out b 7", "failed() b timeout"]);
    assert_eq!(broker.failed(&queue(), 0, 9).unwrap()[0].reason, "timeout");
}

#[test]
fn the_payload_is_asked_before_the_handler_and_the_handler_before_the_worker() {
    let strict = br#"{"job":"J","maxTries":1,"data":1,"id":"p","attempts":0}"#.to_vec();
    let broker = broker_with(&[strict, body("h", 0)]);
    let mut host = FakeHost::new(throws);
    host.limits =
        HandlerLimits { tries: Some(Tries::Limit(2)), backoff: Some(Backoff::List(vec![30])), ..HandlerLimits::default() };
    run(&broker, Options { tries: Tries::Limit(9), backoff: Backoff::Fixed(5), ..options() }, &host);
    assert!(host.events().contains(&"failed p exception".to_owned()), "{:?}", host.events());
    assert!(host.events().contains(&"released h 30".to_owned()), "{:?}", host.events());
}

#[test]
fn a_job_that_never_exits_is_settled_before_its_process_ends() {
    struct KillsProcess(Mutex<Sender<()>>);
    impl Interrupter for KillsProcess {
        fn enter(&self, stage: TimeoutStage) {
            if stage == TimeoutStage::KillProcess {
                self.0.lock().unwrap().send(()).unwrap();
            }
        }
        fn stop_request(&self) -> StopRequest {
            StopRequest::No
        }
        fn begin_interruption(&self) {}
        fn clear(&self) {}
    }
    let broker = broker_with(&[body("done", 0), body("stuck", 0), body("next", 0), body("last", 0)]);
    let (sender, ended) = channel();
    let there = broker.clone();
    // The thread stands for PHP's: the process would end beneath it.
    std::thread::spawn(move || {
        let host = FakeHost::new(|job| {
            if job.id() == "stuck" {
                std::thread::park_timeout(Duration::from_secs(60));
            }
            job.delete().unwrap();
            CallEnd::Returned
        });
        let short = Some(Duration::from_millis(20));
        let options = Options { tries: Tries::Limit(2), timeout: short, grace: Duration::from_millis(20), ..options() };
        Worker::new(there, options, no_fork).with_interrupter(Arc::new(KillsProcess(Mutex::new(sender)))).run(&host);
    });
    ended.recv_timeout(Duration::from_secs(30)).unwrap();
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!(
        (sizes.ready, sizes.delayed, sizes.reserved),
        (2, 1, 0),
        "neighbours back, the stuck one released, the done one gone"
    );
}

#[test]
fn jobs_whose_handler_allows_one_try_are_never_held_beside_others() {
    let bodies: Vec<Vec<u8>> = (0..6).map(|n| body(&n.to_string(), 0)).collect();
    let broker = broker_with(&bodies);
    let beside = broker.clone();
    let mut host = FakeHost::new(move |job| {
        assert_eq!(beside.size(&queue()).unwrap().reserved, 1, "only the running job is reserved");
        job.delete().unwrap();
        CallEnd::Returned
    });
    host.limits = HandlerLimits { tries: Some(Tries::Limit(1)), ..HandlerLimits::default() };
    let options = Options { settle: SettleMode::Immediate, ..options() };
    run(&broker, options, &host);
    assert_eq!(host.events().iter().filter(|line| line.starts_with("processed")).count(), 6);
}

/// Deletes every job.
fn deletes(job: &Rc<HeldJob>) -> CallEnd {
    job.delete().unwrap();
    CallEnd::Returned
}

#[test]
fn a_paused_worker_gives_back_what_it_holds_and_continues_when_resumed() {
    let bodies: Vec<Vec<u8>> = (0..8).map(|n| body(&n.to_string(), 0)).collect();
    let broker = broker_with(&bodies);
    let beside = broker.clone();
    let paused = Rc::new(Cell::new(false));
    let pauses = paused.clone();
    let mut host = FakeHost::new(move |job| {
        pauses.set(job.id() == "4");
        deletes(job)
    });
    host.paused = paused.clone();
    let polls = Cell::new(0);
    host.at_poll = RefCell::new(Box::new(move || {
        if paused.get() && polls.replace(polls.get() + 1) == 2 {
            let sizes = beside.size(&queue()).unwrap();
            assert_eq!((sizes.ready, sizes.reserved), (3, 0), "nothing is held while paused");
            paused.set(false);
        }
    }));
    let options = Options { stop_when_empty: false, max_jobs: Some(8), settle: SettleMode::Immediate, ..options() };
    assert_eq!(code(&run(&broker, options, &host)), 0);
    let events = host.events();
    let at = |line: &str| events.iter().position(|event| event == line).unwrap_or_else(|| panic!("{line} in {events:?}"));
    assert!(at("processed 4") < at("paused") && at("paused") < at("resumed") && at("resumed") < at("processing 5"));
}

#[test]
fn a_queue_that_is_paused_for_the_fleet_is_left_alone_and_others_are_worked() {
    let (mail, other) = (QueueName::new(b"mail").unwrap(), QueueName::new(b"other").unwrap());
    let broker = broker_with(&[]);
    broker.push(&mail, NewJob::ready(body("m", 0))).unwrap();
    broker.push(&other, NewJob::ready(body("o", 0))).unwrap();
    broker.pause(&mail).unwrap();
    let host = FakeHost::new(deletes);
    let options = Options { stop_when_empty: true, ..Options::new("memory", vec![mail.clone(), other.clone()]) };
    Worker::new(broker.clone(), options.clone(), no_fork).with_control(Some(broker.clone())).run(&host);
    assert_eq!(host.events(), ["processing o", "processed o", "stopping 0"]);
    assert_eq!(broker.size(&mail).unwrap().ready, 1);

    broker.pause(&other).unwrap();
    let host = FakeHost::new(deletes);
    Worker::new(broker.clone(), options, no_fork).with_control(Some(broker.clone())).run(&host);
    assert_eq!(host.events(), ["paused", "stopping 0"], "all queues are paused, so there is nothing to work");
}

#[test]
fn a_restart_of_the_fleet_ends_a_worker_at_the_end_of_its_job() {
    let bodies: Vec<Vec<u8>> = (0..2000).map(|n| body(&n.to_string(), 0)).collect();
    let broker = broker_with(&bodies);
    let beside = broker.clone();
    let host = FakeHost::new(move |job| {
        if job.id() == "0" {
            while beside.workers().unwrap().first().and_then(|worker| worker.job.clone()).as_deref() != Some("J") {
                std::thread::sleep(Duration::from_millis(5));
            }
            beside.command(ControlCommand::Restart).unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
        deletes(job)
    });
    let end = Worker::new(broker.clone(), options(), no_fork).with_control(Some(broker.clone())).run(&host);
    assert_eq!(code(&end), 0);
    let sizes = broker.size(&queue()).unwrap();
    assert!(sizes.ready > 0 && sizes.reserved == 0, "it left long before the end and gave back what it held: {sizes:?}");
    assert!(broker.workers().unwrap().is_empty(), "it signed off");
}

#[test]
fn an_interrupted_job_goes_back_as_it_came() {
    struct StopsAtOnce(Mutex<Sender<()>>);
    impl Interrupter for StopsAtOnce {
        fn enter(&self, stage: TimeoutStage) {
            if stage == TimeoutStage::GracefulExit {
                self.0.lock().unwrap().send(()).unwrap();
            }
        }
        fn stop_request(&self) -> StopRequest {
            StopRequest::Again
        }
        fn begin_interruption(&self) {}
        fn clear(&self) {}
    }
    let broker = broker_with(&[body("a", 2)]);
    let (sender, rung) = channel();
    let mut host = FakeHost::new(move |_| {
        rung.recv().unwrap();
        CallEnd::TimedOut
    });
    host.stop = Rc::default();
    let options = Options { tries: Tries::Limit(3), timeout: None, once: true, ..options() };
    Worker::new(broker.clone(), options, no_fork).with_interrupter(Arc::new(StopsAtOnce(Mutex::new(sender)))).run(&host);
    assert_eq!(host.events(), ["processing a", "released a 0", "stopping 0"]);
    assert_eq!(broker.peek(&queue(), ferry_core::broker::State::Ready, 0, 9).unwrap(), [body("a", 2)]);
}

#[test]
fn a_worker_fires_summaries_when_asked_to() {
    let broker = broker_with(&[body("a", 0), body("b", 0)]);
    let host = FakeHost::new(deletes);
    let options = Options { status: Some(Duration::ZERO), settle: SettleMode::Immediate, ..options() };
    run(&broker, options, &host);
    assert!(host.events().contains(&"status 1 Some(1)".to_owned()), "{:?}", host.events());
    assert!(host.events().contains(&"status 2 Some(0)".to_owned()), "{:?}", host.events());
}

#[test]
fn a_job_whose_class_is_missing_waits_for_it_and_is_buried_in_the_end() {
    let broker = broker_with(&[body("young", 0), body("old", 9)]);
    let host = FakeHost { is_missing: true, ..FakeHost::new(|_| panic!("must not run")) };
    run(&broker, Options { tries: Tries::Limit(2), backoff: Backoff::Fixed(0), ..options() }, &host);
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!((sizes.delayed, sizes.failed), (1, 1), "{:?}", host.events());
    assert!(host.events().contains(&"released young 1".to_owned()), "{:?}", host.events());
    assert_eq!(broker.failed(&queue(), 0, 9).unwrap()[0].reason, "no_handler");
}

#[test]
fn a_job_whose_class_a_factory_does_not_know_waits_longer_than_its_tries() {
    let broker = broker_with(&[body("waiting", 5), body("old", 9)]);
    let host = FakeHost { factory_lacks_it: true, ..FakeHost::new(|_| panic!("must not run")) };
    run(&broker, Options { tries: Tries::Limit(2), backoff: Backoff::Fixed(0), ..options() }, &host);
    let sizes = broker.size(&queue()).unwrap();
    assert_eq!((sizes.delayed, sizes.failed), (1, 1), "{:?}", host.events());
    assert_eq!(broker.failed(&queue(), 0, 9).unwrap()[0].reason, "no_handler");
}

#[test]
fn a_handler_that_settles_nothing_is_warned_about_once_a_class() {
    let other = br#"{"job":"K","data":1,"id":"k","attempts":0}"#.to_vec();
    let broker = broker_with(&[body("a", 0), body("b", 0), other]);
    let host = FakeHost::new(|_| CallEnd::Returned);
    run(&broker, options(), &host);
    let warnings: Vec<String> = host.events().into_iter().filter(|event| event.starts_with("not settled")).collect();
    assert_eq!(warnings, ["not settled a", "not settled k"]);
    let broker = broker_with(&[body("a", 0)]);
    let host = FakeHost::new(|_| CallEnd::Returned);
    run(&broker, Options { on_return: OnReturn::Delete, ..options() }, &host);
    assert!(!host.events().iter().any(|event| event.starts_with("not settled")));
}

#[test]
fn a_job_that_always_fails_with_no_delay_leaves_turns_to_its_queue_and_to_lower_ones() {
    let (high, low) = (QueueName::new(b"high").unwrap(), QueueName::new(b"low").unwrap());
    let broker = broker_with(&[]);
    for (queue, id) in [(&high, "bad"), (&high, "good"), (&low, "low")] {
        broker.push(queue, NewJob::ready(body(id, 0))).unwrap();
    }
    let host = FakeHost::new(|job| if job.id() == "bad" { throws(job) } else { deletes(job) });
    let options = Options { backoff: Backoff::Fixed(0), max_jobs: Some(20), ..Options::new("memory", vec![high, low]) };
    Worker::new(broker, options, no_fork).run(&host);
    let started: Vec<String> =
        host.events().iter().filter_map(|event| event.strip_prefix("processing ").map(str::to_owned)).collect();
    let at = |id: &str| started.iter().position(|job| job == id).unwrap_or_else(|| panic!("{id} in {started:?}"));
    assert!(at("good") <= 2, "{started:?}");
    assert!((10..=14).contains(&at("low")), "{started:?}");
}

#[test]
fn a_job_that_fails_is_not_processed() {
    let broker = broker_with(&[body("a", 0), body("b", 0)]);
    let host = FakeHost::new(|job| if job.id() == "a" { throws(job) } else { deletes(job) });
    let options = Options { status: Some(Duration::ZERO), settle: SettleMode::Immediate, max_jobs: Some(2), ..options() };
    run(&broker, options, &host);
    let last = host.events().into_iter().rfind(|event| event.starts_with("status")).unwrap();
    assert!(last.starts_with("status 1 "), "{:?}", host.events());
}

/// These methods of a broker are those of the one inside it.
macro_rules! inherit {
    ($inner:tt: $($method:ident),+) => { $(inherit!(@$method $inner);)+ };
    (@push $inner:tt) => {
        fn push(&self, queue: &QueueName, job: NewJob<'_>) -> ferry_core::Result<Option<i64>> {
            self.$inner.push(queue, job)
        }
    };
    (@push_many $inner:tt) => {
        fn push_many(&self, queue: &QueueName, jobs: &[NewJob<'_>]) -> ferry_core::Result<u64> {
            self.$inner.push_many(queue, jobs)
        }
    };
    (@reserve $inner:tt) => {
        fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> ferry_core::Result<Vec<Reservation>> {
            self.$inner.reserve(queues, max, wait)
        }
    };
    (@settle $inner:tt) => {
        fn settle(&self, batch: &[Settle]) -> ferry_core::Result<Vec<SettleResult>> {
            self.$inner.settle(batch)
        }
    };
    (@extend $inner:tt) => {
        fn extend(&self, claims: &[Claim]) -> ferry_core::Result<Vec<ExtendResult>> {
            self.$inner.extend(claims)
        }
    };
    (@size $inner:tt) => {
        fn size(&self, queue: &QueueName) -> ferry_core::Result<Sizes> {
            self.$inner.size(queue)
        }
    };
    (@capabilities $inner:tt) => {
        fn capabilities(&self) -> Capabilities {
            self.$inner.capabilities()
        }
    };
    (@close $inner:tt) => {
        fn close(&self) {}
    };
}

/// A broker whose answers to settlements are lost.
struct LosesAnswers(Arc<MemoryBroker<SystemClock>>);

impl Broker for LosesAnswers {
    inherit!(0: push, push_many, reserve, extend, size, capabilities, close);

    fn settle(&self, _: &[Settle]) -> ferry_core::Result<Vec<SettleResult>> {
        Err(Error::new(ErrorKind::Uncertain, "the answer was lost"))
    }
}

#[test]
fn a_settlement_that_did_not_arrive_is_reported_with_its_job_and_is_no_outage() {
    let broker = Arc::new(LosesAnswers(broker_with(&[body("a", 0)])));
    let host = FakeHost::new(throws);
    let end = Worker::new(broker.clone(), options(), no_fork).run(&host);
    assert_eq!(code(&end), 0);
    assert_eq!(host.events(), ["processing a", "exception a boom", "unsettled a the answer was lost", "stopping 0"]);
    assert_eq!(broker.size(&queue()).unwrap().reserved, 1);
}

/// A broker without leases. It moves the jobs of the first call of `isolate`, and finds `uncounted` attempts for those of later ones.
struct WithoutLeases {
    inner: Arc<MemoryBroker<SystemClock>>,
    isolated: Mutex<Vec<usize>>,
    uncounted: u32,
    connected: AtomicBool,
}

impl WithoutLeases {
    fn with(bodies: &[Vec<u8>], uncounted: u32) -> Arc<Self> {
        Arc::new(Self { inner: broker_with(bodies), isolated: Mutex::default(), uncounted, connected: AtomicBool::new(true) })
    }
}

impl Broker for WithoutLeases {
    inherit!(inner: push, push_many, reserve, settle, extend, size, close);

    fn may_hold(&self, _: &Claim) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    fn isolate(&self, claims: &[Claim]) -> ferry_core::Result<Vec<Isolation>> {
        let mut isolated = self.isolated.lock().unwrap();
        isolated.push(claims.len());
        if isolated.len() > 1 {
            return Ok(vec![Isolation::Alone { uncounted: self.uncounted }; claims.len()]);
        }
        let back: Vec<Settle> =
            claims.iter().map(|claim| Settle { claim: claim.clone(), settlement: Settlement::GiveBack }).collect();
        self.inner.settle(&back)?;
        Ok(vec![Isolation::Moved; claims.len()])
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { leases: false, ..self.inner.capabilities() }
    }
}

#[test]
fn without_leases_a_job_with_one_try_is_isolated_before_it_starts_whoever_declared_the_limit() {
    for (by_class, by_worker) in [(Some(Tries::Limit(1)), Tries::Unlimited), (None, Tries::Limit(1))] {
        let broker = WithoutLeases::with(&[body("a", 0), body("b", 0)], 0);
        let host = FakeHost { limits: HandlerLimits { tries: by_class, ..HandlerLimits::default() }, ..FakeHost::new(deletes) };
        let end = Worker::new(broker.clone(), Options { tries: by_worker, ..options() }, no_fork).run(&host);
        assert_eq!(code(&end), 0);
        assert_eq!(broker.isolated.lock().unwrap().iter().sum::<usize>(), 3, "one was moved, and then both were alone");
        assert_eq!(host.events(), ["processing a", "processed a", "processing b", "processed b", "stopping 0"]);
    }
}

#[test]
fn an_attempt_that_was_counted_for_a_job_that_never_started_does_not_end_a_job_with_one_try() {
    for (uncounted, ran) in [(1, true), (0, false)] {
        let broker = WithoutLeases::with(&[body("a", 1)], uncounted);
        let host = FakeHost {
            limits: HandlerLimits { tries: Some(Tries::Limit(1)), ..HandlerLimits::default() },
            ..FakeHost::new(deletes)
        };
        Worker::new(broker, options(), no_fork).run(&host);
        assert_eq!(host.events().contains(&"processed a".to_owned()), ran, "{:?}", host.events());
        assert_eq!(host.events().contains(&"failed a max_attempts".to_owned()), !ran, "{:?}", host.events());
    }
}

#[test]
fn one_job_worked_by_hand_is_isolated_too() {
    let broker = WithoutLeases::with(&[body("a", 0)], 0);
    let host =
        FakeHost { limits: HandlerLimits { tries: Some(Tries::Limit(1)), ..HandlerLimits::default() }, ..FakeHost::new(deletes) };
    let mut worker = Worker::new(broker.clone(), options(), no_fork);
    assert!(worker.work_one(&host).unwrap());
    assert_eq!(host.events()[..2], ["processing a", "processed a"]);
    assert_eq!(*broker.isolated.lock().unwrap(), [1, 1]);
}

#[test]
fn held_jobs_are_not_started_once_their_connection_broke() {
    let broker = WithoutLeases::with(&[body("a", 0), body("b", 0), body("c", 0)], 0);
    let inside = broker.clone();
    let host = FakeHost::new(move |job| {
        inside.connected.store(false, Ordering::Relaxed);
        deletes(job)
    });
    let end = Worker::new(broker.clone(), options(), no_fork).run(&host);
    assert_eq!(code(&end), 0);
    assert_eq!(host.events(), ["processing a", "processed a", "stopping 0"]);
    assert_eq!(broker.size(&queue()).unwrap().reserved, 2, "they belong to whoever the broker gave them to");
}

/// A broker that sends deletions without waiting, and notes what it was asked.
struct SendsDeletions {
    inner: Arc<MemoryBroker<SystemClock>>,
    answers: bool,
    /// What becomes of each deletion. One in doubt was not carried out.
    outcome: SentDeletion,
    asked: Mutex<Vec<&'static str>>,
}

impl Broker for SendsDeletions {
    inherit!(inner: push, push_many, reserve, extend, size, capabilities, close);

    fn settle(&self, batch: &[Settle]) -> ferry_core::Result<Vec<SettleResult>> {
        self.asked.lock().unwrap().push("settle");
        self.inner.settle(batch)
    }

    fn send_deletion(&self, claim: &Claim) -> bool {
        self.asked.lock().unwrap().push("send");
        if self.outcome == SentDeletion::InDoubt {
            return true;
        }
        let settle = Settle { claim: claim.clone(), settlement: Settlement::Delete };
        self.inner.settle(&[settle]).unwrap() == [SettleResult::Applied]
    }

    fn sent_deletion(&self) -> SentDeletion {
        self.outcome
    }

    fn flush_deletions(&self, _: Duration) -> ferry_core::Result<()> {
        self.asked.lock().unwrap().push("flush");
        if self.answers { Ok(()) } else { Err(Error::new(ErrorKind::Uncertain, "no answer")) }
    }
}

#[test]
fn the_deletion_of_the_last_job_in_hand_is_sent_at_once_and_awaited_at_the_end() {
    for (answers, settle, asked) in [
        (true, SettleMode::Pipelined, vec!["send", "send", "flush"]),
        (false, SettleMode::Pipelined, vec!["send", "send", "flush"]),
        (true, SettleMode::Immediate, vec!["settle", "settle"]),
    ] {
        let inner = broker_with(&[body("a", 0), body("b", 0)]);
        let outcome = SentDeletion::Settled(SettleResult::Applied);
        let broker = Arc::new(SendsDeletions { inner, answers, outcome, asked: Mutex::default() });
        let host = FakeHost::new(deletes);
        Worker::new(broker.clone(), Options { prefetch: 1, settle, ..options() }, no_fork).run(&host);
        assert_eq!(*broker.asked.lock().unwrap(), asked);
        assert_eq!(broker.size(&queue()).unwrap().total(), 0);
        assert_eq!(host.events().iter().any(|event| event.starts_with("broker lost")), !answers, "{:?}", host.events());
    }
}

#[test]
fn a_sent_deletion_is_repeated_when_it_is_in_doubt_and_reported_when_it_came_too_late() {
    for (outcome, repeated, late) in [
        (SentDeletion::InDoubt, true, false),
        (SentDeletion::Settled(SettleResult::Lost), false, true),
        (SentDeletion::Settled(SettleResult::Applied), false, false),
    ] {
        let inner = broker_with(&[body("a", 0), body("b", 0)]);
        let broker = Arc::new(SendsDeletions { inner, answers: true, outcome, asked: Mutex::default() });
        let host = FakeHost::new(deletes);
        Worker::new(broker.clone(), Options { prefetch: 1, ..options() }, no_fork).run(&host);
        assert_eq!(broker.asked.lock().unwrap().contains(&"settle"), repeated, "{outcome:?}");
        assert_eq!(broker.size(&queue()).unwrap().total(), 0, "{outcome:?}");
        let reports = host.events().iter().filter(|event| event.starts_with("settle_lost")).count();
        assert_eq!(reports, if late { 2 } else { 0 }, "{outcome:?}: {:?}", host.events());
    }
}

#[test]
fn while_the_answer_to_a_sent_deletion_is_not_read_the_next_goes_the_ordinary_way() {
    let inner = broker_with(&[body("a", 0), body("b", 0)]);
    let broker = Arc::new(SendsDeletions { inner, answers: true, outcome: SentDeletion::Unread, asked: Mutex::default() });
    Worker::new(broker.clone(), Options { prefetch: 1, ..options() }, no_fork).run(&FakeHost::new(deletes));
    assert_eq!(*broker.asked.lock().unwrap(), ["send", "settle", "flush"]);
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
}

/// A broker whose deletions panic.
struct PanicsOnDelete(Arc<MemoryBroker<SystemClock>>);

impl Broker for PanicsOnDelete {
    inherit!(0: push, push_many, reserve, extend, size, capabilities, close);

    fn settle(&self, batch: &[Settle]) -> ferry_core::Result<Vec<SettleResult>> {
        match batch.iter().any(|item| matches!(item.settlement, Settlement::Delete)) {
            true => panic!("a bug of the driver"),
            false => self.0.settle(batch),
        }
    }
}

#[test]
fn a_thread_that_panics_ends_the_worker_visibly() {
    let broker = Arc::new(PanicsOnDelete(broker_with(&[body("a", 0)])));
    let host = FakeHost::new(deletes);
    let end = Worker::new(broker, Options { stop_when_empty: false, ..options() }, no_fork).run(&host);
    assert_eq!(code(&end), 16);
    let events = host.events();
    assert!(events.iter().any(|event| event.starts_with("panicked the thread `ferry-settle` panicked: a bug")), "{events:?}");
    assert_eq!(events.last().unwrap(), "stopping 16");
}

#[test]
fn times_that_no_clock_can_hold_are_taken_for_very_long() {
    struct Idle;
    impl Interrupter for Idle {
        fn enter(&self, _: TimeoutStage) {}
        fn stop_request(&self) -> StopRequest {
            StopRequest::Politely
        }
        fn begin_interruption(&self) {}
        fn clear(&self) {}
    }
    let huge = Duration::from_secs(i64::MAX.unsigned_abs());
    let payload = format!(r#"{{"job":"J","timeout":{},"data":1,"id":"p","attempts":0}}"#, i64::MAX).into_bytes();
    let broker = broker_with(&[payload, body("a", 0)]);
    let host = FakeHost::new(|job| {
        // The watchdog polls while it runs.
        std::thread::sleep(Duration::from_millis(250));
        deletes(job)
    });
    let options = Options {
        timeout: Some(huge),
        warning: Some(Duration::from_secs(1)),
        grace: huge,
        stop_timeout: Some(huge),
        status: Some(huge),
        max_time: Some(huge),
        max_lease: huge,
        max_outage: Some(huge),
        ..options()
    };
    let end = Worker::new(broker.clone(), options, no_fork).with_interrupter(Arc::new(Idle)).run(&host);
    assert_eq!(code(&end), 0, "{:?}", host.events());
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
}

/// What the status store knows of the job `a` after a run.
fn status_after(options: Options, bodies: &[Vec<u8>], host: &FakeHost) -> Status {
    let broker = broker_with(bodies);
    Worker::new(broker.clone(), options, no_fork).with_status_store(Some(broker.clone()), 60).run(host);
    broker.find("a").unwrap().expect("a status")
}

#[test]
fn every_end_of_a_job_has_its_status() {
    type Work = fn(&Rc<HeldJob>) -> CallEnd;
    let deletes: Work = |job| {
        job.delete().unwrap();
        CallEnd::Returned
    };
    let deletes_and_throws: Work = |job| {
        job.delete().unwrap();
        throws(job)
    };
    let releases: Work = |job| {
        job.release(60).unwrap();
        CallEnd::Returned
    };
    let fails: Work = |job| {
        job.fail("asked".to_owned()).unwrap();
        throws(job)
    };
    let returns: Work = |_| CallEnd::Returned;
    let exits: Work = |_| CallEnd::Exited;
    let nobody: Work = |_| CallEnd::Refused("no method".into());
    let missing: Work = |_| CallEnd::NoHandler("no class".into());
    let three = Options { tries: Tries::Limit(3), backoff: Backoff::Fixed(60), ..options() };
    let deleting = Options { on_return: OnReturn::Delete, ..three.clone() };
    let exited = "The worker process ended while this job ran: its handler called exit()";
    let exhausted = "J has been attempted too many times or run too long. The job may have previously timed out.";
    for (what, options, tried, work, state, attempts, error) in [
        ("deletes", &three, 0, deletes, State::Succeeded, 1, None),
        ("deletes and throws", &three, 0, deletes_and_throws, State::Failed, 1, Some("boom")),
        ("releases", &three, 1, releases, State::Retrying, 2, None),
        ("fails", &three, 0, fails, State::Failed, 1, Some("asked")),
        ("throws", &three, 0, throws as Work, State::Retrying, 1, Some("boom")),
        ("throws at last", &three, 2, throws as Work, State::Failed, 3, Some("boom")),
        ("returns", &three, 0, returns, State::Retrying, 1, None),
        ("returns and is done", &deleting, 0, returns, State::Succeeded, 1, None),
        ("exits", &three, 0, exits, State::Retrying, 1, Some(exited)),
        ("has no handler", &three, 0, nobody, State::Failed, 1, Some("no method")),
        ("has no class", &three, 0, missing, State::Retrying, 1, Some("no class")),
        ("is late", &three, 3, returns, State::Expired, 4, Some(exhausted)),
    ] {
        for settle in [SettleMode::Pipelined, SettleMode::Immediate] {
            let options = Options { settle, ..options.clone() };
            let status = status_after(options, &[body("a", tried)], &FakeHost::new(work));
            assert_eq!((status.state, status.attempts, status.error.as_deref()), (state, attempts, error), "{what}");
            assert_eq!((status.job.as_str(), status.queue.as_str(), status.connection.as_str()), ("J", "default", "memory"));
            assert_eq!(status.finished_at.is_some(), state.is_finished(), "{what}");
        }
    }
}

#[test]
fn progress_is_seen_while_the_job_runs_and_its_result_at_its_end() {
    let broker = broker_with(&[body("a", 0)]);
    let seen = broker.clone();
    let host = FakeHost::new(move |job| {
        job.report_progress(40, Some("half".to_owned()));
        let until = std::time::Instant::now() + Duration::from_secs(20);
        while seen.find("a").unwrap().is_none_or(|status| status.progress != 40) && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        let status = seen.find("a").unwrap().unwrap();
        assert_eq!((status.state, status.progress, status.message.as_deref()), (State::Running, 40, Some("half")));
        job.keep_result("[1]".to_owned());
        job.delete().unwrap();
        CallEnd::Returned
    });
    Worker::new(broker.clone(), options(), no_fork).with_status_store(Some(broker.clone()), 60).run(&host);
    let status = broker.find("a").unwrap().unwrap();
    assert_eq!((status.state, status.progress, status.result.as_deref()), (State::Succeeded, 100, Some("[1]")));
}

#[test]
fn an_interrupted_job_is_queued_again_with_no_attempt_burnt() {
    let status = status_after(Options { once: true, ..options() }, &[body("a", 1)], &FakeHost::new(|_| CallEnd::Interrupted));
    assert_eq!((status.state, status.attempts, status.started_at), (State::Queued, 1, None));
}

#[test]
fn a_lost_job_changes_no_status() {
    let broker = broker_with(&[body("a", 0)]);
    let other = broker.clone();
    let host = FakeHost::new(move |job| {
        // Somebody else ended it meanwhile.
        let claim = job.in_flight().reservation.claim.clone();
        other.settle(&[Settle { claim, settlement: Settlement::Delete }]).unwrap();
        assert!(job.release(0).is_err());
        CallEnd::Returned
    });
    Worker::new(broker.clone(), options(), no_fork).with_status_store(Some(broker.clone()), 60).run(&host);
    assert_eq!(broker.find("a").unwrap().unwrap().state, State::Running);
}

#[test]
fn jobs_without_an_id_and_workers_without_a_status_store_leave_no_status() {
    let broker = broker_with(&[br#"{"job":"J","data":1,"attempts":0}"#.to_vec(), body("a", 0)]);
    let host = FakeHost::new(|job| {
        job.report_progress(50, None);
        job.delete().unwrap();
        CallEnd::Returned
    });
    Worker::new(broker.clone(), Options { once: true, ..options() }, no_fork)
        .with_status_store(Some(broker.clone()), 60)
        .run(&host);
    Worker::new(broker.clone(), options(), no_fork).run(&host);
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
    assert_eq!(broker.find("a").unwrap(), None);
}

#[test]
fn inside_push_a_handler_that_returns_is_done_and_one_that_throws_has_failed() {
    use ferry_core::status::StatusUpdate;
    use ferry_worker::{StatusReporter, StatusWriter};

    struct WritesAtOnce(Arc<MemoryBroker<SystemClock>>);
    impl StatusWriter for WritesAtOnce {
        fn write(&self, update: StatusUpdate) {
            self.0.update(&[update]).unwrap();
        }
    }
    for (work, state) in [(CallEnd::Returned, State::Succeeded), (CallEnd::Threw("boom".into()), State::Failed)] {
        let broker = broker_with(&[]);
        let reporter = StatusReporter::new(Arc::new(WritesAtOnce(broker.clone())), Arc::from("sync"), 60);
        let host = FakeHost::new(move |_| work.clone());
        work_now("sync", &queue(), body("a", 0), 0, &host, no_fork, Some(reporter)).unwrap();
        assert_eq!(broker.find("a").unwrap().unwrap().state, state);
    }
}

/// A broker of which jobs can be asked for ahead. They are reserved at once and answered when somebody asks.
struct Ahead {
    inner: Arc<MemoryBroker<SystemClock>>,
    state: Arc<AheadState>,
}

#[derive(Default)]
struct AheadState {
    /// How many jobs each request was for.
    asked: Mutex<Vec<usize>>,
    received: AtomicU64,
    loses_answers: AtomicBool,
    most_held: AtomicU64,
    given_back: AtomicU64,
}

struct PendingAhead(Vec<Reservation>, Arc<AheadState>);

impl PendingReserve for PendingAhead {
    fn receive(self: Box<Self>) -> ferry_core::Result<Vec<Reservation>> {
        self.1.received.fetch_add(1, Ordering::SeqCst);
        if self.1.loses_answers.load(Ordering::SeqCst) {
            return Err(Error::new(ErrorKind::Uncertain, "the answer was lost"));
        }
        Ok(self.0)
    }
}

impl Ahead {
    fn with(bodies: &[Vec<u8>]) -> Arc<Self> {
        Arc::new(Self { inner: broker_with(bodies), state: Arc::default() })
    }

    fn note_held(&self) {
        self.state.most_held.fetch_max(self.inner.size(&queue()).unwrap().reserved, Ordering::SeqCst);
    }

    /// What is ready, in order, by the number in its id.
    fn ready(&self) -> Vec<usize> {
        let ready = self.inner.reserve(&[queue()], 1000, Duration::ZERO).unwrap();
        ready
            .iter()
            .map(|job| (0..1000).find(|n| job.body == body(&n.to_string(), 0)).expect("its bytes are the original ones"))
            .collect()
    }
}

impl Broker for Ahead {
    inherit!(inner: push, push_many, extend, size, capabilities, close);

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> ferry_core::Result<Vec<Reservation>> {
        let jobs = self.inner.reserve(queues, max, wait);
        self.note_held();
        jobs
    }

    fn reserve_ahead(self: Arc<Self>, queue: &QueueName, max: usize) -> Option<Box<dyn PendingReserve>> {
        self.state.asked.lock().unwrap().push(max);
        let jobs = self.inner.reserve(std::slice::from_ref(queue), max, Duration::ZERO).unwrap();
        self.note_held();
        Some(Box::new(PendingAhead(jobs, self.state.clone())))
    }

    fn settle(&self, batch: &[Settle]) -> ferry_core::Result<Vec<SettleResult>> {
        let given_back = batch.iter().filter(|item| matches!(item.settlement, Settlement::GiveBack)).count();
        self.state.given_back.fetch_add(given_back as u64, Ordering::SeqCst);
        self.inner.settle(batch)
    }

    fn control(&self) -> Option<&dyn WorkerControl> {
        self.inner.control()
    }
}

fn numbered(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| body(&n.to_string(), 0)).collect()
}

/// Batches of 1, 2, 4 and 8 jobs, and then four at a time that were asked for ahead.
fn eight_at_once() -> Options {
    Options { prefetch: 8, settle: SettleMode::Immediate, ..options() }
}

#[test]
fn fast_jobs_are_asked_for_ahead_and_no_more_than_prefetch_are_ever_held() {
    let broker = Ahead::with(&numbered(100));
    let host = FakeHost::new(deletes);
    assert_eq!(code(&Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host)), 0);
    let processed: Vec<String> = host.events().into_iter().filter(|event| event.starts_with("processed")).collect();
    assert_eq!(processed, (0..100).map(|n| format!("processed {n}")).collect::<Vec<_>>(), "all of them, in order");
    let asked = broker.state.asked.lock().unwrap().clone();
    assert!(asked.len() > 15 && asked.iter().all(|size| *size == 4), "{asked:?}");
    assert_eq!(broker.state.received.load(Ordering::SeqCst), asked.len() as u64);
    assert_eq!(broker.state.most_held.load(Ordering::SeqCst), 8);
    assert_eq!(broker.size(&queue()).unwrap().total(), 0);
}

#[test]
fn nothing_is_asked_for_ahead_of_slow_jobs_or_beside_jobs_with_one_try() {
    let slow = FakeHost::new(|job| {
        std::thread::sleep(Duration::from_millis(15));
        deletes(job)
    });
    let mut one_try = FakeHost::new(deletes);
    one_try.limits = HandlerLimits { tries: Some(Tries::Limit(1)), ..HandlerLimits::default() };
    for host in [slow, one_try] {
        let broker = Ahead::with(&numbered(30));
        Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host);
        assert_eq!(*broker.state.asked.lock().unwrap(), Vec::<usize>::new());
    }
    let broker = Ahead::with(&numbered(30));
    let options = Options { tries: Tries::Limit(1), ..eight_at_once() };
    Worker::new(broker.clone(), options, no_fork).run(&FakeHost::new(deletes));
    assert_eq!(*broker.state.asked.lock().unwrap(), Vec::<usize>::new());
}

/// In the batch of the jobs 7 to 14. The jobs 15 to 18 are asked for before job 11 starts.
const IN_THE_BATCH: &str = "13";

#[test]
fn jobs_that_were_asked_for_ahead_go_back_in_order_however_the_worker_ends() {
    for (ends, left) in
        [(CallEnd::Exited, (14..40).collect::<Vec<_>>()), (CallEnd::Died("Out of memory".into()), (14..40).collect())]
    {
        let broker = Ahead::with(&numbered(40));
        let host = FakeHost::new(move |job| {
            deletes(job);
            if job.id() == IN_THE_BATCH { ends.clone() } else { CallEnd::Returned }
        });
        Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host);
        assert!(!broker.state.asked.lock().unwrap().is_empty());
        assert_eq!(broker.ready(), left);
    }
    let broker = Ahead::with(&numbered(40));
    let stop = Rc::new(Cell::new(false));
    let stops = stop.clone();
    let mut host = FakeHost::new(move |job| {
        stops.set(job.id() == IN_THE_BATCH);
        deletes(job)
    });
    host.stop = stop;
    assert_eq!(code(&Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host)), 0);
    assert!(!broker.state.asked.lock().unwrap().is_empty());
    assert_eq!(broker.ready(), (14..40).collect::<Vec<_>>());
}

#[test]
fn a_worker_with_a_limit_of_jobs_asks_for_none_that_it_would_not_run() {
    for limit in 12..30 {
        let broker = Ahead::with(&numbered(40));
        let options = Options { max_jobs: Some(limit), ..eight_at_once() };
        assert_eq!(code(&Worker::new(broker.clone(), options, no_fork).run(&FakeHost::new(deletes))), 0);
        assert_eq!(broker.state.given_back.load(Ordering::SeqCst), 0);
        assert_eq!(broker.ready(), (usize::try_from(limit).unwrap()..40).collect::<Vec<_>>());
    }
}

#[test]
fn a_higher_queue_that_is_resumed_is_served_although_the_lower_one_has_a_backlog() {
    let broker = Ahead::with(&numbered(40));
    let high = QueueName::new(b"high").unwrap();
    broker.push(&high, NewJob::ready(body("high", 0))).unwrap();
    broker.control().unwrap().pause(&high).unwrap();
    let (beside, resumed) = (broker.clone(), high.clone());
    let (is_served, begun, pushed) = (Cell::new(false), std::time::Instant::now(), Cell::new(100));
    let host = FakeHost::new(move |job| {
        assert!(begun.elapsed() < Duration::from_secs(20), "the resumed queue waits");
        // The store in memory has one lock, which jobs that take no time would keep from the thread that reads the flags.
        std::thread::sleep(Duration::from_micros(100));
        is_served.set(is_served.get() || job.id() == "high");
        if !is_served.get() {
            // The backlog never ends.
            pushed.set(pushed.get() + 1);
            beside.push(&queue(), NewJob::ready(body(&pushed.get().to_string(), 0))).unwrap();
            if beside.state.asked.lock().unwrap().len() == 5 {
                beside.control().unwrap().resume(&resumed).unwrap();
            }
        }
        deletes(job)
    });
    let options = Options { queues: vec![high, queue()], ..eight_at_once() };
    let mut worker = Worker::new(broker.clone(), options, no_fork).with_control(Some(broker.clone()));
    assert_eq!(code(&worker.run(&host)), 0);
    assert!(host.events().contains(&"processed high".to_owned()));
    assert!(broker.state.asked.lock().unwrap().len() >= 5, "it was paused");
}

#[test]
fn a_paused_worker_gives_back_what_it_asked_for_ahead() {
    let broker = Ahead::with(&numbered(40));
    let beside = broker.clone();
    let paused = Rc::new(Cell::new(false));
    let pauses = paused.clone();
    let mut host = FakeHost::new(move |job| {
        pauses.set(job.id() == IN_THE_BATCH);
        deletes(job)
    });
    host.paused = paused.clone();
    let (stop, polls) = (host.stop.clone(), Cell::new(0));
    host.at_poll = RefCell::new(Box::new(move || {
        let is_idle = paused.get() && beside.size(&queue()).unwrap().reserved == 0;
        if is_idle && polls.replace(polls.get() + 1) == 2 {
            stop.set(true);
        }
    }));
    Worker::new(broker.clone(), Options { stop_when_empty: false, ..eight_at_once() }, no_fork).run(&host);
    assert!(host.events().contains(&"paused".to_owned()), "{:?}", host.events());
    assert!(!broker.state.asked.lock().unwrap().is_empty());
    assert_eq!(broker.ready(), (14..40).collect::<Vec<_>>());
}

#[test]
fn while_a_job_is_slow_those_that_were_asked_for_ahead_go_back_with_its_neighbours() {
    let broker = Ahead::with(&numbered(40));
    let beside = broker.clone();
    let host = FakeHost::new(move |job| {
        if job.id() == IN_THE_BATCH {
            let begun = std::time::Instant::now();
            while beside.size(&queue()).unwrap().reserved > 1 {
                assert!(begun.elapsed() < Duration::from_secs(10), "its neighbours are held");
                std::thread::yield_now();
            }
            assert!(begun.elapsed() >= Duration::from_millis(900));
            return CallEnd::Exited;
        }
        deletes(job)
    });
    Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host);
    assert_eq!(broker.ready(), (14..40).collect::<Vec<_>>());
}

#[test]
fn a_lost_answer_to_a_request_ahead_is_an_outage_and_other_jobs_are_worked() {
    let broker = Ahead::with(&numbered(40));
    let beside = broker.state.clone();
    let host = FakeHost::new(move |job| {
        beside.loses_answers.store(["13", "14"].contains(&&*job.id()), Ordering::SeqCst);
        deletes(job)
    });
    assert_eq!(code(&Worker::new(broker.clone(), eight_at_once(), no_fork).run(&host)), 0);
    let events = host.events();
    assert!(events.contains(&"broker error the answer was lost".to_owned()), "{events:?}");
    assert!(events.contains(&"recovered".to_owned()) && events.contains(&"processed 39".to_owned()), "{events:?}");
    assert_eq!(broker.size(&queue()).unwrap().reserved, 4, "they come back by their leases");
}

#[test]
fn a_child_forked_in_a_handler_does_not_read_the_answer_of_its_parent() {
    static GENERATION: AtomicU64 = AtomicU64::new(0);
    fn generation() -> u64 {
        GENERATION.load(Ordering::SeqCst)
    }
    let broker = Ahead::with(&numbered(40));
    let host = FakeHost::new(move |job| {
        if job.id() == IN_THE_BATCH {
            GENERATION.fetch_add(1, Ordering::SeqCst);
            return CallEnd::Returned;
        }
        deletes(job)
    });
    let end = Worker::new(broker.clone(), eight_at_once(), generation).run(&host);
    assert!(matches!(end, RunEnd::Halted(Halt::Forked)));
    assert_eq!(broker.state.asked.lock().unwrap().len(), 1);
    assert_eq!(broker.state.received.load(Ordering::SeqCst), 0);
}

/// A broker whose jobs come over a subscription, the first of them late. Notes how long each call may wait.
struct Subscription {
    inner: Arc<MemoryBroker<SystemClock>>,
    waits: Mutex<Vec<bool>>,
}

impl Broker for Subscription {
    inherit!(inner: push, push_many, settle, extend, size, close);

    fn reserve(&self, queues: &[QueueName], max: usize, wait: Duration) -> ferry_core::Result<Vec<Reservation>> {
        let mut waits = self.waits.lock().unwrap();
        waits.push(!wait.is_zero());
        if waits.len() == 1 { Ok(Vec::new()) } else { self.inner.reserve(queues, max, Duration::ZERO) }
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { subscribes: true, ..self.inner.capabilities() }
    }
}

#[test]
fn a_worker_that_stops_when_empty_takes_from_a_subscription_and_asks_before_it_stops() {
    let broker = Arc::new(Subscription { inner: broker_with(&[body("a", 0), body("b", 0)]), waits: Mutex::default() });
    let host = FakeHost::new(deletes);
    let options = Options { prefetch: 1, ..options() };
    let end = Worker::new(broker.clone(), options, no_fork).run(&host);
    let left = broker.size(&queue()).unwrap();
    assert_eq!((code(&end), left.ready, left.reserved), (0, 0, 0));
    let (waits, asks) = (true, false);
    assert_eq!(*broker.waits.lock().unwrap(), [waits, asks, waits, waits, asks]);
}
