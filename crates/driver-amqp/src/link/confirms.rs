//! What the broker said of the messages that were published on one channel in confirm mode. Pure.

use std::collections::VecDeque;
use std::mem;

/// What the broker did with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// It stored the message, or returned it.
    Ack,
    /// The queue refused it.
    Nack,
}

/// Why nothing more comes on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChannelEnd {
    /// The broker closed it: reply code and text.
    Closed(u16, String),
    /// The connection ends, or lapin closed the channel; the text of a broker that closes the connection.
    Lost(Option<String>),
}

/// A message that could not be routed to a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnedMessage {
    pub routing_key: String,
    pub body: Vec<u8>,
    /// The text of the broker.
    pub text: String,
}

/// The messages of one channel, which are numbered from 1, and what came for them.
#[derive(Debug, Default)]
pub struct Confirms {
    /// How many messages at the front are not remembered any more.
    forgotten: u64,
    outcomes: VecDeque<Option<Confirm>>,
    /// How many of `outcomes` at the front are known.
    known: usize,
    unconfirmed: usize,
    returned: Vec<ReturnedMessage>,
    end: Option<ChannelEnd>,
}

impl Confirms {
    /// So many messages are about to be published. Answers the number of the first one.
    pub fn publish(&mut self, count: usize) -> u64 {
        let first = self.forgotten + self.outcomes.len() as u64 + 1;
        self.outcomes.extend(std::iter::repeat_n(None, count));
        self.unconfirmed += count;
        first
    }

    /// The last ones were not published after all.
    pub fn unpublish(&mut self, count: usize) {
        let kept = self.outcomes.len().saturating_sub(count);
        self.unconfirmed -= self.outcomes.drain(kept..).filter(Option::is_none).count();
        self.known = self.known.min(kept);
    }

    /// An answer for this message, or for all up to it. What nobody waits for is ignored.
    pub fn confirm(&mut self, number: u64, up_to: bool, confirm: Confirm) {
        // In an answer for several, 0 stands for all.
        let end = if up_to && number == 0 { self.outcomes.len() } else { self.position(number).map_or(0, |at| at + 1) };
        let begin = if up_to { self.known } else { end.saturating_sub(1) };
        for outcome in self.outcomes.iter_mut().take(end).skip(begin) {
            if outcome.is_none() {
                *outcome = Some(confirm);
                self.unconfirmed -= 1;
            }
        }
        while self.outcomes.get(self.known).is_some_and(Option::is_some) {
            self.known += 1;
        }
    }

    /// What came for this message.
    pub fn outcome(&self, number: u64) -> Option<Confirm> {
        self.outcomes.get(self.position(number)?).copied().flatten()
    }

    /// How many messages have no answer yet.
    pub fn unconfirmed(&self) -> usize {
        self.unconfirmed
    }

    /// Forgets all messages, when there is an answer for each. Nobody may ask for one of them any more.
    pub fn forget_confirmed(&mut self) {
        if self.unconfirmed == 0 {
            self.forgotten += self.outcomes.len() as u64;
            self.outcomes.clear();
            self.known = 0;
        }
    }

    /// A message came back.
    pub fn add_returned(&mut self, message: ReturnedMessage) {
        self.returned.push(message);
    }

    /// Takes the messages that came back.
    pub fn take_returned(&mut self) -> Vec<ReturnedMessage> {
        mem::take(&mut self.returned)
    }

    /// Nothing more will come. The first reason counts.
    pub fn end(&mut self, end: ChannelEnd) {
        self.end.get_or_insert(end);
    }

    /// Why nothing more comes.
    pub fn ended(&self) -> Option<&ChannelEnd> {
        self.end.as_ref()
    }

    fn position(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.forgotten + 1)?).ok().filter(|at| *at < self.outcomes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Confirm::{Ack, Nack};
    use super::*;

    fn outcomes(confirms: &Confirms, numbers: std::ops::RangeInclusive<u64>) -> Vec<Option<Confirm>> {
        numbers.map(|number| confirms.outcome(number)).collect()
    }

    #[test]
    fn each_answer_counts_for_its_message_in_whatever_order_they_come() {
        let mut confirms = Confirms::default();
        assert_eq!(confirms.publish(4), 1);
        confirms.confirm(3, false, Nack);
        confirms.confirm(1, false, Ack);
        assert_eq!(outcomes(&confirms, 1..=4), [Some(Ack), None, Some(Nack), None]);
        assert_eq!(confirms.unconfirmed(), 2);
        confirms.confirm(4, true, Ack);
        assert_eq!(outcomes(&confirms, 1..=4), [Some(Ack), Some(Ack), Some(Nack), Some(Ack)]);
        assert_eq!(confirms.unconfirmed(), 0);
    }

    #[test]
    fn an_answer_for_several_ends_at_its_number_and_zero_is_all() {
        let mut confirms = Confirms::default();
        confirms.publish(3);
        confirms.confirm(2, true, Ack);
        assert_eq!(outcomes(&confirms, 1..=3), [Some(Ack), Some(Ack), None]);
        confirms.publish(2);
        confirms.confirm(0, true, Nack);
        assert_eq!(outcomes(&confirms, 1..=5), [Some(Ack), Some(Ack), Some(Nack), Some(Nack), Some(Nack)]);
        assert_eq!(confirms.unconfirmed(), 0);
    }

    #[test]
    fn what_nobody_waits_for_is_ignored() {
        let mut confirms = Confirms::default();
        confirms.confirm(1, false, Ack);
        confirms.confirm(0, true, Ack);
        confirms.publish(1);
        for number in [0, 2, u64::MAX] {
            confirms.confirm(number, false, Ack);
        }
        confirms.confirm(2, true, Ack);
        assert_eq!((confirms.outcome(1), confirms.unconfirmed()), (None, 1));
        confirms.confirm(1, false, Ack);
        confirms.confirm(1, false, Nack);
        assert_eq!((confirms.outcome(1), confirms.unconfirmed()), (Some(Ack), 0));
    }

    #[test]
    fn numbers_go_on_behind_what_is_forgotten_and_what_was_not_published() {
        let mut confirms = Confirms::default();
        confirms.publish(2);
        confirms.forget_confirmed();
        confirms.confirm(2, true, Ack);
        confirms.forget_confirmed();
        assert_eq!(confirms.outcome(2), None);
        assert_eq!(confirms.publish(5), 3);
        // A broker may answer what it never got.
        confirms.confirm(3, false, Ack);
        confirms.unpublish(5);
        assert_eq!((confirms.publish(1), confirms.unconfirmed()), (3, 1));
        confirms.confirm(3, false, Nack);
        assert_eq!(confirms.outcome(3), Some(Nack));
    }

    #[test]
    fn the_first_end_is_the_reason() {
        let mut confirms = Confirms::default();
        confirms.end(ChannelEnd::Closed(404, "no exchange".into()));
        confirms.end(ChannelEnd::Lost(None));
        assert_eq!(confirms.ended(), Some(&ChannelEnd::Closed(404, "no exchange".into())));
    }
}
