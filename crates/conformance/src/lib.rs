//! The suite that every driver passes.
//!
//! - `suite`: one function per behaviour of `Broker`, each named as a sentence, and what makes them tests of a driver.
//! - `servers`: the configurations of our drivers for the servers of `ferry-testkit`.
//! - `vectors`: reads the recordings in `fixtures/` and the table of what we do differently on purpose.
//!
//! No behaviour of PHP is tested here: `php-tests/` does that.

pub mod servers;
pub mod suite;
pub mod vectors;
