//! Waiting for a job without reserving one.
//!
//! `BLMOVE q q LEFT LEFT` (Redis 6.2) on a connection of its own, one for each of up to [`WATCHED_QUEUES`] queues, wakes us at a push
//! and changes nothing. It stays outstanding while `reserve` calls again over its own connection just after every whole second of the
//! server, when delayed jobs and ended leases become due: the server ends a blocked command only on its own 100 ms tick, so its timeout
//! cannot pace us. With more queues, on older servers and on replicas we poll, fast at first.
//!
//! A caller waits for a moment, and calls again. What an earlier call found empty is not asked for again while the same `BLMOVE`s are
//! outstanding and the second is not over: an idle worker asks once a second.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
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
/// So many queues are watched, each by a connection.
const WATCHED_QUEUES: usize = 4;
/// The longest pause between reserve calls on one queue and at several, where they are not watched.
const LONGEST_POLL_ONE: Duration = Duration::from_secs(1);
const LONGEST_POLL_MANY: Duration = Duration::from_millis(50);
/// The longest pause after a wake that found nothing: one push wakes every waiter.
const LONGEST_STEP_BACK: Duration = Duration::from_millis(20);

/// When the server's next whole second begins, by our monotonic clock.
#[derive(Clone, Copy)]
pub struct ServerClock {
    next_second: Instant,
}

impl ServerClock {
    /// From the microseconds of a `TIME` that was answered just now.
    pub fn read(microseconds: i64) -> Self {
        let gone = u64::try_from(microseconds).unwrap_or(0).min(999_999);
        Self { next_second: Instant::now() + Duration::from_micros(1_000_000 - gone) }
    }

    /// When what becomes due with that second can be reserved.
    fn due(self) -> Instant {
        self.next_second + BEHIND_THE_SECOND
    }
}

/// A look at queues that found nothing.
#[derive(Clone, Copy)]
pub struct EmptyLook {
    /// The server's clock at that time.
    pub clock: ServerClock,
    /// [`WaitLinks::changes`] before it.
    pub changes: u64,
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
    queues: &'a [QueueName],
    poll: GrowingPause,
    /// After wakes that found nothing.
    step_back: GrowingPause,
    woken: bool,
}

impl<'a> Waiter<'a> {
    /// A waiter that has not waited yet.
    pub fn new(broker: &'a RedisBroker, queues: &'a [QueueName]) -> Self {
        let longest = if queues.len() == 1 { LONGEST_POLL_ONE } else { LONGEST_POLL_MANY };
        Self {
            broker,
            queues,
            poll: GrowingPause::new(SHORTEST, longest),
            step_back: GrowingPause::new(2 * SHORTEST, LONGEST_STEP_BACK),
            woken: false,
        }
    }

    /// Waits until reserving again is worth while, at most until `until`.
    pub fn pause(&mut self, look: EmptyLook, until: Instant) {
        let until = until.min(look.clock.due());
        if std::mem::take(&mut self.woken) {
            self.step_back(until);
        }
        if self.queues.len() > WATCHED_QUEUES {
            return self.poll(until);
        }
        match self.broker.wait.wait(self.broker, self.queues, look, until) {
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

/// The connections that wait. A second thread that wants to wait at the same time polls instead of queueing up.
#[derive(Default)]
pub struct WaitLinks {
    state: Mutex<State>,
    /// How often we stored or settled something that wakes nobody.
    changes: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    /// What was found empty, while its connections are outstanding.
    idle: Option<Idle>,
    /// This server refused to block for us: an old one, a replica, or a user without the right.
    refused: bool,
}

/// Queues that were empty.
struct Idle {
    queues: Vec<QueueName>,
    look: EmptyLook,
}

/// A connection with a `BLMOVE` outstanding, perhaps from an earlier `reserve`.
struct Waiting {
    socket: RedisSocket,
    /// The key it waits on, and since when. `None` after its answer was read.
    on: Option<(String, Instant)>,
}

impl WaitLinks {
    /// The look that found `queues` empty, when nothing can have changed since.
    pub fn still_idle(&self, queues: &[QueueName]) -> Option<EmptyLook> {
        let state = sync::try_lock(&self.state)?;
        let Idle { queues: empty, look } = state.idle.as_ref()?;
        (empty == queues && look.changes == self.changes() && Instant::now() < look.clock.due()).then_some(*look)
    }

    /// A number that grows with each change of ours that wakes nobody.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// We stored or settled something: a job may be due that nobody is woken for.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the ready list of one of `queues` has something, or until `until`. They were empty.
    fn wait(&self, broker: &RedisBroker, queues: &[QueueName], look: EmptyLook, until: Instant) -> WaitEnd {
        let config = &*broker.config;
        let Some(mut state) = sync::try_lock(&self.state) else { return WaitEnd::CannotWait };
        state.idle = None;
        if state.refused {
            return WaitEnd::CannotWait;
        }
        let keys: Vec<String> = queues.iter().map(|queue| broker.keys(queue).ready).collect();
        // Out of their slots while they are used: connections in an unknown state are simply not put back.
        let Some(mut waiting) = connections(broker, std::mem::take(&mut state.waiting), &keys) else {
            return WaitEnd::CannotWait;
        };
        let (end, keep) = match wait_for_any(&mut waiting, &keys, until, config.io_timeout) {
            Ok(Some(Value::ServerError(error))) => {
                // A replica may become the primary and a busy server may recover: only these errors are final.
                state.refused = refusal::is_unknown_command(&error) || error.code() == "NOPERM";
                (WaitEnd::CannotWait, false)
            }
            Ok(Some(_)) => (WaitEnd::Woken, true),
            Ok(None) => {
                state.idle = Some(Idle { queues: queues.to_vec(), look });
                (WaitEnd::Over, true)
            }
            Err(_) => (WaitEnd::CannotWait, false),
        };
        if keep {
            state.waiting = waiting;
        }
        end
    }

    /// Closes the connections, after the wait that is under way.
    pub fn close(&self) {
        *sync::lock(&self.state) = State::default();
    }
}

/// A connection for each of `keys`, in their order: the `old` one that waits on it, or a new one.
fn connections(broker: &RedisBroker, old: Vec<Waiting>, keys: &[String]) -> Option<Vec<Waiting>> {
    let mut usable: Vec<Waiting> = old.into_iter().filter_map(|waiting| waiting.usable_for(keys, &broker.config)).collect();
    let of_key = |key: &String| {
        let index = usable.iter().position(|waiting| waiting.waits_on(key)).or_else(|| usable.iter().position(Waiting::is_free));
        index.map(|index| usable.swap_remove(index)).or_else(|| open(broker))
    };
    keys.iter().map(of_key).collect()
}

/// The first answer to a `BLMOVE` on one of `keys`; `None` when `until` came first and all are still outstanding.
fn wait_for_any(waiting: &mut [Waiting], keys: &[String], until: Instant, io_timeout: Duration) -> Result<Option<Value>, Broken> {
    loop {
        for (waiting, key) in waiting.iter_mut().zip(keys) {
            waiting.ask(key)?;
        }
        let broken = |e: std::io::Error| Broken { request_out: true, timed_out: false, cause: e.to_string() };
        let mut sockets: Vec<&mut RedisSocket> = waiting.iter_mut().map(|waiting| &mut waiting.socket).collect();
        let Some(index) = RedisSocket::wait_any_readable(&mut sockets, until).map_err(broken)? else { return Ok(None) };
        let answer = waiting[index].socket.receive(io_timeout)?;
        waiting[index].on = None;
        // Nil is the server's own timeout: nothing came, ask again.
        if answer != Value::Nil {
            return Ok(Some(answer));
        }
    }
}

/// Failing to connect is no error here: the reserve call that follows meets the same server and reports it.
fn open(broker: &RedisBroker) -> Option<Waiting> {
    let limit = broker.config.connect_timeout;
    RedisSocket::open(&broker.config, limit, &broker.wait_limits).ok().map(|socket| Waiting { socket, on: None })
}

impl Waiting {
    /// Itself, unless it waits on no key of these, its answer is overdue, or it was closed.
    fn usable_for(mut self, keys: &[String], config: &RedisConfig) -> Option<Self> {
        let overdue = Duration::from_secs(BLOCK_SECONDS) + config.io_timeout;
        let usable = match &self.on {
            Some((on, since)) => keys.contains(on) && since.elapsed() < overdue,
            None => self.socket.is_idle(),
        };
        usable.then_some(self)
    }

    fn waits_on(&self, key: &str) -> bool {
        self.on.as_ref().is_some_and(|(on, _)| on == key)
    }

    fn is_free(&self) -> bool {
        self.on.is_none()
    }

    /// Sends a `BLMOVE` on `key`, unless one is outstanding.
    fn ask(&mut self, key: &str) -> Result<(), Broken> {
        if self.is_free() {
            let request = cmd("BLMOVE").arg(key).arg(key).arg("LEFT").arg("LEFT").arg(BLOCK_SECONDS).get_packed_command();
            self.socket.send(&request)?;
            self.on = Some((key.to_owned(), Instant::now()));
        }
        Ok(())
    }
}
