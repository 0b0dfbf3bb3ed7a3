//! Running the Lua scripts: by their hash, and by their text where the server does not know them yet.

use std::borrow::Cow;

use ferry_core::Result;
use once_cell::sync::Lazy;
use redis::{ServerErrorKind, Value, cmd};

use crate::link::{Effect, RedisLink, RedisRequest};
use crate::packing;

/// A script and its hash.
pub struct Script {
    text: &'static str,
    sha: String,
}

macro_rules! script {
    ($(#[$about:meta])* $name:ident, $file:literal) => {
        $(#[$about])*
        pub static $name: Lazy<Script> = Lazy::new(|| Script::new(include_str!(concat!("lua/", $file))));
    };
}

script!(/** Reserves ready jobs. */ RESERVE, "reserve.lua");
script!(/** Stores delayed jobs. */ LATER, "later.lua");
script!(/** Ends reservations in all other ways. */ SETTLE, "settle.lua");
script!(/** Renews leases. */ EXTEND, "extend.lua");
script!(/** Empties a queue. */ CLEAR, "clear.lua");
script!(/** Stores the report of a worker. */ REPORT, "report.lua");
script!(/** Removes jobs from the failed list. */ UNFAIL, "unfail.lua");
script!(/** Shortens the log of a status. */ SUMMARIZE, "summarize.lua");
script!(/** Claims a piece of work. */ CLAIM, "claim.lua");
script!(/** Marks a piece of work as done. */ COMPLETE, "complete.lua");
script!(/** Releases a claim. */ RELEASE, "release.lua");
script!(/** Forgets a piece of work. */ FORGET, "forget.lua");

impl Script {
    fn new(text: &'static str) -> Self {
        Self { text, sha: sha1_smol::Sha1::from(text).digest().to_string() }
    }
}

/// One call of a script.
pub struct Call<'a> {
    /// The script.
    pub script: &'static Script,
    /// Every key it touches.
    pub keys: Vec<&'a str>,
    /// Its arguments.
    pub args: Vec<Cow<'a, [u8]>>,
}

impl Call<'_> {
    /// The bytes of this call for a server that knows the script.
    pub fn packed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(256);
        self.pack_into(&mut bytes, "EVALSHA", &self.script.sha);
        bytes
    }

    fn pack_into(&self, out: &mut Vec<u8>, command: &str, script: &str) {
        let mut packed = cmd(command);
        packed.arg(script).arg(self.keys.len());
        for key in &self.keys {
            packed.arg(*key);
        }
        for arg in &self.args {
            packed.arg(&**arg);
        }
        packed.write_packed_command(out);
    }
}

/// A part of one write: a call, or the same plain command for each argument. Plain commands cost the server less than a script that makes them.
pub enum Operation<'a> {
    /// One call, one answer.
    Call(Call<'a>),
    /// `command key arg` for each of `args`, an answer for each.
    Each {
        /// Its name.
        command: &'static str,
        /// Its first argument.
        key: &'a str,
        /// The second argument of each command.
        args: Vec<Cow<'a, [u8]>>,
    },
    /// Packed commands, an answer for each.
    Packed {
        /// Their bytes.
        commands: Vec<u8>,
        /// How many they are.
        replies: usize,
    },
}

impl Operation<'_> {
    /// How many answers it has.
    pub fn replies(&self) -> usize {
        match self {
            Self::Call(_) => 1,
            Self::Packed { replies, .. } => *replies,
            Self::Each { args, .. } => args.len(),
        }
    }

    fn pack_into(&self, out: &mut Vec<u8>) {
        match self {
            Self::Call(call) => call.pack_into(out, "EVALSHA", &call.script.sha),
            Self::Packed { commands, .. } => out.extend_from_slice(commands),
            Self::Each { command, key, args } => {
                args.iter().for_each(|arg| packing::command(out, &[command.as_bytes(), key.as_bytes(), arg]));
            }
        }
    }
}

/// Runs the calls in one write, in order. An answer for each, or the first refusal.
///
/// A script that the server does not know has done nothing, so it is sent again with its text.
pub fn run(link: &RedisLink, calls: Vec<Call<'_>>, effect: Effect, doubt: &str) -> Result<Vec<Value>> {
    let operations: Vec<_> = calls.into_iter().map(Operation::Call).collect();
    run_operations(link, &operations, effect, doubt)
}

/// Runs operations as [`run`] does calls.
pub fn run_operations(link: &RedisLink, operations: &[Operation<'_>], effect: Effect, doubt: &str) -> Result<Vec<Value>> {
    link.accepted(exchange(link, operations, effect, doubt)?)
}

/// The same; refusals are among the answers.
pub fn exchange(link: &RedisLink, operations: &[Operation<'_>], effect: Effect, doubt: &str) -> Result<Vec<Value>> {
    let mut bytes = Vec::with_capacity(256);
    operations.iter().for_each(|operation| operation.pack_into(&mut bytes));
    let replies = operations.iter().map(Operation::replies).sum();
    let mut values = link.exchange(&RedisRequest { bytes: &bytes, replies, effect, doubt })?;

    let unknown = unknown_scripts(operations, &values);
    if !unknown.is_empty() {
        bytes.clear();
        unknown.iter().for_each(|(_, call)| call.pack_into(&mut bytes, "EVAL", call.script.text));
        let again = link.exchange(&RedisRequest { bytes: &bytes, replies: unknown.len(), effect, doubt })?;
        for ((index, _), value) in unknown.into_iter().zip(again) {
            values[index] = value;
        }
    }
    Ok(values)
}

/// The calls whose script the server does not know, and which of the answers is theirs.
fn unknown_scripts<'s, 'a>(operations: &'s [Operation<'a>], values: &[Value]) -> Vec<(usize, &'s Call<'a>)> {
    let mut unknown = Vec::new();
    let mut index = 0;
    for operation in operations {
        match operation {
            Operation::Call(call) if is_unknown_script(&values[index]) => unknown.push((index, call)),
            Operation::Call(_) | Operation::Each { .. } | Operation::Packed { .. } => {}
        }
        index += operation.replies();
    }
    unknown
}

fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}
