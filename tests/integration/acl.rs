//! Users and what they may: by commands, by categories, and by keys, which are the hosts they fetch from.

use crate::leasing::Answer;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Origin, Reply, Server, until};

/// All that the module offers to those who are no administrators.
const COMMANDS: [&str; 8] = [
    "cache.del",
    "cache.fetch",
    "cache.fill",
    "cache.get",
    "cache.lease",
    "cache.mget",
    "cache.peek",
    "cache.release",
];

/// Logs in as a user with these rules.
fn user(server: &Server, rules: &[&str]) -> Client {
    let mut client = server.client();
    let set = ["ACL", "SETUSER", "app", "reset", "on", "nopass"];
    client.ok(&[&set, rules].concat());
    client.ok(&["AUTH", "app", "any"]);
    client
}

fn refused(client: &mut Client, call: &[&str]) {
    let error = client.error(call);
    assert!(error.starts_with("NOPERM "), "{call:?}: {error}");
}

/// The commands of a category that are ours; `None` if the server does not know it. (`ACL CAT category` is no
/// help: it leaves out the commands of modules.)
fn of_category(client: &mut Client, category: &str) -> Option<Vec<String>> {
    client.call(&["ACL", "CAT", category]).ok()?;
    let names = client.array(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", category]);
    let names = names.into_iter().map(|name| String::from_utf8(bytes_of(name)).unwrap());
    let mut ours: Vec<_> = names.filter(|name| name.starts_with("cache.")).collect();
    ours.sort();
    Some(ours)
}

/// Whether modules of this server can say which category their commands are in (Redis 7.2, Valkey).
fn has_categories(client: &mut Client) -> bool {
    !of_category(client, "write").unwrap().is_empty()
}

#[test]
fn a_user_may_read_and_not_fill() {
    let mut scene = Scene::new();
    let [there, other] = ["/there", "/other"].map(|path| scene.serve(path, Reply::ok(BODY)));
    assert_eq!(scene.client.text(&["CACHE.GET", &there]), BODY);
    let mut reader = user(&scene.server, &["+@all", "%R~http://*"]);
    assert_eq!(reader.text(&["CACHE.PEEK", &there]), BODY);
    reader.null(&["CACHE.PEEK", &other]);
    for url in [&there, &other] {
        for call in [
            &["CACHE.GET", url][..],
            &["CACHE.GET", url, "NOWAIT"],
            &["CACHE.FETCH", url],
            &["CACHE.MGET", "1", url],
            &["CACHE.LEASE", url],
            &["CACHE.FILL", url, "token", "value"],
            &["CACHE.RELEASE", url, "token"],
            &["CACHE.DEL", url],
        ] {
            refused(&mut reader, call);
        }
    }
    assert_eq!(scene.origin.total(), 1);
}

#[test]
fn a_user_may_fill_and_not_delete() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut app = user(&scene.server, &["~*", "+cache.get", "+cache.lease", "-cache.del"]);
    assert_eq!(app.text(&["CACHE.GET", &url]), BODY);
    Answer::of(app.call(&["CACHE.LEASE", "key"]).unwrap()).token();
    for call in [
        &["CACHE.DEL", &url][..],
        &["DEL", &url],
        &["CACHE.PEEK", &url],
        &["CACHE.FETCH", &url],
        &["CACHE.FILL", "key", "token", "value"],
        &["CACHE.FLIGHTS"],
    ] {
        refused(&mut app, call);
    }
    assert!(scene.exists(&url));
    assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 1);
}

#[test]
fn a_user_may_write_and_not_read() {
    let scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut writer = user(&scene.server, &["+@all", "%W~*"]);
    for call in [&["CACHE.GET", &url][..], &["CACHE.PEEK", &url], &["CACHE.LEASE", &url]] {
        refused(&mut writer, call);
    }
    assert_eq!(writer.int(&["CACHE.DEL", &url]), 0);
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_user_of_one_host_reaches_no_other_by_any_spelling() {
    let scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    let other = Origin::start();
    let open = scene.origin.url("/");
    let mut app =
        user(&scene.server, &["+@all", "~https://images.example/*", &format!("~{open}*")]);
    assert_eq!(app.text(&["CACHE.GET", &format!("{open}a")]), BODY);
    let error = app.error(&["CACHE.GET", "https://images.example/cat.jpg"]);
    assert!(error.starts_with("FETCHFAILED "), "{error}"); // allowed; but nobody knows the name here
    let port = other.url("").rsplit(':').next().unwrap().to_owned();
    for url in [
        &other.url("/"),
        "https://images.example.evil.example/",
        "http://images.example/",
        "HTTPS://images.example/",
        "https://images.example",
        "https://images.example:443/",
        "https://IMAGES.example/",
        " https://images.example/",
    ] {
        refused(&mut app, &["CACHE.GET", url]);
        refused(&mut app, &["CACHE.MGET", "2", &open, url]);
        refused(&mut app, &["CACHE.GET", url, "METHOD", "POST"]);
    }
    // These match the pattern, and a parser might take them elsewhere.
    for url in [
        format!("https://images.example/@127.0.0.1:{port}/"),
        format!("https://images.example/\\@127.0.0.1:{port}/"),
        format!("https://images.example/../../127.0.0.1:{port}/"),
        format!("{open}\n@127.0.0.1:{port}/"),
        format!("{open}..//127.0.0.1:{port}/"),
    ] {
        let error = app.error(&["CACHE.GET", &url]);
        let codes = ["ERR invalid url: ", "FETCHFAILED "];
        assert!(codes.iter().any(|code| error.starts_with(code)), "{url}: {error}");
    }
    assert_eq!(other.total(), 0);
}

#[test]
fn a_variants_key_opens_nothing_to_who_may_not_read_its_url() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url, "HEADER", "Authorization", "hush"]);
    let keys = scene.client.array(&["KEYS", "cache:variant:*"]);
    let key = String::from_utf8(bytes_of(keys[0].clone())).unwrap();
    let mut app = user(&scene.server, &["+@all", "~http://other.example/*"]);
    for key in [&key, &url] {
        refused(&mut app, &["GET", key]);
        refused(&mut app, &["CACHE.PEEK", key]);
        refused(&mut app, &["CACHE.PEEK", key, "HEADER", "Authorization", "hush"]);
    }
}

#[test]
fn what_is_in_the_air_is_for_administrators() {
    let scene = Scene::new();
    let known = has_categories(&mut scene.server.client());
    // Who may call it: on a server that knows categories of modules' commands, and on one that does not (7.0).
    for (rules, where_known, where_unknown) in [
        (&["+@all", "-cache.flights"][..], false, false),
        (&["-@all", "+cache.flights"], true, true),
        (&["+@all", "-@admin"], false, true),
        (&["+@all", "-@dangerous"], false, true),
        (&["+@read"], true, false),
        (&["+@read", "-@admin"], false, false),
        (&["+@all", "-@dangerous", "+@read"], true, true),
        (&["+@admin"], true, false),
    ] {
        let reply = user(&scene.server, rules).call(&["CACHE.FLIGHTS"]);
        let may = if known { where_known } else { where_unknown };
        assert_eq!(reply.is_ok(), may, "{rules:?}: {reply:?}");
    }
}

#[test]
fn the_commands_have_the_categories_of_what_they_do() {
    let server = Server::start();
    let mut client = server.client();
    if !has_categories(&mut client) {
        eprintln!("skipped: this server knows no categories of modules' commands (Redis 7.0)");
        return;
    }
    for (category, ours) in [
        ("admin", &["cache.flights"][..]),
        ("dangerous", &["cache.flights"]),
        ("blocking", &["cache.fetch", "cache.get", "cache.lease", "cache.mget"]),
        ("read", &["cache.flights", "cache.peek"]),
        (
            "write",
            &[
                "cache.del",
                "cache.fetch",
                "cache.fill",
                "cache.get",
                "cache.lease",
                "cache.mget",
                "cache.release",
            ],
        ),
    ] {
        assert_eq!(of_category(&mut client, category).unwrap(), ours, "{category}");
    }
}

#[test]
fn a_category_of_its_own_holds_all_but_the_administrators_command_where_the_server_knows_such() {
    let scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut client = scene.server.client();
    let Some(ours) = of_category(&mut client, "cache") else {
        eprintln!(
            "skipped: modules of this server have no categories (before Redis 7.4 and Valkey 8)"
        );
        return;
    };
    assert_eq!(ours, COMMANDS);
    let mut app = user(&scene.server, &["~*", "+@cache"]);
    assert_eq!(app.text(&["CACHE.GET", &url]), BODY);
    refused(&mut app, &["GET", &url]);
    refused(&mut app, &["CACHE.FLIGHTS"]); // who may cache is no administrator
    let mut app = user(&scene.server, &["~*", "+@all", "-@cache"]);
    refused(&mut app, &["CACHE.GET", &url]);
    assert!(app.call(&["GET", &url]).is_ok());
}

#[test]
fn the_category_stays_through_unloading_and_loading() {
    let server = Server::start();
    let mut client = server.client();
    let known = of_category(&mut client, "cache").is_some();
    for _ in 0..3 {
        until("the module to be unloaded", || client.call(&["MODULE", "UNLOAD", "cache"]).is_ok());
        client.ok(&["MODULE", "LOAD", &server.so()]);
        let ours = of_category(&mut client, "cache");
        assert_eq!(ours, known.then(|| COMMANDS.map(str::to_owned).to_vec()));
        client.null(&["CACHE.PEEK", "http://a/"]);
    }
}

#[test]
fn a_users_rules_hold_again_after_unloading_and_loading() {
    let server = Server::start();
    let mut client = server.client();
    if of_category(&mut client, "cache").is_none() {
        eprintln!(
            "skipped: modules of this server have no categories (before Redis 7.4 and Valkey 8)"
        );
        return;
    }
    let mut app = user(&server, &["~*", "+@cache"]);
    app.null(&["CACHE.PEEK", "http://a/"]);
    refused(&mut app, &["PING"]); // its last command, now, is none of the module's
    until("the module to be unloaded", || client.call(&["MODULE", "UNLOAD", "cache"]).is_ok());
    client.ok(&["MODULE", "LOAD", &server.so()]);
    app.null(&["CACHE.PEEK", "http://a/"]);
}
