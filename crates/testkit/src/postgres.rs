//! PostgreSQL servers: a free port, a unix socket and a folder of their own, ended by their pids.
//!
//! `initdb` takes seconds, so tests share a server ([`PostgresServer::shared`]) and each has a database to itself ([`PostgresDatabase`]).
//! Only tests that stop or reconfigure a server start one of their own.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::ports::free_port;
use crate::{CertificateAuthority, TempDir, skip};

const READY_WITHIN: Duration = Duration::from_secs(60);
const PORTS_TO_TRY: usize = 5;
/// How often it is looked whether a server answers. There is no event to wait for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Whom `initdb` makes the superuser, and under whom the server runs where we are root, which it refuses to be.
const USER: &str = "postgres";

/// A running server. Dropping it ends the process and removes its files.
#[derive(Debug)]
pub struct PostgresServer {
    port: u16,
    settings: Vec<String>,
    process: Child,
    /// While this is open the server may run. When it closes, because of us or because our process is gone, a shell ends it.
    lifeline: Option<ChildStdin>,
    guard: Child,
    folder: TempDir,
    databases: AtomicU32,
}

impl PostgresServer {
    /// The server of this process, started when the first test asks. `None`, with a loud line, when there is no PostgreSQL here.
    pub fn shared() -> Option<&'static Self> {
        static SERVER: LazyLock<Option<PostgresServer>> = LazyLock::new(PostgresServer::start);
        SERVER.as_ref()
    }

    /// Starts one.
    pub fn start() -> Option<Self> {
        Self::with(&[])
    }

    /// Starts one with these settings of postgresql.conf, for example `max_connections=10`.
    pub fn with(settings: &[&str]) -> Option<Self> {
        if installed().is_none() {
            skip("PostgreSQL is not installed (Debian: apt-get install postgresql)");
            return None;
        }
        let settings: Vec<String> = settings.iter().map(|line| (*line).to_owned()).collect();
        for _ in 0..PORTS_TO_TRY {
            if let Some(server) = Self::try_start(&settings) {
                return Some(server);
            }
        }
        panic!("postgres ended {PORTS_TO_TRY} times before it was ready; start it by hand to see why");
    }

    /// Starts one that lets nobody in by TCP without TLS and a password, which is `secret`.
    pub fn with_tls(authority: &CertificateAuthority) -> Option<Self> {
        let (certificate, key) = authority.issue("server");
        let own = TempDir::new();
        let (owner, group) = ids_of_server();
        let mine = |name: &str| own.path().join(name);
        fs::copy(certificate, mine("server.pem")).expect("our own folder can be written");
        fs::copy(key, mine("server.key")).expect("our own folder can be written");
        fs::write(mine("hba"), "local all all trust\nhostssl all all all scram-sha-256\n")
            .expect("our own folder can be written");
        // It takes no key that others can read.
        fs::set_permissions(mine("server.key"), fs::Permissions::from_mode(0o600)).expect("the file is ours");
        for path in [own.path().to_owned(), mine("server.pem"), mine("server.key"), mine("hba")] {
            chown(path, owner, group).expect("root may give a file away, and our own we own");
        }
        let file = |setting: &str, name: &str| format!("{setting}={}", mine(name).display());
        let files = [file("ssl_cert_file", "server.pem"), file("ssl_key_file", "server.key"), file("hba_file", "hba")];
        let settings: Vec<&str> = files.iter().map(String::as_str).chain(["ssl=on"]).collect();
        let server = Self::with(&settings)?;
        server.sql(USER, &format!("ALTER ROLE {USER} PASSWORD 'secret'"));
        // Its files were read at the start, so they may go.
        Some(server)
    }

    fn try_start(settings: &[String]) -> Option<Self> {
        let folder = TempDir::new();
        let (owner, group) = ids_of_server();
        chown(folder.path(), owner, group).expect("root may give a folder away, and our own we own");
        initdb(&folder.path().join("data"));
        let port = free_port();
        let process = launch(folder.path(), port, settings);
        let (guard, lifeline) = guard(folder.path());
        let lifeline = Some(lifeline);
        let databases = AtomicU32::new(0);
        let mut server = Self { port, settings: settings.to_vec(), process, lifeline, guard, folder, databases };
        server.wait_until_ready().then_some(server)
    }

    /// The port of the loopback on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder with its unix socket.
    pub fn socket_folder(&self) -> &Path {
        self.folder.path()
    }

    /// The superuser, who needs no password unless pg_hba.conf is changed.
    pub fn username(&self) -> &'static str {
        USER
    }

    /// Runs SQL in `psql`, another process, and returns what it prints: a line a row, columns parted by `|`.
    pub fn sql(&self, database: &str, text: &str) -> String {
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", database, "-p", &self.port.to_string()]);
        let output = command.arg("-h").arg(self.socket_folder()).args(["-c", text]).output().expect("psql comes with postgres");
        assert!(output.status.success(), "{text}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// A new, empty database.
    pub fn database(&self) -> PostgresDatabase<'_> {
        let name = format!("ferry_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        // Copied as files: the way through the log is slower where nothing waits for the disk.
        self.sql(USER, &format!("CREATE DATABASE {name} STRATEGY file_copy"));
        PostgresDatabase { server: self, name }
    }

    /// Ends the server as an administrator does: connections are told, and new ones refused until [`PostgresServer::start_again`].
    pub fn stop(&mut self) {
        end(&mut self.process, "-INT");
    }

    /// Starts a server that was stopped, at the same address and with what it had on disk.
    pub fn start_again(&mut self) {
        self.process = launch(self.folder.path(), self.port, &self.settings);
        assert!(self.wait_until_ready(), "postgres did not come up again on port {}", self.port);
    }

    /// Waits until it answers. `false` when it ended instead.
    fn wait_until_ready(&mut self) -> bool {
        let deadline = Instant::now() + READY_WITHIN;
        while self.process.try_wait().expect("our own child can be waited for").is_none() {
            let port = self.port.to_string();
            let asked = Command::new(program("pg_isready")).args(["-q", "-p", &port, "-h"]).arg(self.socket_folder()).status();
            if asked.is_ok_and(|status| status.success()) {
                return true;
            }
            assert!(Instant::now() < deadline, "postgres was not ready within {READY_WITHIN:?}");
            thread::sleep(LOOK_AGAIN);
        }
        false
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        end(&mut self.process, "-QUIT");
        drop(self.lifeline.take());
        let _ = self.guard.wait();
    }
}

/// One database of a server, removed when dropped.
#[derive(Debug)]
pub struct PostgresDatabase<'a> {
    server: &'a PostgresServer,
    name: String,
}

impl PostgresDatabase<'_> {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its server.
    pub fn server(&self) -> &PostgresServer {
        self.server
    }

    /// Runs SQL in `psql`, see [`PostgresServer::sql`].
    pub fn sql(&self, text: &str) -> String {
        self.server.sql(&self.name, text)
    }

    /// Its name; it lasts as long as its server.
    pub fn keep(mut self) -> String {
        std::mem::take(&mut self.name)
    }

    /// Ends every session of this database.
    pub fn kill_connections(&self) {
        let sessions = format!("FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid()", self.name);
        // It returns when they are gone, or after ten seconds.
        self.sql(&format!("SELECT pg_terminate_backend(pid, 10000) {sessions}"));
    }
}

impl Drop for PostgresDatabase<'_> {
    fn drop(&mut self) {
        // A server that a failed test stopped cannot do it, and goes away with all of them.
        if !self.name.is_empty() && !thread::panicking() {
            self.server.sql(USER, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// The folder of the newest version's programs.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let version = |folder: &PathBuf| folder.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or_default();
    let found = versions.flatten().map(|entry| entry.path()).filter(|folder| folder.join("bin/postgres").exists());
    Some(found.max_by_key(version)?.join("bin"))
}

fn program(name: &str) -> PathBuf {
    installed().expect("asked before anything is started").join(name)
}

/// A program that refuses to run as root, which containers are.
fn as_server(name: &str) -> Command {
    let mut command = Command::new(program(name));
    if let (Some(user), Some(group)) = ids_of_server() {
        command.uid(user).gid(group);
    }
    command
}

/// User and group of the server where we are root; otherwise it runs as we do.
fn ids_of_server() -> (Option<u32>, Option<u32>) {
    use std::os::unix::fs::MetadataExt;
    if fs::metadata("/proc/self").is_ok_and(|process| process.uid() != 0) {
        return (None, None);
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| fields[0] == USER);
    let fields = fields.expect("Debian's package makes the user postgres");
    (fields[2].parse().ok(), fields[3].parse().ok())
}

fn initdb(data: &Path) {
    let mut command = as_server("initdb");
    command.args(["--no-sync", "--auth=trust", "--encoding=UTF8", "--locale=C", "-U", USER, "-D"]).arg(data);
    let made = command.stdout(Stdio::null()).status().expect("initdb comes with postgres");
    assert!(made.success(), "initdb failed");
}

fn launch(folder: &Path, port: u16, settings: &[String]) -> Child {
    let mut command = as_server("postgres");
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder).args(["-h", "127.0.0.1", "-p", &port.to_string()]);
    let quick = ["fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=200", "logging_collector=off"];
    for setting in quick.into_iter().chain(settings.iter().map(String::as_str)) {
        command.args(["-c", setting]);
    }
    let log = fs::File::create(folder.join("log")).expect("our own folder can be written");
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("start postgres: {error}"))
}

/// A shell that waits for the end of its input, then ends the server and removes its folder. Tests that share a server have no last one to
/// drop it, and a test that is killed drops nothing.
fn guard(folder: &Path) -> (Child, ChildStdin) {
    const SCRIPT: &str = r#"cat >/dev/null; kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")" 2>/dev/null; until rm -rf "$0" 2>/dev/null; do sleep 0.1; done"#;
    let mut command = Command::new("sh");
    command.arg("-c").arg(SCRIPT).arg(folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut guard = command.spawn().expect("there is a shell");
    let lifeline = guard.stdin.take().expect("it was asked for");
    (guard, lifeline)
}

/// Sends `signal` to our own child and waits for its end.
fn end(process: &mut Child, signal: &str) {
    let _ = Command::new("kill").arg(signal).arg(process.id().to_string()).stderr(Stdio::null()).status();
    // Nothing is left to do about a process that is gone.
    let _ = process.wait();
}

/// A pooler before a server, in transaction mode: every transaction may get another session. Dropping it ends it.
#[derive(Debug)]
pub struct PgBouncer {
    port: u16,
    process: Child,
    _folder: TempDir,
}

impl PgBouncer {
    /// Starts one with these lines of pgbouncer.ini beside its own. `None`, with a loud line, when there is none here.
    pub fn before(server: &PostgresServer, settings: &[&str]) -> Option<Self> {
        let pooler = Path::new("/usr/sbin/pgbouncer");
        if !pooler.exists() {
            skip("PgBouncer is not installed (Debian: apt-get install pgbouncer)");
            return None;
        }
        let folder = TempDir::new();
        let (owner, group) = ids_of_server();
        chown(folder.path(), owner, group).expect("root may give a folder away, and our own we own");
        let port = free_port();
        let (file, users) = (folder.path().join("pgbouncer.ini"), folder.path().join("users"));
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nunix_socket_dir=\n\
             auth_type=trust\nauth_file={}\npool_mode=transaction\ndefault_pool_size=4\n{}\n",
            server.port,
            users.display(),
            settings.join("\n")
        );
        fs::write(&file, text).expect("our own folder can be written");
        fs::write(&users, format!("\"{USER}\" \"\"\n")).expect("our own folder can be written");
        let mut command = Command::new(pooler);
        if let (Some(user), Some(group)) = (owner, group) {
            command.uid(user).gid(group);
        }
        let process = command.arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let pooler = Self { port, process: process.expect("pgbouncer starts"), _folder: folder };
        pooler.wait_until_ready();
        Some(pooler)
    }

    /// The port of the loopback on which it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + READY_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(Instant::now() < deadline, "pgbouncer was not ready within {READY_WITHIN:?}");
            thread::sleep(LOOK_AGAIN);
        }
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        end(&mut self.process, "-TERM");
    }
}
