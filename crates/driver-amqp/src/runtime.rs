//! The thread that heartbeats and other tasks of the library live on, however long PHP is busy. Sockets have its other thread, see `link`.

use std::thread::JoinHandle;

use ferry_core::{Error, ErrorKind, Result, signals};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// A small runtime on a thread of its own.
pub struct AmqpRuntime {
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AmqpRuntime {
    /// Starts the thread, with all signals blocked: they are PHP's.
    pub fn start() -> Result<Self> {
        let failed =
            |e: std::io::Error| Error::new(ErrorKind::Refused, "start the thread that keeps AMQP connections").with_source(e);
        let runtime = Builder::new_current_thread().enable_time().build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // An error means that the engine is gone, which is a reason to stop too.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let spawn = || std::thread::Builder::new().name("ferry-amqp".into()).spawn(run);
        let thread = signals::blocked(spawn).map_err(failed)?;
        Ok(Self { handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Where tasks are spawned.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for AmqpRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to tell.
            let _ = thread.join();
        }
    }
}
