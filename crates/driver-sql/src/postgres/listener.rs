//! Waiting for jobs: a thread with a connection of its own listens for what pushes announce, and wakes the thread that reserves.
//!
//! A push announces itself only while somebody waits for its queue, because commits with a NOTIFY stand in one line for the whole
//! server. Who waits holds a shared advisory lock on the queue, which a push tries ([`announced`]). `docs/decisions/0014-postgres.md` has
//! the numbers.

use std::future::{Future, poll_fn};
use std::os::fd::AsFd;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ferry_core::QueueName;
use ferry_support::{sync, threads};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use sqlx::AssertSqlSafe;
use sqlx::Executor;
use sqlx::pool::PoolOptions;
use sqlx::postgres::{PgConnectOptions, PgListener};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::poll_schedule::PollSchedule;
use super::server::PostgresServer;
use crate::database::{CommitWaiter, Wakeup};

/// The first number of our advisory locks, "Ferr". The second is that of the queue.
const LOCK_SPACE: i32 = 0x4665_7272;

/// After so many calls that found jobs at once, a worker is busy and pushes need not announce themselves to it.
const BUSY_AFTER: u32 = 16;

/// How soon a connection that broke is made again.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);

/// An insert of jobs that announces itself on `channel` while somebody waits for the queue, its first parameter. Answers with the ids and
/// `true` when nobody waits.
pub(super) fn announced(insert: &str, channel: &str) -> String {
    let lock = format!("{LOCK_SPACE}, hashtext(?1)");
    format!(
        "{insert} RETURNING id, (SELECT CASE WHEN pg_try_advisory_lock({lock}) \
         THEN CAST(pg_advisory_unlock({lock}) AS text) ELSE CAST(pg_notify('{channel}', ?1) AS text) END)"
    )
}

/// An insert of jobs that nobody waits for. Answers with the ids.
pub(super) fn silent(insert: &str) -> String {
    format!("{insert} RETURNING id")
}

/// How long a session takes it that still nobody waits for a queue. A worker that begins to wait meanwhile is not told of the push; it
/// finds the job by the queries with which it begins, after 2, 4 and 8 ms.
const QUIET_FOR: Duration = Duration::from_millis(5);

/// What a session remembers of the queue that it pushed to last.
#[derive(Debug, Default)]
pub(super) struct Quiet(Option<(String, Instant)>);

impl Quiet {
    /// Whether nobody waited for this queue a moment ago.
    pub(super) fn holds(&self, queue: &str, now: Instant) -> bool {
        self.0.as_ref().is_some_and(|(quiet, asked)| quiet == queue && now.saturating_duration_since(*asked) < QUIET_FOR)
    }

    /// Remembers what the server answered at `asked`.
    pub(super) fn note(&mut self, queue: &str, nobody_waits: bool, asked: Instant) {
        self.0 = nobody_waits.then(|| (queue.to_owned(), asked));
    }
}

/// How the thread that reserves waits.
pub struct NotificationWaiter {
    /// How to listen, until the first wait: a worker that finds jobs whenever it asks needs no connection for that.
    unstarted: Option<ListenerOptions>,
    listener: Option<Listener>,
    schedule: PollSchedule,
    /// When the query comes that a wait has planned.
    next_query: Option<Instant>,
    poll_interval: Duration,
    /// For which queues the listener was last asked to wait.
    queues: Vec<QueueName>,
    waiting: bool,
    busy_calls: u32,
}

/// The thread that listens.
struct Listener {
    shared: Arc<Shared>,
    commands: Option<UnboundedSender<Command>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    wake: EventFd,
    /// Whether announcements arrive.
    listening: AtomicBool,
    /// Announcements for others are none of ours.
    queues: Mutex<Vec<QueueName>>,
}

/// What the thread is told.
enum Command {
    /// Let pushes announce themselves.
    Wait,
    /// They need not any more.
    Withdraw,
}

impl NotificationWaiter {
    pub(super) fn new(server: &PostgresServer) -> Self {
        let unstarted = if server.is_pooled() { None } else { ListenerOptions::of(server) };
        let poll_interval = server.config().poll_interval;
        let (schedule, queues) = (PollSchedule::fresh(), Vec::new());
        Self { unstarted, listener: None, schedule, next_query: None, poll_interval, queues, waiting: false, busy_calls: 0 }
    }

    fn is_notified(&self) -> bool {
        self.listener.as_ref().is_some_and(|listener| listener.shared.listening.load(Ordering::Acquire))
    }

    fn tell(&self, command: Command) {
        if let Some(commands) = self.listener.as_ref().and_then(|listener| listener.commands.as_ref()) {
            // The thread is gone only after a panic; then we poll.
            let _ = commands.send(command);
        }
    }

    /// When the next query is due unless there is an announcement before.
    fn plan(&self, now: Instant) -> Instant {
        let second = until_next_second(SystemTime::now());
        now + self.schedule.interval().map_or(second, |interval| interval.min(second))
    }

    /// Waits so long. Whether there was an announcement.
    fn wait_for_announcement(&self, time: Duration) -> Result<bool, Errno> {
        let time = Some(TimeSpec::from(time));
        match &self.listener {
            Some(listener) => {
                ppoll(&mut [PollFd::new(listener.shared.wake.as_fd(), PollFlags::POLLIN)], time, None).map(|ready| ready > 0)
            }
            None => ppoll(&mut [], time, None).map(|_| false),
        }
    }

    fn drain(&self) {
        if let Some(listener) = &self.listener {
            // Refused means that there is nothing to read.
            let _ = listener.shared.wake.read();
        }
    }
}

impl CommitWaiter for NotificationWaiter {
    fn begin(&mut self, queues: &[QueueName]) {
        if self.queues != queues {
            self.queues = queues.to_vec();
            if let Some(listener) = &self.listener {
                *sync::lock(&listener.shared.queues) = queues.to_vec();
            }
            self.waiting = false;
            self.next_query = None;
        }
    }

    fn resumes(&self) -> bool {
        self.next_query.is_some()
    }

    fn before_query(&mut self) {
        self.next_query = None;
        self.drain();
    }

    /// Ends at `deadline`, the next whole second, what the schedule plans, or an announcement. What is planned is not forgotten at the
    /// deadline.
    fn wait(&mut self, deadline: Instant) -> Wakeup {
        self.busy_calls = 0;
        if !self.waiting {
            self.waiting = true;
            self.schedule = PollSchedule::fresh();
            if let Some(options) = self.unstarted.take() {
                self.listener = Listener::start(options, &self.queues);
            }
            self.tell(Command::Wait);
        }
        let now = Instant::now();
        let next_query = self.next_query.take().unwrap_or_else(|| self.plan(now));
        match self.wait_for_announcement(next_query.min(deadline).saturating_duration_since(now)) {
            Ok(true) => return Wakeup::QueryAgain,
            Err(Errno::EINTR) => return Wakeup::Interrupted,
            Ok(false) | Err(_) => {}
        }
        if next_query > deadline {
            self.next_query = Some(next_query);
            return Wakeup::TimeOver;
        }
        self.schedule = self.schedule.slower(self.is_notified(), self.poll_interval);
        Wakeup::QueryAgain
    }

    fn end(&mut self, found_jobs: bool) {
        if !found_jobs {
            return;
        }
        self.busy_calls = self.busy_calls.saturating_add(1);
        if !self.is_notified() {
            self.schedule = PollSchedule::fresh();
        }
        if self.waiting && self.busy_calls >= BUSY_AFTER {
            self.waiting = false;
            self.tell(Command::Withdraw);
        }
    }
}

impl Listener {
    /// `None` when no thread can be had: then the queue is polled.
    fn start(options: ListenerOptions, queues: &[QueueName]) -> Option<Self> {
        let wake = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok()?;
        let shared = Arc::new(Shared { wake, listening: AtomicBool::new(false), queues: Mutex::new(queues.to_vec()) });
        let (commands, received) = unbounded_channel();
        let task = ListenerTask { options, shared: Arc::clone(&shared), commands: received, waiting: false };
        let gone = Arc::clone(&shared);
        let on_panic = move |_| gone.listening.store(false, Ordering::Release);
        let thread = threads::spawn("ferry-pg-listen", move || task.run(), on_panic).ok()?;
        Some(Self { shared, commands: Some(commands), thread: Some(thread) })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The thread ends when nobody can tell it anything any more.
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Where and for what to listen.
#[derive(Clone)]
struct ListenerOptions {
    connect: PgConnectOptions,
    timeout: Duration,
    channel: String,
}

impl ListenerOptions {
    fn of(server: &PostgresServer) -> Option<Self> {
        let (connect, timeout) = (server.options().ok()?, server.config().connect_timeout);
        Some(Self { connect, timeout, channel: server.channel().to_owned() })
    }
}

/// What the thread owns.
struct ListenerTask {
    options: ListenerOptions,
    shared: Arc<Shared>,
    commands: UnboundedReceiver<Command>,
    waiting: bool,
}

/// What comes first.
enum Event<T> {
    Command(Command),
    Done(T),
    /// Nobody waits here any more.
    End,
}

impl ListenerTask {
    fn run(mut self) {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async {
            while let Some(listener) = self.connected().await {
                let Some(mut listener) = listener else { continue };
                self.listen(&mut listener).await;
                self.shared.listening.store(false, Ordering::Release);
            }
        });
    }

    /// A connection that listens; `Some(None)` when there is none, after a pause; `None` at the end.
    async fn connected(&mut self) -> Option<Option<PgListener>> {
        let ListenerOptions { connect, timeout, channel } = self.options.clone();
        let connect = async move {
            let pool = PoolOptions::new().max_connections(1).acquire_timeout(timeout).idle_timeout(None).max_lifetime(None);
            let mut listener = PgListener::connect_with(&pool.connect_with(connect).await?).await?;
            listener.eager_reconnect(false);
            listener.listen(&channel).await?;
            Ok::<_, sqlx::Error>(listener)
        };
        let listener = self.run_beside_commands(connect).await?.ok();
        if listener.is_none() {
            self.run_beside_commands(tokio::time::sleep(RECONNECT_AFTER)).await?;
        }
        Some(listener)
    }

    /// Does `work`, and notes commands that come meanwhile. `None` at the end.
    async fn run_beside_commands<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            let event = first(&mut self.commands, work.as_mut()).await;
            match event {
                Event::Command(command) => self.waiting = matches!(command, Command::Wait),
                Event::Done(result) => return Some(result),
                Event::End => return None,
            }
        }
    }

    /// Until the connection breaks or the end comes.
    async fn listen(&mut self, listener: &mut PgListener) {
        let mut locked = false;
        self.shared.listening.store(true, Ordering::Release);
        loop {
            if self.waiting != locked {
                if self.announce(listener).await.is_err() {
                    return;
                }
                locked = self.waiting;
                self.wake();
            }
            let event = first(&mut self.commands, pin!(listener.try_recv())).await;
            match event {
                Event::Command(command) => {
                    self.waiting = matches!(command, Command::Wait);
                    // The queues may be others now.
                    locked = locked && !self.waiting;
                }
                Event::Done(Ok(Some(notification))) if !self.concerns(notification.payload()) => {}
                Event::Done(Ok(Some(_))) => self.wake(),
                Event::Done(Ok(None) | Err(_)) | Event::End => return,
            }
        }
    }

    /// Holds the locks of the queues while waiting, and none otherwise.
    async fn announce(&self, listener: &mut PgListener) -> sqlx::Result<()> {
        let mut sql = String::from("SELECT pg_advisory_unlock_all()");
        if self.waiting {
            for queue in sync::lock(&self.shared.queues).iter() {
                let name = super::text::quoted(queue.as_str());
                sql.push_str(&format!(", pg_advisory_lock_shared({LOCK_SPACE}, hashtext({name}))"));
            }
        }
        listener.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(|_| ())
    }

    /// Who names no queue may mean each.
    fn concerns(&self, queue: &str) -> bool {
        queue.is_empty() || sync::lock(&self.shared.queues).iter().any(|ours| ours.as_str() == queue)
    }

    fn wake(&self) {
        // Refused only at the highest count, when it is awake anyway.
        let _ = self.shared.wake.write(1);
    }
}

async fn first<T>(commands: &mut UnboundedReceiver<Command>, mut work: std::pin::Pin<&mut impl Future<Output = T>>) -> Event<T> {
    poll_fn(|context| match commands.poll_recv(context) {
        Poll::Ready(Some(command)) => Poll::Ready(Event::Command(command)),
        Poll::Ready(None) => Poll::Ready(Event::End),
        Poll::Pending => work.as_mut().poll(context).map(Event::Done),
    })
    .await
}

/// Due times are whole seconds: something may be due just after the next one begins.
fn until_next_second(now: SystemTime) -> Duration {
    let past = now.duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    Duration::from_nanos(1_000_000_000 - u64::from(past)) + Duration::from_millis(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_quiet_for_moments_after_nobody_waited_and_no_other_queue_is() {
        let (mut quiet, asked) = (Quiet::default(), Instant::now());
        assert!(!quiet.holds("mail", asked));
        quiet.note("mail", true, asked);
        assert!(quiet.holds("mail", asked + QUIET_FOR / 2));
        assert!(!quiet.holds("mail", asked + QUIET_FOR));
        assert!(!quiet.holds("other", asked));
        quiet.note("mail", false, asked);
        assert!(!quiet.holds("mail", asked));
    }
}
