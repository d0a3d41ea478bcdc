//! What the server knows of the commands. Asked for piece by piece, because
//! a failed registration says nothing of itself.

use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Reply, Server, Value};

/// A reply printed whole, in lower case: these are searched, not parsed.
fn printed(value: &Value) -> String {
    match value {
        Value::Array(all) | Value::Set(all) => {
            let all: Vec<_> = all.iter().map(printed).collect();
            format!("[{}]", all.join(" "))
        }
        Value::Int(number) => number.to_string(),
        Value::Nil => "null".to_owned(),
        text => String::from_utf8(bytes_of(text.clone())).unwrap().to_lowercase(),
    }
}

/// The parts of a command's `COMMAND INFO`.
fn command_info(client: &mut Client, name: &str) -> Vec<Value> {
    match client.array(&["COMMAND", "INFO", name]).remove(0) {
        Value::Array(parts) => parts,
        other => panic!("the server does not know {name}: {other:?}"),
    }
}

#[test]
fn command_info_is_complete() {
    let server = Server::start();
    let mut client = server.client();
    for (name, arity, flags, not_flags, key) in [
        ("cache.get", -2, &["write", "blocking"][..], &["denyoom", "readonly", "fast"][..], "rw"),
        ("cache.peek", -2, &["readonly", "fast"], &["write", "blocking", "denyoom"], "ro"),
    ] {
        let parts = command_info(&mut client, name);
        assert_eq!(printed(&parts[0]), name);
        assert_eq!(parts[1], Value::Int(arity), "{name}: arity");
        let found = printed(&parts[2]);
        for flag in flags {
            assert!(found.contains(flag), "{name} is not {flag}: {found}");
        }
        for flag in not_flags {
            assert!(!found.contains(flag), "{name} is {flag}: {found}");
        }
        let first_last_step = [1, 1, 1].map(Value::Int);
        assert_eq!(parts[3..6], first_last_step, "{name}: keys");
        let specs = printed(&parts[8]);
        assert!(specs.contains(key), "{name}: {specs}");
        assert!(specs.contains("begin_search [type index spec [index 1]]"), "{name}: {specs}");
    }
}

#[test]
fn the_server_finds_the_key_of_each_call() {
    let server = Server::start();
    let mut client = server.client();
    for call in
        [&["CACHE.GET", "url", "60", "10"][..], &["CACHE.GET", "url"], &["CACHE.PEEK", "url"]]
    {
        let keys = client.array(&[&["COMMAND", "GETKEYS"], call].concat());
        assert_eq!(keys, [Value::BulkString(b"url".into())], "{call:?}");
    }
}

#[test]
fn command_docs_are_complete() {
    let server = Server::start();
    let mut client = server.client();
    for (name, words) in [
        (
            "cache.get",
            &["summary", "complexity", "arguments", "url", "expiry", "timeout", "optional"][..],
        ),
        ("cache.peek", &["summary", "complexity", "arguments", "url"]),
    ] {
        let docs = client.array(&["COMMAND", "DOCS", name]);
        assert_eq!(docs.len(), 2, "{name} has no docs");
        let docs = printed(&docs[1]);
        for word in words {
            assert!(docs.contains(word), "the docs of {name} lack {word}: {docs}");
        }
    }
}

#[test]
fn a_users_key_patterns_are_the_hosts_it_may_fetch_from() {
    let mut scene = Scene::new();
    let [open, shut] = ["/open/a", "/shut/a"].map(|path| scene.serve(path, Reply::ok(BODY)));
    let pattern = format!("~{}*", scene.origin.url("/open/"));
    scene.client.ok(&["ACL", "SETUSER", "app", "on", "nopass", "+@all", &pattern]);
    let mut app = scene.server.client();
    app.ok(&["AUTH", "app", "any"]);
    assert_eq!(app.text(&["CACHE.GET", &open]), BODY);
    for command in ["CACHE.GET", "CACHE.PEEK"] {
        assert!(app.error(&[command, &shut]).starts_with("NOPERM "));
    }
    let wanders = scene.origin.url("/open/../shut/a");
    assert!(app.error(&["CACHE.GET", &wanders]).starts_with("ERR invalid url: "));
    assert_eq!(scene.origin.total(), 1);
}

#[test]
fn a_user_who_may_only_read_can_peek_and_not_get() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    scene.client.ok(&["ACL", "SETUSER", "reader", "on", "nopass", "+@all", "%R~*"]);
    let mut reader = scene.server.client();
    reader.ok(&["AUTH", "reader", "any"]);
    assert_eq!(reader.text(&["CACHE.PEEK", &url]), BODY);
    assert!(reader.error(&["CACHE.GET", &url]).starts_with("NOPERM "));
}

#[test]
fn the_module_is_listed_under_its_name() {
    let server = Server::start();
    let modules = server.client().array(&["MODULE", "LIST"]);
    assert!(printed(&modules[0]).starts_with("[name cache ver "), "{modules:?}");
}
