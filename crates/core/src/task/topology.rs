//! The declarations of the tasks, as data. A broker refuses other values for what exists, so these are the recorded ones, the wrong one too.

use super::level::LEVELS;

/// Where tasks enter.
pub const EXCHANGE: &str = "task.exchange";
/// Where dead letters enter.
pub const DEAD_EXCHANGE: &str = "task.dlx";
/// Where they lie.
pub const DEAD_QUEUE: &str = "task.dlq";
/// Their routing key.
pub const DEAD_KEY: &str = "task.failed";
/// Where [`policies`] keep dead letters that would vanish.
pub const KEPT_QUEUE: &str = "task.dlq.kept";

/// How many tasks a queue may hold by [`policies`].
const MOST_TASKS: u32 = 1_000_000;
/// How many bytes they may have together: 2 GiB.
const MOST_BYTES: u64 = 1 << 31;

/// The name of a durable direct exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskExchange(pub &'static str);

/// An argument of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Argument {
    /// A 32-bit integer, as the original declares them. The broker takes 64-bit ones for equal.
    Number(i32),
    /// Text.
    Text(&'static str),
}

/// A durable queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskQueue {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, in the order in which they are declared.
    pub arguments: Vec<(&'static str, Argument)>,
    /// How it is reached.
    pub binding: Binding,
}

/// A binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// From this exchange.
    pub exchange: &'static str,
    /// With this key.
    pub key: &'static str,
}

/// Everything that is declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskTopology {
    /// The exchanges.
    pub exchanges: [TaskExchange; 2],
    /// The queues, in the order in which they are declared.
    pub queues: Vec<TaskQueue>,
}

/// What the original declares (`topology`).
///
/// The dead letters live 604800 *milliseconds*: ten minutes, where seven days were meant. With another number the broker refuses.
pub fn topology() -> TaskTopology {
    use Argument::{Number, Text};
    let dead = TaskQueue {
        name: DEAD_QUEUE,
        arguments: vec![("x-message-ttl", Number(604_800)), ("x-max-length", Number(100_000))],
        binding: Binding { exchange: DEAD_EXCHANGE, key: DEAD_KEY },
    };
    let of_tasks = LEVELS.map(|level| TaskQueue {
        name: level.queue(),
        arguments: vec![
            ("x-dead-letter-exchange", Text(DEAD_EXCHANGE)),
            ("x-dead-letter-routing-key", Text(DEAD_KEY)),
            ("x-max-priority", Number(10)),
            ("x-message-ttl", Number(86_400_000)),
        ],
        binding: Binding { exchange: EXCHANGE, key: level.queue() },
    });
    TaskTopology {
        exchanges: [TaskExchange(EXCHANGE), TaskExchange(DEAD_EXCHANGE)],
        queues: std::iter::once(dead).chain(of_tasks).collect(),
    }
}

/// The queue for dead letters that would vanish from [`DEAD_QUEUE`], see [`policies`]: seven days, as was meant.
pub fn kept() -> (&'static str, Vec<(&'static str, Argument)>) {
    (KEPT_QUEUE, vec![("x-message-ttl", Argument::Number(604_800_000)), ("x-max-length", Argument::Number(100_000))])
}

/// What is declared, for people.
pub fn declarations() -> Vec<String> {
    let topology = topology();
    let mut lines: Vec<String> =
        topology.exchanges.iter().map(|exchange| format!("exchange {}: direct, durable", exchange.0)).collect();
    for queue in &topology.queues {
        lines.push(described(queue.name, &queue.arguments));
        lines.push(format!("binding {} -> {}: key {}", queue.binding.exchange, queue.name, queue.binding.key));
    }
    let (name, arguments) = kept();
    lines.push(described(name, &arguments));
    lines
}

fn described(name: &str, arguments: &[(&str, Argument)]) -> String {
    let shown = |(name, value): &(&str, Argument)| match value {
        Argument::Number(number) => format!("{name}={number} (int32)"),
        Argument::Text(text) => format!("{name}={text}"),
    };
    format!("queue {name}: durable, {}", arguments.iter().map(shown).collect::<Vec<_>>().join(", "))
}

/// The commands for `rabbitmqctl` that keep dead letters for seven days, and that bound the three queues.
///
/// A policy cannot raise the ttl: of an argument and a policy the smaller counts. But it can say where the expired ones go. A queue that
/// reached its bound refuses new tasks, so that their producers hear of it; by default RabbitMQ would drop the oldest ones.
pub fn policies(vhost: &str) -> Vec<String> {
    let policy = format!(r#"{{"dead-letter-exchange":"","dead-letter-routing-key":"{KEPT_QUEUE}"}}"#);
    let bounds = format!(r#"{{"max-length":{MOST_TASKS},"max-length-bytes":{MOST_BYTES},"overflow":"reject-publish"}}"#);
    let vhost = vhost.replace('\'', r"'\''");
    let command = |name: &str, pattern: &str, policy: &str| {
        format!("rabbitmqctl set_policy --vhost '{vhost}' --apply-to queues {name} '{pattern}' '{policy}'")
    };
    vec![command("ferry-task-dlq", r"^task\.dlq$", &policy), command("ferry-task-bounds", r"^task\.(high|normal|low)$", &bounds)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<(String, Vec<u8>)> {
        let file: serde_json::Value = serde_json::from_str(include_str!("../../../../fixtures/task-message.json")).unwrap();
        let case = file["cases"].as_array().unwrap().iter().find(|case| case["name"] == "topology").unwrap().clone();
        let bytes = |hex: &str| (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        let frames = case["frames"].as_array().unwrap().iter();
        frames
            .map(|frame| (frame["method"].as_str().unwrap().to_owned(), bytes(frame["payload_hex"].as_str().unwrap())))
            .collect()
    }

    fn short(text: &str) -> Vec<u8> {
        [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
    }

    fn table(arguments: &[(&str, Argument)]) -> Vec<u8> {
        let mut table = Vec::new();
        for (name, value) in arguments {
            table.extend(short(name));
            match value {
                Argument::Number(number) => table.extend([b"I".as_slice(), &number.to_be_bytes()].concat()),
                Argument::Text(text) => {
                    table.extend([b"S".as_slice(), &u32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat());
                }
            }
        }
        [u32::try_from(table.len()).unwrap().to_be_bytes().as_slice(), &table].concat()
    }

    #[test]
    fn the_declarations_are_the_recorded_frames() {
        let mut expected: Vec<(String, Vec<u8>)> = Vec::new();
        let topology = topology();
        for exchange in topology.exchanges {
            let body = [[0, 40, 0, 10, 0, 0].as_slice(), &short(exchange.0), &short("direct"), &[2, 0, 0, 0, 0]].concat();
            expected.push(("exchange.declare".into(), body));
        }
        for queue in &topology.queues {
            let declare = [[0, 50, 0, 10, 0, 0].as_slice(), &short(queue.name), &[2], &table(&queue.arguments)].concat();
            let names = [short(queue.name), short(queue.binding.exchange), short(queue.binding.key)].concat();
            expected.push(("queue.declare".into(), declare));
            expected.push(("queue.bind".into(), [[0, 50, 0, 20, 0, 0].as_slice(), &names, &[0, 0, 0, 0, 0]].concat()));
        }
        let recorded: Vec<_> = frames().into_iter().filter(|(method, _)| method != "channel.open").collect();
        assert_eq!(recorded, expected);
    }

    #[test]
    fn people_read_the_same_and_what_keeps_dead_letters() {
        let text = declarations().join("\n");
        assert!(text.contains("queue task.dlq: durable, x-message-ttl=604800 (int32)"), "{text}");
        assert!(
            policies("/")[0].contains(r"--vhost '/' --apply-to queues ferry-task-dlq '^task\.dlq$' '{"),
            "{:?}",
            policies("/")
        );
        let bounds = &policies("/")[1];
        assert!(
            bounds.contains(r"ferry-task-bounds '^task\.(high|normal|low)$' '{") && bounds.contains("reject-publish"),
            "{bounds}"
        );
    }
}
