//! PHP's `memory_limit` for buffers that PHP's allocator does not see.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::ffi::core_globals;

use crate::convert::errors::invalid;
use crate::zend::engine::zend_memory_usage;

/// What `memory_limit` leaves for the texts of many jobs, which are all in memory before the first is sent.
pub struct MemoryRoom {
    left: usize,
    limit: usize,
}

impl MemoryRoom {
    /// What is left now; any amount without a limit.
    pub fn now() -> Self {
        // SAFETY: reads a setting and a counter on PHP's thread.
        let (limit, used) = unsafe { (core_globals.memory_limit, zend_memory_usage(true)) };
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Self { left: limit.saturating_sub(used), limit }
    }

    /// Takes some of it. `what` is in them, for the error.
    pub fn take(&mut self, bytes: usize, what: &str) -> PhpResult<()> {
        self.left = self.left.checked_sub(bytes).ok_or_else(|| {
            let limit = self.limit >> 20;
            invalid(format!(
                "these {what} need more than PHP's memory_limit of {limit} MiB leaves; send them in parts. None was sent"
            ))
        })?;
        Ok(())
    }
}
