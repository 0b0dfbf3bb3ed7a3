//! One MariaDB server for all tests of a binary: a free port, a socket, an empty folder, killed with the process that asked for it.

use std::fs::File;
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::free_port;
use crate::{TempDir, skip};

const PORTS_TO_TRY: u32 = 20;
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A running server whose user `ferry` with the password `secret` may do everything.
#[derive(Debug)]
pub struct MariaDb {
    port: u16,
    process: Mutex<Child>,
    folder: TempDir,
}

impl MariaDb {
    /// The one server of this process. It ends with the process: a watchman holds the read end of a pipe. `None`, with a loud line,
    /// when there is no MariaDB here.
    pub fn shared() -> Option<&'static Self> {
        static SERVER: OnceLock<Option<MariaDb>> = OnceLock::new();
        SERVER.get_or_init(|| Self::with(&[], true)).as_ref()
    }

    /// A server of its own, with these arguments besides. Dropping it kills the process and removes its files.
    pub fn start(arguments: &[&str]) -> Option<Self> {
        Self::with(arguments, false)
    }

    fn with(arguments: &[&str], until_exit: bool) -> Option<Self> {
        if !Path::new("/usr/sbin/mariadbd").exists() {
            skip("mariadbd is not installed (Debian: apt-get install mariadb-server)");
            return None;
        }
        let folder = TempDir::new();
        install(folder.path());
        for _ in 0..PORTS_TO_TRY {
            let port = free_port();
            // When it ended by itself, somebody took the port between our look and its start: take another.
            if let Some(process) = launch(folder.path(), port, arguments, until_exit) {
                let server = Self { port, process: Mutex::new(process), folder };
                server.sql("CREATE USER ferry@'%' IDENTIFIED BY 'secret'; GRANT ALL ON *.* TO ferry@'%'");
                return Some(server);
            }
        }
        panic!("mariadbd ended {PORTS_TO_TRY} times before it was ready; start it by hand to see why");
    }

    /// Its port on the loopback.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// A new, empty database.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("t{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        self.sql(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        name
    }

    /// Runs statements as root and returns what they answer: rows by lines, columns by tabs.
    pub fn sql(&self, statements: &str) -> String {
        let output = Command::new("mariadb")
            .args(["--no-defaults", "--batch", "--skip-column-names", "--binary-as-hex=0", "-uroot", "--socket"])
            .arg(self.socket())
            .args(["-e", statements])
            .output();
        let output = output.expect("these tests need the mariadb client (apt-get install mariadb-client)");
        assert!(output.status.success(), "{statements}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Ends every connection to this database, and returns when the server has closed them.
    pub fn kill_connections(&self, database: &str) {
        let all = format!("SELECT id FROM information_schema.processlist WHERE db = '{database}'");
        let ids = self.sql(&all);
        if ids.trim().is_empty() {
            return;
        }
        let ids: Vec<&str> = ids.lines().collect();
        // Each may end by itself before its turn.
        let kills: Vec<String> = ids
            .iter()
            .map(|id| format!("BEGIN NOT ATOMIC DECLARE CONTINUE HANDLER FOR 1094 BEGIN END; KILL {id}; END"))
            .collect();
        self.sql(&format!("DELIMITER //\n{}//\n", kills.join("//\n")));
        let left = format!("{all} AND id IN ({})", ids.join(","));
        while !self.sql(&left).trim().is_empty() {
            thread::yield_now();
        }
    }

    /// Kills the process and starts it again on the same port.
    pub fn restart(&self) {
        self.stop();
        let process = launch(self.folder.path(), self.port, &[], false);
        *self.process.lock().expect("no thread panicked") = process.expect("its port was free a moment ago");
    }

    /// Kills the process; connections break and new ones are refused until [`MariaDb::restart`].
    pub fn stop(&self) {
        let mut process = self.process.lock().expect("no thread panicked");
        // It may be dead already; waiting then returns at once.
        let _ = process.kill();
        let _ = process.wait();
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A server that starts removes the temporary tables of all others from a folder that it shares with them.
fn temporary(folder: &Path) -> String {
    let temporary = folder.join("tmp");
    std::fs::create_dir_all(&temporary).expect("the folder is ours");
    format!("--tmpdir={}", temporary.display())
}

fn install(folder: &Path) {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
    command.arg(format!("--user={}", user())).arg(format!("--datadir={}", folder.join("data").display()));
    let done = command.arg(temporary(folder)).stdin(Stdio::null()).output();
    let done = done.expect("mariadb-install-db comes with mariadb-server");
    assert!(done.status.success(), "mariadb-install-db: {}", String::from_utf8_lossy(&done.stdout));
}

/// The user of the server: as root it wants to be told that root is meant.
fn user() -> String {
    let id = Command::new("id").arg("-un").output().expect("every system has `id`");
    String::from_utf8_lossy(&id.stdout).trim().to_owned()
}

/// Starts a server and waits until it listens. `None` when it ended instead.
fn launch(folder: &Path, port: u16, arguments: &[&str], until_exit: bool) -> Option<Child> {
    // A server that all tests share is never dropped: its shell waits for the end of its input, which is our end.
    let mut command = if until_exit {
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$@\" <&- & server=$!; read -r _; kill -9 $server; rm -rf \"$FOLDER\"", "sh", "mariadbd"]);
        shell.env("FOLDER", folder);
        shell
    } else {
        Command::new("mariadbd")
    };
    let log = File::create(folder.join("log")).expect("the folder is ours");
    command
        .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve", "--max-connections=1000"])
        .args(["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-flush-method=nosync", "--innodb-doublewrite=0"])
        .args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M", "--performance-schema=0", "--skip-log-bin"])
        .arg(format!("--user={}", user()))
        .arg(format!("--datadir={}", folder.join("data").display()))
        .arg(format!("--socket={}", folder.join("sock").display()))
        .arg(format!("--pid-file={}", folder.join("pid").display()))
        .arg(format!("--port={port}"))
        .arg(temporary(folder))
        .args(arguments)
        .stdin(if until_exit { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::null())
        .stderr(Stdio::from(log));
    let mut process = command.spawn().unwrap_or_else(|error| panic!("start mariadbd: {error}"));
    let deadline = Instant::now() + READY_WITHIN;
    while Instant::now() < deadline {
        let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
        if log.contains("ready for connections") && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Some(process);
        }
        if log.contains("[ERROR] Aborting") {
            let _ = process.kill();
            let _ = process.wait();
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    let _ = process.kill();
    let _ = process.wait();
    panic!("mariadbd on port {port} was not ready within {READY_WITHIN:?}");
}
