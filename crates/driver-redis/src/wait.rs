//! Waiting for a job without taking one.
//!
//! With one queue, `BLMOVE q q LEFT LEFT` (Redis 6.2) on a link of its own wakes us at a push and changes nothing. It stays
//! outstanding while we look at the queue on the other link just after every whole second of the server, when delayed jobs and
//! ended leases come due: the server ends a blocked command only on its own 100 ms tick, so its timeout cannot pace us. With
//! several queues, on older servers and on replicas we look again and again, quickly at first.

use std::sync::{Mutex, PoisonError, TryLockError};
use std::thread;
use std::time::{Duration, Instant};

use ferry_core::QueueName;
use ferry_core::config::RedisConfig;
use redis::{Value, cmd};

use crate::RedisBroker;
use crate::refusal;
use crate::transport::{Broken, RedisSocket};

/// Seconds the server keeps a `BLMOVE` blocked. Only bounds what a worker that went away leaves behind.
const BLOCK_SECONDS: u64 = 3;
/// How far behind the server's whole second we look, so that a clock that is read a little early does not miss it.
const BEHIND_THE_SECOND: Duration = Duration::from_millis(2);
/// The longest pause between looks at one queue and at several.
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
enum Ended {
    /// Something was pushed, perhaps.
    Woken,
    /// The time is over.
    Over,
    /// This server or this link cannot wake us.
    CannotWait,
}

/// The pauses of one `reserve`, growing as it goes on.
pub struct Waiter<'a> {
    broker: &'a RedisBroker,
    /// The one queue, where there is just one.
    queue: Option<&'a QueueName>,
    poll: Duration,
    empty_wakes: u32,
    woken: bool,
}

impl<'a> Waiter<'a> {
    /// A waiter that has not waited yet.
    pub fn new(broker: &'a RedisBroker, queues: &'a [QueueName]) -> Self {
        let queue = if let [queue] = queues { Some(queue) } else { None };
        Self { broker, queue, poll: Duration::from_millis(1), empty_wakes: 0, woken: false }
    }

    /// Waits until another look is worth while, at most until `until`. The look before it found nothing.
    pub fn pause(&mut self, clock: &ServerClock, until: Instant) {
        let until = until.min(clock.next_second + BEHIND_THE_SECOND);
        if std::mem::take(&mut self.woken) {
            self.step_back(until);
        }
        let Some(queue) = self.queue else { return self.sleep_a_little(LONGEST_POLL_MANY, until) };
        let ready = self.broker.keys(queue).ready;
        match self.broker.wait.wait(&self.broker.config, &ready, until) {
            Ended::Woken => self.woken = true,
            Ended::Over => {}
            Ended::CannotWait => self.sleep_a_little(LONGEST_POLL_ONE, until),
        }
    }

    /// Somebody else was quicker: let the crowd thin out before blocking again, each for another while.
    fn step_back(&mut self, until: Instant) {
        self.empty_wakes = (self.empty_wakes + 1).min(5);
        let most = (Duration::from_millis(1) * 2_u32.pow(self.empty_wakes)).min(LONGEST_STEP_BACK);
        let random = getrandom::u32().unwrap_or(u32::MAX / 2);
        let share = Duration::from_millis(1).max(most.mul_f64(f64::from(random) / f64::from(u32::MAX)));
        sleep_until((Instant::now() + share).min(until));
    }

    fn sleep_a_little(&mut self, longest: Duration, until: Instant) {
        sleep_until((Instant::now() + self.poll).min(until));
        self.poll = (self.poll * 2).min(longest);
    }
}

fn sleep_until(until: Instant) {
    thread::sleep(until.saturating_duration_since(Instant::now()));
}

/// The link that waits. A second thread that wants to wait at the same time polls instead of queueing up.
#[derive(Default)]
pub struct WaitLink(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: Option<Waiting>,
    /// This server refused to block for us: an old one, a replica, or a user without the right.
    refused: bool,
}

/// A link with a `BLMOVE` outstanding, perhaps from an earlier `reserve`.
struct Waiting {
    link: RedisSocket,
    /// The key it waits on, and since when. `None` after its answer was read.
    on: Option<(String, Instant)>,
}

impl WaitLink {
    /// Waits until the list `key` has something, or until `until`.
    fn wait(&self, config: &RedisConfig, key: &str, until: Instant) -> Ended {
        let mut state = match self.0.try_lock() {
            Ok(state) => state,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Ended::CannotWait,
        };
        if state.refused {
            return Ended::CannotWait;
        }
        // Out of the lane while it is used: a link in an unknown state is simply not put back.
        let Some(mut waiting) = state.waiting.take().and_then(|waiting| waiting.usable_for(key, config)).or_else(|| open(config))
        else {
            return Ended::CannotWait;
        };
        let (ended, keep) = match waiting.wait(key, until) {
            Ok(Some(Value::ServerError(error))) => {
                // A replica may become the primary and a busy server calm: only these say that asking again is useless.
                state.refused = refusal::is_unknown_command(&error) || error.code() == "NOPERM";
                (Ended::CannotWait, false)
            }
            Ok(Some(_)) => (Ended::Woken, true),
            Ok(None) => (Ended::Over, true),
            Err(_) => (Ended::CannotWait, false),
        };
        if keep {
            state.waiting = Some(waiting);
        }
        ended
    }

    /// Drops the link, after the wait that is under way.
    pub fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::default();
    }
}

/// Failing to connect is no error here: the look that follows meets the same server and says what is wrong.
fn open(config: &RedisConfig) -> Option<Waiting> {
    RedisSocket::open(config).ok().map(|link| Waiting { link, on: None })
}

impl Waiting {
    /// Itself, unless it waits for another queue, is owed an answer that is overdue, or was closed.
    fn usable_for(mut self, key: &str, config: &RedisConfig) -> Option<Self> {
        let overdue = Duration::from_secs(BLOCK_SECONDS) + config.io_timeout;
        let usable = match &self.on {
            Some((on, since)) => on == key && since.elapsed() < overdue,
            None => self.link.is_idle(),
        };
        usable.then_some(self)
    }

    /// The answer to a `BLMOVE` on `key`; `None` when `until` came first and it is still outstanding.
    fn wait(&mut self, key: &str, until: Instant) -> Result<Option<Value>, Broken> {
        loop {
            if self.on.is_none() {
                let request = cmd("BLMOVE").arg(key).arg(key).arg("LEFT").arg("LEFT").arg(BLOCK_SECONDS).get_packed_command();
                self.link.send(&request)?;
                self.on = Some((key.to_owned(), Instant::now()));
            }
            let broken = |e: std::io::Error| Broken { request_out: true, timed_out: false, cause: e.to_string() };
            if !self.link.wait_readable(until).map_err(broken)? {
                return Ok(None);
            }
            let answer = self.link.receive()?;
            self.on = None;
            // Nil is the server's own timeout: nothing came, ask again.
            if answer != Value::Nil {
                return Ok(Some(answer));
            }
        }
    }
}
