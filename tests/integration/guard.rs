//! The guard: by default nothing that is not on the public internet may be
//! fetched, by whatever name.

use crate::scene::{BODY, Scene};
use crate::support::{Origin, Reply, Server, module};

fn guarded() -> Scene {
    Scene::with(|server| server.config("cache.allowed-networks", ""))
}

#[test]
fn every_name_of_this_machine_and_its_network_is_denied() {
    let mut scene = guarded();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.255.255.254",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "0.0.0.0",
        "0",
        "localhost",
        "LOCALHOST",
        "LocalHost.",
        "a.localhost",
        "a.b.localhost.",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "168.63.129.16",
        "[::ffff:168.63.129.16]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "224.0.0.1",
        "255.255.255.255",
    ];
    for host in hosts {
        let error = scene.client.error(&["CACHE.GET", &scene.origin.url_at(host, "/")]);
        assert!(error.starts_with("FETCHDENIED "), "{host}: {error}");
    }
    assert_eq!(scene.origin.total(), 0);
    assert_eq!(scene.server.gauge("cache_failed_fetchdenied"), hosts.len() as u64);
}

#[test]
fn an_allowed_network_is_open_under_all_its_names() {
    let mut scene = Scene::with(|server| server.config("cache.allowed-networks", "127.0.0.1"));
    scene.origin.otherwise(|_| Reply::ok(BODY));
    for host in ["127.0.0.1", "2130706433", "127.1", "[::ffff:127.0.0.1]"] {
        let url = scene.origin.url_at(host, "/");
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY, "{host}");
    }
    let error = scene.client.error(&["CACHE.GET", &scene.origin.url_at("127.0.0.2", "/")]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
}

#[test]
fn a_name_is_open_where_its_address_is_allowed() {
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    let url = scene.origin.url_at("localhost", "/");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}

#[test]
fn a_redirect_is_vetted_as_the_first_url_is() {
    let mut scene = Scene::with(|server| server.config("cache.allowed-networks", "127.0.0.1/32"));
    for host in ["127.0.0.2", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "10.0.0.1", "0"] {
        let target = scene.origin.url_at(host, "/target");
        let url = scene.serve(&format!("/to/{host}"), Reply::redirect(&target));
        let error = scene.client.error(&["CACHE.GET", &url]);
        assert!(error.starts_with("FETCHDENIED "), "{host}: {error}");
    }
    assert_eq!(scene.origin.hits("/target"), 0);
}

#[test]
fn a_redirect_from_https_to_http_is_denied() {
    let secure = Origin::tls();
    let ca = secure.ca_file().to_owned();
    let mut scene = Scene::with(|server| server.env("SSL_CERT_FILE", ca));
    let plain = scene.serve("/plain", Reply::ok(BODY));
    secure.on("/", Reply::redirect(&plain));
    let error = scene.client.error(&["CACHE.GET", &secure.url("/")]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn the_guard_of_a_flight_is_that_of_its_take_off() {
    let mut scene = Scene::with(|server| server.config("enable-protected-configs", "yes"));
    let mut flight = scene.take_off("/a");
    scene.client.ok(&["CONFIG", "SET", "cache.allowed-networks", ""]);
    flight.land();
    let url = scene.serve("/b", Reply::ok(BODY));
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("FETCHDENIED "));
    assert_eq!(scene.origin.hits("/b"), 0);
}

#[test]
fn the_guard_is_protected_configuration() {
    let scene = Scene::new();
    let mut client = scene.server.client();
    let error = client.error(&["CONFIG", "SET", "cache.allowed-networks", "10.0.0.0/8"]);
    assert!(error.contains("protected"), "{error}");
    let allowed = client.array(&["CONFIG", "GET", "cache.allowed-networks"]);
    assert!(!format!("{allowed:?}").contains("10.0.0.0"));
}

#[test]
fn a_list_of_networks_that_cannot_be_read_loads_no_module() {
    let server = Server::builder().without_module().start();
    let library = module::path_text();
    let load = |networks: &str| {
        let config = ["CONFIG", "cache.allowed-networks", networks];
        server.call(&[&["MODULE", "LOADEX", &library], &config[..]].concat())
    };
    assert!(load("10.0.0.0/33").is_err());
    assert!(load("localhost").is_err());
    assert!(server.info("cache_hits").is_none());
    load("10.0.0.0/8,fd00::/8").unwrap();
    assert!(server.info("cache_hits").is_some());
}

#[test]
fn a_kept_connection_is_no_way_around_the_guard() {
    let mut scene = Scene::with(|server| server.config("enable-protected-configs", "yes"));
    scene.origin.otherwise(|_| Reply::ok(BODY));
    let [before, after] = ["/before", "/after"].map(|p| scene.origin.url_at("localhost", p));
    assert_eq!(scene.client.text(&["CACHE.GET", &before]), BODY);
    scene.client.ok(&["CONFIG", "SET", "cache.allowed-networks", ""]);
    let error = scene.client.error(&["CACHE.GET", &after]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!(scene.origin.hits("/after"), 0);
}

#[test]
fn no_error_names_an_address_that_the_caller_has_not_named() {
    let mut scene = guarded();
    let url = scene.origin.url_at("localhost", "/a");
    assert_eq!(
        scene.client.error(&["CACHE.GET", &url]),
        "FETCHDENIED the host is not in a public or allowed network"
    );
    let mut scene = Scene::new();
    let gone = Origin::start().url_at("localhost", "/a"); // and it is dropped at once
    let error = scene.client.error(&["CACHE.GET", &gone]);
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    assert!(!error.contains("127.") && !error.contains("::1"), "{error}");
}

#[test]
fn where_denials_are_hidden_what_is_denied_and_what_fails_answer_alike() {
    let mut scene = Scene::with(|server| {
        server.config("cache.allowed-networks", "127.0.0.1").config("cache.hide-denials", "yes")
    });
    let closed = Origin::start().url("/a"); // and it is dropped at once
    let redirect = scene.serve("/a", Reply::redirect("file:///etc/passwd"));
    let denied = ["http://10.0.0.1/", "http://[::1]/", &redirect].map(str::to_owned);
    for url in [&closed].into_iter().chain(&denied) {
        let error = scene.client.error(&["CACHE.GET", url]);
        assert_eq!(error, "FETCHFAILED the download failed", "{url}");
        let many = format!("{:?}", scene.client.array(&["CACHE.MGET", "1", url]));
        assert!(!many.contains("DENIED"), "{many}");
    }
    // The operator sees the difference.
    assert_eq!(scene.server.gauge("cache_failed_fetchdenied"), 2 * denied.len() as u64);
    scene.server.until_log("FETCHDENIED");
    scene.client.ok(&["CONFIG", "SET", "cache.hide-denials", "no"]);
    assert!(scene.client.error(&["CACHE.GET", &denied[0]]).starts_with("FETCHDENIED "));
}
