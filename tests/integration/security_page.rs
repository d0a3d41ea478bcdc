//! What `docs/security.md` gives to copy and says of users: its recipe as it stands there, what patterns and
//! categories do and do not, what a caller can do to others, and what is left after a restart.

use std::fs;
use std::process::{Child, Command};

use crate::docs::root;
use crate::scene::{BODY, Scene};
use crate::support::server::{Builder, free_port};
use crate::support::tmp::TempDir;
use crate::support::{Client, Reply, Server, Value, until};

const SECTION: &str = "## A public-facing set-up in ten lines";

/// The recipe's lines.
fn recipe() -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/security.md")).unwrap();
    let section = page.split(SECTION).nth(1).expect("where is the recipe?");
    let block = section.split("```").nth(1).expect("the recipe has no block");
    block.trim().lines().map(str::to_owned).collect()
}

/// A server whose configuration has these lines, as a file in `folder`.
fn with_lines(folder: &TempDir, lines: &[String]) -> Builder {
    let file = folder.path().join("recipe.conf");
    // The builder says where the module lies.
    let lines = lines.iter().filter(|line| !line.starts_with("loadmodule "));
    let lines: Vec<_> = lines.map(String::as_str).collect();
    fs::write(&file, lines.join("\n")).unwrap();
    Server::builder().config("include", file.to_str().unwrap())
}

fn with_recipe(folder: &TempDir) -> Builder {
    let lines = recipe();
    assert!((8..=12).contains(&lines.len()), "these are no ten lines: {lines:?}");
    assert!(lines[0].starts_with("loadmodule "), "{lines:?}");
    with_lines(folder, &lines)
}

fn as_user(server: &Server, name: &str, password: &str) -> Client {
    let mut client = server.client();
    client.ok(&["AUTH", name, password]);
    client
}

/// A user with these rules, on a connection of its own.
fn user(server: &Server, rules: &[&str]) -> Client {
    let set = ["ACL", "SETUSER", "someone", "reset", "on", "nopass"];
    server.client().ok(&[&set, rules].concat());
    as_user(server, "someone", "any")
}

fn noperm(client: &mut Client, calls: &[&[&str]]) {
    for call in calls {
        let error = client.error(call);
        assert!(error.starts_with("NOPERM "), "{call:?}: {error}");
    }
}

#[test]
fn the_recipe_lets_its_user_do_what_the_page_says_and_nothing_else() {
    let folder = TempDir::new();
    let server = with_recipe(&folder).start();
    let mut stranger = server.client();
    for call in [&["PING"][..], &["CACHE.PEEK", "https://images.example.com/a"]] {
        assert!(stranger.error(call).starts_with("NOAUTH "));
    }
    for password in ["", "a-long-password"] {
        assert!(stranger.error(&["AUTH", "default", password]).starts_with("WRONGPASS "));
    }

    let mut ops = as_user(&server, "ops", "a-long-password");
    assert_eq!(ops.array(&["CACHE.FLIGHTS"]), []);
    ops.ok(&["SET", "https://images.example.com/a", BODY]);

    let mut app = as_user(&server, "app", "another-long-password");
    app.ok(&["CLIENT", "SETNAME", "app"]);
    assert_eq!(app.text(&["PING"]), "PONG");
    assert_eq!(app.text(&["CACHE.PEEK", "https://images.example.com/a"]), BODY);
    assert_eq!(app.text(&["CACHE.GET", "https://images.example.com/a"]), BODY);
    app.null(&["CACHE.GET", "https://images.example.com/b", "NOWAIT"]);
    let lease = app.array(&["CACHE.LEASE", "app:board"]);
    let Value::BulkString(token) = &lease[1] else { panic!("{lease:?}") };
    let token = String::from_utf8(token.clone()).unwrap();
    app.ok(&["CACHE.FILL", "app:board", &token, "ada 9"]);
    assert_eq!(app.array(&["CACHE.LEASE", "app:board"])[1], Value::BulkString("ada 9".into()));

    noperm(
        &mut app,
        &[
            &["CACHE.LEASE", "https://images.example.com/a"],
            &["CACHE.FILL", "https://images.example.com/a", &token, "forged"],
            &["CACHE.RELEASE", "https://images.example.com/a", &token],
            &["CACHE.GET", "app:board"],
            &["CACHE.PEEK", "app:board"],
            &["CACHE.LEASE", "other:board"],
            &["CACHE.GET", "https://www.example.com/"],
            &["CACHE.GET", "https://images.example.com.evil.example/"],
            &["CACHE.FETCH", "https://images.example.com/a"],
            &["CACHE.MGET", "1", "https://images.example.com/a"],
            &["CACHE.DEL", "https://images.example.com/a"],
            &["CACHE.FLIGHTS"],
            &["GET", "https://images.example.com/a"],
            &["SET", "https://images.example.com/a", "forged"],
            &["DEL", "app:board"],
            &["EXPIRE", "app:board", "1"],
            &["KEYS", "*"],
            &["SELECT", "1"],
            &["CLIENT", "TRACKING", "ON", "BCAST"],
            &["CLIENT", "LIST"],
            &["CLIENT", "KILL", "ID", "1"],
            &["CLIENT", "UNBLOCK", "1"],
            &["CLIENT", "PAUSE", "1"],
            &["CONFIG", "GET", "*"],
            &["MODULE", "LIST"],
            &["INFO"],
            &["MONITOR"],
            &["SLOWLOG", "GET"],
            &["ACL", "LIST"],
            &["SUBSCRIBE", "channel"],
            &["EVAL", "return 1", "0"],
            &["FLUSHALL"],
            &["DEBUG", "SLEEP", "0"],
        ],
    );
    assert_eq!(app.text(&["CACHE.GET", "https://images.example.com/a"]), BODY);
}

#[test]
fn a_server_whose_users_are_given_our_commands_does_not_start_without_the_module() {
    let folder = TempDir::new();
    let lines: Vec<_> = recipe().into_iter().filter(|line| line.starts_with("user ")).collect();
    assert!(lines.len() > 1, "{lines:?}");
    let file = folder.path().join("users.conf");
    fs::write(&file, lines.join("\n")).unwrap();
    let log = folder.path().join("log");
    let program = std::env::var_os("CACHE_GET_SERVER").unwrap_or_else(|| "redis-server".into());
    let mut command = Command::new(program);
    command.arg(&file).args(["--port", &free_port().to_string(), "--logfile"]).arg(&log);
    let mut server = Mortal(command.spawn().unwrap());
    let mut status = None;
    until("the server to end", || {
        status = server.0.try_wait().unwrap();
        status.is_some()
    });
    let log = fs::read_to_string(log).unwrap();
    assert!(
        !status.unwrap().success() && log.contains("Error loading ACL rule '+cache.get'"),
        "{log}"
    );
}

/// A process that ends with the test.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        self.0.kill().ok(); // as a rule it has ended
        self.0.wait().ok();
    }
}

/// Writes by transactions, of a client's and of ours, and by a single command.
fn write(server: &Server) {
    let mut ops = as_user(server, "ops", "a-long-password");
    ops.ok(&["SET", "alone", "1"]);
    ops.ok(&["MULTI"]);
    for key in ["first", "second"] {
        ops.text(&["SET", key, "1"]);
    }
    ops.array(&["EXEC"]);
    ops.null(&["EVAL", "redis.call('SET', 'third', '1') redis.call('SET', 'fourth', '1')", "0"]);
    let lease = ops.array(&["CACHE.LEASE", "app:filled"]);
    let Value::BulkString(token) = &lease[1] else { panic!("{lease:?}") };
    ops.ok(&[&b"CACHE.FILL"[..], b"app:filled", token, b"1"]);
}

/// Those of the keys that are there.
fn written(server: &Server) -> Vec<&'static str> {
    let mut ops = as_user(server, "ops", "a-long-password");
    let keys = ["alone", "first", "second", "third", "fourth", "app:filled"];
    keys.into_iter().filter(|key| ops.int(&["EXISTS", key]) == 1).collect()
}

#[test]
fn what_is_written_under_the_recipe_survives_a_restart() {
    let folder = TempDir::new();
    let mut server =
        with_recipe(&folder).config("appendonly", "yes").config("appendfsync", "always").start();
    write(&server);
    let before = written(&server);
    assert_eq!(before.len(), 6, "{before:?}");
    server.restart();
    assert_eq!(written(&server), before);
    assert!(server.client().error(&["PING"]).starts_with("NOAUTH "));
}

#[test]
fn default_off_alone_loses_transactions_where_the_page_says_so() {
    let folder = TempDir::new();
    let lines: Vec<_> = recipe()
        .into_iter()
        .map(
            |line| if line.starts_with("user default ") { "user default off".into() } else { line },
        )
        .collect();
    let mut server = with_lines(&folder, &lines)
        .config("appendonly", "yes")
        .config("appendfsync", "always")
        .start();
    write(&server);
    let before = written(&server);
    server.restart();
    let after = written(&server);
    let mut ops = as_user(&server, "ops", "a-long-password");
    let info = ops.text(&["INFO", "server"]);
    let version = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut parts = line.split('.').map(|part| part.parse::<u32>().unwrap());
        Some((parts.next()?, parts.next()?))
    };
    match (version("valkey_version"), version("redis_version")) {
        (Some((8, 0 | 1)), _) | (None, Some((7, _) | (8, 0))) => {
            assert_eq!(after, ["alone", "app:filled"]);
            server.until_log("This server is sending an error to its AOF-loading-client");
        }
        (Some((9, 1)), _) | (None, Some((8, 6))) => assert_eq!(after, before),
        other => eprintln!("skipped: the page does not say what {other:?} does"),
    }
}

#[test]
fn a_star_in_a_key_pattern_stands_for_slashes_and_allowed_hosts_does_not() {
    let scene = Scene::with(|server| server.config("enable-protected-configs", "yes"));
    let url = scene.serve("/.good.example/x", Reply::ok(BODY));
    let mut app = user(&scene.server, &["+@all", "~http://*.good.example/*"]);
    assert_eq!(app.text(&["CACHE.GET", &url]), BODY, "the page warns of nothing");
    let mut app = user(&scene.server, &["+@all", "~http://www.good.example/*"]);
    noperm(&mut app, &[&["CACHE.GET", &url]]);
    // Without the slash behind the host it is open at its other end.
    let mut app = user(&scene.server, &["+@all", "~http://127.0*"]);
    app.text(&["CACHE.GET", &url]);
    let mut app = user(&scene.server, &["+@all", "~http://*.good.example/*"]);
    scene.server.client().ok(&["CONFIG", "SET", "cache.allowed-hosts", "*.good.example"]);
    let refused = app.error(&["CACHE.GET", &url, "60", "5", "REFRESH"]);
    assert!(refused.starts_with("FETCHDENIED "), "{refused}");
}

#[test]
fn whoever_may_track_hears_of_keys_that_it_may_not_read() {
    let scene = Scene::new();
    let mut app = user(&scene.server, &["+client", "+hello", "~http://mine.example/*"]).resp3();
    noperm(&mut app, &[&["GET", "http://other.example/?secret"]]);
    app.ok(&["CLIENT", "TRACKING", "ON", "BCAST"]);
    scene.server.client().ok(&["SET", "http://other.example/?secret", "1"]);
    let Value::Push { data, .. } = app.reply().unwrap() else { panic!("nothing is told") };
    let told = Value::Array(vec![Value::BulkString("http://other.example/?secret".into())]);
    assert_eq!(data, [told]);
}

#[test]
fn whoever_may_get_acts_for_all_who_want_the_url() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut other = user(&scene.server, &["-@all", "+cache.get", "~http://*"]);
    // It ends what others keep.
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "3600"]), BODY);
    assert_eq!(other.text(&["CACHE.GET", &url, "0.001", "10", "REFRESH"]), BODY);
    scene.until_expired(&url);
    // It makes what is there stay.
    assert_eq!(other.text(&["CACHE.GET", &url, "-1"]), BODY);
    assert_eq!(scene.client.text(&["CACHE.GET", &url, "1"]), BODY);
    assert_eq!(scene.client.int(&["TTL", &url]), -1);
    // Its expiry is that of all who join.
    let (url, gate) = scene.hold("/joined");
    other.send(&["CACHE.GET", &url, "0.001", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    let mut joined = scene.waiters(&url, 1).remove(0);
    gate.open();
    for client in [&mut other, &mut joined] {
        assert_eq!(client.reply_bytes(), BODY.as_bytes());
    }
    scene.until_expired(&url);
    // Each difference is one more entry, and NOWAIT one more download, for a connection that waits for none.
    let (url, gate) = scene.hold("/many");
    for n in 0..20 {
        other.null(&["CACHE.GET", &url, "60", "NOWAIT", "HEADER", "X-N", &n.to_string()]);
    }
    scene.server.until_gauge("cache_flights", 20);
    gate.open();
    let mut client = scene.server.client();
    until("twenty entries", || client.array(&["KEYS", "cache:variant:*"]).len() == 20);
}
