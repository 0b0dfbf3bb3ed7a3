//! Measures a push, a batch and a wake-up on a new file in the folder that is named, or in the one for temporary files.
//!
//! `cargo run --release -p ferry-driver-sql --example measure [folder]`
#![allow(clippy::print_stdout, reason = "the numbers are what it is for")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ferry_core::broker::{Broker, Settle, Settlement};
use ferry_core::config::{FailedStore, SqliteConfig};
use ferry_core::dialect::Family;
use ferry_core::{NewJob, QueueName, Result};
use ferry_driver_sql::{Settings, SqliteBroker};

const PAYLOAD: &[u8] =
    br#"{"job":"app\\job\\SendMail","maxTries":null,"timeout":null,"data":{"to":"someone@example.org","n":1}}"#;
const PUSHES: u32 = 3_000;
const BATCHED: u32 = 64_000;

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("ferry-measure-{}.db", std::process::id()));
    let broker = broker(path.clone());
    pushes(&broker)?;
    batches(&broker)?;
    wakes(&broker)?;
    broker.close();
    let _ = std::fs::remove_file(path);
    Ok(())
}

fn broker(path: PathBuf) -> SqliteBroker {
    let config =
        SqliteConfig { path, table: "jobs".into(), failed_table: "failed_jobs".into(), busy_timeout: Duration::from_secs(10) };
    SqliteBroker::new(config, Settings { family: Family::Think3, retry_after: Some(60), failed: FailedStore::Keep, now: None })
}

fn pushes(broker: &SqliteBroker) -> Result<()> {
    broker.push(&QueueName::default(), NewJob::ready(PAYLOAD))?;
    let begun = Instant::now();
    for _ in 0..PUSHES {
        broker.push(&QueueName::default(), NewJob::ready(PAYLOAD))?;
    }
    report("push", begun, PUSHES);
    drain(broker, 64)?;
    Ok(())
}

fn batches(broker: &SqliteBroker) -> Result<()> {
    let jobs = vec![NewJob::ready(PAYLOAD); 1000];
    let begun = Instant::now();
    for _ in 0..BATCHED / 1000 {
        broker.push_many(&QueueName::default(), &jobs)?;
    }
    report("push_many of 1000", begun, BATCHED);
    let begun = Instant::now();
    let drained = drain(broker, 64)?;
    report("reserve + delete in batches of 64", begun, drained);
    for _ in 0..2 {
        broker.push_many(&QueueName::default(), &jobs)?;
    }
    let begun = Instant::now();
    let drained = drain(broker, 1)?;
    report("reserve + delete one by one", begun, drained);
    Ok(())
}

fn drain(broker: &SqliteBroker, max: usize) -> Result<u32> {
    let mut drained = 0;
    loop {
        let jobs = broker.reserve(&[QueueName::default()], max, Duration::ZERO)?;
        if jobs.is_empty() {
            return Ok(drained);
        }
        drained += jobs.len() as u32;
        let batch: Vec<Settle> =
            jobs.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::Delete }).collect();
        broker.settle(&batch)?;
    }
}

/// An idle look, which is what waiting costs.
fn wakes(broker: &SqliteBroker) -> Result<()> {
    let begun = Instant::now();
    for _ in 0..PUSHES {
        broker.reserve(&[QueueName::default()], 64, Duration::ZERO)?;
    }
    report("idle look", begun, PUSHES);
    Ok(())
}

fn report(what: &str, begun: Instant, count: u32) {
    println!("{what}: {:.1} us each, {count} times", begun.elapsed().as_secs_f64() * 1e6 / f64::from(count));
}
