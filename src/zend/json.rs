//! The engine's own JSON encoder and decoder: byte-exact by construction, and several times faster than a walk over zvals.

use std::ffi::c_char;
use std::ptr;

use ext_php_rs::ffi::ext_php_rs_zend_string_release;
use ext_php_rs::types::Zval;

use crate::zend::call;
use crate::zend::engine::{json_globals, php_json_decode_ex, php_json_encode_ex, smart_str};

/// PHP's default depth, the payload object itself included (`redis/push-depth-512-total-ok`).
const DEPTH_OF_DATA: i64 = 511;
const OBJECT_AS_ARRAY: i64 = 1;
const UNESCAPED_UNICODE: i32 = 256;

/// Why a value could not be encoded or decoded.
pub enum JsonError {
    /// In the words of `json_last_error_msg()`.
    Said(String),
    /// PHP code that the encoder called threw; the exception is pending.
    Threw,
}

/// Encodes a value as `json_encode()` with default flags does inside a payload.
///
/// It may run PHP code (JsonSerializable): call it before borrowing any state.
pub fn encode(value: &Zval) -> Result<Vec<u8>, JsonError> {
    encode_with(value, 0)
}

/// The same with `JSON_UNESCAPED_UNICODE`.
pub fn encode_unescaped(value: &Zval) -> Result<Vec<u8>, JsonError> {
    encode_with(value, UNESCAPED_UNICODE)
}

fn encode_with(value: &Zval, flags: i32) -> Result<Vec<u8>, JsonError> {
    let mut text = smart_str { s: ptr::null_mut(), a: 0 };
    // SAFETY: the encoder only reads the value, and writes into `text`, which we own and release below. The global is ours to
    // reset: we are on PHP's only thread.
    unsafe {
        json_globals.error_code = 0;
        php_json_encode_ex(&raw mut text, ptr::from_ref(value).cast_mut(), flags, DEPTH_OF_DATA);
    }
    let bytes = if text.s.is_null() {
        Vec::new()
    } else {
        // SAFETY: a non-null `s` is a live string of `len` bytes; we hold its only reference and give it back here.
        unsafe {
            let bytes = std::slice::from_raw_parts((*text.s).val.as_ptr().cast::<u8>(), (*text.s).len).to_vec();
            ext_php_rs_zend_string_release(text.s);
            bytes
        }
    };
    // The return value is no proof: NAN and INF return success and write 0.
    // SAFETY: reading a plain integer on PHP's thread.
    match unsafe { json_globals.error_code } {
        _ if call::has_exception() => Err(JsonError::Threw),
        0 => Ok(bytes),
        _ => Err(JsonError::Said(last_error())),
    }
}

/// Decodes JSON text with objects as arrays. `text` must end with a NUL byte, which the engine's scanner reads.
pub fn decode(text: &[u8]) -> Result<Zval, JsonError> {
    decode_to(text, DEPTH_OF_DATA)
}

/// Decodes a whole payload: one level more than [`decode`], so that it is read whenever its data is.
pub fn decode_payload(text: &[u8]) -> Result<Zval, JsonError> {
    decode_to(text, DEPTH_OF_DATA + 1)
}

fn decode_to(text: &[u8], depth: i64) -> Result<Zval, JsonError> {
    let Some((0, json)) = text.split_last() else {
        return Err(JsonError::Said("the text does not end with a NUL byte".to_owned()));
    };
    let mut value = Zval::new();
    // SAFETY: `json` is readable up to and including its NUL byte, and `value` is a fresh zval for the result.
    unsafe {
        json_globals.error_code = 0;
        php_json_decode_ex(&raw mut value, json.as_ptr().cast::<c_char>(), json.len(), OBJECT_AS_ARRAY, depth);
        match json_globals.error_code {
            0 => Ok(value),
            _ => Err(JsonError::Said(last_error())),
        }
    }
}

/// What PHP calls the error that the encoder or decoder just noted.
fn last_error() -> String {
    call::function("json_last_error_msg", &mut [])
        .ok()
        .and_then(|text| text.string())
        .unwrap_or_else(|| "unknown JSON error".to_owned())
}
