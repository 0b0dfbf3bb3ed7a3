//! The hand-written part of the boundary: what the engine offers and the binding crate lacks.
//!
//! Everything here runs on PHP's thread. Other threads never come here.

pub mod autoload;
pub mod call;
pub mod dates;
pub mod engine;
pub mod error_log;
pub mod fork;
pub mod gc;
pub mod ini;
pub mod interrupter;
pub mod json;
pub mod memory;
pub mod objects;
pub mod sensitive;
pub mod signals;
pub mod signature;
#[cfg(feature = "amqp")]
pub mod unserialize;
pub mod url_setting;
