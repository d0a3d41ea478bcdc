//! What comes over the wire, in all its forms, arrives as one body.

use crate::scene::{BODY, Scene};
use crate::support::{Gate, Origin, Reply};

/// `hello`, as brotli puts it.
const BROTLI_HELLO: &[u8] = b"\x0b\x02\x80hello\x03";
/// `hello`, in a zstd frame of one raw block.
const ZSTD_HELLO: &[u8] = b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello";

/// All byte values, many times over, in no round number.
fn binary() -> Vec<u8> {
    (0..=255).cycle().take(70_001).collect()
}

#[test]
fn a_body_arrives_whole_however_it_is_framed() {
    let mut scene = Scene::new();
    let body = binary();
    for (path, reply) in [
        ("/length", Reply::ok(&body)),
        ("/chunks", Reply::ok(&body).chunked(1000)),
        ("/one-byte-chunks", Reply::ok(&body).chunked(1)),
        ("/until-close", Reply::ok(&body).until_close()),
    ] {
        let url = scene.serve(path, reply);
        for _ in 0..2 {
            assert!(scene.client.bytes(&["CACHE.GET", &url]) == body, "{path}");
        }
    }
}

#[test]
fn a_body_arrives_whole_however_it_is_encoded() {
    let mut scene = Scene::new();
    let encoded = |body, name| Reply::ok(body).header("Content-Encoding", name);
    for (encoding, plain) in [
        ("gzip", Reply::gzip("hello")),
        ("br", encoded(BROTLI_HELLO, "br")),
        ("zstd", encoded(ZSTD_HELLO, "zstd")),
    ] {
        for (framing, reply) in [("length", plain.clone()), ("chunks", plain.chunked(3))] {
            let url = scene.serve(&format!("/{encoding}/{framing}"), reply);
            assert_eq!(scene.client.text(&["CACHE.GET", &url]), "hello", "{url}");
            let stored = scene.client.text(&["GET", &url]);
            assert!(!stored.contains("content-encoding"), "{stored}");
            assert!(!stored.contains("content-length"), "{stored}");
        }
    }
    let offered = scene.origin.requests()[0].header("accept-encoding").unwrap_or("").to_owned();
    for encoding in ["gzip", "br", "zstd"] {
        assert!(offered.contains(encoding), "{offered}");
    }
}

#[test]
fn an_empty_body_is_an_empty_string_and_not_null() {
    let mut scene = Scene::new();
    for (path, reply) in [
        ("/length", Reply::ok("")),
        ("/chunks", Reply::ok("").chunked(1)),
        ("/until-close", Reply::ok("").until_close()),
        ("/204", Reply::status(204, "No Content")),
    ] {
        let url = scene.serve(path, reply);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), "", "{path}");
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), "", "{path}");
        assert_eq!(scene.origin.hits(path), 1);
    }
}

#[test]
fn a_body_of_100_mib_arrives_whole() {
    let mut scene = Scene::with(|server| server.config("cache.max-body-size", "200mb"));
    let body: Vec<u8> = (0..25_u32 << 20).flat_map(u32::to_le_bytes).collect();
    for (path, reply) in
        [("/length", Reply::ok(&body)), ("/chunks", Reply::ok(&body).chunked(1 << 20))]
    {
        let url = scene.serve(path, reply);
        assert!(scene.client.bytes(&["CACHE.GET", &url, "60", "0"]) == body, "{path}: the miss");
        assert!(scene.client.bytes(&["CACHE.GET", &url]) == body, "{path}: the hit");
        assert_eq!(scene.origin.hits(path), 1);
        scene.client.int(&["DEL", &url]);
    }
}

#[test]
fn a_body_that_comes_in_two_halves_is_one() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::ok("two halves").gate_body(4, &gate));
    scene.client.send(&["CACHE.GET", &url, "60", "0"]);
    scene.origin.until_hits("/a", 1);
    scene.server.until_gauge("cache_waiters", 1);
    gate.open();
    assert_eq!(scene.client.reply_bytes(), b"two halves");
}

#[test]
fn redirects_are_followed_and_the_entry_is_that_of_the_first_url() {
    let mut scene = Scene::new();
    let last = scene.serve("/last", Reply::ok(BODY));
    scene.serve("/relative", Reply::redirect("/last"));
    let url = scene.serve("/first", Reply::redirect(&scene.origin.url("/relative")));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.total(), 3);
    assert!(scene.exists(&url));
    assert!(!scene.exists(&last));
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let mut scene = Scene::new();
    scene.serve("/0", Reply::ok(BODY));
    for left in 1..=6 {
        scene.serve(&format!("/{left}"), Reply::redirect(&format!("/{}", left - 1)));
    }
    assert_eq!(scene.client.text(&["CACHE.GET", &scene.origin.url("/5")]), BODY);
    let error = scene.client.error(&["CACHE.GET", &scene.origin.url("/6")]);
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    scene.client.ok(&["CONFIG", "SET", "cache.max-redirects", "6"]);
    assert_eq!(scene.client.text(&["CACHE.GET", &scene.origin.url("/6")]), BODY);
}

#[test]
fn a_post_without_a_body_says_so_and_goes_on_doing_so() {
    let mut scene = Scene::new();
    scene.serve("/target", Reply::ok(BODY));
    for (path, status, method) in [
        ("/plain", 200, "POST"),
        ("/307", 307, "POST"),
        ("/308", 308, "POST"),
        ("/303", 303, "GET"),
    ] {
        let reply = if status == 200 {
            Reply::ok(BODY)
        } else {
            Reply::status(status, "Elsewhere").header("Location", "/target")
        };
        let url = scene.serve(path, reply);
        for body in [&["METHOD", "POST"][..], &["METHOD", "POST", "BODY", ""]] {
            let call = [&["CACHE.GET", &url, "60", "10", "REFRESH"][..], body].concat();
            assert_eq!(scene.client.text(&call), BODY, "{path}");
            let requests = scene.origin.requests();
            let last = requests.last().unwrap();
            assert_eq!(last.method, method, "{path}");
            let length = (method == "POST").then_some("0");
            assert_eq!(last.header("content-length"), length, "{path}");
        }
    }
}

#[test]
fn a_redirect_to_another_scheme_is_denied() {
    let mut scene = Scene::new();
    for location in
        ["file:///etc/passwd", "FILE:/etc/passwd", "ftp://127.0.0.1/", "data:,x", "gopher:x"]
    {
        for status in [301, 302, 303, 307, 308] {
            let reply = Reply::status(status, "Elsewhere").header("Location", location);
            let url = scene.serve(&format!("/{status}"), reply);
            let error = scene.client.error(&["CACHE.GET", &url]);
            let denied = "FETCHDENIED redirected to a scheme other than http and https";
            assert_eq!(error, denied, "{status} {location}");
        }
    }
}

#[test]
fn a_redirect_to_another_scheme_or_to_nowhere_fails() {
    let mut scene = Scene::new();
    for (path, location) in [
        ("/ftp", "ftp://127.0.0.1/"),
        ("/file", "file:///etc/passwd"),
        ("/nowhere", "http://"),
        ("/user", &scene.origin.url_at("user:password@127.0.0.1", "/target")),
    ] {
        let url = scene.serve(path, Reply::redirect(location));
        let error = scene.client.error(&["CACHE.GET", &url]);
        let code = error.split(' ').next().unwrap();
        assert!(["FETCHDENIED", "FETCHFAILED", "HTTPSTATUS"].contains(&code), "{path}: {error}");
        assert!(!scene.exists(&url), "{path}");
    }
    assert_eq!(scene.origin.hits("/target"), 0);
}

#[test]
fn https_is_trusted_where_the_authority_is_known() {
    let origin = Origin::tls();
    origin.on("/a", Reply::ok(BODY));
    let ca = origin.ca_file().to_owned();
    let mut scene = Scene::with(|server| server.env("SSL_CERT_FILE", ca));
    for host in ["127.0.0.1", "localhost"] {
        let url = origin.url_at(host, "/a");
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY, "{host}");
    }
}

#[test]
fn https_fails_where_the_authority_is_unknown() {
    let origin = Origin::tls();
    let others = Origin::tls();
    origin.on("/a", Reply::ok(BODY));
    let ca = others.ca_file().to_owned();
    let mut scene = Scene::with(|server| server.env("SSL_CERT_FILE", ca));
    let error = scene.client.error(&["CACHE.GET", &origin.url("/a")]);
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    assert_eq!(origin.total(), 0);
}

#[test]
fn the_path_and_query_are_sent_as_given_and_the_fragment_is_not() {
    let mut scene = Scene::new();
    let sent = "/path/%41?b=%20&a=//../&c";
    scene.serve(sent, Reply::ok(BODY));
    let url = scene.origin.url(&format!("{sent}#{{page1}}"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    let request = &scene.origin.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("GET", sent));
    assert!(scene.exists(&url));
}

#[test]
fn cookies_are_neither_stored_nor_sent_back() {
    let mut scene = Scene::new();
    scene.client.ok(&["CONFIG", "SET", "cache.store-headers", "*"]);
    let url = scene.serve("/a", Reply::ok(BODY).header("Set-Cookie", "id=1"));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert!(!scene.client.text(&["GET", &url]).contains("cookie"));
    scene.client.int(&["DEL", &url]);
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.requests()[1].header("cookie"), None);
}

#[test]
fn proxies_of_the_environment_are_not_used() {
    let proxy = Origin::start();
    let mut scene = Scene::with(|server| {
        let names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"];
        names.iter().fold(server, |server, name| server.env(name, proxy.url("")))
    });
    let url = scene.serve("/a", Reply::ok(BODY));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(proxy.total(), 0);
}

#[test]
fn interim_answers_are_passed_over() {
    let mut scene = Scene::new();
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let url = scene.serve("/a", Reply::raw(format!("{hints}{answer}")));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), "hello");
}

#[test]
fn a_connection_that_the_origin_closed_meanwhile_is_replaced() {
    let mut scene = Scene::new();
    for n in 0..20 {
        let url = scene.serve(&format!("/{n}"), Reply::ok(BODY).close_after());
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    }
    assert_eq!(scene.origin.total(), 20);
}

#[test]
fn nothing_in_gzip_is_nothing() {
    let mut scene = Scene::new();
    for (path, reply) in [
        ("/not-even-a-head", Reply::ok("").header("Content-Encoding", "gzip")),
        ("/a-head-and-no-more", Reply::gzip("")),
    ] {
        let url = scene.serve(path, reply);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), "", "{path}");
    }
}
