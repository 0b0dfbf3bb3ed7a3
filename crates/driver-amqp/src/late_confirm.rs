//! Publisher confirms that did not come in time: a blocked broker sends them once it reads from the connection again.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use ferry_support::sync;

use lapin::{Channel, Confirmation, PublisherConfirm};

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
    /// The channel closes when its last clone is dropped, and then no confirm comes.
    channel: Channel,
}

#[derive(Debug)]
enum Member {
    Open(PublisherConfirm),
    Resolved(LateState),
}

impl LateConfirm {
    /// The late confirms of a batch, in order. `was_returned` when a message of the batch was returned and nobody knows which.
    pub fn group(confirms: Vec<PublisherConfirm>, was_returned: bool, channel: &Channel) -> Vec<Self> {
        let count = confirms.len();
        let confirms = confirms.into_iter().map(Member::Open).collect();
        let group = Arc::new(Mutex::new(LateGroup { confirms, was_returned, channel: channel.clone() }));
        (0..count).map(|at| Self { group: Arc::clone(&group), at }).collect()
    }

    /// Looks whether the confirm has come.
    pub fn poll(&self) -> LateState {
        sync::lock(&self.group).poll(self.at)
    }
}

impl LateGroup {
    fn poll(&mut self, at: usize) -> LateState {
        let is_alive = self.channel.status().connected();
        for member in &mut self.confirms {
            self.was_returned |= member.resolve(is_alive);
        }
        let state = |member: &Member| match member {
            Member::Open(_) => LateState::Waiting,
            Member::Resolved(state) => *state,
        };
        if self.confirms.iter().any(|member| state(member) == LateState::Waiting) {
            return LateState::Waiting;
        }
        // Published twice is better than lost.
        if self.was_returned { LateState::Gone } else { self.confirms.get(at).map_or(LateState::Gone, state) }
    }
}

impl Member {
    /// Looks at the confirm. Whether it brought a returned message.
    fn resolve(&mut self, is_alive: bool) -> bool {
        let Self::Open(confirm) = self else { return false };
        let (state, returned) = match Pin::new(confirm).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(Confirmation::Ack(returned))) => (LateState::Confirmed, returned.is_some()),
            Poll::Ready(_) => (LateState::Gone, false),
            Poll::Pending if is_alive => return false,
            Poll::Pending => (LateState::Gone, false),
        };
        *self = Self::Resolved(state);
        returned
    }
}
