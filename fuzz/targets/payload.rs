//! See `src/payload.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferry_fuzz::payload::check(bytes));
