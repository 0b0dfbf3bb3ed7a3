//! Publisher confirms that did not come in time: a blocked broker sends them once it reads from the connection again.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ferry_support::sync;

use lapin::{Channel, Confirmation, PublisherConfirm};

use crate::link::{Confirm, ConfirmChannel};

/// What is known of a message whose confirm is late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LateState {
    /// The message is stored.
    Confirmed,
    /// It may still be stored.
    Waiting,
    /// It was refused, or nobody will ever know.
    Gone,
}

/// The late confirm of one message.
#[derive(Debug, Clone)]
pub struct LateConfirm {
    group: Arc<Mutex<LateGroup>>,
    at: usize,
}

/// The late confirms of one batch. A message that was returned may come with the confirm of its neighbour, so all of them decide together.
#[derive(Debug)]
struct LateGroup {
    confirms: Vec<Member>,
    was_returned: bool,
    channel: LateChannel,
}

/// The channel closes when its last handle is dropped, and then no confirm comes.
#[derive(Debug)]
enum LateChannel {
    PastLapin(Arc<ConfirmChannel>),
    ThroughLapin(Channel),
}

#[derive(Debug)]
enum Member {
    /// The number of a message that was sent past lapin.
    Sent(u64),
    Open(PublisherConfirm),
    Resolved(LateState),
}

impl LateConfirm {
    /// The late confirms of a batch that lapin sent, in order. `was_returned` when a message of the batch was returned and nobody knows
    /// which.
    pub fn through_lapin(confirms: Vec<PublisherConfirm>, was_returned: bool, channel: &Channel) -> Vec<Self> {
        let channel = LateChannel::ThroughLapin(channel.clone());
        Self::group(confirms.into_iter().map(Member::Open).collect(), was_returned, channel)
    }

    /// The same for messages that were sent past lapin, by their numbers.
    pub fn past_lapin(numbers: Vec<u64>, was_returned: bool, channel: &Arc<ConfirmChannel>) -> Vec<Self> {
        let channel = LateChannel::PastLapin(Arc::clone(channel));
        Self::group(numbers.into_iter().map(Member::Sent).collect(), was_returned, channel)
    }

    fn group(confirms: Vec<Member>, was_returned: bool, channel: LateChannel) -> Vec<Self> {
        let count = confirms.len();
        let group = Arc::new(Mutex::new(LateGroup { confirms, was_returned, channel }));
        (0..count).map(|at| Self { group: Arc::clone(&group), at }).collect()
    }

    /// Looks whether the confirm has come.
    pub fn poll(&self) -> LateState {
        sync::lock(&self.group).poll(self.at)
    }
}

impl LateGroup {
    fn poll(&mut self, at: usize) -> LateState {
        // Asked first: what came before the end counts.
        let is_open = self.channel.is_open();
        for member in &mut self.confirms {
            self.was_returned |= member.resolve(&self.channel, is_open);
        }
        self.was_returned |= self.channel.has_returned();
        let state = |member: &Member| if let Member::Resolved(state) = member { *state } else { LateState::Waiting };
        if self.confirms.iter().any(|member| state(member) == LateState::Waiting) {
            return LateState::Waiting;
        }
        // Published twice is better than lost.
        if self.was_returned { LateState::Gone } else { self.confirms.get(at).map_or(LateState::Gone, state) }
    }
}

impl LateChannel {
    fn is_open(&self) -> bool {
        match self {
            Self::PastLapin(channel) => {
                // Of a message that was written in part nobody else may write the rest.
                channel.flush();
                channel.end().is_none()
            }
            Self::ThroughLapin(channel) => channel.status().connected(),
        }
    }

    /// Whether a message came back by itself. lapin hands it over with a confirm.
    fn has_returned(&self) -> bool {
        match self {
            Self::PastLapin(channel) => !channel.take_returned().is_empty(),
            Self::ThroughLapin(_) => false,
        }
    }

    fn outcome(&self, number: u64) -> Option<Confirm> {
        match self {
            Self::PastLapin(channel) => channel.outcome(number),
            Self::ThroughLapin(_) => None,
        }
    }
}

impl Member {
    /// Looks at the confirm. Whether it brought a returned message.
    fn resolve(&mut self, channel: &LateChannel, is_open: bool) -> bool {
        let (state, returned) = match self {
            Self::Resolved(_) => return false,
            Self::Sent(number) => match channel.outcome(*number) {
                Some(Confirm::Ack) => (LateState::Confirmed, false),
                Some(Confirm::Nack) => (LateState::Gone, false),
                None if is_open => return false,
                None => (LateState::Gone, false),
            },
            Self::Open(confirm) => match Pin::new(confirm).poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(Ok(Confirmation::Ack(returned))) => (LateState::Confirmed, returned.is_some()),
                Poll::Ready(_) => (LateState::Gone, false),
                Poll::Pending if is_open => return false,
                Poll::Pending => (LateState::Gone, false),
            },
        };
        *self = Self::Resolved(state);
        returned
    }
}
