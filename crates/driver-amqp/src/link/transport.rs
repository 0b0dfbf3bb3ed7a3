//! How a connection reads its socket, and how a thread of ours waits for it.

use std::sync::Arc;
use std::time::Instant;

use async_rs::{Runtime, Tokio};
use ferry_core::{Error, ErrorKind, Result};
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};
use tokio::runtime::Handle;

use super::blocking_stream::WakingRuntime;
use super::io_waker::IoWaker;
use super::socket::Connector;
use crate::wait;

/// Which thread waits for the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Transport {
    /// lapin's I/O thread, which sleeps on the socket itself: two wake-ups for each answer. Without TLS the thread that waits for a delivery or
    /// a confirm reads it itself.
    #[default]
    Blocking,
    /// The reactor of tokio: five wake-ups for each answer. For comparison, and should lapin change its I/O.
    Tokio,
}

/// The transport of one connection.
pub enum ConnectionIo {
    Blocking(Arc<IoWaker>),
    Tokio,
}

impl ConnectionIo {
    pub fn new(transport: Transport) -> Result<Self> {
        match transport {
            Transport::Blocking => {
                let failed = |e| Error::new(ErrorKind::Refused, "make an eventfd for an AMQP connection").with_source(e);
                Ok(Self::Blocking(Arc::new(IoWaker::new().map_err(failed)?)))
            }
            Transport::Tokio => Ok(Self::Tokio),
        }
    }

    /// Connects and logs in. `None` when that takes longer than until `deadline`. lapin's I/O thread starts inside.
    pub fn connect(
        &self,
        connector: Connector,
        uri: AMQPUri,
        properties: ConnectionProperties,
        handle: Handle,
        deadline: Instant,
    ) -> Option<lapin::Result<Connection>> {
        match self {
            Self::Blocking(waker) => {
                let runtime = Runtime::new(WakingRuntime::new(handle, Arc::clone(waker)));
                let socket_waker = Arc::clone(waker);
                let open = async move |_, _| connector.open_blocking(&socket_waker).await;
                waker.wait(deadline, Connection::connector(uri, runtime, open, properties))
            }
            Self::Tokio => {
                let kit = Tokio::default().with_handle(handle);
                let runtime = Runtime::new(kit.clone());
                let open = async move |_, _| connector.open_tokio(&kit).await;
                wait::until(deadline, Connection::connector(uri, runtime, open, properties))
            }
        }
    }

    /// Polls `future` once, which queues what it sends.
    pub fn start<F: Future>(&self, future: F) -> Option<F::Output> {
        let output = wait::once(future);
        if let Self::Blocking(waker) = self {
            waker.wake();
        }
        output
    }

    /// Runs `future`, which may send something, until `deadline`.
    pub fn wait<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        match self {
            Self::Blocking(waker) => waker.wait(deadline, future),
            Self::Tokio => wait::until(deadline, future),
        }
    }

    /// The same for a future that sends nothing and ends with a delivery, where lapin reads it: over TLS and with tokio.
    pub fn wait_for_delivery<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        match self {
            Self::Blocking(waker) => waker.wait_for_delivery(deadline, future),
            Self::Tokio => wait::until(deadline, future),
        }
    }

    /// The same for a future that ends with an answer of the broker.
    pub fn wait_for_answer<F: Future>(&self, deadline: Instant, future: F) -> Option<F::Output> {
        match self {
            Self::Blocking(waker) => waker.wait_for_answer(deadline, future),
            Self::Tokio => wait::until(deadline, future),
        }
    }
}
