//! What an operator can close and open: `denied-networks`, `allowed-hosts`, `allowed-ports`; for first URLs
//! and redirects, and for connections that were kept from before.

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Origin, Reply};

const DENIED: &str = "FETCHDENIED the host is not in a public or allowed network";
const NO_HOST: &str = "FETCHDENIED the host is not among cache.allowed-hosts";
const NO_PORT: &str = "FETCHDENIED the port is not among cache.allowed-ports";

fn scene(settings: &[(&str, &str)]) -> Scene {
    let set = |server: Builder, (name, value): &(&str, &str)| server.config(name, value);
    let scene = Scene::with(|server| {
        let server = server.config("enable-protected-configs", "yes");
        settings.iter().fold(server, set)
    });
    scene.origin.otherwise(|_| Reply::ok(BODY));
    scene
}

/// What a call for the origin by this name is answered: its text or its error, each time anew.
fn asked(scene: &mut Scene, host: &str) -> String {
    let url = scene.origin.url_at(host, "/a");
    scene.client.call(&["DEL", &url]).unwrap();
    match scene.client.call(&["CACHE.GET", &url]) {
        Ok(_) => BODY.to_owned(),
        Err(error) => error,
    }
}

/// As [`asked`], by way of a redirect from 127.0.0.1, which is open in each of these tests.
fn redirected(scene: &mut Scene, host: &str) -> String {
    let target = scene.origin.url_at(host, "/target");
    let url = scene.serve("/from", Reply::redirect(&target));
    scene.client.call(&["DEL", &url]).unwrap();
    match scene.client.call(&["CACHE.GET", &url]) {
        Ok(_) => BODY.to_owned(),
        Err(error) => error,
    }
}

#[test]
fn what_is_denied_is_closed_although_it_is_allowed() {
    let mut scene = scene(&[
        ("cache.allowed-networks", "127.0.0.0/8 ::1"),
        ("cache.denied-networks", "127.0.0.2 127.1.0.0/16,::1"),
    ]);
    for host in ["127.0.0.1", "127.2.0.1", "localhost"] {
        assert!(!asked(&mut scene, host).starts_with("FETCHDENIED"), "{host}");
    }
    for host in
        ["127.0.0.2", "127.1.2.3", "0x7f000002", "[::1]", "[::ffff:127.0.0.2]", "[::ffff:7f01:203]"]
    {
        assert_eq!(asked(&mut scene, host), DENIED, "{host}");
        assert_eq!(redirected(&mut scene, host), DENIED, "{host}");
    }
    assert_eq!(scene.origin.hits("/target"), 0);
}

#[test]
fn the_same_network_in_both_lists_is_closed() {
    let mut scene = scene(&[("cache.denied-networks", "127.0.0.0/8")]);
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(asked(&mut scene, host), DENIED, "{host}");
    }
    assert_eq!(scene.origin.total(), 0);
}

/// An address of a denied network, whichever way the operator has written the network.
#[test]
fn a_denied_network_in_its_ipv4_mapped_form_is_refused_or_heeded() {
    let mut scene = scene(&[]);
    for network in ["::ffff:127.0.0.1", "::ffff:127.0.0.0/104", "::ffff:7f00:0/104"] {
        if scene.client.call(&["CONFIG", "SET", "cache.denied-networks", network]).is_ok() {
            assert_eq!(asked(&mut scene, "127.0.0.1"), DENIED, "{network} is taken and not heeded");
        }
    }
}

#[test]
fn no_host_but_those_allowed_is_asked_or_even_looked_up() {
    let mut scene = scene(&[("cache.allowed-hosts", "127.0.0.1, *.example LOCALHOST. [::1]")]);
    for host in ["127.0.0.1", "2130706433", "localhost", "LOCALHOST", "localhost."] {
        assert_ne!(asked(&mut scene, host), NO_HOST, "{host}");
    }
    for host in [
        "127.0.0.2",
        "example",
        "aexample",
        "a.example.com",
        "localhost.localdomain",
        "a.localhost",
        "ip6-localhost",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        assert_eq!(asked(&mut scene, host), NO_HOST, "{host}");
        assert_eq!(redirected(&mut scene, host), NO_HOST, "{host}");
    }
    // Among the hosts, but not in a network that is open.
    scene.client.ok(&["CONFIG", "SET", "cache.allowed-networks", "127.0.0.2"]);
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        assert_eq!(asked(&mut scene, host), DENIED, "{host}");
    }
}

#[test]
fn a_domain_pattern_opens_what_is_below_it() {
    let mut scene = scene(&[("cache.allowed-hosts", "*.Shop.Example")]);
    for host in ["a.shop.example", "A.B.SHOP.example", "a.shop.example."] {
        let error = asked(&mut scene, host);
        assert!(error.starts_with("FETCHFAILED failed to lookup "), "{host}: {error}");
    }
    for host in ["shop.example", "a.shop.example.com", "ashop.example"] {
        assert_eq!(asked(&mut scene, host), NO_HOST, "{host}");
    }
}

#[test]
fn a_redirect_stays_among_the_allowed_hosts() {
    let mut scene = scene(&[("cache.allowed-hosts", "127.0.0.1")]);
    assert_eq!(redirected(&mut scene, "127.0.0.1"), BODY);
    assert_eq!(redirected(&mut scene, "localhost"), NO_HOST);
    assert_eq!(scene.origin.hits("/target"), 1);
}

#[test]
fn no_port_but_those_allowed_is_asked() {
    let other = Origin::start();
    let mut scene = scene(&[]);
    let port = scene.origin.url("").rsplit(':').next().unwrap().to_owned();
    let ports = format!("80,{port}-{port}");
    scene.client.ok(&["CONFIG", "SET", "cache.allowed-ports", &ports]);
    assert_eq!(asked(&mut scene, "127.0.0.1"), BODY);
    assert_eq!(redirected(&mut scene, "127.0.0.1"), BODY);
    assert_eq!(scene.client.error(&["CACHE.GET", &other.url("/")]), NO_PORT);
    assert_eq!(scene.client.error(&["CACHE.GET", "https://127.0.0.1/"]), NO_PORT);
    let to_other = scene.serve("/to-other", Reply::redirect(&other.url("/")));
    assert_eq!(scene.client.error(&["CACHE.GET", &to_other]), NO_PORT);
    assert_eq!(other.total(), 0);
}

/// Each time a connection is kept from the call before, and would serve.
#[test]
fn no_kept_connection_outlives_a_guard_that_is_tightened_in_any_way() {
    for (name, closed, open, error) in [
        ("cache.allowed-networks", "10.0.0.0/8", "127.0.0.0/8", DENIED),
        ("cache.denied-networks", "127.0.0.1", "", DENIED),
        ("cache.allowed-hosts", "a.example", "", NO_HOST),
        ("cache.allowed-ports", "80", "", NO_PORT),
    ] {
        let mut scene = scene(&[]);
        for host in ["127.0.0.1", "localhost"] {
            assert_eq!(asked(&mut scene, host), BODY);
            let before = scene.origin.total();
            scene.client.ok(&["CONFIG", "SET", name, closed]);
            assert_eq!(asked(&mut scene, host), error, "{name}, {host}");
            assert_eq!(scene.origin.total(), before);
            scene.client.ok(&["CONFIG", "SET", name, open]);
            assert_eq!(asked(&mut scene, host), BODY, "{name}, {host}");
        }
    }
}

#[test]
fn what_is_cached_is_still_served_when_its_host_is_closed() {
    let mut scene = scene(&[]);
    assert_eq!(asked(&mut scene, "127.0.0.1"), BODY);
    scene.client.ok(&["CONFIG", "SET", "cache.denied-networks", "127.0.0.1"]);
    let url = scene.origin.url("/a");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.client.error(&["CACHE.GET", &url, "REFRESH"]), DENIED);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}
