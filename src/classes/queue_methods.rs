//! The methods that `Ferry\Queue` (static) and `Ferry\Connection` (of an object) share.

/// An `impl` block with the methods of `$own`, and those that push, reserve, count and handle failed jobs.
///
/// `$receiver` is `&self,` for methods of an object and empty for static ones; `$connection` is the
/// [`ConnectionHandle`](crate::classes::connection::ConnectionHandle) that they work on.
macro_rules! queue_methods {
    ($class:ident, [$($receiver:tt)*], $connection:expr, { $($own:tt)* }) => {
        #[php_impl]
        impl $class {
            $($own)*

            /// Pushes a job that is ready at once.
            #[php(defaults(data = Data(None)))]
            pub fn push($($receiver)* job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
                $connection.push(job.0, data.0, queue.bytes(), Due::Now)
            }

            /// Pushes a job that is ready after a delay.
            #[php(defaults(data = Data(None)))]
            pub fn later($($receiver)* delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
                $connection.later(delay.0, job.0, data.0, queue.bytes())
            }

            /// Pushes many jobs with the same data.
            #[php(defaults(data = Data(None)))]
            pub fn bulk($($receiver)* jobs: Mixed<'_>, data: Data<'_>, queue: OptionalText) -> PhpResult<Zval> {
                $connection.bulk(jobs.0, data.0, queue.bytes())
            }

            /// `push` with the queue first.
            #[php(defaults(data = Data(None)))]
            pub fn push_on($($receiver)* queue: OptionalText, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
                $connection.push(job.0, data.0, queue.bytes(), Due::Now)
            }

            /// `later` with the queue first.
            #[php(defaults(data = Data(None)))]
            pub fn later_on($($receiver)* queue: OptionalText, delay: Mixed<'_>, job: Mixed<'_>, data: Data<'_>) -> PhpResult<Zval> {
                $connection.later(delay.0, job.0, data.0, queue.bytes())
            }

            /// Pushes a payload as it is.
            pub fn push_raw($($receiver)* payload: Text, queue: OptionalText, options: Maybe<'_>) -> PhpResult<Zval> {
                // think-queue takes options and reads none.
                let _ = options;
                $connection.push_raw(&payload.0, queue.bytes(), Due::Now)
            }

            /// Pushes a payload as it is, ready after a delay.
            pub fn later_raw($($receiver)* delay: Mixed<'_>, payload: Text, queue: OptionalText) -> PhpResult<Zval> {
                $connection.later_raw(delay.0, &payload.0, queue.bytes())
            }

            /// Stores the buffered jobs.
            pub fn flush($($receiver)*) -> PhpResult<i64> {
                $connection.flush()
            }

            /// Reserves the next job.
            pub fn pop($($receiver)* queue: OptionalText) -> PhpResult<Option<PhpJob>> {
                $connection.pop(queue.bytes())
            }

            /// Jobs that still have to be worked.
            pub fn size($($receiver)* queue: OptionalText) -> PhpResult<i64> {
                $connection.size(queue.bytes())
            }

            /// Jobs by state.
            pub fn stats($($receiver)* queue: OptionalText) -> PhpResult<ZBox<ZendHashTable>> {
                $connection.stats(queue.bytes())
            }

            /// Failed jobs, newest first.
            #[php(defaults(limit = 100, offset = 0))]
            pub fn failed($($receiver)* queue: OptionalText, limit: i64, offset: i64) -> PhpResult<Vec<ZBox<ZendHashTable>>> {
                $connection.failed(queue.bytes(), limit, offset)
            }

            /// The failed job with this id, null when there is none.
            pub fn failed_job($($receiver)* id: Mixed<'_>, queue: OptionalText) -> PhpResult<Option<ZBox<ZendHashTable>>> {
                $connection.failed_job(id.0, queue.bytes())
            }

            /// Makes failed jobs ready again.
            #[php(defaults(which = Which(None)))]
            pub fn retry_failed($($receiver)* which: Which<'_>, queue: OptionalText) -> PhpResult<i64> {
                $connection.retry_failed(&which, queue.bytes())
            }

            /// Removes failed jobs for good.
            pub fn forget_failed($($receiver)* which: Mixed<'_>, queue: OptionalText) -> PhpResult<i64> {
                $connection.forget_failed(&Which(Some(which.0)), queue.bytes())
            }
        }
    };
}

pub(super) use queue_methods;
