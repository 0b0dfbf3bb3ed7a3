//! The recordings of the real packages (`fixtures/`), replayed against a driver.
//!
//! How PHP values become payloads is not examined here: what is pushed is the recorded payload.

mod case;
mod deviations;
mod envelope;
mod replay;

pub use case::{Case, Recording, fixture};
pub use deviations::Deviations;
pub use envelope::rebuilt;
pub use replay::{Held, Stage, replay_all, show_error};

/// What the clock of the recordings shows.
pub const NOW: i64 = 1_700_000_000;
