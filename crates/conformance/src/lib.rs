//! The exam every driver sits.
//!
//! - `suite`: one function per behaviour of `Broker`, each named as a sentence; `exam!` turns them into tests of one driver.
//! - `servers`: starts the real servers that the tests need, and links to them that break on demand.
//! - `vectors`: reads the recordings in `fixtures/` and the table of what we do differently on purpose.
//!
//! No behaviour of PHP is examined here: `php-tests/` does that.

pub mod servers;
pub mod suite;
pub mod vectors;
