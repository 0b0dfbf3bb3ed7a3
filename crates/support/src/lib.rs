//! What several crates of Ferry need and none of them owns: growing pauses, locks and threads.
//!
//! Nothing here knows jobs, brokers or PHP.

pub mod pause;
pub mod sync;
pub mod threads;
