//! What the suite does not ask of every driver: links that break in chosen places, a broker that does harm, recorded calls, real files.
//! One binary, because linking all drivers takes longer than most of these tests.

mod amqp_faults;
mod amqp_stage;
mod amqp_tls;
mod amqp_tries;
mod deviations;
mod envelope;
mod list;
mod redis_links;
mod redis_recordings;
mod sqlite_files;
mod sqlite_recordings;
mod vectors_redis;
mod vectors_sqlite;
