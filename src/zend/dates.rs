//! Moments as PHP writes them.

use std::cell::RefCell;
use std::time::{SystemTime, UNIX_EPOCH};

use ext_php_rs::boxed::ZBox;
use ext_php_rs::types::ZendStr;
use ferry_client::process;
use ferry_core::timezone::TimeZone;

use crate::zend::engine::php_format_date;

/// A second as text, in PHP's time zone. `format` is that of `date()`.
pub fn formatted(format: &[u8], second: i64) -> String {
    // SAFETY: the format is read with its length; the answer is a string that we own.
    let text = unsafe { ZBox::<ZendStr>::from_raw(php_format_date(format.as_ptr().cast(), format.len(), second, true).cast()) };
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

#[cfg(feature = "amqp")]
/// A second as dead letters have it, in PHP's time zone.
pub fn stamp(second: i64) -> String {
    formatted(b"Y-m-d H:i:s", second)
}

/// The unix second.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// Microseconds since 1970.
pub fn microseconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// A year in seconds.
const YEAR: i64 = 31_557_600;

/// Tells the client PHP's default time zone, when that is another than at the last call. Threads of the driver use it, which cannot
/// ask PHP.
pub fn share_timezone() {
    thread_local! {
        static SHARED: RefCell<String> = const { RefCell::new(String::new()) };
    }
    let name = formatted(b"e", 0);
    if SHARED.with_borrow(|shared| *shared == name) {
        return;
    }
    let now = now();
    let offset_at = |second| formatted(b"Z", second).parse().unwrap_or_default();
    process::timezone().set(TimeZone::sampled(now - 10 * YEAR, now + 2 * YEAR, offset_at));
    SHARED.set(name);
}
