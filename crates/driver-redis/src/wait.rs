//! Waiting for a job without reserving one.
//!
//! `BLMOVE q q LEFT LEFT` (Redis 6.2) on a connection of its own, one for each of up to [`WATCHED_QUEUES`] queues, wakes us at a push
//! and changes nothing. It stays outstanding while `reserve` calls again over its own connection just after every whole second of the
//! server, when delayed jobs and ended leases become due: the server ends a blocked command only on its own 100 ms tick, so its timeout
//! cannot pace us. With more queues, on older servers and on replicas we poll, fast at first.
//!
//! A caller waits for a moment, and calls again. What an earlier call found empty is not asked for again while the same `BLMOVE`s are
//! outstanding and the second is not over: an idle worker asks once a second. Of several workers that wait for the same single queue, one
//! waits like that and the others wait for it: see [`crate::handover`].

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
use crate::handover::{HandoverKeys, WaitPosition, WaitRole};
use crate::link::{Effect, RedisRequest};
use crate::packing;
use crate::refusal;
use crate::reply::bulks;
use crate::transport::{Broken, RedisSocket};

/// Seconds the server keeps a `BLMOVE` or `BLPOP` blocked. Only bounds what a worker that went away leaves behind.
const BLOCK_SECONDS: u64 = 3;
/// How long after the server's whole second we reserve again, so that a clock that is read a little early does not miss it.
const BEHIND_THE_SECOND: Duration = Duration::from_millis(2);
/// The shortest pause.
const SHORTEST: Duration = Duration::from_millis(1);
/// So many queues are watched, each by a connection.
const WATCHED_QUEUES: usize = 4;
/// How much later than a watcher one on standby looks again.
const STANDBY_LATER: Duration = Duration::from_secs(1);
/// The longest pause between reserve calls on one queue and at several, where they are not watched.
const LONGEST_POLL_ONE: Duration = Duration::from_secs(1);
const LONGEST_POLL_MANY: Duration = Duration::from_millis(50);
/// The longest pause after a wake that found nothing: one push wakes every waiter.
const LONGEST_STEP_BACK: Duration = Duration::from_millis(20);

/// When the server's next whole second begins, by our monotonic clock.
#[derive(Clone, Copy)]
pub struct ServerClock {
    next_second: Instant,
    /// Which second that is.
    second: i64,
}

impl ServerClock {
    /// From a `TIME` that was answered just now.
    pub fn read(second: i64, microseconds: i64) -> Self {
        let gone = u64::try_from(microseconds).unwrap_or(0).min(999_999);
        Self { next_second: Instant::now() + Duration::from_micros(1_000_000 - gone), second: second.saturating_add(1) }
    }

    /// The same after `second` has begun.
    fn moved_to(self, second: i64) -> Self {
        let later = u64::try_from(second.saturating_add(1).saturating_sub(self.second)).unwrap_or(0);
        match self.next_second.checked_add(Duration::from_secs(later)) {
            Some(next_second) => Self { next_second, second: self.second.saturating_add_unsigned(later) },
            None => self,
        }
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

/// What a `reserve` that may wait begins with.
pub enum ReserveStart {
    /// Waiting: the queues were empty a moment ago.
    Wait(EmptyLook),
    /// Looking, and as what.
    Look(Option<WaitRole>),
}

/// What a look of a worker that had waited found.
pub struct LookResult<'a> {
    /// Whether it took jobs.
    pub jobs: bool,
    /// The handover that the script named.
    pub handover: &'a [u8],
}

/// How a wait ended.
enum WaitEnd {
    /// A job was pushed, perhaps.
    Woken,
    /// `until` came, or another worker handed over to us.
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
        let due = until.min(look.clock.due());
        if std::mem::take(&mut self.woken) && !self.broker.wait.is_on_standby() {
            self.step_back(due);
        }
        if self.queues.len() > WATCHED_QUEUES {
            return self.poll(due);
        }
        match self.broker.wait.wait(self.broker, self.queues, look, until) {
            WaitEnd::Woken => self.woken = true,
            WaitEnd::Over => {}
            WaitEnd::CannotWait => self.poll(due),
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
    /// Where it waits for one queue.
    queue_wait: Option<QueueWait>,
}

/// The place of a worker that waits for one queue.
struct QueueWait {
    queue: QueueName,
    position: WaitPosition,
    /// It waited since it took jobs last.
    waited: bool,
}

/// Queues that were empty.
struct Idle {
    queues: Vec<QueueName>,
    look: EmptyLook,
}

/// A connection with a blocking command outstanding, perhaps from an earlier `reserve`.
struct Waiting {
    socket: RedisSocket,
    /// The key it waits on, and since when. `None` after its answer was read.
    on: Option<(String, Instant)>,
}

/// A queue to wait for.
struct Awaited {
    ready: String,
    /// The list of handovers, for one on standby.
    handovers: Option<String>,
}

/// The first answer of a wait.
enum Answer {
    /// To a `BLMOVE`.
    Ready(Value),
    /// To a `BLPOP` in the list of handovers.
    Handover(Value),
}

impl WaitLinks {
    /// Whether `queues` were found empty and nothing can have changed since, or they are to be looked at.
    pub fn start(&self, queues: &[QueueName]) -> ReserveStart {
        let Some(state) = sync::try_lock(&self.state) else { return ReserveStart::Look(None) };
        match &state.idle {
            Some(Idle { queues: empty, look }) if empty == queues && self.is_current(*look, &state) => ReserveStart::Wait(*look),
            _ => ReserveStart::Look(
                state.wait_for_queue(queues).filter(|queue_wait| queue_wait.waited).map(|queue_wait| queue_wait.position.role),
            ),
        }
    }

    fn is_current(&self, look: EmptyLook, state: &State) -> bool {
        look.changes == self.changes() && Instant::now() < state.next_look(look)
    }

    /// One that had waited for `queues` looked at them.
    pub fn note_look(&self, queues: &[QueueName], found: &LookResult<'_>) {
        let Some(mut state) = sync::try_lock(&self.state) else { return };
        let Some(queue_wait) = state.queue_wait.as_mut().filter(|queue_wait| queues.len() == 1 && queues[0] == queue_wait.queue)
        else {
            return;
        };
        let role = queue_wait.position.role;
        if found.jobs {
            queue_wait.waited = false;
            queue_wait.position.took(found.handover);
        } else {
            queue_wait.position.found_nothing(found.handover);
        }
        if role == WaitRole::Standby && (found.jobs || queue_wait.position.role == WaitRole::Watcher) {
            // Nobody must hand over to one that is busy.
            state.waiting.clear();
        }
    }

    /// `look` left nothing in `queues`: the next call begins with waiting, where they are watched.
    pub fn note_emptied(&self, queues: &[QueueName], look: EmptyLook) {
        if queues.len() > WATCHED_QUEUES {
            return;
        }
        if let Some(mut state) = sync::try_lock(&self.state).filter(|state| !state.refused) {
            state.idle = Some(Idle { queues: queues.to_vec(), look });
        }
    }

    /// Whether the next call begins with waiting.
    pub fn begins_with_waiting(&self) -> bool {
        sync::try_lock(&self.state).is_some_and(|state| state.idle.is_some())
    }

    fn is_on_standby(&self) -> bool {
        sync::try_lock(&self.state).is_some_and(|state| state.role() == WaitRole::Standby)
    }

    /// A number that grows with each change of ours that wakes nobody.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// We stored or settled something: a job may be due that nobody is woken for.
    pub fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::SeqCst);
    }

    /// Waits until the ready list of one of `queues` has something, or until `until` or the next look. They were empty.
    fn wait(&self, broker: &RedisBroker, queues: &[QueueName], look: EmptyLook, until: Instant) -> WaitEnd {
        let Some(mut state) = sync::try_lock(&self.state) else { return WaitEnd::CannotWait };
        state.idle = None;
        if state.refused {
            return WaitEnd::CannotWait;
        }
        state.begin_wait(queues);
        let until = until.min(state.next_look(look));
        let awaited: Vec<Awaited> = queues.iter().map(|queue| Awaited::of(broker.keys(queue).ready, state.role())).collect();
        // Out of their slots while they are used: connections in an unknown state are simply not put back.
        let Some(mut waiting) = connections(broker, std::mem::take(&mut state.waiting), &awaited) else {
            return WaitEnd::CannotWait;
        };
        let answer = wait_for_any(&mut waiting, &awaited, until, broker.config.io_timeout);
        let (end, keep) = state.note_answer(answer);
        if matches!(end, WaitEnd::Over) {
            state.idle = Some(Idle { queues: queues.to_vec(), look: state.inherited(look) });
        }
        if keep {
            state.waiting = waiting;
        }
        end
    }

    /// Nobody will wait for a while: another worker takes over.
    pub fn leave(&self, broker: &RedisBroker) {
        let Some(mut state) = sync::try_lock(&self.state) else { return };
        let queue_wait = std::mem::take(&mut *state).queue_wait.filter(|queue_wait| queue_wait.waited);
        let Some((queue, handover)) = queue_wait.and_then(|queue_wait| Some((queue_wait.queue, queue_wait.position.leave()?)))
        else {
            return;
        };
        let list = HandoverKeys::of(&broker.keys(&queue).ready).list;
        let mut bytes = Vec::new();
        packing::command(&mut bytes, &[b"RPUSH", list.as_bytes(), &handover]);
        // When nobody is on standby nothing stays behind.
        packing::command(&mut bytes, &[b"DEL", list.as_bytes()]);
        // One on standby notices without it, a little later.
        let _ = broker.settle.exchange(&RedisRequest { bytes: &bytes, replies: 2, effect: Effect::Repeatable, doubt: "" });
    }

    /// Closes the connections, after the wait that is under way.
    pub fn close(&self) {
        *sync::lock(&self.state) = State::default();
    }
}

impl State {
    fn wait_for_queue(&self, queues: &[QueueName]) -> Option<&QueueWait> {
        self.queue_wait.as_ref().filter(|queue_wait| queues.len() == 1 && queues[0] == queue_wait.queue)
    }

    /// One that waits for several queues watches all of them.
    fn begin_wait(&mut self, queues: &[QueueName]) {
        if self.wait_for_queue(queues).is_none() {
            let queue_wait =
                |queue: &QueueName| QueueWait { queue: queue.clone(), position: WaitPosition::default(), waited: false };
            self.queue_wait = (queues.len() == 1).then(|| queue_wait(&queues[0]));
        }
        if let Some(queue_wait) = &mut self.queue_wait {
            queue_wait.waited = true;
        }
    }

    fn role(&self) -> WaitRole {
        self.queue_wait.as_ref().map(|queue_wait| queue_wait.position.role).unwrap_or_default()
    }

    /// When the queues are looked at again that `look` found empty.
    fn next_look(&self, look: EmptyLook) -> Instant {
        match self.role() {
            WaitRole::Watcher => look.clock.due(),
            WaitRole::Standby => look.clock.due() + STANDBY_LATER,
        }
    }

    /// `look`, or a later one that found the queues empty: that of the worker that handed over to us.
    fn inherited(&self, look: EmptyLook) -> EmptyLook {
        let second = self.queue_wait.as_ref().and_then(|queue_wait| queue_wait.position.handover_second());
        second.map_or(look, |second| EmptyLook { clock: look.clock.moved_to(second), ..look })
    }

    /// How a wait with this answer ended, and whether its connections can be used again.
    fn note_answer(&mut self, answer: Result<Option<Answer>, Broken>) -> (WaitEnd, bool) {
        match answer {
            Ok(Some(Answer::Ready(Value::ServerError(error)))) => {
                // A replica may become the primary and a busy server may recover: only these errors are final.
                self.refused = refusal::is_unknown_command(&error) || error.code() == "NOPERM";
                (WaitEnd::CannotWait, false)
            }
            Ok(Some(Answer::Ready(_))) => (WaitEnd::Woken, true),
            Ok(Some(Answer::Handover(value))) => {
                let name = bulks(value).and_then(|mut answer| answer.pop()).unwrap_or_default();
                if let Some(queue_wait) = &mut self.queue_wait {
                    queue_wait.position.received(name);
                }
                (WaitEnd::Over, true)
            }
            Ok(None) => (WaitEnd::Over, true),
            Err(_) => (WaitEnd::CannotWait, false),
        }
    }
}

/// A connection for each of `awaited`, in their order: the `old` one that waits for it, or a new one.
fn connections(broker: &RedisBroker, old: Vec<Waiting>, awaited: &[Awaited]) -> Option<Vec<Waiting>> {
    let mut usable: Vec<Waiting> = old.into_iter().filter_map(|waiting| waiting.usable_for(awaited, &broker.config)).collect();
    let of_queue = |queue: &Awaited| {
        let index =
            usable.iter().position(|waiting| waiting.waits_for(queue)).or_else(|| usable.iter().position(Waiting::is_free));
        index.map(|index| usable.swap_remove(index)).or_else(|| open(broker))
    };
    awaited.iter().map(of_queue).collect()
}

/// The first answer for one of `awaited`; `None` when `until` came first and all commands are still outstanding.
fn wait_for_any(
    waiting: &mut [Waiting],
    awaited: &[Awaited],
    until: Instant,
    io_timeout: Duration,
) -> Result<Option<Answer>, Broken> {
    loop {
        for (waiting, queue) in waiting.iter_mut().zip(awaited) {
            waiting.ask(queue)?;
        }
        let broken = |e: std::io::Error| Broken { request_out: true, timed_out: false, cause: e.to_string() };
        let mut sockets: Vec<&mut RedisSocket> = waiting.iter_mut().map(|waiting| &mut waiting.socket).collect();
        let Some(index) = RedisSocket::wait_any_readable(&mut sockets, until).map_err(broken)? else { return Ok(None) };
        let answer = waiting[index].socket.receive(io_timeout)?;
        let was_ready = waiting[index].on.take().is_none_or(|(on, _)| on == awaited[index].ready);
        // Nil is the server's own timeout: nothing came, ask again.
        if answer != Value::Nil {
            return Ok(Some(if was_ready { Answer::Ready(answer) } else { Answer::Handover(answer) }));
        }
    }
}

/// Failing to connect is no error here: the reserve call that follows meets the same server and reports it.
fn open(broker: &RedisBroker) -> Option<Waiting> {
    let limit = broker.config.connect_timeout;
    RedisSocket::open(&broker.config, limit, &broker.wait_limits).ok().map(|socket| Waiting { socket, on: None })
}

impl Awaited {
    fn of(ready: String, role: WaitRole) -> Self {
        let handovers = (role == WaitRole::Standby).then(|| HandoverKeys::of(&ready).list);
        Self { ready, handovers }
    }

    fn is_at(&self, key: &str) -> bool {
        self.ready == key || self.handovers.as_deref() == Some(key)
    }
}

impl Waiting {
    /// Itself, unless it waits for no queue of these, its answer is overdue, or it was closed.
    fn usable_for(mut self, awaited: &[Awaited], config: &RedisConfig) -> Option<Self> {
        let overdue = Duration::from_secs(BLOCK_SECONDS) + config.io_timeout;
        let usable = match &self.on {
            Some((on, since)) => awaited.iter().any(|queue| queue.is_at(on)) && since.elapsed() < overdue,
            None => self.socket.is_idle(),
        };
        usable.then_some(self)
    }

    fn waits_for(&self, queue: &Awaited) -> bool {
        self.on.as_ref().is_some_and(|(on, _)| queue.is_at(on))
    }

    fn is_free(&self) -> bool {
        self.on.is_none()
    }

    /// Sends a blocking command for `queue`, unless one is outstanding.
    fn ask(&mut self, queue: &Awaited) -> Result<(), Broken> {
        if self.is_free() {
            let (request, key) = match &queue.handovers {
                Some(list) => (cmd("BLPOP").arg(list).arg(BLOCK_SECONDS).get_packed_command(), list),
                None => {
                    let key = &queue.ready;
                    (cmd("BLMOVE").arg(key).arg(key).arg("LEFT").arg("LEFT").arg(BLOCK_SECONDS).get_packed_command(), key)
                }
            };
            self.socket.send(&request)?;
            self.on = Some((key.clone(), Instant::now()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_of_another_worker_moves_the_next_one_by_whole_seconds_and_never_back() {
        let clock = ServerClock::read(100, 250_000);
        assert_eq!(clock.second, 101);
        for (second, next) in [(99, 101), (100, 101), (101, 102), (103, 104)] {
            let moved = clock.moved_to(second);
            let later = Duration::from_secs(next - 101);
            assert_eq!((moved.second, moved.next_second - clock.next_second), (next.cast_signed(), later));
        }
    }
}
