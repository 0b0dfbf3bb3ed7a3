//! The SQLite driver on real files, in one binary: linking takes longer than most of these tests.

mod common;
mod failed;
mod families;
mod files;
mod operations;
mod postgres;
mod processes;
mod tls;
mod vectors;
