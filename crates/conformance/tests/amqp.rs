//! The AMQP driver sits the exam, each behaviour on a virtual host of its own.

#[path = "stages/amqp.rs"]
mod stage;

use stage::Amqp;

ferry_conformance::exam!(Amqp::quorum());
