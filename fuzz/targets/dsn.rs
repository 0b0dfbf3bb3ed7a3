//! See `src/dsn.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| ferry_fuzz::dsn::check(bytes));
