//! One connection to the server that is opened when it is first needed, and again after it broke.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ferry_core::config::RedisConfig;
use ferry_core::{Error, ErrorKind, Result};
use ferry_support::sync;
use redis::{Cmd, Value};

use crate::refusal;
use crate::silence::Silence;
use crate::transport::{Broken, RedisSocket, UnreadReply};
use crate::wait_limits::WaitLimits;

/// What a request does on the server, which decides what its lost reply means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It only reads: repeated after any loss.
    Reads,
    /// It writes, and doing it twice is as good as once: repeated after a loss.
    Repeatable,
    /// It changes something more each time: repeated only when nothing of it was sent.
    Once,
}

/// A request that can be sent: its packed bytes, how many replies it has, and what its loss means.
pub struct RedisRequest<'a> {
    /// Packed commands.
    pub bytes: &'a [u8],
    /// How many commands.
    pub replies: usize,
    /// What it does.
    pub effect: Effect,
    /// What the reader must know when the reply was lost: `the job may or may not be stored`.
    pub doubt: &'a str,
}

/// One connection behind a lock. The next request opens it again after it broke or was closed.
pub struct RedisLink {
    config: Arc<RedisConfig>,
    silence: Arc<Silence>,
    wait_limits: WaitLimits,
    slot: Mutex<Option<RedisSocket>>,
}

impl RedisLink {
    /// A link that connects at its first request.
    pub fn new(config: Arc<RedisConfig>, silence: Arc<Silence>, wait_limits: WaitLimits) -> Self {
        Self { config, silence, wait_limits, slot: Mutex::default() }
    }

    /// The answers to commands that only read. The first refusal is an error.
    pub fn read(&self, commands: &[Cmd]) -> Result<Vec<Value>> {
        let bytes: Vec<u8> = commands.iter().flat_map(Cmd::get_packed_command).collect();
        self.query(&RedisRequest { bytes: &bytes, replies: commands.len(), effect: Effect::Reads, doubt: "" })
    }

    /// Sends a request and reads its replies. The first refusal among them is an error.
    pub fn query(&self, request: &RedisRequest<'_>) -> Result<Vec<Value>> {
        self.accepted(self.exchange(request)?)
    }

    /// The values, or the first refusal among them as an error.
    pub fn accepted(&self, values: Vec<Value>) -> Result<Vec<Value>> {
        match values.iter().find_map(|value| if let Value::ServerError(error) = value { Some(error) } else { None }) {
            Some(error) => Err(refusal::explain(error, &self.config)),
            None => Ok(values),
        }
    }

    /// Sends a request and reads its replies; refusals are among them.
    ///
    /// A connection that was closed while idle is noticed before anything is written, and replaced.
    pub fn exchange(&self, request: &RedisRequest<'_>) -> Result<Vec<Value>> {
        // The socket is out of the slot while it is used, so a panic leaves an empty slot behind.
        let mut slot = sync::lock(&self.slot);
        let first = match self.attempt(&mut slot, request)? {
            Ok(values) => return Ok(values),
            Err(broken) => broken,
        };
        let may_repeat = !first.request_out || (request.effect != Effect::Once && !first.timed_out);
        if !may_repeat {
            return Err(self.lost(&first, request));
        }
        match self.attempt(&mut slot, request) {
            Ok(Ok(values)) => Ok(values),
            Ok(Err(second)) => {
                Err(self.lost(&Broken { request_out: first.request_out || second.request_out, ..second }, request))
            }
            Err(unreached) if first.request_out && request.effect != Effect::Reads => {
                Err(unreached.within(&first.cause).into_kind(ErrorKind::Uncertain))
            }
            Err(unreached) => Err(unreached),
        }
    }

    /// Sends a request with one reply over the idle connection and hands that out: nobody else uses it until [`RedisLink::receive`].
    ///
    /// `None` when there is no idle connection, or it broke before the request was out.
    pub fn send(&self, bytes: &[u8]) -> Option<RedisSocket> {
        let mut socket = sync::lock(&self.slot).take()?;
        (socket.is_idle() && socket.send(bytes).is_ok()).then_some(socket)
    }

    /// Reads the reply to a request of [`RedisLink::send`] that changes something, for at most `limit`. A refusal is a reply.
    pub fn receive(&self, mut socket: RedisSocket, limit: Duration, doubt: &str) -> Result<Value> {
        let limit = self.silence.limit(self.config.io_timeout).min(limit);
        let reply = socket.receive(limit).map(|value| vec![value]);
        let request = RedisRequest { bytes: &[], replies: 1, effect: Effect::Once, doubt };
        let mut slot = None;
        let values = self.finish(&mut slot, socket, limit, reply).map_err(|broken| self.lost(&broken, &request))?;
        if let Some(socket) = slot {
            // Whoever needed a connection meanwhile opened one.
            sync::lock(&self.slot).get_or_insert(socket);
        }
        Ok(values.into_iter().next().unwrap_or(Value::Nil))
    }

    /// Sends a command over the open connection, as [`RedisSocket::send_unread`] does.
    pub fn send_unread(&self, command: &[u8], held: bool) -> Option<UnreadReply> {
        sync::try_lock(&self.slot)?.as_mut()?.send_unread(command, held)
    }

    /// Reads the reply to what [`RedisLink::send_unread`] sent.
    pub fn flush_unread(&self, limit: Duration) {
        let mut slot = sync::lock(&self.slot);
        if let Some(mut socket) = slot.take()
            && socket.flush_unread(limit).is_ok()
        {
            *slot = Some(socket);
        }
    }

    /// Closes the connection.
    pub fn close(&self) {
        *sync::lock(&self.slot) = None;
    }

    /// One try over an idle connection, or a new one.
    ///
    /// After a failover an idle connection may lead to a server that is a replica by now. That one refuses and carries nothing
    /// out, so the request goes over a new connection, which finds the primary where the address follows it.
    fn attempt(&self, slot: &mut Option<RedisSocket>, request: &RedisRequest<'_>) -> Result<Result<Vec<Value>, Broken>> {
        if let Some(socket) = slot.take().and_then(|mut socket| socket.is_idle().then_some(socket)) {
            let outcome = self.send_over(slot, socket, request);
            if !outcome.as_ref().is_ok_and(|values| was_misplaced(values)) {
                return Ok(outcome);
            }
        }
        Ok(self.send_over(slot, self.open()?, request))
    }

    fn open(&self) -> Result<RedisSocket> {
        let (begun, limit) = (Instant::now(), self.silence.limit(self.config.connect_timeout));
        let opened = RedisSocket::open(&self.config, limit, &self.wait_limits);
        if opened.is_err() && begun.elapsed() >= limit {
            self.silence.begin(limit);
        }
        opened
    }

    /// Sends over this socket. It returns to its slot only if the exchange ended well.
    fn send_over(
        &self,
        slot: &mut Option<RedisSocket>,
        mut socket: RedisSocket,
        request: &RedisRequest<'_>,
    ) -> Result<Vec<Value>, Broken> {
        let limit = self.silence.limit(self.config.io_timeout);
        let outcome = socket.exchange(request.bytes, request.replies, limit);
        self.finish(slot, socket, limit, outcome)
    }

    /// Notes how an exchange that might take `limit` ended.
    fn finish(
        &self,
        slot: &mut Option<RedisSocket>,
        socket: RedisSocket,
        limit: Duration,
        outcome: Result<Vec<Value>, Broken>,
    ) -> Result<Vec<Value>, Broken> {
        let values = outcome.inspect_err(|broken| {
            if broken.timed_out {
                self.silence.begin(limit);
            }
        })?;
        self.silence.end();
        if !values.iter().any(is_misplaced) {
            *slot = Some(socket);
        }
        Ok(values)
    }

    fn lost(&self, broken: &Broken, request: &RedisRequest<'_>) -> Error {
        let at = &self.config.address;
        let error = match (broken.request_out, request.effect) {
            (false, _) => {
                Error::new(ErrorKind::Connection, format!("the connection to Redis at {at} broke before anything was sent"))
            }
            (true, Effect::Reads) => Error::new(ErrorKind::Connection, format!("Redis at {at} did not answer")),
            (true, Effect::Repeatable | Effect::Once) => {
                Error::new(ErrorKind::Uncertain, format!("the answer of Redis at {at} was lost")).with_advice(request.doubt)
            }
        };
        error.with_source(broken.cause.clone())
    }
}

/// Whether a server that is no primary refused a request, of which it carried out nothing. It answers `TIME` all the same.
fn was_misplaced(values: &[Value]) -> bool {
    let is_bulk = |part: &Value| matches!(part, Value::BulkString(_));
    let is_time = |value: &Value| matches!(value, Value::Array(parts) if parts.len() == 2 && parts.iter().all(is_bulk));
    values.iter().any(is_misplaced) && values.iter().all(|value| is_misplaced(value) || is_time(value))
}

fn is_misplaced(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if refusal::is_misplaced(error))
}
