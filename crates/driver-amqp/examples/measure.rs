//! Measures pushes and consumption on a RabbitMQ that is there: `cargo run --release -p ferry-driver-amqp --example measure -- amqp://127.0.0.1`.

use std::error::Error;
use std::io::Write;
use std::time::{Duration, Instant};

use ferry_core::broker::{Settle, Settlement};
use ferry_core::config::{DriverConfig, QueueType, connection_from_dsn};
use ferry_core::{Broker, NewJob, QueueName};
use ferry_driver_amqp::{AmqpBroker, Settings};

const EACH: u32 = 1_000;
const MANY: u32 = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let dsn = std::env::args().nth(1).ok_or("a DSN is missing")?;
    let body = vec![b'x'; 300];
    for queue_type in [QueueType::Quorum, QueueType::Classic] {
        let DriverConfig::Amqp(mut config) = connection_from_dsn("measured", &dsn)?.driver else {
            return Err("not an amqp DSN".into());
        };
        config.queue_type = queue_type;
        let broker = AmqpBroker::new(config, Settings::default());
        let queue = QueueName::new(format!("measure-{queue_type:?}").as_bytes())?;
        broker.push(&queue, NewJob::ready(&body))?;
        let admin = broker.admin().ok_or("no admin")?;
        admin.clear(&queue)?;
        report(queue_type, "push, confirm each", EACH, || {
            (0..EACH).try_for_each(|_| broker.push(&queue, NewJob::ready(&body)).map(drop))
        })?;
        for (max, wait) in [(1, 200), (16, 200), (64, 200), (64, 0)] {
            admin.clear(&queue)?;
            let jobs: Vec<NewJob<'_>> = (0..MANY).map(|_| NewJob::ready(&body)).collect();
            report(queue_type, "push_many", MANY, || broker.push_many(&queue, &jobs).map(drop))?;
            let count = if max == 1 { EACH } else { MANY };
            report(queue_type, &format!("reserve {max}, wait {wait} ms, delete"), count, || {
                take(&broker, &queue, max, Duration::from_millis(wait), count)
            })?;
            broker.close();
        }
    }
    Ok(())
}

fn take(broker: &AmqpBroker, queue: &QueueName, max: usize, wait: Duration, count: u32) -> ferry_core::Result<()> {
    let mut done = 0;
    while done < count {
        let jobs = broker.reserve(std::slice::from_ref(queue), max, wait)?;
        let batch: Vec<Settle> =
            jobs.into_iter().map(|job| Settle { claim: job.claim, settlement: Settlement::Delete }).collect();
        broker.settle(&batch)?;
        done += u32::try_from(batch.len()).unwrap_or(u32::MAX);
    }
    Ok(())
}

fn report(kind: QueueType, what: &str, count: u32, work: impl FnOnce() -> ferry_core::Result<()>) -> Result<(), Box<dyn Error>> {
    let started = Instant::now();
    work()?;
    let each = started.elapsed() / count;
    writeln!(std::io::stdout(), "{kind:?}: {what}: {:.1} us", each.as_secs_f64() * 1e6)?;
    Ok(())
}
