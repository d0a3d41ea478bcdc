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
    let fills = (&["write", "blocking"][..], &["denyoom", "readonly", "fast"][..]);
    let one = "begin_search [type index spec [index 1]]";
    let counted = "find_keys [type keynum spec [keynumidx 0 firstkey 1 keystep 1]]";
    for (name, arity, (flags, not_flags), first_last_step, key, found_by) in [
        ("cache.get", -2, fills, [1, 1, 1], "rw", one),
        ("cache.fetch", -2, fills, [1, 1, 1], "rw", one),
        ("cache.mget", -3, fills, [0, 0, 0], "rw", counted),
        (
            "cache.peek",
            -2,
            (&["readonly", "fast"], &["write", "blocking", "denyoom"]),
            [1, 1, 1],
            "ro",
            one,
        ),
        ("cache.del", -2, (&["write"], &["readonly", "blocking", "denyoom"]), [1, 1, 1], "rm", one),
        (
            "cache.flights",
            -1,
            (&["readonly", "admin"], &["write", "blocking", "denyoom"]),
            [0, 0, 0],
            "[]",
            "",
        ),
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
        assert_eq!(parts[3..6], first_last_step.map(Value::Int), "{name}: keys");
        let specs = printed(&parts[8]);
        assert!(specs.contains(key), "{name}: {specs}");
        assert!(specs.contains(found_by), "{name}: {specs}");
        let searched_at_one = if key == "[]" { "" } else { one };
        assert!(specs.contains(searched_at_one), "{name}: {specs}");
    }
}

#[test]
fn the_server_finds_the_key_of_each_call() {
    let server = Server::start();
    let mut client = server.client();
    for (call, wanted) in [
        (&["CACHE.GET", "url", "60", "10"][..], &["url"][..]),
        (&["CACHE.GET", "url"], &["url"]),
        (&["CACHE.PEEK", "url"], &["url"]),
        (&["CACHE.FETCH", "url", "60", "STALE", "5"], &["url"]),
        (&["CACHE.DEL", "url", "METHOD", "POST", "BODY", "x"], &["url"]),
        (&["CACHE.MGET", "1", "url"], &["url"]),
        (&["CACHE.MGET", "2", "one", "other", "60", "10", "NOWAIT"], &["one", "other"]),
    ] {
        let keys = client.array(&[&["COMMAND", "GETKEYS"], call].concat());
        let keys: Vec<_> = keys.into_iter().map(bytes_of).collect();
        assert_eq!(keys, wanted.iter().map(|key| key.as_bytes()).collect::<Vec<_>>(), "{call:?}");
    }
    for wrong in [["CACHE.MGET", "0", "a"], ["CACHE.MGET", "2", "a"], ["CACHE.MGET", "x", "a"]] {
        client.error(&[&["COMMAND", "GETKEYS"], &wrong[..]].concat());
    }
}

#[test]
fn command_docs_are_complete() {
    let server = Server::start();
    let mut client = server.client();
    let times = ["expiry", "timeout", "refresh", "nowait"];
    let variant = ["method", "body", "header", "post", "multiple"];
    for (name, words) in [
        ("cache.get", [&["stale"], &times[..], &variant].concat()),
        ("cache.fetch", [&["stale"], &times[..], &variant].concat()),
        ("cache.mget", [&["stale", "numkeys"], &times[..], &variant].concat()),
        ("cache.peek", [&["stale"], &variant[..]].concat()),
        ("cache.del", variant.to_vec()),
        ("cache.flights", vec!["count", "integer"]),
    ] {
        let common = ["summary", "complexity", "since", "arguments", "url", "optional"];
        let docs = client.array(&["COMMAND", "DOCS", name]);
        assert_eq!(docs.len(), 2, "{name} has no docs");
        let docs = printed(&docs[1]);
        for word in common.iter().chain(&words) {
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
    for command in ["CACHE.GET", "CACHE.PEEK", "CACHE.FETCH", "CACHE.DEL"] {
        assert!(app.error(&[command, &shut]).starts_with("NOPERM "));
        let error = app.error(&[command, &shut, "HEADER", "Accept", "a"]);
        assert!(error.starts_with("NOPERM "), "{command}: {error}");
    }
    assert!(app.error(&["CACHE.MGET", "2", &open, &shut]).starts_with("NOPERM "));
    let wanders = scene.origin.url("/open/../shut/a");
    assert!(app.error(&["CACHE.GET", &wanders]).starts_with("ERR invalid url: "));
    assert_eq!(scene.origin.total(), 1);
}

/// Where the server reads a number otherwise than the module it finds other
/// keys than the module uses, and checks none of those.
#[test]
fn a_count_of_keys_that_the_server_does_not_read_gets_past_no_key_pattern() {
    let mut scene = Scene::new();
    let shut = scene.serve("/shut", Reply::ok(BODY));
    scene.client.ok(&["ACL", "SETUSER", "app", "on", "nopass", "+@all", "~http://open/*"]);
    let mut app = scene.server.client();
    app.ok(&["AUTH", "app", "any"]);
    let mut past = vec!["1", "+1", "01", "1.0", " 1", "0x1"];
    past.retain(|count| app.call(&["CACHE.MGET", count, &shut]).is_ok());
    assert_eq!(past, [""; 0]);
    assert_eq!(scene.origin.total(), 0);
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
    for call in [
        &["CACHE.GET", &url][..],
        &["CACHE.FETCH", &url],
        &["CACHE.MGET", "1", &url],
        &["CACHE.DEL", &url],
    ] {
        assert!(reader.error(call).starts_with("NOPERM "), "{call:?}");
    }
}

#[test]
fn the_module_is_listed_under_its_name() {
    let server = Server::start();
    let modules = server.client().array(&["MODULE", "LIST"]);
    // Servers have modules of their own, which come first (Redis 8.0).
    let ours = modules.iter().filter(|module| printed(module).starts_with("[name cache ver "));
    assert_eq!(ours.count(), 1, "{modules:?}");
}
