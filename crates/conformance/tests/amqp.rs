//! The AMQP driver sits the exam, each behaviour on a virtual host of its own.

#[path = "stages/amqp.rs"]
mod stage;

use stage::Amqp;

const VHOSTS: u32 = 280;

ferry_conformance::exam!(Amqp::quorum());

/// The same on classic queues.
mod classic {
    use super::Amqp;

    ferry_conformance::exam!(Amqp::classic());
}
