//! What an operator should know and no call returns: kept here until the worker takes it to its log.

use std::collections::VecDeque;
use std::sync::Mutex;

use ferry_support::sync;

/// The most notices that are kept. Nobody takes them while PHP is busy, or outside a worker.
const MOST: usize = 64;

/// Notices in the order in which they came. The oldest are dropped first.
#[derive(Default)]
pub struct Notices(Mutex<VecDeque<String>>);

impl Notices {
    /// Adds one.
    pub fn add(&self, notice: String) {
        let mut notices = sync::lock(&self.0);
        if notices.len() == MOST {
            notices.pop_front();
        }
        notices.push_back(notice);
    }

    /// Takes all of them.
    pub fn take(&self) -> Vec<String> {
        sync::lock(&self.0).drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notices_are_taken_once_and_only_the_newest_are_kept() {
        let notices = Notices::default();
        for number in 0..=MOST {
            notices.add(number.to_string());
        }
        let taken = notices.take();
        assert_eq!((taken.len(), taken[0].as_str()), (MOST, "1"));
        assert!(notices.take().is_empty());
    }
}
