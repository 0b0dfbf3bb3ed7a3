//! Publishing with confirms: many at a time, and each message's fate is known.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{BasicProperties, Channel, Confirmation, PublisherConfirm};

use crate::link::AmqpLink;
use crate::names::short;
use crate::{refusal, wait};

/// How many go out together. Twice as many are unconfirmed at most.
const WINDOW: usize = 128;
/// How often a blocked connection is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// A message on its way out.
#[derive(Clone)]
pub struct Publish<'a> {
    /// Where it enters; empty is the default exchange.
    pub exchange: String,
    /// Its routing key.
    pub key: String,
    /// Its body.
    pub body: &'a [u8],
    /// What stands beside it.
    pub properties: BasicProperties,
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// The broker has it.
    Confirmed,
    /// No queue took it; the broker's words.
    Returned(String),
    /// The broker refused it.
    Nacked,
    /// It was not sent.
    Unsent,
    /// The broker said no to the whole channel: code and words.
    Rejected(u16, String),
    /// Nobody knows, and why.
    Unknown(String),
}

/// A channel that confirms. One thread uses it at a time, so a message that comes back is surely one of its own.
pub struct Publisher {
    link: Arc<AmqpLink>,
    channel: Channel,
    io_timeout: Duration,
}

impl Publisher {
    /// A new channel on this connection.
    pub fn open(link: &Arc<AmqpLink>, io_timeout: Duration) -> Result<Self> {
        let channel = link.channel()?;
        link.ask(channel.confirm_select(ConfirmSelectOptions::default()))?;
        Ok(Self { link: Arc::clone(link), channel, io_timeout })
    }

    /// Whether it can still be used.
    pub fn is_alive(&self) -> bool {
        self.link.is_alive() && self.channel.status().connected()
    }

    /// Publishes `items` and waits for the fate of each.
    pub fn publish(&self, items: &[Publish<'_>]) -> Vec<PublishOutcome> {
        let mut round = PublishBatch {
            fates: vec![PublishOutcome::Unsent; items.len()],
            waiting: VecDeque::new(),
            returns: Vec::new(),
            over: false,
        };
        for (number, window) in items.chunks(WINDOW).enumerate() {
            self.send(&mut round, number * WINDOW, window);
            self.collect(&mut round, WINDOW);
            if round.over {
                break;
            }
        }
        self.collect(&mut round, 0);
        round.assign_returns(items);
        round.fates
    }

    fn send(&self, round: &mut PublishBatch, first: usize, window: &[Publish<'_>]) {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishes = window.iter().map(|item| {
            self.channel.basic_publish(short(&item.exchange), short(&item.key), options, item.body, item.properties.clone())
        });
        let sent = self.link.wait_for_answer(Instant::now() + self.io_timeout, wait::all(publishes));
        match sent {
            Some(answers) => {
                for (at, answer) in (first..).zip(answers) {
                    match answer {
                        Ok(confirm) => round.waiting.push_back((at, confirm)),
                        Err(error) => round.fail(at, &error),
                    }
                }
            }
            None => {
                let why = self.silence();
                round.fates[first..first + window.len()].fill(PublishOutcome::Unknown(why));
                round.over = true;
            }
        }
    }

    /// Waits for confirms until at most `left` are open.
    fn collect(&self, round: &mut PublishBatch, left: usize) {
        let deadline = Instant::now() + self.io_timeout;
        while round.waiting.len() > left {
            let Some((at, confirm)) = round.waiting.pop_front() else { return };
            match self.link.wait_for_answer(deadline, confirm) {
                Some(Ok(Confirmation::Ack(returned))) => round.confirmed(at, returned),
                Some(Ok(Confirmation::Nack(returned))) => {
                    round.returns.extend(returned);
                    round.fates[at] = PublishOutcome::Nacked;
                }
                Some(Ok(Confirmation::NotRequested)) => {
                    round.fates[at] = PublishOutcome::Unknown("the channel does not confirm".into())
                }
                Some(Err(error)) => round.fail(at, &error),
                None => {
                    round.fates[at] = PublishOutcome::Unknown(self.silence());
                    round.over = true;
                }
            }
        }
    }

    fn silence(&self) -> String {
        match self.link.blocked() {
            Some(reason) => format!("RabbitMQ at {} blocks publishers: {reason}", self.link.address()),
            None => format!("RabbitMQ at {} did not confirm within {} s", self.link.address(), self.io_timeout.as_secs_f32()),
        }
    }
}

struct PublishBatch {
    fates: Vec<PublishOutcome>,
    waiting: VecDeque<(usize, PublisherConfirm)>,
    returns: Vec<BasicReturnMessage>,
    over: bool,
}

impl PublishBatch {
    fn confirmed(&mut self, at: usize, returned: Option<BasicReturnMessage>) {
        self.fates[at] = PublishOutcome::Confirmed;
        self.returns.extend(returned);
    }

    fn fail(&mut self, at: usize, error: &lapin::Error) {
        self.over = true;
        self.fates[at] = match refusal::told(error) {
            // The broker closed the connection: it may have stored what it had read.
            Some(told) if told.get_id() == 320 => PublishOutcome::Unknown(refusal::words_of(error)),
            Some(told) => PublishOutcome::Rejected(told.get_id(), refusal::words_of(error)),
            None => PublishOutcome::Unknown(refusal::words_of(error)),
        };
    }

    /// One confirm may stand for many messages, so a message that came back may hang on its neighbour's. Its key tells whose it is.
    fn assign_returns(&mut self, items: &[Publish<'_>]) {
        for returned in std::mem::take(&mut self.returns) {
            let is_it = |at: &usize| {
                self.fates[*at] == PublishOutcome::Confirmed
                    && items[*at].key == returned.delivery.routing_key.as_str()
                    && items[*at].body == returned.delivery.data
            };
            if let Some(at) = (0..items.len()).find(is_it) {
                self.fates[at] = PublishOutcome::Returned(returned.reply_text.as_str().to_owned());
            }
        }
    }
}

/// Waits until the broker takes publishes on this connection. A blocked one answers nothing at all.
pub fn wait_until_open(link: &AmqpLink, patience: Duration) -> Result<()> {
    let deadline = Instant::now() + patience;
    while let Some(reason) = link.blocked() {
        if Instant::now() >= deadline {
            return Err(blocked(&reason, link));
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// The broker takes no publishes; nothing was sent.
fn blocked(reason: &str, link: &AmqpLink) -> Error {
    Error::new(ErrorKind::Refused, format!("RabbitMQ at {} blocks publishers: {reason}", link.address())).with_advice(
        "free memory or disk there, or raise `vm_memory_high_watermark` or lower `disk_free_limit`; nothing was stored",
    )
}

/// The first fate that is no confirm, as an error. `fates` may belong to one message or to many.
pub fn trouble(fates: &[PublishOutcome]) -> Option<Error> {
    let bad = fates.iter().find(|fate| **fate != PublishOutcome::Confirmed)?;
    let several = fates.len() > 1;
    Some(match bad {
        PublishOutcome::Confirmed => return None,
        PublishOutcome::Returned(words) => Error::new(ErrorKind::Refused, format!("no queue takes the job: {words}"))
            .with_advice("declare the queue and bind it to `exchange`, or set `declare` => 'yes'"),
        PublishOutcome::Nacked => Error::new(ErrorKind::Refused, "the broker refused the job (a nack)")
            .with_advice("the queue is full (`x-max-length` with `reject-publish`) or cannot write: let workers drain it, see the broker's log"),
        PublishOutcome::Unsent => Error::new(ErrorKind::Connection, "the job was not sent, the connection broke before"),
        PublishOutcome::Rejected(code, words) => {
            // Of several, earlier ones may have been stored before the channel was closed.
            let kind = if several { ErrorKind::Uncertain } else { ErrorKind::Refused };
            let error = Error::new(kind, format!("the broker refused the job: {words}"));
            match refusal::advice(*code, words) {
                Some(advice) => error.with_advice(advice),
                None => error,
            }
        }
        PublishOutcome::Unknown(words) => Error::new(ErrorKind::Uncertain, "the job was published, but its confirm never came")
            .with_source(words.clone())
            .with_advice("it may or may not be stored; pushing again may store it twice"),
    })
}
