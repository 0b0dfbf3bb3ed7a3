//! What several crates of Ferry need and none of them owns: growing pauses, locks, threads, and for drivers (feature `net`) a TLS
//! client and connecting with a deadline.
//!
//! Nothing here knows jobs, brokers or PHP.

#[cfg(feature = "net")]
pub mod net;
pub mod pause;
pub mod sync;
pub mod threads;
#[cfg(feature = "net")]
pub mod tls;
