//! What callers may write, and what they are told where they may not; what the server knows of the three
//! commands, and whom it lets use them.

use crate::leasing::{Answer, Leasing, at_rest};
use crate::scene::Scene;
use crate::support::client::bytes_of;
use crate::support::{Client, Value};

const SYNTAX: &str = "ERR syntax error";
const NO_FLOAT: &str = "ERR value is not a valid float";
const LEASE_TIME: &str =
    "ERR lease time must be above 0 and at most 3600 seconds (cache.max-lease-ttl)";

#[test]
fn what_lease_does_not_take_is_an_error_and_gives_no_lease() {
    let mut scene = Scene::new();
    for (words, error) in [
        (&[][..], "ERR wrong number of arguments for 'cache.lease' command"),
        (&["key", "-1"], "ERR timeout is negative"),
        (&["key", "soon"], "ERR timeout is not a float or out of range"),
        (&["key", ""], "ERR timeout is not a float or out of range"),
        (&["key", "nan"], "ERR timeout is not a float or out of range"),
        (&["key", "1", "2"], SYNTAX),
        (&["key", "1", "NOWAIT"], SYNTAX),
        (&["key", "TIED", "5"], SYNTAX),
        (&["key", "STALE", "60"], SYNTAX),
        (&["key", "STALE", "STALE"], SYNTAX),
        (&["key", "TIED", "tied"], SYNTAX),
        (&["key", "TTL"], SYNTAX),
        (&["key", "TTL", "1", "TTL", "1"], SYNTAX),
        (&["key", "TTL", "x"], NO_FLOAT),
        (&["key", "TTL", "STALE"], NO_FLOAT),
        (&["key", "TTL", "0"], LEASE_TIME),
        (&["key", "TTL", "-1"], LEASE_TIME),
        (&["key", "TTL", "3600.001"], LEASE_TIME),
        (&["key", "TTL", "1e99"], LEASE_TIME),
    ] {
        let call = [&["CACHE.LEASE"], words].concat();
        assert_eq!(scene.client.error(&call), error, "{words:?}");
    }
    assert_eq!(scene.server.gauge("cache_leases"), 0);
    scene.client.ok(&["SET", "key", "value"]);
    assert_eq!(scene.client.error(&["CACHE.LEASE", "key", "STALE", "1"]), SYNTAX);
    at_rest(&scene);
}

#[test]
fn lease_takes_its_options_in_any_order_and_case() {
    let mut scene = Scene::new();
    for words in [
        &["key"][..],
        &["key", "0"],
        &["key", "0.5", "ttl", "2.5", "Stale", "TIED"],
        &["key", "TIED", "STALE", "TTL", "3600"],
        &["key", "TTL", "0.001", "TIED"],
    ] {
        let token = scene.client.token(words);
        scene.client.call(&["CACHE.RELEASE", "key", &token]).ok(); // the shortest has run out
        scene.until_all_landed();
    }
    at_rest(&scene);
}

#[test]
fn what_fill_and_release_do_not_take_is_an_error_and_the_lease_is_held_still() {
    const EXPIRY: &str = "ERR invalid expire time in 'cache.fill' command";
    let mut scene = Scene::new();
    let token = scene.client.token(&["key"]);
    for (words, error) in [
        (&["key"][..], "ERR wrong number of arguments for 'cache.fill' command"),
        (&["key", &token], "ERR wrong number of arguments for 'cache.fill' command"),
        (&["key", &token, "value", "0"], EXPIRY),
        (&["key", &token, "value", "-2"], EXPIRY),
        (&["key", &token, "value", "-0.5"], EXPIRY),
        (&["key", &token, "value", "1e300"], EXPIRY),
        (&["key", &token, "value", "soon"], NO_FLOAT),
        (&["key", &token, "value", ""], NO_FLOAT),
        (&["key", &token, "value", "60", "10"], SYNTAX),
        (&["key", &token, "value", "60", "NOWAIT"], SYNTAX),
        (&["key", &token, "value", "60", "STALE"], SYNTAX),
        (&["key", &token, "value", "STALE", "1", "STALE", "1"], SYNTAX),
        (&["key", &token, "value", "STALE", "1", "60"], SYNTAX),
        (&["key", &token, "value", "STALE", "x"], NO_FLOAT),
        (&["key", &token, "value", "STALE", "-1"], "ERR stale is negative"),
        (&["key", &token, "value", "METHOD", "POST"], SYNTAX),
    ] {
        let call = [&["CACHE.FILL"], words].concat();
        assert_eq!(scene.client.error(&call), error, "{words:?}");
    }
    let count = "ERR wrong number of arguments for 'cache.release' command";
    for words in [&["CACHE.RELEASE", "key"][..], &["CACHE.RELEASE", "key", &token, "more"]] {
        assert_eq!(scene.client.error(words), count);
    }
    assert_eq!(scene.server.gauge("cache_leases_held"), 1);
    assert_eq!(scene.server.gauge("cache_leases_lost"), 0);
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

/// A reply printed whole, in lower case.
fn printed(value: &Value) -> String {
    match value {
        Value::Array(all) | Value::Set(all) => {
            all.iter().map(printed).collect::<Vec<_>>().join(" ")
        }
        Value::Int(number) => number.to_string(),
        Value::Nil => "null".to_owned(),
        text => String::from_utf8(bytes_of(text.clone())).unwrap().to_lowercase(),
    }
}

#[test]
fn the_server_knows_what_the_commands_are_and_where_their_key_is() {
    let mut scene = Scene::new();
    for (name, arity, flags, not_flags, key) in [
        ("cache.lease", -2, &["write", "blocking"][..], &["denyoom", "readonly", "fast"][..], "rw"),
        ("cache.fill", -4, &["write", "denyoom"], &["blocking", "readonly", "fast"], "ow"),
        ("cache.release", 3, &["write", "fast"], &["denyoom", "blocking", "readonly"], "ow"),
    ] {
        let Value::Array(parts) = scene.client.array(&["COMMAND", "INFO", name]).remove(0) else {
            panic!("the server does not know {name}")
        };
        assert_eq!(parts[1], Value::Int(arity), "{name}");
        let found = printed(&parts[2]);
        assert!(flags.iter().all(|flag| found.contains(flag)), "{name}: {found}");
        assert!(!not_flags.iter().any(|flag| found.contains(flag)), "{name}: {found}");
        assert_eq!(parts[3..6], [1, 1, 1].map(Value::Int), "{name}");
        let specs = printed(&parts[8]);
        assert!(specs.contains(key), "{name}: {specs}");
        let call = ["COMMAND", "GETKEYS", name, "a key", "token", "value"];
        let call = if name == "cache.release" { &call[..5] } else { &call };
        assert_eq!(scene.client.array(call), [Value::BulkString("a key".into())]);
    }
}

/// A client of a new user with these rules.
fn user(scene: &mut Scene, rules: &[&str]) -> Client {
    scene.client.ok(&[&["ACL", "SETUSER", "user", "reset", "on", "nopass"], rules].concat());
    let mut client = scene.server.client();
    client.ok(&["AUTH", "user", "any"]);
    client
}

#[test]
fn who_may_only_read_a_key_neither_leases_nor_fills_nor_releases_it() {
    let mut scene = Scene::new();
    let token = scene.client.token(&["read:key"]);
    for rules in [&["+@all", "%R~*"][..], &["+@all", "~write:*", "%R~read:*"]] {
        let mut reader = user(&mut scene, rules);
        for call in [
            &["CACHE.LEASE", "read:key"][..],
            &["CACHE.FILL", "read:key", &token, "value"],
            &["CACHE.RELEASE", "read:key", &token],
        ] {
            let error = reader.error(call);
            assert!(error.starts_with("NOPERM"), "{rules:?} {call:?}: {error}");
        }
        reader.null(&["CACHE.PEEK", "read:key"]);
    }
    let mut writer = user(&mut scene, &["+@all", "%W~read:*"]);
    assert!(writer.error(&["CACHE.LEASE", "read:key"]).starts_with("NOPERM"));
    writer.fill("read:key", &token, "value");
    let mut both = user(&mut scene, &["+@all", "~read:*"]);
    assert_eq!(both.lease(&["read:key"]), Answer::value("value"));
    assert!(both.error(&["CACHE.LEASE", "another"]).starts_with("NOPERM"));
    at_rest(&scene);
}

#[test]
fn a_user_may_be_given_each_command_by_itself() {
    let mut scene = Scene::new();
    let mut leases = user(&mut scene, &["~*", "+cache.lease"]);
    let token = leases.token(&["key"]);
    assert!(leases.error(&["CACHE.FILL", "key", &token, "value"]).starts_with("NOPERM"));
    assert!(leases.error(&["CACHE.RELEASE", "key", &token]).starts_with("NOPERM"));
    scene.client.fill("key", &token, "value");
    at_rest(&scene);
}

/// Old servers do not let a module say its categories: there, nothing can be asked.
#[test]
fn the_commands_are_in_their_categories() {
    let mut scene = Scene::new();
    let mut categories = |name: &str| {
        let info = scene.client.array(&["COMMAND", "INFO", name]).remove(0);
        let Value::Array(parts) = info else { panic!("the server does not know {name}") };
        printed(&parts[6])
    };
    if categories("cache.get").is_empty() {
        assert!(scene.server.info("redis_version").unwrap().starts_with("7.0"));
        return;
    }
    for (name, wanted) in [
        ("cache.lease", "@write @blocking"),
        ("cache.fill", "@write"),
        ("cache.release", "@write @fast"),
    ] {
        // Newer servers know one of the module's own besides.
        assert_eq!(categories(name).trim_end_matches(" @cache"), wanted, "{name}");
    }
    let mut writer = user(&mut scene, &["~*", "+@write", "-@blocking"]);
    assert!(writer.error(&["CACHE.LEASE", "key"]).starts_with("NOPERM"));
    let token = scene.client.token(&["key"]);
    writer.fill("key", &token, "value");
    at_rest(&scene);
}
