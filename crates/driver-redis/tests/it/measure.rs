//! Numbers, not verdicts: `cargo test --release -p ferry-driver-redis --test it -- measure --ignored --nocapture`.

#![allow(clippy::print_stdout, reason = "the numbers are the purpose")]

use std::time::{Duration, Instant};

use ferry_core::Broker;
use ferry_core::broker::{Settle, SettleResult, Settlement};
use ferry_core::job::NewJob;
use ferry_driver_redis::Settings;

use crate::support::{READY, Server, body, q};

fn per_item(what: &str, items: u32, work: impl FnOnce()) {
    let before = Instant::now();
    work();
    println!("{what:<44} {:>8.2} us", before.elapsed().as_secs_f64() * 1e6 / f64::from(items));
}

#[test]
#[ignore = "a measurement"]
fn push_and_batches() {
    const JOBS: u32 = 64 * 1000;
    let server = Server::start_with(&["--unixsocket", "{dir}/redis.sock"]);
    let broker = server.broker_with(Settings::default());
    let payloads: Vec<_> = (0..JOBS).map(|n| body(&format!("{n:032}"), 0).into_bytes()).collect();
    let mut redis = server.inspect();
    broker.push(&q(), NewJob::ready(&payloads[0][..])).unwrap();
    for _ in 0..3 {
        per_item("push, one after the other", 20_000, || {
            for payload in &payloads[..20_000] {
                broker.push(&q(), NewJob::ready(&payload[..])).unwrap();
            }
        });
        per_item("the same by redis-rs's Connection", 20_000, || {
            for payload in &payloads[..20_000] {
                redis::cmd("RPUSH").arg(READY).arg(payload).query::<i64>(&mut redis.0).unwrap();
            }
        });
    }
    redis.run::<()>(&["FLUSHALL"]);
    for batch in [64, 256] {
        per_item("push_many, a thousand at a time", JOBS, || {
            for chunk in payloads.chunks(1000) {
                let jobs: Vec<_> = chunk.iter().map(|payload| NewJob::ready(&payload[..])).collect();
                broker.push_many(&q(), &jobs).unwrap();
            }
        });
        let (mut taking, mut deleting, mut jobs) = (Duration::ZERO, Duration::ZERO, 0);
        loop {
            let before = Instant::now();
            let taken = broker.reserve(&[q()], batch, Duration::ZERO).unwrap();
            taking += before.elapsed();
            if taken.is_empty() {
                break;
            }
            jobs += taken.len();
            let settles: Vec<_> =
                taken.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::Delete }).collect();
            let before = Instant::now();
            assert!(broker.settle(&settles).unwrap().iter().all(|settled| *settled == SettleResult::Applied));
            deleting += before.elapsed();
        }
        let each = |time: Duration| time.as_secs_f64() * 1e6 / jobs as f64;
        println!("batch {batch}: reserve {:.2} us, delete {:.2} us a job", each(taking), each(deleting));
    }
}
