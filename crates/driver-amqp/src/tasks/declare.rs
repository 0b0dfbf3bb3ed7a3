//! Declares the recorded topology.

use ferry_core::Result;
use ferry_core::task::{Argument, kept, topology};
use lapin::ExchangeKind;
use lapin::types::{AMQPValue, FieldTable};

use crate::names::short;
use crate::topology::Declarer;

/// Declares all of it.
pub fn declare(declarer: &Declarer<'_>) -> Result<()> {
    let topology = topology();
    for exchange in topology.exchanges {
        declarer.exchange(exchange.0, ExchangeKind::Direct)?;
    }
    for queue in topology.queues {
        declarer.queue(queue.name, table(&queue.arguments))?;
        declarer.bind(queue.name, queue.binding.exchange, queue.binding.key)?;
    }
    Ok(())
}

/// Declares the queue that keeps dead letters for seven days.
pub fn declare_kept(declarer: &Declarer<'_>) -> Result<()> {
    let (name, arguments) = kept();
    declarer.queue(name, table(&arguments))
}

fn table(arguments: &[(&str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (name, value) in arguments {
        let value = match value {
            Argument::Number(number) => AMQPValue::LongInt(*number),
            Argument::Text(text) => AMQPValue::LongString((*text).into()),
        };
        table.insert(short(name), value);
    }
    table
}
