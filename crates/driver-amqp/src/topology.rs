//! Declaring what is needed, once per connection: queues, exchanges, the levels of delays.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ferry_core::Result;
use ferry_core::config::{AmqpConfig, Declare, QueueType, Value};
use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::delay;
use crate::link::AmqpLink;
use crate::names::{Names, QueueRole, short};
use crate::tasks;

/// What must be there before a message is sent or taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyItem {
    /// The queue on this side.
    Queue(QueueRole),
    /// The failed store.
    Failed,
    /// The levels up to this one, and the way from them to the queue on this side.
    Delay(usize, QueueRole),
    /// The levels up to this one, and the way from them to a queue that [`TopologyItem::Tasks`] declares.
    TaskDelay(usize),
    /// Exchanges and queues of the tasks.
    Tasks,
    /// The queue for dead letters of tasks that would vanish.
    KeptTasks,
}

/// How long a queue is young.
const YOUTH: Duration = Duration::from_secs(5);

/// What is known to be there.
#[derive(Default)]
pub struct TopologyCache(Mutex<Known>);

#[derive(Default)]
struct Known {
    things: HashSet<String>,
    /// When we last saw to something.
    latest: Option<Instant>,
}

impl TopologyCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody removed something: look at everything anew.
    pub fn forget(&self) {
        self.known().things.clear();
    }

    /// Sees to it that all of `needs` are there, as far as `declare` lets us.
    pub fn ensure(&self, link: &AmqpLink, config: &AmqpConfig, names: &Names, needs: &[TopologyItem]) -> Result<()> {
        if config.declare == Declare::No {
            return Ok(());
        }
        let missing: Vec<(String, TopologyItem)> = {
            let known = self.known();
            needs.iter().map(|need| (key(names, *need), *need)).filter(|(key, _)| !known.things.contains(key)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        // A refusal closes the channel, so it is nobody else's.
        let channel = link.channel()?;
        let hand = Declarer { link, channel, config };
        for (key, need) in missing {
            hand.see_to(names, need)?;
            let mut known = self.known();
            known.things.insert(key);
            known.latest = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether something may have been declared a moment ago, by us or by somebody beside us. A quorum queue that is still electing its
    /// first leader refuses what comes.
    pub fn is_young(&self) -> bool {
        self.known().latest.is_some_and(|latest| latest.elapsed() < YOUTH)
    }
}

fn key(names: &Names, need: TopologyItem) -> String {
    match need {
        TopologyItem::Queue(side) => format!("q {}", names.on(side)),
        TopologyItem::Failed => format!("q {}", names.failed),
        TopologyItem::Delay(top, side) => format!("d{top} {}", names.on(side)),
        TopologyItem::TaskDelay(top) => format!("t{top} {}", names.fresh),
        TopologyItem::Tasks => "tasks".to_owned(),
        TopologyItem::KeptTasks => "kept tasks".to_owned(),
    }
}

/// A channel to declare by.
pub struct Declarer<'a> {
    link: &'a AmqpLink,
    channel: Channel,
    config: &'a AmqpConfig,
}

impl Declarer<'_> {
    fn see_to(&self, names: &Names, need: TopologyItem) -> Result<()> {
        match need {
            TopologyItem::Queue(side) => {
                self.queue(names.on(side), self.arguments(side))?;
                if side == QueueRole::Fresh { self.bind_to_exchange(&names.fresh) } else { Ok(()) }
            }
            TopologyItem::Failed => self.queue(&names.failed, FieldTable::default()),
            TopologyItem::Delay(top, side) => {
                self.see_to(names, TopologyItem::Queue(side))?;
                self.levels(top)?;
                self.bind(names.on(side), delay::DUE, &delay::arrival(&names.address(side)?))
            }
            TopologyItem::TaskDelay(top) => {
                self.levels(top)?;
                self.bind(&names.fresh, delay::DUE, &delay::arrival(&names.address(QueueRole::Fresh)?))
            }
            TopologyItem::Tasks => tasks::declare(self),
            TopologyItem::KeptTasks => tasks::declare_kept(self),
        }
    }

    fn is_passive(&self) -> bool {
        self.config.declare == Declare::Passive
    }

    /// What the configuration asks for. Limits of length are for the queue that everybody pushes to.
    fn arguments(&self, side: QueueRole) -> FieldTable {
        let mut table = FieldTable::default();
        if self.config.queue_type == QueueType::Quorum {
            table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        for (name, value) in
            self.config.arguments.iter().filter(|(name, _)| side == QueueRole::Fresh || !name.starts_with("x-max-length"))
        {
            table.insert(short(name), argument(value));
        }
        table
    }

    /// A durable queue.
    pub fn queue(&self, name: &str, arguments: FieldTable) -> Result<()> {
        let options = QueueDeclareOptions { passive: self.is_passive(), durable: true, ..QueueDeclareOptions::default() };
        self.link.ask(self.channel.queue_declare(short(name), options, arguments)).map(drop)
    }

    /// A durable exchange.
    pub fn exchange(&self, name: &str, kind: ExchangeKind) -> Result<()> {
        let options = ExchangeDeclareOptions { passive: self.is_passive(), durable: true, ..ExchangeDeclareOptions::default() };
        self.link.ask(self.channel.exchange_declare(short(name), kind, options, FieldTable::default()))
    }

    /// A binding; there is none to be looked at passively.
    pub fn bind(&self, queue: &str, exchange: &str, pattern: &str) -> Result<()> {
        if self.is_passive() {
            return Ok(());
        }
        let bind = self.channel.queue_bind(
            short(queue),
            short(exchange),
            short(pattern),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        self.link.ask(bind)
    }

    fn bind_to_exchange(&self, queue: &str) -> Result<()> {
        if self.config.exchange.is_empty() {
            return Ok(());
        }
        let kind = match self.config.exchange_type.as_str() {
            "direct" => ExchangeKind::Direct,
            "fanout" => ExchangeKind::Fanout,
            "topic" => ExchangeKind::Topic,
            "headers" => ExchangeKind::Headers,
            other => ExchangeKind::Custom(other.to_owned()),
        };
        self.exchange(&self.config.exchange, kind)?;
        self.bind(queue, &self.config.exchange, queue)
    }

    fn levels(&self, top: usize) -> Result<()> {
        self.exchange(delay::DUE, ExchangeKind::Topic)?;
        for level in 0..=top {
            let (name, below) = (delay::name(level), delay::below(level));
            self.exchange(&name, ExchangeKind::Topic)?;
            self.queue(&name, level_arguments(level, &below))?;
            self.bind(&name, &name, &delay::pattern(level, '1'))?;
            if !self.is_passive() {
                let (to, from): (ShortString, ShortString) = (short(&below), short(&name));
                let pattern = short(&delay::pattern(level, '0'));
                let bind = self.channel.exchange_bind(to, from, pattern, ExchangeBindOptions::default(), FieldTable::default());
                self.link.ask(bind)?;
            }
        }
        Ok(())
    }
}

/// Quorum, whatever the queues of jobs are: only there a message that moves on is confirmed before it is forgotten.
fn level_arguments(level: usize, below: &str) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(delay::ttl(level)));
    table.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(below.into()));
    table.insert("x-dead-letter-strategy".into(), AMQPValue::LongString("at-least-once".into()));
    table.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    table
}

fn argument(value: &Value) -> AMQPValue {
    match value {
        Value::Bool(flag) => AMQPValue::Boolean(*flag),
        Value::Int(number) => AMQPValue::LongLongInt(*number),
        Value::Float(number) => AMQPValue::Double(*number),
        Value::Text(text) => AMQPValue::LongString(text.clone().into()),
        Value::Map(fields) if fields.iter().enumerate().all(|(at, (key, _))| *key == at.to_string()) => {
            AMQPValue::FieldArray(FieldArray::from(fields.iter().map(|(_, value)| argument(value)).collect::<Vec<_>>()))
        }
        Value::Map(fields) => {
            let mut table = FieldTable::default();
            for (key, value) in fields {
                table.insert(short(key), argument(value));
            }
            AMQPValue::FieldTable(table)
        }
        // The parser lets neither through.
        Value::Null | Value::Other(_) => AMQPValue::Void,
    }
}
