//! See `src/failed.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferry_fuzz::failed::check(bytes));
