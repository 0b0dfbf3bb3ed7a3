//! What a handler may leave behind when it is stopped half-way: open output buffers, another working directory, another locale.

use std::path::PathBuf;

use ext_php_rs::types::Zval;

use crate::zend::call::{self, Called, guarded};
use crate::zend::engine::{php_output_end, php_output_get_level};
use crate::zend::objects;

/// PHP's constant LC_ALL on glibc.
const LC_ALL: i64 = 6;

/// Working directory and locale of a worker, as it started.
pub struct ProcessState {
    directory: Option<PathBuf>,
    locale: Option<Zval>,
}

impl ProcessState {
    /// Notes them.
    pub fn now() -> Self {
        let locale = guarded(|| call::function("setlocale", &mut [objects::number(LC_ALL), objects::text(b"0")]));
        Self { directory: std::env::current_dir().ok(), locale: locale.ok().filter(Zval::is_string) }
    }

    /// Puts them back.
    pub fn restore(&self) {
        if let Some(directory) = &self.directory {
            // A directory that was removed meanwhile cannot be gone back to.
            let _ = std::env::set_current_dir(directory);
        }
        if let Some(locale) = &self.locale {
            let _ = guarded(|| call::function("setlocale", &mut [objects::number(LC_ALL), locale.shallow_clone()]));
        }
    }
}

/// How many output buffers are open.
pub fn output_level() -> i32 {
    // SAFETY: reads a counter.
    unsafe { php_output_get_level() }
}

/// Closes the output buffers that a handler left open; what they hold is shown.
pub fn close_output(level: i32) -> Called<()> {
    if output_level() <= level {
        return Ok(());
    }
    guarded(|| {
        // SAFETY: ends the innermost buffer; its user callback may run PHP, which the guard catches.
        while output_level() > level && unsafe { php_output_end() } == 0 {}
        Ok(())
    })
}
