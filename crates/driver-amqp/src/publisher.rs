//! Publishing with publisher confirms: many messages at a time, with one outcome for each.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result};
use lapin::message::BasicReturnMessage;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::{Channel, Confirmation, PublisherConfirm};

use crate::late_confirm::LateConfirm;
use crate::link::AmqpLink;
use crate::names::short;
use crate::route::Route;
use crate::{refusal, wait};

/// How many messages are sent together. At most twice as many are unconfirmed.
const WINDOW: usize = 128;
/// How often a blocked connection is looked at.
const BLOCKED_POLL: Duration = Duration::from_millis(10);

/// What became of a message.
#[derive(Debug)]
pub enum PublishOutcome {
    /// The broker has stored it.
    Confirmed,
    /// It could not be routed to a queue; the broker's text.
    Returned(String),
    /// The queue refused it.
    Nacked,
    /// It was not sent.
    Unsent,
    /// The broker closed the channel because of it: reply code and text.
    Rejected(u16, String),
    /// It was sent and nothing is known of it.
    Unknown {
        /// Why.
        reason: String,
        /// The confirm, which may still come.
        late: Option<LateConfirm>,
    },
}

impl PublishOutcome {
    /// Whether the broker has stored the message.
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed)
    }

    /// Whether the message was certainly not stored because no queue took it.
    pub fn is_returned(&self) -> bool {
        matches!(self, Self::Returned(_))
    }

    /// Whether the queue refused the message.
    pub fn is_nacked(&self) -> bool {
        matches!(self, Self::Nacked)
    }

    /// Whether the channel may still bring an answer that belongs to this message.
    fn leaves_channel_unusable(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Rejected(..) | Self::Unsent)
    }
}

/// A channel in confirm mode. One thread uses it at a time, so a returned message is one of that thread's.
pub struct Publisher {
    link: Arc<AmqpLink>,
    channel: Channel,
    io_timeout: Duration,
}

impl Publisher {
    /// Opens a new channel on this connection.
    pub fn open(link: &Arc<AmqpLink>, io_timeout: Duration) -> Result<Self> {
        let channel = link.channel()?;
        link.request(channel.confirm_select(ConfirmSelectOptions::default()))?;
        Ok(Self { link: Arc::clone(link), channel, io_timeout })
    }

    /// Whether it can be used on this connection, which is known to be alive.
    pub fn is_open_on(&self, link: &Arc<AmqpLink>) -> bool {
        Arc::ptr_eq(&self.link, link) && self.channel.status().connected()
    }

    /// Its channel.
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Publishes `routes` and waits for the outcome of each.
    pub fn publish(&self, routes: &[&Route<'_>]) -> Vec<PublishOutcome> {
        let mut batch = PublishBatch {
            outcomes: routes.iter().map(|_| PublishOutcome::Unsent).collect(),
            unconfirmed: VecDeque::new(),
            late: Vec::new(),
            returned: Vec::new(),
            is_broken: false,
        };
        for (number, window) in routes.chunks(WINDOW).enumerate() {
            self.send(&mut batch, number * WINDOW, window);
            self.collect(&mut batch, WINDOW);
            if batch.is_broken {
                break;
            }
        }
        self.collect(&mut batch, 0);
        let all_assigned = batch.assign_returned(routes);
        let (positions, confirms): (Vec<usize>, Vec<PublisherConfirm>) = std::mem::take(&mut batch.late).into_iter().unzip();
        for (at, confirm) in positions.into_iter().zip(LateConfirm::group(confirms, !all_assigned, &self.channel)) {
            batch.outcomes[at] = PublishOutcome::Unknown { reason: self.no_answer(), late: Some(confirm) };
        }
        batch.outcomes
    }

    /// Publishes once more the messages whose outcome is `which`: outcomes that say that nothing was stored.
    pub fn publish_again(&self, routes: &[&Route<'_>], outcomes: &mut [PublishOutcome], which: impl Fn(&PublishOutcome) -> bool) {
        let positions: Vec<usize> = (0..routes.len()).filter(|at| which(&outcomes[*at])).collect();
        let again: Vec<&Route<'_>> = positions.iter().map(|at| routes[*at]).collect();
        for (at, outcome) in positions.into_iter().zip(self.publish(&again)) {
            outcomes[at] = outcome;
        }
    }

    fn send(&self, batch: &mut PublishBatch, first: usize, window: &[&Route<'_>]) {
        let options = BasicPublishOptions { mandatory: true, immediate: false };
        let publishes = window.iter().map(|route| {
            self.channel.basic_publish(short(&route.exchange), short(&route.key), options, &route.body, route.properties.clone())
        });
        let sent = self.link.wait_for_answer(Instant::now() + self.io_timeout, wait::all(publishes));
        match sent {
            Some(answers) => {
                for (at, answer) in (first..).zip(answers) {
                    match answer {
                        Ok(confirm) => batch.unconfirmed.push_back((at, confirm)),
                        Err(error) => batch.fail(at, &error),
                    }
                }
            }
            None => {
                for outcome in &mut batch.outcomes[first..first + window.len()] {
                    *outcome = PublishOutcome::Unknown { reason: self.no_answer(), late: None };
                }
                batch.is_broken = true;
            }
        }
    }

    /// Waits for confirms until at most `left` messages are unconfirmed.
    fn collect(&self, batch: &mut PublishBatch, left: usize) {
        let deadline = Instant::now() + self.io_timeout;
        while batch.unconfirmed.len() > left {
            let Some((at, mut confirm)) = batch.unconfirmed.pop_front() else { return };
            match self.link.wait_for_answer(deadline, &mut confirm) {
                Some(Ok(Confirmation::Ack(returned))) => batch.confirm(at, returned),
                Some(Ok(Confirmation::Nack(returned))) => {
                    batch.returned.extend(returned);
                    batch.outcomes[at] = PublishOutcome::Nacked;
                }
                Some(Ok(Confirmation::NotRequested)) => {
                    batch.outcomes[at] =
                        PublishOutcome::Unknown { reason: "the channel is not in confirm mode".into(), late: None };
                }
                Some(Err(error)) => batch.fail(at, &error),
                None => {
                    batch.late.push((at, confirm));
                    batch.is_broken = true;
                }
            }
        }
    }

    fn no_answer(&self) -> String {
        match self.link.blocked() {
            Some(reason) => format!("RabbitMQ at {} blocks publishers: {reason}", self.link.address()),
            None => format!("RabbitMQ at {} did not confirm within {} s", self.link.address(), self.io_timeout.as_secs_f32()),
        }
    }
}

/// The messages of one call of [`Publisher::publish`].
struct PublishBatch {
    outcomes: Vec<PublishOutcome>,
    unconfirmed: VecDeque<(usize, PublisherConfirm)>,
    /// Messages whose confirm did not come in time.
    late: Vec<(usize, PublisherConfirm)>,
    returned: Vec<BasicReturnMessage>,
    /// Nothing more is sent on this channel.
    is_broken: bool,
}

impl PublishBatch {
    fn confirm(&mut self, at: usize, returned: Option<BasicReturnMessage>) {
        self.outcomes[at] = PublishOutcome::Confirmed;
        self.returned.extend(returned);
    }

    fn fail(&mut self, at: usize, error: &lapin::Error) {
        self.is_broken = true;
        let reason = refusal::text_of(error);
        self.outcomes[at] = match refusal::refusal_of(error).map(lapin::protocol::AMQPError::get_id) {
            // The broker closed the connection: it may have stored what it had read.
            None | Some(refusal::CONNECTION_FORCED | refusal::INTERNAL_ERROR) => PublishOutcome::Unknown { reason, late: None },
            Some(code) => PublishOutcome::Rejected(code, reason),
        };
    }

    /// One confirm may stand for many messages, so a returned message may come with its neighbour's confirm. Routing key and body
    /// tell which one it is. False when that is none of the confirmed ones.
    fn assign_returned(&mut self, routes: &[&Route<'_>]) -> bool {
        let mut all_assigned = true;
        for returned in std::mem::take(&mut self.returned) {
            let is_it = |at: &usize| {
                self.outcomes[*at].is_confirmed()
                    && routes[*at].key == returned.delivery.routing_key.as_str()
                    && *routes[*at].body == *returned.delivery.data
            };
            match (0..routes.len()).find(is_it) {
                Some(at) => self.outcomes[at] = PublishOutcome::Returned(returned.reply_text.as_str().to_owned()),
                None => all_assigned = false,
            }
        }
        all_assigned
    }
}

/// Whether the channel that answered so must not be used again.
pub fn leave_channel_unusable(outcomes: &[PublishOutcome]) -> bool {
    outcomes.iter().any(PublishOutcome::leaves_channel_unusable)
}

/// Waits until the broker accepts publishes on this connection. A blocked connection gets no answers at all.
pub fn wait_until_unblocked(link: &AmqpLink, timeout: Duration) -> Result<()> {
    let deadline = Instant::now() + timeout;
    while let Some(reason) = link.blocked() {
        if Instant::now() >= deadline {
            return Err(blocked(&reason, link));
        }
        std::thread::sleep(BLOCKED_POLL);
    }
    Ok(())
}

/// The broker accepts no publishes; nothing was sent.
fn blocked(reason: &str, link: &AmqpLink) -> Error {
    Error::new(ErrorKind::Refused, format!("RabbitMQ at {} blocks publishers: {reason}", link.address())).with_advice(
        "free memory or disk there, or raise `vm_memory_high_watermark` or lower `disk_free_limit`; nothing was stored",
    )
}

/// The first outcome that is no confirm, as an error.
pub fn first_error(outcomes: &[PublishOutcome]) -> Option<Error> {
    let bad = outcomes.iter().find(|outcome| !outcome.is_confirmed())?;
    let several = outcomes.len() > 1;
    Some(match bad {
        PublishOutcome::Confirmed => return None,
        PublishOutcome::Returned(text) => Error::new(ErrorKind::Refused, format!("no queue takes the job: {text}"))
            .with_advice("declare the queue and bind it to `exchange`, or set `declare` => 'yes'"),
        PublishOutcome::Nacked => Error::new(ErrorKind::Refused, "the broker refused the job (a nack)").with_advice(
            "the queue is full (`x-max-length` with `reject-publish`) or cannot write: start more workers, or see the broker's log",
        ),
        PublishOutcome::Unsent => Error::new(ErrorKind::Connection, "the job was not sent, the connection broke before"),
        PublishOutcome::Rejected(code, text) => {
            // Of several, earlier ones may have been stored before the channel was closed.
            let kind = match refusal::kind_of(*code, text) {
                ErrorKind::Denied => ErrorKind::Denied,
                _ if several => ErrorKind::Uncertain,
                _ => ErrorKind::Refused,
            };
            let error = Error::new(kind, format!("the broker refused the job: {text}"));
            match refusal::advice(*code, text) {
                Some(advice) => error.with_advice(advice),
                None => error,
            }
        }
        PublishOutcome::Unknown { reason, .. } => {
            Error::new(ErrorKind::Uncertain, "the job was published, but its confirm never came")
                .with_source(reason.clone())
                .with_advice("it may or may not be stored; pushing again may store it twice")
        }
    })
}
