//! The servers that tests start do what they say.

use ferry_testkit::{Fault, Link, PostgresServer, RedisOptions, RedisServer, TempDir};

fn set(connection: &mut redis::Connection, value: u32) -> redis::RedisResult<()> {
    redis::cmd("SET").arg("key").arg(value).query(connection)
}

fn get(server: &RedisServer) -> Option<u32> {
    redis::cmd("GET").arg("key").query(&mut server.connect()).unwrap()
}

fn through(link: &Link) -> redis::Connection {
    redis::Client::open(format!("redis://127.0.0.1:{}/", link.port())).unwrap().get_connection().unwrap()
}

#[test]
fn a_folder_is_gone_when_dropped() {
    let folder = TempDir::new();
    let path = folder.path().to_owned();
    std::fs::write(path.join("file"), "x").unwrap();
    assert_ne!(TempDir::new().path(), path);
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn a_server_listens_on_a_socket_and_wants_its_password() {
    let options = RedisOptions { password: Some("secret".into()), unix_socket: true, ..RedisOptions::default() };
    let Some(server) = RedisServer::with(options) else { return };
    set(&mut server.connect(), 1).unwrap();
    assert_eq!((server.port(), get(&server)), (None, Some(1)));
}

#[test]
fn what_was_appended_survives_a_restart() {
    let options = RedisOptions { append_only: true, ..RedisOptions::default() };
    let Some(mut server) = RedisServer::with(options) else { return };
    set(&mut server.connect(), 7).unwrap();
    let mut old = server.connect();
    server.restart();
    assert!(set(&mut old, 8).is_err(), "connections do not survive");
    assert_eq!(get(&server), Some(7));
}

#[test]
fn killed_connections_are_closed_and_new_ones_open() {
    let Some(server) = RedisServer::start() else { return };
    let mut old = server.connect();
    set(&mut old, 1).unwrap();
    server.kill_connections();
    assert!(set(&mut old, 2).is_err());
    set(&mut server.connect(), 3).unwrap();
    assert_eq!(get(&server), Some(3));
}

#[test]
fn a_link_breaks_on_the_chosen_side_of_one_request() {
    let Some(server) = RedisServer::start() else { return };
    let link = Link::to(server.port().unwrap());
    let mut before = through(&link);
    set(&mut before, 1).unwrap();
    link.break_next(Fault::BeforeServer);
    assert!(set(&mut before, 2).is_err());
    assert_eq!((get(&server), link.is_armed()), (Some(1), false));

    let mut after = through(&link);
    set(&mut after, 3).unwrap();
    link.break_next(Fault::AfterServer);
    assert!(set(&mut after, 4).is_err());
    assert_eq!((get(&server), link.is_armed()), (Some(4), false));
    set(&mut through(&link), 5).unwrap();
    assert_eq!(get(&server), Some(5));
}

#[test]
fn a_postgres_keeps_its_databases_apart_and_over_a_restart() {
    let Some(mut server) = PostgresServer::with(&["max_connections=12"]) else { return };
    let (one, two) = (server.database(), server.database());
    one.sql("CREATE TABLE t AS SELECT 7 AS n");
    assert_eq!((one.sql("SELECT n FROM t"), two.sql("SELECT to_regclass('t')")), ("7".to_owned(), String::new()));
    let kept = one.keep();
    drop(two);
    server.stop();
    server.start_again();
    assert_eq!(
        (server.sql(&kept, "SELECT n FROM t"), server.sql(&kept, "SHOW max_connections")),
        ("7".to_owned(), "12".to_owned())
    );
}
