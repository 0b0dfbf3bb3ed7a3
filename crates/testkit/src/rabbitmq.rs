//! RabbitMQ nodes: their own names, ports, folders and port mappers, ended by their pids.
//!
//! A node takes seconds to start, so tests share one ([`AmqpNode::shared`]) and each has a virtual host to itself. Only tests that kill
//! or reconfigure a node start one of their own ([`AmqpServer::start`]).

use std::fs;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::three_free_ports;
use crate::skip;

/// Names a node that runs for several programs: `PORT:FOLDER`, as `php-tests/support/rabbit-for-all.php` prints it.
const SHARED: &str = "FERRY_TEST_AMQP";

const READY_WITHIN: Duration = Duration::from_secs(120);
const PORTS_TO_TRY: usize = 5;
const COOKIE: &str = "FERRYTESTS";

/// Calling `rabbitmqctl` takes a second, a virtual host a tenth of one.
const VHOSTS_AT_ONCE: u32 = 16;

/// A node that somebody started.
#[derive(Debug)]
pub struct AmqpNode {
    folder: PathBuf,
    port: u16,
    vhosts: Mutex<Vhosts>,
}

#[derive(Debug, Default)]
struct Vhosts {
    made: u32,
    given: u32,
}

impl AmqpNode {
    /// The node of this run of tests, or one that this process starts when the first test asks. `None`, with a loud line, when there is no
    /// RabbitMQ here.
    pub fn shared() -> Option<&'static Self> {
        static NODE: LazyLock<Option<SharedNode>> = LazyLock::new(|| match std::env::var(SHARED) {
            Ok(place) if !place.is_empty() => Some(SharedNode::OfThisRun(AmqpNode::at(&place))),
            // Ends with our process: nobody drops a static, but its guard sees that we are gone.
            _ => AmqpServer::start(&[]).map(SharedNode::OfThisProcess),
        });
        match NODE.as_ref()? {
            SharedNode::OfThisRun(node) => Some(node),
            SharedNode::OfThisProcess(server) => Some(server),
        }
    }

    fn at(place: &str) -> Self {
        let (port, folder) = place.split_once(':').unwrap_or_else(|| panic!("{SHARED} is `{place}`, not PORT:FOLDER"));
        let port = port.parse().unwrap_or_else(|_| panic!("{SHARED} is `{place}`, whose port is no number"));
        Self { folder: folder.into(), port, vhosts: Mutex::default() }
    }

    /// A virtual host that nobody used yet.
    pub fn vhost(&self) -> String {
        let mut vhosts = self.vhosts.lock().unwrap_or_else(PoisonError::into_inner);
        if vhosts.given == vhosts.made {
            let new: Vec<String> = (vhosts.made..vhosts.made + VHOSTS_AT_ONCE).map(vhost).collect();
            self.make_vhosts(&new);
            vhosts.made += VHOSTS_AT_ONCE;
        }
        vhosts.given += 1;
        vhost(vhosts.given - 1)
    }

    fn make_vhosts(&self, names: &[String]) {
        let names = names.iter().map(|name| format!("<<\"{name}\">>")).collect::<Vec<_>>().join(",");
        let user = "<<\"guest\">>";
        let all = "<<\".*\">>";
        self.ctl(&[
            "eval",
            &format!(
                "[begin rabbit_vhost:add(Name, {user}), rabbit_auth_backend_internal:set_permissions({user}, Name, {all}, {all}, {all}, \
                 {user}) end || Name <- [{names}]]."
            ),
        ]);
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Runs `rabbitmqctl` on this node.
    pub fn ctl(&self, arguments: &[&str]) -> String {
        let program = installed().expect("the node was started from there").with_file_name("rabbitmqctl");
        let mut command = Command::new(program);
        environment(&mut command, &self.folder, self.port);
        let output = command.args(arguments).output().expect("rabbitmqctl runs where rabbitmq-server does");
        let (told, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "rabbitmqctl {arguments:?}: {told}{wrong}");
        told.into_owned()
    }
}

enum SharedNode {
    OfThisRun(AmqpNode),
    OfThisProcess(AmqpServer),
}

/// A running node of our own.
#[derive(Debug)]
pub struct AmqpServer {
    node: AmqpNode,
    process: Child,
    mapper: Child,
    /// While this is open the node may run. When it closes, because of us or because our process is gone, a shell ends what is left.
    lifeline: Option<ChildStdin>,
    guard: Child,
}

impl Deref for AmqpServer {
    type Target = AmqpNode;

    fn deref(&self) -> &AmqpNode {
        &self.node
    }
}

impl AmqpServer {
    /// Starts a node. `None`, with a loud line, when there is no RabbitMQ here. `settings` are lines of its rabbitmq.conf.
    pub fn start(settings: &[&str]) -> Option<Self> {
        let Some(program) = installed() else {
            skip("rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)");
            return None;
        };
        for _ in 0..PORTS_TO_TRY {
            if let Some(server) = Self::try_start(&program, settings) {
                return Some(server);
            }
        }
        panic!("rabbitmq-server ended {PORTS_TO_TRY} times before it was ready; start it by hand to see why");
    }

    fn try_start(program: &Path, settings: &[&str]) -> Option<Self> {
        let port = three_free_ports();
        let folder = std::env::temp_dir().join(format!("ferry-amqp-{}-{port}", std::process::id()));
        fs::create_dir_all(folder.join("home")).expect("the folder for temporary things can be written");
        write_files(&folder, settings);
        let (guard, lifeline) = guard(&folder);
        let mapper = mapper(port);
        note(&folder, "mapper", &mapper);
        let process = launch(program, &folder, port);
        note(&folder, "node", &process);
        let node = AmqpNode { folder, port, vhosts: Mutex::default() };
        let mut server = Self { node, process, mapper, lifeline: Some(lifeline), guard };
        server.wait_until_ready(1).then_some(server)
    }

    /// Kills the node, as a power cut would.
    pub fn kill(&mut self) {
        end(&mut self.process, "-KILL");
    }

    /// Ends the node in good order.
    pub fn stop(&mut self) {
        end(&mut self.process, "-TERM");
    }

    /// Starts a node that was ended, with what it had on disk.
    pub fn start_again(&mut self) {
        let before = starts(&self.folder);
        self.process = launch(&installed().expect("it was started from there"), &self.folder, self.port);
        note(&self.folder, "node", &self.process);
        assert!(self.wait_until_ready(before + 1), "the node did not come up again, see {}", self.folder.display());
    }

    /// Waits until the log tells of `starts` starts. `false` when the node ended instead.
    fn wait_until_ready(&mut self, wanted: usize) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        while self.process.try_wait().expect("our own child can be waited for").is_none() {
            if starts(&self.folder) >= wanted {
                return true;
            }
            assert!(Instant::now() < deadline, "rabbitmq-server was not ready within {READY_WITHIN:?}");
            // There is no event to wait for: it writes to a log.
            thread::sleep(Duration::from_millis(20));
        }
        false
    }
}

impl Drop for AmqpServer {
    fn drop(&mut self) {
        self.kill();
        end(&mut self.mapper, "-KILL");
        // The guard removes the folder when its line is cut.
        drop(self.lifeline.take());
        let _ = self.guard.wait();
    }
}

/// Several processes may share a node.
fn vhost(number: u32) -> String {
    format!("v{}-{number}", std::process::id())
}

/// The script that needs no user of its own, beside the one that wants to be root.
fn installed() -> Option<PathBuf> {
    let places = fs::read_dir("/usr/lib/rabbitmq/lib").ok()?;
    let mut found: Vec<PathBuf> =
        places.flatten().map(|place| place.path().join("sbin/rabbitmq-server")).filter(|program| program.exists()).collect();
    found.sort();
    found.pop()
}

fn write_files(folder: &Path, settings: &[&str]) {
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("our own folder can be written");
    write("plugins", "[].\n");
    let lines: Vec<&str> = ["loopback_users = none"].iter().chain(settings).copied().collect();
    write("rabbit.conf", &(lines.join("\n") + "\n"));
    let cookie = folder.join("home/.erlang.cookie");
    fs::write(&cookie, COOKIE).expect("our own folder can be written");
    fs::set_permissions(&cookie, fs::Permissions::from_mode(0o400)).expect("our own file may be guarded");
}

fn environment(command: &mut Command, folder: &Path, port: u16) {
    let place = |name: &str| folder.join(name);
    command
        .env("HOME", place("home"))
        .env("ERL_EPMD_PORT", (port + 2).to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODENAME", format!("ferry{port}@localhost"))
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", (port + 1).to_string())
        .env("RABBITMQ_MNESIA_BASE", place("mnesia"))
        .env("RABBITMQ_LOG_BASE", place("log"))
        .env("RABBITMQ_LOGS", place("log/node.log"))
        .env("RABBITMQ_PID_FILE", place("unused"))
        .env("ERL_CRASH_DUMP", place("crash"))
        // So that the start script becomes the Erlang machine, and its pid is the one to end.
        .env("RABBITMQ_ALLOW_INPUT", "1")
        .env("RABBITMQ_SERVER_START_ARGS", "-noinput")
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", place("plugins"))
        .env("RABBITMQ_CONFIG_FILE", place("rabbit"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", place("generated"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", place("advanced"));
}

/// The port mapper of Erlang, which a node would otherwise leave behind.
fn mapper(port: u16) -> Child {
    let mut command = Command::new("epmd");
    command.args(["-address", "127.0.0.1", "-port", &(port + 2).to_string()]);
    quiet(&mut command).spawn().expect("epmd comes with rabbitmq-server")
}

fn launch(program: &Path, folder: &Path, port: u16) -> Child {
    let mut command = Command::new(program);
    environment(&mut command, folder, port);
    quiet(&mut command).spawn().unwrap_or_else(|error| panic!("start {}: {error}", program.display()))
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null())
}

/// A shell that waits for the end of its input and then ends what is written down in the folder. Tests that share a node have no last one
/// to drop it, and a test that is killed drops nothing.
fn guard(folder: &Path) -> (Child, ChildStdin) {
    const SCRIPT: &str = r#"cat >/dev/null; for pid in "$0"/*.pid; do kill -KILL $(cat "$pid") 2>/dev/null; done; until rm -rf "$0" 2>/dev/null; do sleep 0.1; done"#;
    let mut command = Command::new("sh");
    command.arg("-c").arg(SCRIPT).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = command.spawn().expect("there is a shell");
    let lifeline = guard.stdin.take().expect("it was asked for");
    (guard, lifeline)
}

fn note(folder: &Path, name: &str, process: &Child) {
    let mut file = fs::File::create(folder.join(format!("{name}.pid"))).expect("our own folder can be written");
    write!(file, "{}", process.id()).expect("our own file can be written");
}

/// Sends `signal` to our own child and waits for its end.
fn end(process: &mut Child, signal: &str) {
    let _ = Command::new("kill").arg(signal).arg(process.id().to_string()).stderr(Stdio::null()).status();
    // Nothing is left to do about a process that is gone.
    let _ = process.wait();
}

/// How often the node has started, says its log.
fn starts(folder: &Path) -> usize {
    fs::read_to_string(folder.join("log/node.log")).map_or(0, |log| log.matches("Server startup complete").count())
}
