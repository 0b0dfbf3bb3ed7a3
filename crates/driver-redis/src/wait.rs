//! Waiting for a job without reserving one.
//!
//! With one queue, `BLMOVE q q LEFT LEFT` (Redis 6.2) on a connection of its own wakes us at a push and changes nothing. It stays
//! outstanding while `reserve` calls again over its own connection just after every whole second of the server, when delayed jobs
//! and ended leases become due: the server ends a blocked command only on its own 100 ms tick, so its timeout cannot pace us. With
//! several queues, on older servers and on replicas we poll, fast at first.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::QueueName;
use ferry_core::config::RedisConfig;
use ferry_support::pause::{GrowingPause, jittered};
use ferry_support::sync;
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::refusal;
use crate::transport::{Broken, RedisSocket};

/// Seconds the server keeps a `BLMOVE` blocked. Only bounds what a worker that went away leaves behind.
const BLOCK_SECONDS: u64 = 3;
/// How long after the server's whole second we reserve again, so that a clock that is read a little early does not miss it.
const BEHIND_THE_SECOND: Duration = Duration::from_millis(2);
/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(1);
/// The longest pause between reserve calls on one queue and at several.
const LONGEST_POLL_ONE: Duration = Duration::from_secs(1);
const LONGEST_POLL_MANY: Duration = Duration::from_millis(50);
/// The longest pause after a wake that found nothing: one push wakes every waiter.
const LONGEST_STEP_BACK: Duration = Duration::from_millis(20);

/// When the server's next whole second begins, by our monotonic clock.
pub struct ServerClock {
    next_second: Instant,
}

impl ServerClock {
    /// From the microseconds of a `TIME` that was answered just now.
    pub fn read(microseconds: i64) -> Self {
        let gone = u64::try_from(microseconds).unwrap_or(0).min(999_999);
        Self { next_second: Instant::now() + Duration::from_micros(1_000_000 - gone) }
    }
}

/// How a wait ended.
enum WaitEnd {
    /// A job was pushed, perhaps.
    Woken,
    /// `until` came.
    Over,
    /// This server or this connection cannot wake us.
    CannotWait,
}

/// The pauses of one `reserve`, growing as it goes on.
pub struct Waiter<'a> {
    broker: &'a RedisBroker,
    /// The one queue, where there is just one.
    queue: Option<&'a QueueName>,
    poll: GrowingPause,
    /// After wakes that found nothing.
    step_back: GrowingPause,
    woken: bool,
}

impl<'a> Waiter<'a> {
    /// A waiter that has not waited yet.
    pub fn new(broker: &'a RedisBroker, queues: &'a [QueueName]) -> Self {
        let (queue, longest) = match queues {
            [queue] => (Some(queue), LONGEST_POLL_ONE),
            _ => (None, LONGEST_POLL_MANY),
        };
        Self {
            broker,
            queue,
            poll: GrowingPause::new(SHORTEST, longest),
            step_back: GrowingPause::new(2 * SHORTEST, LONGEST_STEP_BACK),
            woken: false,
        }
    }

    /// Waits until reserving again is worth while, at most until `until`. The call before it found nothing.
    pub fn pause(&mut self, clock: &ServerClock, until: Instant) {
        let until = until.min(clock.next_second + BEHIND_THE_SECOND);
        if std::mem::take(&mut self.woken) {
            self.step_back(until);
        }
        let Some(queue) = self.queue else { return self.poll(until) };
        let ready = self.broker.keys(queue).ready;
        match self.broker.wait.wait(self.broker, &ready, until) {
            WaitEnd::Woken => self.woken = true,
            WaitEnd::Over => {}
            WaitEnd::CannotWait => self.poll(until),
        }
    }

    /// Another worker was faster: waits before blocking again, each worker for a different time.
    fn step_back(&mut self, until: Instant) {
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        let random = f64::from(random) / f64::from(u32::MAX);
        let pause = jittered(self.step_back.next_pause(), 1.0, random).max(SHORTEST);
        sleep_until((Instant::now() + pause).min(until));
    }

    fn poll(&mut self, until: Instant) {
        sleep_until((Instant::now() + self.poll.next_pause()).min(until));
    }
}

fn sleep_until(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// The connection that waits. A second thread that wants to wait at the same time polls instead of queueing up.
#[derive(Default)]
pub struct WaitLink(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Option<Waiting>,
    /// This server refused to block for us: an old one, a replica, or a user without the right.
    refused: bool,
}

/// A connection with a `BLMOVE` outstanding, perhaps from an earlier `reserve`.
struct Waiting {
    socket: RedisSocket,
    /// The key it waits on, and since when. `None` after its answer was read.
    on: Option<(String, Instant)>,
}

impl WaitLink {
    /// Waits until the list `key` has something, or until `until`.
    fn wait(&self, broker: &RedisBroker, key: &str, until: Instant) -> WaitEnd {
        let config = &*broker.config;
        let Some(mut state) = sync::try_lock(&self.0) else { return WaitEnd::CannotWait };
        if state.refused {
            return WaitEnd::CannotWait;
        }
        // Out of its slot while it is used: a connection in an unknown state is simply not put back.
        let Some(mut waiting) = state.waiting.take().and_then(|waiting| waiting.usable_for(key, config)).or_else(|| open(broker))
        else {
            return WaitEnd::CannotWait;
        };
        let (end, keep) = match waiting.wait(key, until, config.io_timeout) {
            Ok(Some(Value::ServerError(error))) => {
                // A replica may become the primary and a busy server may recover: only these errors are final.
                state.refused = refusal::is_unknown_command(&error) || error.code() == "NOPERM";
                (WaitEnd::CannotWait, false)
            }
            Ok(Some(_)) => (WaitEnd::Woken, true),
            Ok(None) => (WaitEnd::Over, true),
            Err(_) => (WaitEnd::CannotWait, false),
        };
        if keep {
            state.waiting = Some(waiting);
        }
        end
    }

    /// Closes the connection, after the wait that is under way.
    pub fn close(&self) {
        *sync::lock(&self.0) = State::default();
    }
}

/// Failing to connect is no error here: the reserve call that follows meets the same server and reports it.
fn open(broker: &RedisBroker) -> Option<Waiting> {
    let limit = broker.config.connect_timeout;
    RedisSocket::open(&broker.config, limit, &broker.wait_limits).ok().map(|socket| Waiting { socket, on: None })
}

impl Waiting {
    /// Itself, unless it waits for another queue, its answer is overdue, or it was closed.
    fn usable_for(mut self, key: &str, config: &RedisConfig) -> Option<Self> {
        let overdue = Duration::from_secs(BLOCK_SECONDS) + config.io_timeout;
        let usable = match &self.on {
            Some((on, since)) => on == key && since.elapsed() < overdue,
            None => self.socket.is_idle(),
        };
        usable.then_some(self)
    }

    /// The answer to a `BLMOVE` on `key`; `None` when `until` came first and it is still outstanding.
    fn wait(&mut self, key: &str, until: Instant, io_timeout: Duration) -> Result<Option<Value>, Broken> {
        loop {
            if self.on.is_none() {
                let request = cmd("BLMOVE").arg(key).arg(key).arg("LEFT").arg("LEFT").arg(BLOCK_SECONDS).get_packed_command();
                self.socket.send(&request)?;
                self.on = Some((key.to_owned(), Instant::now()));
            }
            let broken = |e: std::io::Error| Broken { request_out: true, timed_out: false, cause: e.to_string() };
            if !self.socket.wait_readable(until).map_err(broken)? {
                return Ok(None);
            }
            let answer = self.socket.receive(io_timeout)?;
            self.on = None;
            // Nil is the server's own timeout: nothing came, ask again.
            if answer != Value::Nil {
                return Ok(Some(answer));
            }
        }
    }
}
