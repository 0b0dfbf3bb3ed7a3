//! Running a job inside the push, for connections of type `sync`.

use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use ext_php_rs::exception::PhpResult;
use ferry_client::process;
use ferry_core::QueueName;
use ferry_worker::{Halt, StatusReporter, work_now};

use crate::convert::errors::pending;
use crate::handler::{PhpHost, Resolver};
use crate::zend::call::{self, CallFailure};

/// Runs the job with this payload. What its handler throws goes to the caller of push.
pub fn run(
    connection: &str,
    queue: &QueueName,
    payload: Vec<u8>,
    resolver: Rc<Resolver>,
    statuses: Option<StatusReporter>,
) -> PhpResult<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX));
    let (end, thrown) = {
        let host = PhpHost::inside_push(resolver);
        let end = work_now(connection, queue, payload, now, &host, process::generation, statuses);
        (end, host.take_thrown().or_else(|| host.take_ending()))
    };
    call::die_if_dead();
    match (end, thrown) {
        (Err(Halt::Died), _) => call::die(),
        // The exception that ends the process is pending.
        (Err(Halt::Exited), _) => Err(pending()),
        (_, Some(exception)) => {
            call::rethrow(CallFailure::Threw(exception));
            Err(pending())
        }
        (_, None) => Ok(()),
    }
}
