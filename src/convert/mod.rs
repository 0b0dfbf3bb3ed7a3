//! Between zvals and plain Rust values, with PHP's weak-mode rules: callers may say `"5"` for 5.

pub mod arguments;
pub mod backoff;
pub mod cause;
pub mod config;
pub mod control;
pub mod delay;
pub mod errors;
pub mod kept;
pub mod spec;
#[cfg(feature = "amqp")]
pub mod task;
pub mod which;
pub mod worker;
