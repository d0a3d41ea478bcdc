//! Secrets among the arguments: neither `MONITOR` nor the slow log shows them.

use crate::leasing::Leasing;
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Value};

const SECRET: &str = "hush-3f9a";

/// What `MONITOR` shows while `act` runs.
fn monitored(scene: &mut Scene, act: impl FnOnce(&mut Client)) -> Vec<String> {
    let mut monitor = scene.server.client();
    monitor.ok(&["MONITOR"]);
    act(&mut scene.client);
    scene.client.text(&["ECHO", "the end"]);
    let mut lines = Vec::new();
    loop {
        let line = String::from_utf8(monitor.reply_bytes()).unwrap();
        if line.contains("the end") {
            return lines;
        }
        lines.push(line);
    }
}

fn words<'a>(command: &[&'a str], url: &'a str) -> Vec<&'a str> {
    let options = [
        "METHOD",
        "POST",
        "body",
        SECRET,
        "HEADER",
        "Authorization",
        SECRET,
        "header",
        "x",
        SECRET,
    ];
    [command, &[url], &options].concat()
}

/// Calls everything that takes a secret, rightly and wrongly.
fn call_all(client: &mut Client, url: &str) {
    assert_eq!(client.text(&words(&["CACHE.GET"], url)), BODY);
    assert_eq!(client.text(&words(&["CACHE.PEEK"], url)), BODY);
    client.array(&words(&["CACHE.FETCH"], url));
    client.array(&words(&["CACHE.MGET", "1"], url));
    client.int(&words(&["CACHE.DEL"], url));
    // Waits for a download, and so is written down when that has ended.
    assert_eq!(client.text(&words(&["CACHE.GET"], url)), BODY);
    for wrong in [
        &["CACHE.GET", url, "BODY", SECRET, "HEADER", "a", SECRET][..],
        &["CACHE.GET", url, "FOO", "HEADER", "a", SECRET],
        &["CACHE.GET", url, "HEADER", "Host", SECRET],
        &["CACHE.MGET", "99", url, "HEADER", "a", SECRET],
        &["CACHE.MGET", "3", url, "HEADER", "Authorization", SECRET],
        &["CACHE.GET", url, "HEADER", "Authorization: hush-3f9a"],
        &["CACHE.GET", url, "HEADER", "Authorization: hush-3f9a", "NOWAIT"],
        &["CACHE.MGET", "x", url, "METHOD", "POST", "BODY", SECRET],
        &["CACHE.PEEK", url, "NOWAIT", "BODY", SECRET],
        &["CACHE.DEL", url, "HEADER", "body", SECRET, "BODY", SECRET],
    ] {
        client.error(wrong);
    }
    // Here the options are taken for URLs, none of which is one.
    client.array(&["CACHE.MGET", "4", url, "HEADER", "Authorization", SECRET]);
}

fn assert_no_secret(shown: &str) {
    assert!(!shown.contains("hush"), "{shown}");
    assert!(shown.contains("(redacted)"), "nothing is hidden, or nothing was shown: {shown}");
}

#[test]
fn monitor_shows_no_body_and_no_value_of_a_header() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut lines = monitored(&mut scene, |client| call_all(client, &url));
    lines.retain(|line| line.contains("\"CACHE.")); // and not what the module itself calls
    assert_eq!(lines.len(), 17, "{lines:#?}");
    for line in &lines {
        assert!(line.contains(&url), "{line}");
        assert_no_secret(line);
    }
    assert!(lines[0].contains("\"Authorization\" \"(redacted)\""), "{}", lines[0]);
    // It was sent all the same.
    let asked = &scene.origin.requests()[0];
    assert_eq!((asked.header("authorization"), &asked.body[..]), (Some(SECRET), SECRET.as_bytes()));
}

#[test]
fn monitor_shows_no_token() {
    let mut scene = Scene::new();
    let mut tokens = Vec::new();
    let lines = monitored(&mut scene, |client| {
        let token = client.token(&["key"]);
        client.fill("key", &token, "value");
        client.fill("key", &token, "value"); // once more, as a retry does
        client.has_lost("key", "0123456789abcdef0123456789abcdef");
        tokens.push(token);
        let token = client.token(&["other"]);
        client.release("other", &token);
        tokens.push(token);
        client.error(&["CACHE.RELEASE", "key", "FORCE"]);
    });
    for token in &tokens {
        assert!(lines.iter().all(|line| !line.contains(token)), "{lines:#?}");
    }
    assert!(lines.iter().all(|line| !line.contains("0123456789abcdef")), "{lines:#?}");
    assert_eq!(lines.iter().filter(|line| line.contains("(redacted)")).count(), 5);
    assert!(lines.iter().any(|line| line.contains("FORCE")), "{lines:#?}");
}

#[test]
fn the_slow_log_and_its_like_show_no_secret() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    scene.client.ok(&["CONFIG", "SET", "slowlog-max-len", "1000"]);
    // Valkey 8.1 and newer log large requests and replies, too.
    let mut logs = vec![vec!["SLOWLOG", "GET", "-1"]];
    for (setting, log) in [
        ("commandlog-request-larger-than", "large-request"),
        ("commandlog-reply-larger-than", "large-reply"),
    ] {
        if scene.client.call(&["CONFIG", "SET", setting, "0"]).is_ok() {
            logs.push(vec!["COMMANDLOG", "GET", "-1", log]);
        }
    }
    call_all(&mut scene.client, &url);
    let token = scene.client.token(&["key"]);
    scene.client.fill("key", &token, "value");
    for log in logs {
        let shown = format!("{:?}", scene.client.array(&log));
        assert_no_secret(&shown);
        assert!(!shown.contains(&token), "{log:?}: {shown}");
        assert!(shown.to_lowercase().contains("cache.get"), "{log:?}: {shown}");
    }
}

#[test]
fn a_transaction_shows_no_secret_either() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
    let lines = monitored(&mut scene, |client| {
        client.ok(&["MULTI"]);
        client.text(&words(&["CACHE.GET"], &url));
        client.text(&words(&["CACHE.PEEK"], &url));
        assert_eq!(client.array(&["EXEC"]), [Value::Nil, Value::Nil]);
    });
    assert_no_secret(&lines.join("\n"));
    let slow = format!("{:?}", scene.client.array(&["SLOWLOG", "GET", "-1"]));
    assert!(!slow.contains("hush"), "{slow}");
    scene.until_all_landed();
}

/// What is given to a script is the script's: the server shows that, and only the call in it is hidden.
#[test]
fn a_scripts_call_shows_no_secret_but_the_scripts_own_arguments_are_shown() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    let script = "return redis.call('CACHE.GET', KEYS[1], 'HEADER', 'Authorization', ARGV[1])";
    let lines = monitored(&mut scene, |client| {
        client.null(&["EVAL", script, "1", &url, SECRET]);
    });
    let inner: Vec<_> = lines.iter().filter(|line| line.contains(" lua] ")).collect();
    assert_eq!(inner.len(), 1, "{lines:#?}");
    assert_no_secret(inner[0]);
    assert!(lines.iter().any(|line| line.contains("EVAL") && line.contains(SECRET)));
    scene.until_all_landed();
}
