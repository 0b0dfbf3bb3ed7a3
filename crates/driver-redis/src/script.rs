//! Running the Lua scripts: by their hash, and by their text where the server does not know them yet.

use std::borrow::Cow;

use ferry_core::Result;
use once_cell::sync::Lazy;
use redis::{ServerErrorKind, Value, cmd};

use crate::link::{Effect, RedisLink, RedisRequest};

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
script!(/** Removes finished jobs. */ DELETE, "delete.lua");
script!(/** Ends reservations in all other ways. */ SETTLE, "settle.lua");
script!(/** Renews leases. */ EXTEND, "extend.lua");
script!(/** Empties a queue. */ CLEAR, "clear.lua");
script!(/** Stores the report of a worker. */ REPORT, "report.lua");
script!(/** Removes jobs from the failed list. */ UNFAIL, "unfail.lua");
script!(/** Updates the status of a job. */ UPDATE, "update.lua");
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

/// Runs the calls in one write, in order. An answer for each, or the first refusal.
///
/// A script that the server does not know has done nothing, so it is sent again with its text.
pub fn run(link: &RedisLink, calls: &[Call<'_>], effect: Effect, doubt: &str) -> Result<Vec<Value>> {
    let mut bytes = Vec::with_capacity(256);
    calls.iter().for_each(|call| call.pack_into(&mut bytes, "EVALSHA", &call.script.sha));
    let mut values = link.exchange(&RedisRequest { bytes: &bytes, replies: calls.len(), effect, doubt })?;

    let unknown: Vec<usize> = (0..calls.len()).filter(|&index| is_unknown_script(&values[index])).collect();
    if !unknown.is_empty() {
        bytes.clear();
        unknown.iter().for_each(|&index| calls[index].pack_into(&mut bytes, "EVAL", calls[index].script.text));
        let again = link.exchange(&RedisRequest { bytes: &bytes, replies: unknown.len(), effect, doubt })?;
        for (index, value) in unknown.into_iter().zip(again) {
            values[index] = value;
        }
    }
    link.accepted(values)
}

fn is_unknown_script(value: &Value) -> bool {
    matches!(value, Value::ServerError(error) if error.kind() == Some(ServerErrorKind::NoScript))
}
