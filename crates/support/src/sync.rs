//! Locks that outlive a panic.
//!
//! The standard library poisons a lock when a thread panics while holding it, in case the value was left half changed. Ours is
//! not: beneath a lock we move and assign values, and call nothing that may panic between two changes that belong together. The
//! panic itself is reported by whoever started the thread, see [`crate::threads`]. A lock that is refused would only turn one panic
//! into many, on PHP's thread among others. So all code locks through these functions, and this is the one place that looks past
//! the poison.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, TryLockError};
use std::time::Duration;

/// Locks `mutex`.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `mutex` without waiting. `None` while another thread holds it.
pub fn try_lock<T: ?Sized>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Waits until `condvar` is notified. It may also wake up for no reason: check again what you wait for.
pub fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// The same, for at most `limit`.
pub fn wait_timeout<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, limit: Duration) -> MutexGuard<'a, T> {
    condvar.wait_timeout(guard, limit).unwrap_or_else(PoisonError::into_inner).0
}

/// Waits while `condition` holds, for at most `limit`. Check the value to learn which of the two ended the wait.
pub fn wait_timeout_while<'a, T>(
    condvar: &Condvar,
    guard: MutexGuard<'a, T>,
    limit: Duration,
    condition: impl FnMut(&mut T) -> bool,
) -> MutexGuard<'a, T> {
    condvar.wait_timeout_while(guard, limit, condition).unwrap_or_else(PoisonError::into_inner).0
}

/// Locks `lock` for reading, beside other readers.
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `lock` for writing, alone.
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// A mutex whose holder changed the value to 7 and panicked.
    fn poisoned() -> Arc<Mutex<i32>> {
        let mutex = Arc::new(Mutex::new(0));
        let holder = Arc::clone(&mutex);
        let panicked = thread::spawn(move || {
            *holder.lock().unwrap() = 7;
            let _held = holder.lock();
            panic!("with the lock held");
        });
        assert!(panicked.join().is_err() && mutex.is_poisoned());
        mutex
    }

    #[test]
    fn a_poisoned_mutex_gives_its_value() {
        let mutex = poisoned();
        assert_eq!(*lock(&mutex), 7);
        assert_eq!(try_lock(&mutex).map(|guard| *guard), Some(7));
    }

    #[test]
    fn a_mutex_that_is_held_is_not_waited_for() {
        let mutex = Mutex::new(1);
        let held = lock(&mutex);
        assert!(try_lock(&mutex).is_none());
        drop(held);
        assert!(try_lock(&mutex).is_some());
    }

    #[test]
    fn waits_on_a_poisoned_mutex_end_when_notified_or_when_the_time_is_over() {
        let (mutex, condvar) = (poisoned(), Arc::new(Condvar::new()));
        let (theirs, notified) = (Arc::clone(&mutex), Arc::clone(&condvar));
        let guard = lock(&mutex);
        // It gets the lock when the wait below lets go of it.
        let other = thread::spawn(move || {
            *lock(&theirs) = 8;
            notified.notify_all();
        });
        let mut guard = wait_timeout_while(&condvar, guard, LONG, |value| *value == 7);
        assert_eq!(*guard, 8);
        guard = wait_timeout(&condvar, guard, Duration::from_millis(1));
        guard = wait_timeout_while(&condvar, guard, Duration::from_millis(1), |_| true);
        assert_eq!(*guard, 8);
        drop(guard);
        other.join().unwrap();
    }

    #[test]
    fn a_wait_without_a_limit_ends_when_notified() {
        let (mutex, condvar) = (poisoned(), Arc::new(Condvar::new()));
        let (theirs, notified) = (Arc::clone(&mutex), Arc::clone(&condvar));
        let mut guard = lock(&mutex);
        let other = thread::spawn(move || {
            *lock(&theirs) = 8;
            notified.notify_all();
        });
        while *guard == 7 {
            guard = wait(&condvar, guard);
        }
        drop(guard);
        other.join().unwrap();
    }

    #[test]
    fn a_poisoned_rwlock_gives_its_value() {
        let lock = Arc::new(RwLock::new(3));
        let holder = Arc::clone(&lock);
        let panicked = thread::spawn(move || {
            let _held = holder.write();
            panic!("with the lock held");
        });
        assert!(panicked.join().is_err() && lock.is_poisoned());
        assert_eq!(*read(&lock), 3);
        *write(&lock) = 4;
        assert_eq!(*read(&lock), 4);
    }
}
