//! Redirects under the guard: an origin that may be fetched from sends its caller elsewhere. It lives at
//! 127.0.0.2, the only address that is open; a canary listens at all of them, at a port of its own.

use std::io::Write;

use crate::canary::{Canary, RawOrigin};
use crate::scene::{BODY, Scene};
use crate::support::{Origin, Reply, Value};

/// Hosts that a redirect must not lead to.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.0.0.3",
    "2130706433",
    "0x7f.1",
    "0177.0.0.1",
    "127.1",
    "0",
    "localhost",
    "LOCALHOST.",
    "%31%32%37.0.0.1",
    "127\u{3002}0\u{3002}0\u{3002}1",
    "10.0.0.1",
    "169.254.169.254",
    "2852039166",
    "192.168.0.1",
    "100.64.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[fd00:ec2::254]",
    "[fe80::1]",
];

/// The same, as whole locations.
const LOCATIONS: &[&str] = &[
    "//127.0.0.1:{}/",
    "/\\127.0.0.1:{}/",
    "\\\\127.0.0.1:{}/",
    "http:\\\\127.0.0.1:{}/",
    "http:///127.0.0.1:{}/",
    "http:127.0.0.1:{}/",
    "http://127.0.0.2:{}@127.0.0.1:{}/",
    "http://127.0.0.1:{}\\@127.0.0.2:{}/",
    "http://user:password@127.0.0.2:{}/",
    "http://user@127.0.0.2:{}/",
    "https://127.0.0.1:{}/",
    "file:///etc/passwd",
    "file://127.0.0.2/etc/passwd",
    "ftp://127.0.0.2:{}/",
    "gopher://127.0.0.2:{}/_PING",
    "dict://127.0.0.2:{}/",
    "redis://127.0.0.2:{}/",
    "data:text/plain,hello",
    "javascript:alert(1)",
    "jar:http://127.0.0.2:{}!/",
];

/// An origin that answers a path of the form `/status/n` with that status, to the location of that number.
fn redirecting(locations: Vec<String>) -> RawOrigin {
    RawOrigin::at("127.0.0.2", move |head, stream| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let mut parts = path.split('/').skip(1);
        let status = parts.next().unwrap_or_default();
        let number: usize = parts.next().and_then(|n| n.parse().ok()).unwrap_or(0);
        let location = &locations[number];
        let rest = "Content-Length: 2\r\nConnection: close\r\n\r\nhi";
        write!(stream, "HTTP/1.1 {status} Moved\r\nLocation: {location}\r\n{rest}")
    })
}

fn open_to_the_redirecting_origin() -> Scene {
    Scene::with(|server| server.config("cache.allowed-networks", "127.0.0.2"))
}

#[test]
fn no_redirect_of_any_status_leads_out_of_what_is_open() {
    let canary = Canary::start();
    let port = canary.port().to_string();
    let hosts = HOSTS.iter().map(|host| canary.url_at(host));
    let others = LOCATIONS.iter().map(|location| location.replace("{}", &port));
    let locations: Vec<String> = hosts.chain(others).collect();
    let origin = redirecting(locations.clone());
    let mut scene = open_to_the_redirecting_origin();
    let mut through = Vec::new();
    for (n, location) in locations.iter().enumerate() {
        for status in [301, 302, 303, 307, 308] {
            let reply = scene.client.call(&["CACHE.GET", &origin.url(&format!("/{status}/{n}"))]);
            // What is no URL at all is not followed: then the answer is the redirect's own status.
            let codes = ["FETCHDENIED ", "HTTPSTATUS 30", "FETCHFAILED failed to lookup "];
            if !reply.as_ref().is_err_and(|error| codes.iter().any(|code| error.starts_with(code)))
            {
                through.push(format!("{status} {location}: {reply:?}"));
            }
        }
    }
    assert_eq!(through, [""; 0]);
    assert_eq!(canary.seen(), 0);
    assert!(origin.requests() >= locations.len() * 5);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn a_post_is_not_redirected_there_either() {
    let canary = Canary::start();
    let origin = redirecting(vec![canary.url_at("127.0.0.1")]);
    let mut scene = open_to_the_redirecting_origin();
    for status in [301, 302, 303, 307, 308] {
        let url = origin.url(&format!("/{status}/0"));
        let error = scene.client.error(&["CACHE.GET", &url, "METHOD", "POST", "BODY", "x"]);
        assert!(error.starts_with("FETCHDENIED "), "{status}: {error}");
    }
    assert_eq!(canary.seen(), 0);
}

#[test]
fn the_last_hop_of_a_chain_is_vetted_as_the_first() {
    let canary = Canary::start();
    let locations = ["/302/1", "/307/2", "/301/3", &canary.url_at("localhost")];
    let origin = redirecting(locations.map(str::to_owned).to_vec());
    let mut scene = open_to_the_redirecting_origin();
    let error = scene.client.error(&["CACHE.GET", &origin.url("/308/0")]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!((origin.requests(), canary.seen()), (4, 0));
}

#[test]
fn a_chain_that_comes_back_from_a_denied_host_does_not_get_there() {
    let elsewhere = Origin::start();
    let origin = redirecting(vec![elsewhere.url("/back")]);
    elsewhere.on("/back", Reply::redirect(&origin.url("/200/0")));
    let mut scene = open_to_the_redirecting_origin();
    let error = scene.client.error(&["CACHE.GET", &origin.url("/302/0")]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!(elsewhere.total(), 0);
}

#[test]
fn a_loop_of_redirects_ends_at_the_limit() {
    let origin = redirecting(vec!["/302/1".into(), "/302/0".into(), "/302/2".into()]);
    let mut scene = open_to_the_redirecting_origin();
    for path in ["/302/0", "/302/2"] {
        let before = origin.requests();
        let error = scene.client.error(&["CACHE.GET", &origin.url(path)]);
        assert_eq!(error, "FETCHFAILED too many redirects");
        assert_eq!(origin.requests() - before, 6);
    }
    scene.client.ok(&["CONFIG", "SET", "cache.max-redirects", "0"]);
    let error = scene.client.error(&["CACHE.GET", &origin.url("/302/0")]);
    assert_eq!(error, "FETCHFAILED too many redirects");
}

#[test]
fn a_redirect_leads_to_no_port_that_is_not_open() {
    let canary = Canary::start();
    let locations = ["22", "6379", "0", &canary.port().to_string()]
        .map(|port| format!("http://127.0.0.2:{port}/"));
    let origin = redirecting(locations.to_vec());
    let own = origin.url("").rsplit(':').next().unwrap().to_owned();
    let mut scene = Scene::with(|server| {
        server.config("cache.allowed-networks", "127.0.0.2").config("cache.allowed-ports", &own)
    });
    for n in 0..locations.len() {
        let error = scene.client.error(&["CACHE.GET", &origin.url(&format!("/302/{n}"))]);
        assert_eq!(error, "FETCHDENIED the port is not among cache.allowed-ports");
    }
    assert_eq!(canary.seen(), 0);
}

#[test]
fn https_leads_down_to_http_by_no_chain() {
    let secure = Origin::tls();
    let ca = secure.ca_file().to_owned();
    let mut scene = Scene::with(|server| server.env("SSL_CERT_FILE", ca));
    let plain = scene.serve("/plain", Reply::ok(BODY));
    secure.on("/2", Reply::redirect(&plain));
    secure.on("/1", Reply::redirect("/2"));
    let up = scene.serve("/up", Reply::redirect(&secure.url("/1")));
    for url in [secure.url("/1"), up] {
        let error = scene.client.error(&["CACHE.GET", &url]);
        assert_eq!(error, "FETCHDENIED redirected from https to http");
    }
    assert_eq!(scene.origin.hits("/plain"), 0);
}

#[test]
fn a_denied_refresh_leaves_the_entry_as_it_was() {
    let canary = Canary::start();
    let mut scene = open_to_the_redirecting_origin();
    let origin = redirecting(vec![canary.url_at("127.0.0.1")]);
    let url = origin.url("/302/0");
    scene.client.ok(&["SET", &url, "set by hand"]);
    assert!(scene.client.error(&["CACHE.GET", &url, "REFRESH"]).starts_with("FETCHDENIED "));
    assert_eq!(scene.client.call(&["GET", &url]), Ok(Value::BulkString(b"set by hand".into())));
    assert_eq!(canary.seen(), 0);
}
