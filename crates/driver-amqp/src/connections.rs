//! What the words of one broker share: the engine, two connections, what is declared, and the way out.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ferry_core::clock::{Clock, SystemClock};
use ferry_core::config::{AmqpConfig, Declare};
use ferry_core::job::Due;
use ferry_core::{QueueName, Result};
use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel};

use crate::link::AmqpLink;
use crate::names::{Names, QueueRole, short};
use crate::publisher::{Publish, PublishOutcome, Publisher, trouble, wait_until_open};
use crate::runtime::AmqpRuntime;
use crate::topology::{TopologyCache, TopologyItem};
use crate::{Settings, delay, message};

/// Shared by all words, and by the minder's thread.
pub struct AmqpConnections {
    pub config: AmqpConfig,
    pub settings: Settings,
    engine: Mutex<Option<Arc<AmqpRuntime>>>,
    producer: Mutex<Option<Arc<AmqpLink>>>,
    consumer: Mutex<Option<Arc<AmqpLink>>>,
    /// Declared by way of any connection.
    topology: TopologyCache,
    /// One outbox for each [`PublishRole`].
    lanes: [Mutex<Option<Publisher>>; 3],
    /// A channel for counting, on the connection that consumes.
    probe: Mutex<Option<Channel>>,
    /// Queues whose lone jobs became more by our own doing.
    hints: Mutex<HashSet<QueueName>>,
}

/// How long to leave a young queue to elect its leader before it is asked again.
const ELECTION: Duration = Duration::from_millis(50);

/// Who publishes. Each has a channel of its own, so that a refused push spoils no release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishRole {
    /// A push.
    Push,
    /// The end of a job.
    Settle,
    /// The way of a job to the lone ones, or back. Whoever waits for jobs cannot wait for a blocked broker.
    Move,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic leaves a connection behind that is found dead, or whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Publishes once more what surely was not stored.
fn send_again(outbox: &Publisher, items: &[Publish<'_>], fates: &mut [PublishOutcome], which: impl Fn(&PublishOutcome) -> bool) {
    let back: Vec<usize> = (0..items.len()).filter(|at| which(&fates[*at])).collect();
    let again: Vec<Publish<'_>> = back.iter().map(|at| items[*at].clone()).collect();
    for (at, fate) in back.into_iter().zip(outbox.publish(&again)) {
        fates[at] = fate;
    }
}

/// Which way a message goes.
pub struct Route {
    pub exchange: String,
    pub key: String,
    pub properties: BasicProperties,
    pub need: TopologyItem,
}

impl AmqpConnections {
    pub fn new(config: AmqpConfig, settings: Settings) -> Self {
        Self {
            config,
            settings,
            engine: Mutex::default(),
            producer: Mutex::default(),
            consumer: Mutex::default(),
            topology: TopologyCache::default(),
            lanes: [Mutex::default(), Mutex::default(), Mutex::default()],
            probe: Mutex::default(),
            hints: Mutex::default(),
        }
    }

    /// The unix second, as records and reservations have it.
    pub fn now(&self) -> i64 {
        self.settings.now.unwrap_or_else(|| SystemClock.now())
    }

    fn engine(&self) -> Result<Arc<AmqpRuntime>> {
        let mut engine = lock(&self.engine);
        if engine.is_none() {
            *engine = Some(Arc::new(AmqpRuntime::start()?));
        }
        engine.clone().ok_or_else(|| unreachable!("it was just started"))
    }

    fn link(&self, place: &Mutex<Option<Arc<AmqpLink>>>, purpose: &str) -> Result<Arc<AmqpLink>> {
        let mut place = lock(place);
        if let Some(link) = place.as_ref().filter(|link| link.is_alive()) {
            return Ok(Arc::clone(link));
        }
        *place = None;
        let engine = self.engine()?;
        let link = Arc::new(AmqpLink::open(&self.config, &engine, purpose)?);
        // The broker may be another one now, or have lost what was declared.
        self.topology.forget();
        *place = Some(Arc::clone(&link));
        Ok(link)
    }

    /// The connection that takes jobs.
    pub fn consumer(&self) -> Result<Arc<AmqpLink>> {
        self.link(&self.consumer, "takes")
    }

    /// Whether the broker told us to publish nothing at present.
    pub fn blocked(&self) -> bool {
        lock(&self.producer).as_ref().is_some_and(|link| link.is_alive() && link.blocked().is_some())
    }

    /// Forgets what is known to be declared.
    pub fn forget_topology(&self) {
        self.topology.forget();
    }

    /// Sees to it that something is there.
    pub fn ensure(&self, link: &AmqpLink, names: &Names, needs: &[TopologyItem]) -> Result<()> {
        self.topology.ensure(link, &self.config, names, needs)
    }

    /// Lone jobs of this queue became more.
    pub fn hint(&self, queue: &QueueName) {
        lock(&self.hints).insert(queue.clone());
    }

    /// Whether they did since the last call.
    pub fn take_hint(&self, queue: &QueueName) -> bool {
        lock(&self.hints).remove(queue)
    }

    /// How many ready messages a queue holds. `None` when there is no such queue.
    pub fn count(&self, name: &str) -> Result<Option<u32>> {
        let link = self.consumer()?;
        let mut probe = lock(&self.probe);
        if !probe.as_ref().is_some_and(|channel| channel.status().connected() && link.is_alive()) {
            *probe = Some(link.channel()?);
        }
        let Some(channel) = probe.as_ref() else { return Ok(None) };
        let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
        match link.ask(channel.queue_declare(short(name), passive, FieldTable::default())) {
            Ok(queue) => Ok(Some(queue.message_count())),
            Err(error) => {
                // Whatever it was, the channel is closed or its answer still to come.
                *probe = None;
                if error.to_string().contains("no queue") { Ok(None) } else { Err(error) }
            }
        }
    }

    /// The way of a job to one of its queues.
    pub fn route(&self, names: &Names, side: QueueRole, due: Due, properties: BasicProperties) -> Result<Route> {
        let now = SystemClock.now_ms();
        let due_ms = match due {
            Due::Now => now,
            Due::After(seconds) => now.saturating_add(seconds.saturating_mul(1000)),
            Due::At(second) => second.saturating_mul(1000),
        };
        let late = due_ms.saturating_sub(now);
        if late > 0
            && let Some(pass) = delay::pass(late, due_ms.saturating_add(999) / 1000, &names.address(side)?)
        {
            let properties = match pass.again {
                Some(second) => message::due_at(properties, second),
                None => properties,
            };
            return Ok(Route {
                exchange: delay::name(pass.top),
                key: pass.key,
                properties,
                need: TopologyItem::Delay(pass.top, side),
            });
        }
        let exchange = if side == QueueRole::Fresh { self.config.exchange.clone() } else { String::new() };
        Ok(Route { exchange, key: names.on(side).to_owned(), properties, need: TopologyItem::Queue(side) })
    }

    /// Publishes and waits for the fate of each. `needs` are seen to before; what comes back because somebody removed them meanwhile is
    /// sent once more.
    pub fn send(&self, lane: PublishRole, items: &[Publish<'_>], needs: &[(Names, TopologyItem)]) -> Result<Vec<PublishOutcome>> {
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let mut outbox = lock(&self.lanes[lane as usize]);
        let link = self.link(&self.producer, "publishes")?;
        let patience = if lane == PublishRole::Move { Duration::ZERO } else { self.config.io_timeout };
        wait_until_open(&link, patience)?;
        if !outbox.as_ref().is_some_and(Publisher::is_alive) {
            *outbox = None;
        }
        self.ensure_all(&link, needs)?;
        let open = match outbox.take() {
            Some(open) => open,
            None => Publisher::open(&link, self.config.io_timeout)?,
        };
        let mut fates = open.publish(items);
        let homeless = |fate: &PublishOutcome| matches!(fate, PublishOutcome::Returned(_));
        if self.config.declare == Declare::Yes && fates.iter().any(homeless) {
            self.topology.forget();
            self.ensure_all(&link, needs)?;
            send_again(&open, items, &mut fates, homeless);
        }
        let refused = |fate: &PublishOutcome| *fate == PublishOutcome::Nacked;
        while fates.iter().any(refused) && self.topology.is_young() {
            std::thread::sleep(ELECTION);
            send_again(&open, items, &mut fates, refused);
        }
        // One that owes us an answer might give it to the next.
        let owes = |fate: &PublishOutcome| {
            matches!(fate, PublishOutcome::Unknown(_) | PublishOutcome::Rejected(..) | PublishOutcome::Unsent)
        };
        if fates.iter().any(owes) {
            // A blocked connection tells the next one that it is; only its channel is let go of.
            if link.blocked().is_none() {
                link.cut();
                *lock(&self.producer) = None;
            }
        } else {
            *outbox = Some(open);
        }
        Ok(fates)
    }

    fn ensure_all(&self, link: &AmqpLink, needs: &[(Names, TopologyItem)]) -> Result<()> {
        needs.iter().try_for_each(|(names, need)| self.ensure(link, names, &[*need]))
    }

    /// Publishes jobs of one queue, with an error that says how many of them were stored.
    pub fn push(&self, queue: &QueueName, jobs: &[ferry_core::NewJob<'_>]) -> Result<u64> {
        let names = Names::of(queue)?;
        let mut items = Vec::with_capacity(jobs.len());
        let mut needs: Vec<(Names, TopologyItem)> = Vec::new();
        for job in jobs {
            let route = self.route(&names, QueueRole::Fresh, job.due, message::pushed(self.config.priority))?;
            if !needs.iter().any(|(_, need)| *need == route.need) {
                needs.push((names.clone(), route.need));
            }
            items.push(Publish { exchange: route.exchange, key: route.key, body: &job.payload, properties: route.properties });
        }
        let fates = self.send(PublishRole::Push, &items, &needs)?;
        match trouble(&fates) {
            None => Ok(fates.len() as u64),
            Some(error) if fates.len() == 1 => Err(error),
            Some(error) => {
                let stored = fates.iter().take_while(|fate| **fate == PublishOutcome::Confirmed).count();
                Err(error.within(format!("{stored} of {} jobs were confirmed", fates.len())))
            }
        }
    }

    /// Lets go of both connections.
    pub fn close(&self) {
        for lane in &self.lanes {
            *lock(lane) = None;
        }
        *lock(&self.probe) = None;
        for place in [&self.producer, &self.consumer] {
            if let Some(link) = lock(place).take() {
                link.close();
            }
        }
    }
}
