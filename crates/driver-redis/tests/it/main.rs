//! The Redis driver against real servers, in one binary: linking takes longer than most of these tests.

mod failed;
mod families;
mod links;
mod measure;
mod peers;
mod push;
mod redis_task;
mod reserve;
mod reserve_ahead;
mod settle;
mod status;
mod support;
mod tls;
mod waiting;
