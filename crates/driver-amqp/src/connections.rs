//! What the operations of one broker share: two connections, what is declared on them, and the publishers.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::{AmqpConfig, Declare};
use ferry_core::job::Due;
use ferry_core::{QueueName, Result};
use ferry_support::sync;
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};

use crate::delay::DelaySpace;
use crate::link::AmqpLink;
use crate::names::{Names, QueueRole, short};
use crate::notices::Notices;
use crate::publisher::{PublishOutcome, Publisher, first_error, leave_channel_unusable, wait_until_unblocked};
use crate::route::Route;
use crate::runtime::AmqpRuntime;
use crate::topology::{QueueTopology, TopologyCache, TopologyItem};
use crate::{Settings, delay, message};

/// The connections of one broker. All operations and the monitor thread share them.
pub struct AmqpConnections {
    pub config: AmqpConfig,
    pub settings: Settings,
    pub notices: Notices,
    runtime: Mutex<Option<Arc<AmqpRuntime>>>,
    producer: Mutex<Option<Arc<AmqpLink>>>,
    consumer: Mutex<Option<Arc<AmqpLink>>>,
    /// Declared on any connection.
    topology: TopologyCache,
    /// One publisher for each [`PublishRole`].
    publishers: [Mutex<Option<Publisher>>; 4],
    /// The channel that counts messages, on the connection that consumes.
    count_channel: Mutex<Option<Channel>>,
    /// Queues whose retry queue got a job from us.
    hints: Mutex<HashSet<QueueName>>,
}

/// How long to wait while a new quorum queue elects its leader.
const ELECTION_PAUSE: Duration = Duration::from_millis(50);

/// A routing key that no queue is bound with.
const PROBE_KEY: &str = "ferry.probe";

/// Who publishes. Each role has a channel of its own, so that a refused push does not break a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRole {
    /// A push.
    Push,
    /// The end of a job.
    Settle,
    /// The end of a job, once more, by the monitor thread. It does not wait for a blocked broker.
    SettleAgain,
    /// A delivery that goes to another queue unstarted. A worker that waits for jobs does not wait for a blocked broker.
    Move,
}

impl PublishRole {
    /// How long to wait for a blocked broker.
    fn patience(self, io_timeout: Duration) -> Duration {
        match self {
            Self::Push | Self::Settle => io_timeout,
            Self::SettleAgain | Self::Move => Duration::ZERO,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves a connection behind that is whole, or is found dead at its next use.
    sync::lock(mutex)
}

impl AmqpConnections {
    pub fn new(config: AmqpConfig, settings: Settings) -> Self {
        Self {
            config,
            settings,
            notices: Notices::default(),
            runtime: Mutex::default(),
            producer: Mutex::default(),
            consumer: Mutex::default(),
            topology: TopologyCache::default(),
            publishers: [const { Mutex::new(None) }; 4],
            count_channel: Mutex::default(),
            hints: Mutex::default(),
        }
    }

    /// The unix second, as records and reservations have it.
    pub fn now(&self) -> i64 {
        self.settings.now.unwrap_or_else(|| SystemClock.now())
    }

    fn runtime(&self) -> Result<Arc<AmqpRuntime>> {
        let mut runtime = lock(&self.runtime);
        match &*runtime {
            Some(running) => Ok(Arc::clone(running)),
            None => {
                let started = Arc::new(AmqpRuntime::start(self.settings.transport)?);
                *runtime = Some(Arc::clone(&started));
                Ok(started)
            }
        }
    }

    fn link(&self, slot: &Mutex<Option<Arc<AmqpLink>>>, purpose: &str, is_alive: fn(&AmqpLink) -> bool) -> Result<Arc<AmqpLink>> {
        let mut slot = lock(slot);
        if let Some(link) = slot.as_ref().filter(|link| is_alive(link)) {
            return Ok(Arc::clone(link));
        }
        *slot = None;
        let runtime = self.runtime()?;
        let link = Arc::new(AmqpLink::open(&self.config, &runtime, purpose)?);
        // It may be another broker now, or one that lost what was declared.
        self.topology.forget();
        *slot = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The connection that consumes.
    pub fn consumer(&self) -> Result<Arc<AmqpLink>> {
        self.link(&self.consumer, "takes", AmqpLink::was_alive)
    }

    /// Whether the connection that consumes was open and has ended.
    pub fn consumer_broke(&self) -> bool {
        lock(&self.consumer).as_ref().is_some_and(|link| !link.is_alive())
    }

    /// Whether the broker blocks the connection that publishes.
    pub fn is_blocked(&self) -> bool {
        lock(&self.producer).as_ref().is_some_and(|link| link.is_alive() && link.blocked().is_some())
    }

    /// Forgets what is known to be declared.
    pub fn forget_topology(&self) {
        self.topology.forget();
    }

    /// Declares what is not known to be declared.
    pub fn ensure(&self, link: &AmqpLink, names: &Names, items: &[TopologyItem]) -> Result<()> {
        self.topology.ensure(link, None, &self.config, names, items)
    }

    /// Notes that the retry queue of this queue got a job.
    pub fn hint_retry_queue(&self, queue: &QueueName) {
        lock(&self.hints).insert(queue.clone());
    }

    /// Whether it did since the last call.
    pub fn take_retry_hint(&self, queue: &QueueName) -> bool {
        lock(&self.hints).remove(queue)
    }

    /// How many ready messages a RabbitMQ queue has. `None` when there is no such queue.
    pub fn count(&self, name: &str) -> Result<Option<u32>> {
        let link = self.consumer()?;
        let mut slot = lock(&self.count_channel);
        let channel = match slot.take().filter(|channel| channel.status().connected() && link.is_alive()) {
            Some(channel) => channel,
            None => link.channel()?,
        };
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        let queue = link.request_if_found(channel.queue_declare(short(name), passive, FieldTable::default()))?;
        // After an error the channel is closed, or its answer is still to come; then it is not kept.
        if queue.is_some() {
            *slot = Some(channel);
        }
        Ok(queue.map(|queue| queue.message_count()))
    }

    /// The route of a job to one of its queues, at once or through the delay levels.
    pub fn job_route<'a>(
        &self,
        names: &Arc<Names>,
        role: QueueRole,
        due: Due,
        properties: BasicProperties,
        body: Cow<'a, [u8]>,
    ) -> Result<Route<'a>> {
        let now = SystemClock.now_ms();
        let due_ms = match due {
            Due::Now => now,
            Due::After(seconds) => now.saturating_add(seconds.saturating_mul(1000)),
            Due::At(second) => second.saturating_mul(1000),
        };
        let left = due_ms.saturating_sub(now);
        if left > 0
            && let Some(pass) = delay::pass(left, due_ms.saturating_add(999) / 1000, &names.address(role)?)
        {
            let properties = match pass.due {
                Some(second) => message::due_at(properties, second),
                None => properties,
            };
            let need = QueueTopology { names: Arc::clone(names), item: TopologyItem::Delay(pass.top, role) };
            return Ok(Route { exchange: DelaySpace::Jobs.name(pass.top), key: pass.key, body, properties, need });
        }
        Ok(Route::to_queue(names, role, properties, body))
    }

    /// Publishes and waits for the outcome of each route. What the routes need is declared before; what is returned because somebody
    /// removed a queue meanwhile is published once more.
    pub fn publish(&self, role: PublishRole, routes: &[&Route<'_>]) -> Result<Vec<PublishOutcome>> {
        if routes.is_empty() {
            return Ok(Vec::new());
        }
        let mut slot = lock(&self.publishers[role as usize]);
        let link = self.link(&self.producer, "publishes", AmqpLink::is_alive)?;
        wait_until_unblocked(&link, role.patience(self.config.io_timeout))?;
        let needs = Route::needs(routes);
        let publisher = if slot.as_ref().is_some_and(|publisher| publisher.is_open_on(&link)) {
            self.ensure_all(&link, None, &needs)?;
            slot.take()
        } else {
            None
        };
        let publisher = match publisher {
            Some(publisher) => publisher,
            None => self.open_publisher(&link, &needs)?,
        };
        let mut outcomes = publisher.publish(routes);
        let is_open = |outcomes: &[PublishOutcome]| !leave_channel_unusable(outcomes);
        if self.config.declare == Declare::Yes && is_open(&outcomes) && outcomes.iter().any(PublishOutcome::is_returned) {
            self.topology.forget();
            match self.ensure_all(&link, None, &needs) {
                Ok(()) => publisher.publish_again(routes, &mut outcomes, PublishOutcome::is_returned),
                Err(error) if outcomes.iter().all(PublishOutcome::is_returned) => return Err(error),
                // Others are stored, and the caller must know which.
                Err(_) => {}
            }
        }
        while is_open(&outcomes) && outcomes.iter().any(PublishOutcome::is_nacked) && self.topology.may_elect_leader() {
            std::thread::sleep(ELECTION_PAUSE);
            publisher.publish_again(routes, &mut outcomes, PublishOutcome::is_nacked);
        }
        if is_open(&outcomes) {
            publisher.forget_confirmed();
            *slot = Some(publisher);
        } else if link.blocked().is_none() {
            // Nothing that was sent may be stored later. A blocked connection is kept: its late confirms tell what was.
            link.cut();
            *lock(&self.producer) = None;
        }
        Ok(outcomes)
    }

    /// Tries to publish to `exchange` what no queue takes, so that nothing is stored: an error says which right is missing.
    pub fn probe_write(&self, exchange: &str) -> Result<()> {
        let link = self.link(&self.producer, "publishes", AmqpLink::is_alive)?;
        let properties = BasicProperties::default().with_expiration("0".into());
        let need = QueueTopology { names: Arc::new(Names::of(&QueueName::default())?), item: TopologyItem::Tasks };
        let route =
            Route { exchange: exchange.to_owned(), key: PROBE_KEY.to_owned(), body: Cow::Borrowed(b""), properties, need };
        let outcomes = Publisher::open(&link, self.config.io_timeout)?.publish(&[&route]);
        first_error(&outcomes).filter(|_| !outcomes.iter().all(PublishOutcome::is_returned)).map_or(Ok(()), Err)
    }

    /// A publisher that declares on its own channel what the first messages need: that saves the round trip of another one.
    fn open_publisher(&self, link: &Arc<AmqpLink>, needs: &[QueueTopology]) -> Result<Publisher> {
        let publisher = Publisher::open(link, self.config.io_timeout)?;
        self.ensure_all(link, Some(publisher.channel()), needs)?;
        Ok(publisher)
    }

    fn ensure_all(&self, link: &AmqpLink, channel: Option<&Channel>, needs: &[QueueTopology]) -> Result<()> {
        let mut needs = needs.iter();
        needs.try_for_each(|need| self.topology.ensure(link, channel, &self.config, &need.names, &[need.item]))
    }

    /// Closes both connections, after what is being published.
    pub fn close(&self) {
        // Dropped behind their connections: lapin closes a channel that is dropped, and meets an error when its connection closes meanwhile.
        let _publishers: Vec<Option<Publisher>> = self.publishers.iter().map(|publisher| lock(publisher).take()).collect();
        let _count_channel = lock(&self.count_channel).take();
        for slot in [&self.producer, &self.consumer] {
            if let Some(link) = lock(slot).take() {
                link.close();
            }
        }
    }
}
