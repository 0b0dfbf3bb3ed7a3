//! Values that are kept as JSON text: results of jobs and of guarded work.

use ext_php_rs::exception::PhpResult;
use ext_php_rs::types::Zval;
use ferry_core::status::MOST_RESULT;

use crate::convert::errors::{invalid, pending};
use crate::zend::json::{self, JsonError};

/// The JSON text of a value. `what` it is, for the error.
///
/// It may run PHP code (JsonSerializable): call it before borrowing any state.
pub fn json(value: &Zval, what: &str) -> PhpResult<String> {
    let text = json::encode(value).map_err(|error| match error {
        JsonError::Said(why) => invalid(format!("{what} cannot be kept: {why}")),
        JsonError::Threw => pending(),
    })?;
    match text.len() {
        length if length > MOST_RESULT => Err(invalid(format!(
            "{what} cannot be kept: it is {length} bytes of JSON, at most {MOST_RESULT} are (keep a reference to it)"
        ))),
        // The engine writes UTF-8.
        _ => Ok(String::from_utf8_lossy(&text).into_owned()),
    }
}
