//! Declaring queues, exchanges and the levels of delays, once per connection.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ferry_core::Result;
use ferry_core::config::{AmqpConfig, Declare, QueueType, Value};
use ferry_core::task::LEVELS;
use ferry_support::sync;
use lapin::options::{ExchangeBindOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldArray, FieldTable, ShortString};
use lapin::{Channel, ExchangeKind};

use crate::delay::{self, DelaySpace};
use crate::link::AmqpLink;
use crate::names::{Names, QueueRole, short};
use crate::tasks;

/// Something that must be declared before a message is sent or consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopologyItem {
    /// The queue with this role.
    Queue(QueueRole),
    /// The failed store.
    Failed,
    /// The levels up to this one, and the binding from them to the queue with this role.
    Delay(usize, QueueRole),
    /// The levels of tasks up to this one, the bindings from them to the queues of tasks, and what [`TopologyItem::Tasks`] declares.
    TaskDelay(usize),
    /// Exchanges and queues of the tasks.
    Tasks,
    /// The queue that keeps dead letters of tasks beyond their TTL.
    KeptTasks,
}

/// A topology item of one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueTopology {
    /// The names of the queue.
    pub names: Arc<Names>,
    /// What must be declared for it.
    pub item: TopologyItem,
}

/// How long after a declaration a quorum queue may still elect its first leader.
const ELECTION_PERIOD: Duration = Duration::from_secs(5);

/// What is known to be declared.
#[derive(Default)]
pub struct TopologyCache(Mutex<Known>);

#[derive(Default)]
struct Known {
    keys: HashSet<String>,
    last_declared: Option<Instant>,
}

impl TopologyCache {
    fn known(&self) -> MutexGuard<'_, Known> {
        sync::lock(&self.0)
    }

    /// Forgets everything: the connection is new, or somebody removed something.
    pub fn forget(&self) {
        self.known().keys.clear();
    }

    /// Declares those of `items` that are not known yet, as far as `declare` allows. A refusal closes the channel, so it has one of its own
    /// unless `channel` is given.
    pub fn ensure(
        &self,
        link: &AmqpLink,
        channel: Option<&Channel>,
        config: &AmqpConfig,
        names: &Names,
        items: &[TopologyItem],
    ) -> Result<()> {
        if config.declare == Declare::No {
            return Ok(());
        }
        let missing: Vec<(String, TopologyItem)> = {
            let known = self.known();
            items.iter().map(|item| (key(names, *item), *item)).filter(|(key, _)| !known.keys.contains(key)).collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        let channel = channel.map_or_else(|| link.channel(), |channel| Ok(channel.clone()))?;
        let declarer = Declarer { link, channel, config };
        for (key, item) in missing {
            declarer.declare(names, item)?;
            let mut known = self.known();
            known.keys.insert(key);
            known.last_declared = Some(Instant::now());
        }
        Ok(())
    }

    /// Whether something may have been declared a moment ago, by this process or another. A quorum queue that still elects its first
    /// leader refuses messages.
    pub fn may_elect_leader(&self) -> bool {
        self.known().last_declared.is_some_and(|at| at.elapsed() < ELECTION_PERIOD)
    }
}

fn key(names: &Names, item: TopologyItem) -> String {
    match item {
        TopologyItem::Queue(role) => format!("q {}", names.queue(role)),
        TopologyItem::Failed => format!("q {}", names.failed),
        TopologyItem::Delay(top, role) => format!("d{top} {}", names.queue(role)),
        TopologyItem::TaskDelay(top) => format!("t{top}"),
        TopologyItem::Tasks => "tasks".to_owned(),
        TopologyItem::KeptTasks => "kept tasks".to_owned(),
    }
}

/// Declares on one channel.
pub struct Declarer<'a> {
    link: &'a AmqpLink,
    channel: Channel,
    config: &'a AmqpConfig,
}

impl Declarer<'_> {
    fn declare(&self, names: &Names, item: TopologyItem) -> Result<()> {
        match item {
            TopologyItem::Queue(role) => {
                self.queue(names.queue(role), self.arguments(role))?;
                match role {
                    QueueRole::Main => self.bind_to_exchange(&names.main),
                    QueueRole::Retry => Ok(()),
                }
            }
            TopologyItem::Failed => self.queue(&names.failed, FieldTable::default()),
            TopologyItem::Delay(top, role) => {
                self.declare(names, TopologyItem::Queue(role))?;
                self.levels(DelaySpace::Jobs, top)?;
                self.bind(names.queue(role), &DelaySpace::Jobs.due(), &delay::arrival(&names.address(role)?))
            }
            TopologyItem::TaskDelay(top) => {
                self.declare(names, TopologyItem::Tasks)?;
                self.levels(DelaySpace::Tasks, top)?;
                LEVELS.iter().try_for_each(|level| {
                    let names = tasks::names_of(*level)?;
                    self.bind(&names.main, &DelaySpace::Tasks.due(), &delay::arrival(&names.address(QueueRole::Main)?))
                })
            }
            TopologyItem::Tasks => tasks::declare(self),
            TopologyItem::KeptTasks => tasks::declare_kept(self),
        }
    }

    fn is_passive(&self) -> bool {
        self.config.declare == Declare::Passive
    }

    /// The configured arguments. Limits of length hold for the main queue only: producers push there.
    fn arguments(&self, role: QueueRole) -> FieldTable {
        let mut table = FieldTable::default();
        if self.config.queue_type == QueueType::Quorum {
            table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        }
        for (name, value) in
            self.config.arguments.iter().filter(|(name, _)| role == QueueRole::Main || !name.starts_with("x-max-length"))
        {
            table.insert(short(name), argument(value));
        }
        table
    }

    /// Declares a durable queue.
    pub fn queue(&self, name: &str, arguments: FieldTable) -> Result<()> {
        let options = QueueDeclareOptions { passive: self.is_passive(), durable: true, ..QueueDeclareOptions::default() };
        self.link.request(self.channel.queue_declare(short(name), options, arguments)).map(drop)
    }

    /// Declares a durable exchange.
    pub fn exchange(&self, name: &str, kind: ExchangeKind) -> Result<()> {
        let options = ExchangeDeclareOptions { passive: self.is_passive(), durable: true, ..ExchangeDeclareOptions::default() };
        self.link.request(self.channel.exchange_declare(short(name), kind, options, FieldTable::default()))
    }

    /// Declares a binding, unless declarations are passive: bindings have no passive form.
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
        self.link.request(bind)
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

    fn levels(&self, space: DelaySpace, top: usize) -> Result<()> {
        self.exchange(&space.due(), ExchangeKind::Topic)?;
        for level in 0..=top {
            let (name, below) = (space.name(level), space.below(level));
            self.exchange(&name, ExchangeKind::Topic)?;
            self.queue(&name, level_arguments(level, &below))?;
            self.bind(&name, &name, &delay::pattern(level, '1'))?;
            if !self.is_passive() {
                let (to, from): (ShortString, ShortString) = (short(&below), short(&name));
                let pattern = short(&delay::pattern(level, '0'));
                let bind = self.channel.exchange_bind(to, from, pattern, ExchangeBindOptions::default(), FieldTable::default());
                self.link.request(bind)?;
            }
        }
        Ok(())
    }
}

/// Always a quorum queue: only that type keeps a dead-lettered message until its target has confirmed it.
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
        // The configuration parser accepts neither.
        Value::Null | Value::Other(_) => AMQPValue::Void,
    }
}
