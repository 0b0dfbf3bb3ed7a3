//! The bytes of a job: written once, then treated as opaque. Only the digits of `attempts` ever change, in place.

mod attempts;
mod decode;
mod encode;
mod id;

pub(crate) use attempts::find_number;
pub use attempts::{AttemptsAt, find_attempts, with_attempts, with_fresh_attempts};
pub use decode::{Payload, class_name, is_object_handler};
pub(crate) use decode::{Scalar, scalar};
pub use encode::{Envelope, Limits, json_of_name};
pub use id::{JobId, id_in};
