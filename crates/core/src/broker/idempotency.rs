//! Where it is kept that a piece of work was done.

use crate::error::Result;
use crate::idempotency::{ClaimOutcome, ClaimTtl};

/// Claims of work by key. Any thread may call any method; each is one round trip and one atomic step, and may be repeated after an
/// error.
pub trait IdempotencyStore: Send + Sync {
    /// Takes the work `key` for a while, unless it is done or somebody else has it. `token` is the caller's own, random and new.
    fn claim(&self, key: &str, token: &str, ttl: ClaimTtl) -> Result<ClaimOutcome>;

    /// Marks the work as done for `ttl` seconds, with a result as JSON text. False when nobody holds `key` by this token.
    fn complete(&self, key: &str, token: &str, result: Option<&str>, ttl: u32) -> Result<bool>;

    /// Gives a claim up. False when nobody holds `key` by this token, or the work is done.
    fn release(&self, key: &str, token: &str) -> Result<bool>;

    /// Whether the work is done.
    fn is_done(&self, key: &str) -> Result<bool>;

    /// Forgets that the work is claimed or done. False when nothing was known of it.
    fn forget(&self, key: &str) -> Result<bool>;
}
