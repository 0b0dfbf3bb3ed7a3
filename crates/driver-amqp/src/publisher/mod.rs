//! Publishing with publisher confirms: many messages at a time, with one outcome for each.

mod late_confirm;
mod past_lapin;
mod through_lapin;

use std::sync::Arc;
use std::time::{Duration, Instant};

use ferry_core::{Error, ErrorKind, Result};
use lapin::Channel;

use crate::link::{AmqpLink, ConfirmChannel, ReturnedMessage};
use crate::refusal;
use crate::route::Route;

pub use late_confirm::{LateConfirm, LateState};

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
    /// Nothing of it was sent: the connection broke before, or took nothing in time.
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

    /// Whether the channel is closed, or may still bring an answer that belongs to this message.
    fn leaves_channel_unusable(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Rejected(..) | Self::Unsent)
    }
}

/// A channel in confirm mode. One thread uses it at a time, so a returned message is one of that thread's.
pub struct Publisher {
    link: Arc<AmqpLink>,
    channel: PublishChannel,
    io_timeout: Duration,
}

/// Who writes the messages and reads the confirms.
enum PublishChannel {
    /// This thread.
    PastLapin(Arc<ConfirmChannel>),
    /// lapin's I/O thread: over TLS and with tokio's socket.
    ThroughLapin(Channel),
}

impl Publisher {
    /// Opens a new channel on this connection.
    pub fn open(link: &Arc<AmqpLink>, io_timeout: Duration) -> Result<Self> {
        let channel = match link.confirm_channel()? {
            Some(channel) => PublishChannel::PastLapin(Arc::new(channel)),
            None => PublishChannel::ThroughLapin(through_lapin::open(link)?),
        };
        Ok(Self { link: Arc::clone(link), channel, io_timeout })
    }

    /// Whether it can be used on this connection, which is known to be alive.
    pub fn is_open_on(&self, link: &Arc<AmqpLink>) -> bool {
        let has_ended = match &self.channel {
            PublishChannel::PastLapin(channel) => channel.end().is_some(),
            PublishChannel::ThroughLapin(_) => false,
        };
        Arc::ptr_eq(&self.link, link) && !has_ended && self.channel().status().connected()
    }

    /// Forgets what was published, once every outcome is known.
    pub fn forget_confirmed(&self) {
        if let PublishChannel::PastLapin(channel) = &self.channel {
            channel.forget_confirmed();
        }
    }

    /// Its channel.
    pub fn channel(&self) -> &Channel {
        match &self.channel {
            PublishChannel::PastLapin(channel) => channel.channel(),
            PublishChannel::ThroughLapin(channel) => channel,
        }
    }

    /// Publishes `routes` and waits for the outcome of each.
    pub fn publish(&self, routes: &[&Route<'_>]) -> Vec<PublishOutcome> {
        match &self.channel {
            PublishChannel::PastLapin(channel) => past_lapin::publish(self, channel, routes),
            PublishChannel::ThroughLapin(channel) => through_lapin::publish(self, channel, routes),
        }
    }

    /// Publishes once more the messages whose outcome is `which`: outcomes that say that nothing was stored.
    pub fn publish_again(&self, routes: &[&Route<'_>], outcomes: &mut [PublishOutcome], which: impl Fn(&PublishOutcome) -> bool) {
        let positions: Vec<usize> = (0..routes.len()).filter(|at| which(&outcomes[*at])).collect();
        let again: Vec<&Route<'_>> = positions.iter().map(|at| routes[*at]).collect();
        for (at, outcome) in positions.into_iter().zip(self.publish(&again)) {
            outcomes[at] = outcome;
        }
    }

    fn no_answer(&self) -> String {
        match self.link.blocked() {
            Some(reason) => format!("RabbitMQ at {} blocks publishers: {reason}", self.link.address()),
            None => format!("RabbitMQ at {} did not confirm within {} s", self.link.address(), self.io_timeout.as_secs_f32()),
        }
    }
}

/// One confirm may stand for many messages, so a returned message may come with its neighbour's confirm. Routing key and body tell which
/// one it is. False when that is none of the confirmed ones.
fn assign_returned(outcomes: &mut [PublishOutcome], returned: Vec<ReturnedMessage>, routes: &[&Route<'_>]) -> bool {
    let mut all_assigned = true;
    for message in returned {
        let is_it = |at: &usize| {
            outcomes[*at].is_confirmed() && routes[*at].key == message.routing_key && *routes[*at].body == *message.body
        };
        match (0..routes.len()).find(is_it) {
            Some(at) => outcomes[at] = PublishOutcome::Returned(message.text),
            None => all_assigned = false,
        }
    }
    all_assigned
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
        PublishOutcome::Unsent => {
            // Where nothing may be stored, repeating is safe.
            let none_was_sent = outcomes.iter().all(|outcome| matches!(outcome, PublishOutcome::Unsent));
            let kind = if none_was_sent { ErrorKind::Connection } else { ErrorKind::Uncertain };
            Error::new(kind, "the job was not sent: the connection broke before, or took nothing in time")
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(outcomes: &[PublishOutcome]) -> Option<ErrorKind> {
        first_error(outcomes).map(|error| error.kind())
    }

    #[test]
    fn only_where_nothing_may_be_stored_does_the_error_say_that_repeating_is_safe() {
        use PublishOutcome::{Confirmed, Nacked, Rejected, Unsent};
        assert_eq!(kind(&[Confirmed, Confirmed]), None);
        assert_eq!(kind(&[Unsent]), Some(ErrorKind::Connection));
        assert_eq!(kind(&[Unsent, Unsent]), Some(ErrorKind::Connection));
        assert_eq!(kind(&[Confirmed, Unsent]), Some(ErrorKind::Uncertain));
        assert_eq!(kind(&[Nacked]), Some(ErrorKind::Refused));
        assert_eq!(kind(&[Rejected(404, "NOT_FOUND - no exchange 'x'".into())]), Some(ErrorKind::Refused));
    }
}
