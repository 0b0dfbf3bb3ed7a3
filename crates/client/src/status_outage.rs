//! A status store that does not answer is left alone for a while, and reported once an outage.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use ferry_core::status::StatusUpdate;
use ferry_core::{Broker, Error, Result};
use ferry_support::pause::GrowingPause;
use ferry_support::sync;

/// The pauses of one outage.
const PAUSE: GrowingPause = GrowingPause::new(Duration::from_secs(1), Duration::from_secs(60));

/// Whether the status store answers.
#[derive(Default)]
pub(crate) struct StatusOutage(Mutex<Option<Outage>>);

/// An outage that goes on.
struct Outage {
    until: Instant,
    pause: GrowingPause,
}

impl StatusOutage {
    /// Writes, unless the status store did not answer a moment ago. Returns an error when it begins an outage.
    pub(crate) fn write(&self, statuses: &dyn Broker, updates: &[StatusUpdate], now: Instant) -> Option<Error> {
        if self.goes_on(now) {
            return None;
        }
        self.note(statuses.status().map_or(Ok(()), |statuses| statuses.update(updates)), now)
    }

    /// Whether the status store did not answer a moment ago.
    pub(crate) fn goes_on(&self, now: Instant) -> bool {
        sync::lock(&self.0).as_ref().is_some_and(|outage| now < outage.until)
    }

    /// Notes how a write ended. Returns an error when it begins an outage.
    pub(crate) fn note(&self, written: Result<()>, now: Instant) -> Option<Error> {
        let mut outage = sync::lock(&self.0);
        let Err(error) = written else {
            *outage = None;
            return None;
        };
        let mut pause = outage.as_ref().map_or(PAUSE, |outage| outage.pause);
        let is_new = !pause.is_growing();
        *outage = Some(Outage { until: now + pause.next_pause(), pause });
        is_new.then_some(error)
    }
}
