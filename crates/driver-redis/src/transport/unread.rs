//! A reply that is read when the next request is answered, and what it said.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use redis::Value;

/// What is known of the reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnreadState {
    /// It was not read yet.
    Unread,
    /// It was this number.
    Number(bool),
    /// It was not read and never will be, or it was a refusal.
    Lost,
}

const UNREAD: u8 = 0;
const ZERO: u8 = 1;
const ONE: u8 = 2;
const LOST: u8 = 3;

/// The side of whoever sent the request.
#[derive(Debug)]
pub struct UnreadReply(Arc<AtomicU8>);

/// The side of the connection. Dropped without a reply, the reply is lost.
#[derive(Debug)]
pub struct ReplySlot(Arc<AtomicU8>);

/// Both sides of one reply, which says 1 or 0.
pub fn unread_reply() -> (UnreadReply, ReplySlot) {
    let state = Arc::new(AtomicU8::new(UNREAD));
    (UnreadReply(Arc::clone(&state)), ReplySlot(state))
}

impl UnreadReply {
    /// What is known now.
    pub fn state(&self) -> UnreadState {
        match self.0.load(Ordering::SeqCst) {
            UNREAD => UnreadState::Unread,
            ZERO => UnreadState::Number(false),
            ONE => UnreadState::Number(true),
            _ => UnreadState::Lost,
        }
    }
}

impl ReplySlot {
    /// The reply came.
    pub fn note(self, reply: &Value) {
        let state = match reply {
            Value::Int(0) => ZERO,
            Value::Int(_) => ONE,
            _ => LOST,
        };
        self.0.store(state, Ordering::SeqCst);
    }
}

impl Drop for ReplySlot {
    fn drop(&mut self) {
        let _ = self.0.compare_exchange(UNREAD, LOST, Ordering::SeqCst, Ordering::SeqCst);
    }
}
