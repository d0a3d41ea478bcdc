//! Every setting, by Redis's own means: `CONFIG`, `redis.conf`,
//! `MODULE LOADEX`.

use std::fs;

use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::{Client, Reply, Server, module};

/// A setting that may be changed at any time: its name, its default, another value, that value as it reads
/// back, and values that must be refused.
type Row = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

const HEADERS: &str =
    "content-* etag last-modified cache-control expires date age vary link location";

const SETTINGS: [Row; 24] = [
    ("default-expiry", "3600", "0.5", "0.5", &["0", "-2", "soon", "", "1e300"]),
    ("default-timeout", "10", "2.5", "2.5", &["-1", "soon", ""]),
    ("max-timeout", "300", "60", "60", &["0", "-1", "soon", ""]),
    ("fetch-timeout", "30", "7", "7", &["0", "-1", "soon", ""]),
    ("refresh-backoff", "1", "0.25", "0.25", &["-1", "soon", ""]),
    ("lease-ttl", "10", "2.5", "2.5", &["0", "-1", "86401", "soon", ""]),
    ("max-lease-ttl", "3600", "86400", "86400", &["0", "-1", "86401", "soon", ""]),
    ("max-leases", "10000", "0", "0", &["-1", "1000001", "many"]),
    ("max-leases-per-client", "1000", "0", "0", &["-1", "1000001", "many"]),
    ("max-queued-downloads", "10000", "0", "0", &["-1", "many"]),
    ("max-downloads-per-host", "0", "7", "7", &["-1", "10001", "many"]),
    ("max-waiters", "20000", "1", "1", &["0", "-1", "1000001", "many"]),
    ("max-waiters-per-flight", "10000", "1", "1", &["0", "-1", "1000001", "many"]),
    ("max-reply-memory", "0", "2mb", "2097152", &["-1", "large"]),
    ("max-request-body", "262144", "1mb", "1048576", &["-1", "1gb", "large"]),
    ("max-request-headers", "100", "0", "0", &["-1", "10001", "many"]),
    ("max-request-header-bytes", "65536", "1mb", "1048576", &["-1", "17mb", "large"]),
    ("max-request-memory", "0", "2mb", "2097152", &["-1", "large"]),
    ("max-urls", "1000", "1", "1", &["0", "-1", "1000001", "many"]),
    ("respect-no-store", "no", "yes", "yes", &["maybe", ""]),
    ("hide-denials", "no", "yes", "yes", &["maybe", ""]),
    ("max-body-size", "67108864", "1mb", "1048576", &["0", "-1", "large"]),
    ("max-redirects", "5", "0", "0", &["-1", "few"]),
    ("store-headers", HEADERS, "X-Mine etag", "x-mine etag", &["a:b", "et\"ag"]),
];

/// The settings of the guard, which are protected configuration.
const PROTECTED: [Row; 5] = [
    (
        "allowed-networks",
        "127.0.0.0/8 ::1/128",
        "10.1.2.3/8,::1",
        "10.0.0.0/8 ::1/128",
        &["10.0.0.0/33", "localhost", "10.0.0.0/8;::1"],
    ),
    ("denied-networks", "", "10.1.2.3/8,::1", "10.0.0.0/8 ::1/128", &["10.0.0.0/33", "localhost"]),
    (
        "allowed-hosts",
        "",
        "Images.Example. *.shop.example,[::1] 0x7f.1",
        "images.example *.shop.example [::1] 127.0.0.1",
        &["*", "a.*", "*.10.0.0.1", "http://a/", "a:80", "a/b", "::1"],
    ),
    ("allowed-ports", "", "443,8000-8002 80", "443 8000-8002 80", &["0", "65536", "9-8", "http"]),
    (
        "proxy",
        "",
        "http://proxy.example:3128",
        "http://proxy.example:3128/",
        &["proxy.example:3128", "socks5://proxy.example", "ftp://a", "http://"],
    ),
];

fn get(client: &mut Client, name: &str) -> String {
    let mut found = client.array(&["CONFIG", "GET", &format!("cache.{name}")]);
    assert_eq!(found.len(), 2, "there is no cache.{name}");
    String::from_utf8(bytes_of(found.remove(1))).unwrap()
}

#[test]
fn every_setting_has_its_default_and_can_be_changed() {
    let server = Server::builder().config("enable-protected-configs", "yes").start();
    let mut client = server.client();
    for (name, default, new, reads, _) in SETTINGS.into_iter().chain(PROTECTED) {
        assert_eq!(get(&mut client, name), default, "{name}");
        client.ok(&["CONFIG", "SET", &format!("cache.{name}"), new]);
        assert_eq!(get(&mut client, name), reads, "{name}");
        client.ok(&["CONFIG", "SET", &format!("cache.{name}"), default]);
        assert_eq!(get(&mut client, name), default, "{name}");
    }
}

#[test]
fn a_bad_value_is_refused_with_a_reason_and_changes_nothing() {
    let server = Server::builder().config("enable-protected-configs", "yes").start();
    let mut client = server.client();
    for (name, default, _, _, refused) in SETTINGS.into_iter().chain(PROTECTED) {
        for value in refused {
            let set = client.call(&["CONFIG", "SET", &format!("cache.{name}"), value]);
            let error = set.expect_err(&format!("{name} may be {value:?}"));
            let reason = error.rsplit(" - ").next().unwrap_or("");
            assert!(error.contains(&format!("cache.{name}")), "{name} {value:?}: {error}");
            assert!(reason.len() > 5 && reason != error, "{name} {value:?}: {error}");
            assert_eq!(get(&mut client, name), default, "{name}");
        }
    }
}

#[test]
fn there_are_no_settings_but_those_tested_here() {
    let server = Server::start();
    let mut client = server.client();
    let found = client.array(&["CONFIG", "GET", "cache.*"]);
    // One more, which cannot be set: max-downloads.
    assert_eq!(found.len() / 2, SETTINGS.len() + PROTECTED.len() + 1, "{found:?}");
}

#[test]
fn the_guard_is_protected_configuration() {
    let server = Server::start();
    let mut client = server.client();
    for (name, default, new, _, _) in PROTECTED {
        let error = client.error(&["CONFIG", "SET", &format!("cache.{name}"), new]);
        assert!(error.contains("protected"), "{name}: {error}");
        assert_eq!(get(&mut client, name), default, "{name}");
    }
}

#[test]
fn the_guard_is_closed_by_default() {
    let server = Server::builder().without_module().start();
    let mut client = server.client();
    client.ok(&["MODULE", "LOAD", &module::path_text()]);
    for (name, default) in [
        ("allowed-networks", ""),
        ("denied-networks", ""),
        ("allowed-hosts", ""),
        ("allowed-ports", "80 443"),
        ("proxy", ""),
    ] {
        assert_eq!(get(&mut client, name), default, "{name}");
    }
}

#[test]
fn the_number_of_downloads_is_set_at_load_and_then_fixed() {
    let server = Server::builder().config("cache.max-downloads", "7").start();
    let mut client = server.client();
    assert_eq!(get(&mut client, "max-downloads"), "7");
    let error = client.error(&["CONFIG", "SET", "cache.max-downloads", "8"]);
    assert!(error.contains("immutable"), "{error}");
    let server = Server::start();
    assert_eq!(get(&mut server.client(), "max-downloads"), "256");
}

#[test]
fn a_setting_takes_effect_at_once() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.ok(&["CONFIG", "SET", "cache.max-body-size", "10"]);
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("TOOLARGE"));
    scene.client.ok(&["CONFIG", "SET", "cache.max-body-size", "1mb"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn the_module_can_be_loaded_with_settings() {
    let server = Server::builder().without_module().start();
    let library = module::path_text();
    let mut client = server.client();
    client.ok(&[
        "MODULE",
        "LOADEX",
        &library,
        "CONFIG",
        "cache.default-expiry",
        "5",
        "CONFIG",
        "cache.max-downloads",
        "3",
    ]);
    assert_eq!(get(&mut client, "default-expiry"), "5");
    assert_eq!(get(&mut client, "max-downloads"), "3");
}

#[test]
fn a_configuration_file_can_load_and_set_up_the_module() {
    let dir = crate::support::tmp::TempDir::new();
    let file = dir.path().join("cache.conf");
    let lines = [
        format!("loadmodule {}", module::path_text()),
        "cache.default-timeout 0.5".to_owned(),
        "cache.allowed-networks 127.0.0.0/8 ::1/128".to_owned(),
        "cache.max-body-size 2mb".to_owned(),
    ];
    fs::write(&file, lines.join("\n")).unwrap();
    let server =
        Server::builder().without_module().config("include", file.to_str().unwrap()).start();
    let mut client = server.client();
    assert_eq!(get(&mut client, "default-timeout"), "0.5");
    assert_eq!(get(&mut client, "allowed-networks"), "127.0.0.0/8 ::1/128");
    assert_eq!(get(&mut client, "max-body-size"), "2097152");
}
