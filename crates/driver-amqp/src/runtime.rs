//! The thread that runs heartbeats and other tasks of lapin, however long PHP is busy. Sockets are read on another thread, see `link`.

use std::thread::JoinHandle;

use ferry_core::{Error, ErrorKind, Result};
use ferry_support::threads;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::link::Transport;

/// A tokio runtime on a thread of its own.
pub struct AmqpRuntime {
    transport: Transport,
    handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl AmqpRuntime {
    /// Starts the thread, with all signals blocked: PHP handles them.
    pub fn start(transport: Transport) -> Result<Self> {
        let failed = |e: std::io::Error| Error::new(ErrorKind::Refused, "start the thread for AMQP heartbeats").with_source(e);
        let mut builder = Builder::new_current_thread();
        builder.enable_time();
        if transport == Transport::Tokio {
            builder.enable_io();
        }
        let runtime = builder.build().map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            // An error means that the owner is gone, which is a reason to stop too.
            let _ = runtime.block_on(stopped);
            runtime.shutdown_background();
        };
        let spawn = || std::thread::Builder::new().name("ferry-amqp".into()).spawn(run);
        let thread = threads::with_signals_blocked(spawn).map_err(failed)?;
        Ok(Self { transport, handle, stop: Some(stop), thread: Some(thread) })
    }

    /// How connections of this runtime read their sockets.
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// The handle that spawns tasks.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for AmqpRuntime {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}
