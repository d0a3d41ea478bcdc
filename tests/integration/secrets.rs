//! Secrets: credentials go to the host and port they are meant for, and are shown nowhere.

use crate::scene::{BODY, Scene, lock_key};
use crate::support::{Gate, Origin, Reply};

const SECRET: &str = "Bearer hush-3f9a";

/// Calls for a URL with credentials and a harmless header.
fn call(scene: &mut Scene, url: &str) {
    let credentials = ["HEADER", "Authorization", SECRET, "HEADER", "Cookie", SECRET];
    let call = [&["CACHE.GET", url, "60", "5", "HEADER", "X-Kept", "a"], &credentials[..]].concat();
    assert_eq!(scene.client.text(&call), BODY);
}

/// Which of them arrived with the last request for `/target`.
fn arrived(target: &Origin) -> [bool; 3] {
    let requests = target.requests();
    let last = requests.iter().rev().find(|request| request.path == "/target");
    let last = last.expect("the redirect was not followed");
    ["authorization", "cookie", "x-kept"].map(|name| last.header(name).is_some())
}

#[test]
fn credentials_stay_with_the_host_and_port_that_they_were_given_for() {
    let mut scene = Scene::new();
    let other_port = Origin::start();
    other_port.on("/target", Reply::ok(BODY));
    scene.serve("/target", Reply::ok(BODY));
    for status in [301, 302, 303, 307, 308] {
        let to = |place: &str| Reply::status(status, "Moved").header("Location", place);
        let url = scene.serve(&format!("/port/{status}"), to(&other_port.url("/target")));
        call(&mut scene, &url);
        assert_eq!(arrived(&other_port), [false, false, true], "{status}");
        let host = scene.origin.url_at("localhost", "/target");
        let url = scene.serve(&format!("/host/{status}"), to(&host));
        call(&mut scene, &url);
        assert_eq!(arrived(&scene.origin), [false, false, true], "{status}");
        for same in ["/target".to_owned(), scene.origin.url("/target")] {
            let url = scene.serve(&format!("/same/{status}/{}", same.len()), to(&same));
            call(&mut scene, &url);
            assert_eq!(arrived(&scene.origin), [true, true, true], "{status} {same}");
        }
    }
}

#[test]
fn credentials_that_were_dropped_do_not_come_back_with_the_way_back() {
    let mut scene = Scene::new();
    let other = Origin::start();
    scene.serve("/target", Reply::ok(BODY));
    other.on("/back", Reply::redirect(&scene.origin.url("/target")));
    let url = scene.serve("/away", Reply::redirect(&other.url("/back")));
    call(&mut scene, &url);
    assert_eq!(arrived(&scene.origin), [false, false, true]);
}

#[test]
fn the_way_from_http_up_to_https_is_another_port() {
    let secure = Origin::tls();
    let ca = secure.ca_file().to_owned();
    secure.on("/target", Reply::ok(BODY));
    let mut scene = Scene::with(|server| server.env("SSL_CERT_FILE", ca));
    let url = scene.serve("/up", Reply::redirect(&secure.url("/target")));
    call(&mut scene, &url);
    assert_eq!(arrived(&secure), [false, false, true]);
}

/// A call with every kind of secret in it: in a header, in the query, in the body.
fn secretive<'a>(command: &'a str, url: &'a str) -> Vec<&'a str> {
    vec![
        command,
        url,
        "60",
        "5",
        "METHOD",
        "POST",
        "BODY",
        "body=hush-3f9a",
        "HEADER",
        "Authorization",
        SECRET,
        "HEADER",
        "X-Api-Key",
        "hush-3f9a",
    ]
}

#[test]
fn neither_log_nor_errors_nor_statistics_show_a_secret() {
    let mut scene = Scene::with(|server| server.config("loglevel", "debug"));
    let query = "?token=hush-3f9a";
    let gone = Origin::start().url(&format!("/gone{query}"));
    let paths = ["/fine", "/status", "/large", "/broken", "/redirect", "/denied", "/loop"];
    for (path, reply) in paths.into_iter().zip([
        Reply::ok(BODY),
        Reply::status(500, "hush-3f9a"),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
        Reply::raw("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhush"),
        Reply::redirect(&gone),
        Reply::redirect(&format!("http://user:hush-3f9a@127.0.0.1/{query}")),
        Reply::redirect(&format!("/loop{query}")),
    ]) {
        let url = scene.serve(&format!("{path}{query}"), reply);
        for command in ["CACHE.GET", "CACHE.FETCH"] {
            if let Err(error) = scene.client.call(&secretive(command, &url)) {
                assert!(!error.contains("hush"), "{path}: {error}");
            }
            scene.client.call(&[command, &url, "NOWAIT"]).ok();
            scene.until_all_landed();
        }
        scene.server.until_log(path);
    }
    let unresolved = format!("http://no-such-host.invalid/{query}");
    let denied = format!("http://10.0.0.1/{query}");
    for url in [&unresolved, &denied] {
        let error = scene.client.error(&secretive("CACHE.GET", url));
        assert!(!error.contains("hush"), "{error}");
    }
    assert!(!scene.server.log().contains("hush"), "{}", scene.server.log());
    assert!(!scene.client.text(&["INFO", "everything"]).contains("hush"));
}

#[test]
fn an_error_that_shows_a_better_form_of_the_url_tells_it_to_the_caller_alone() {
    let mut scene = Scene::with(|server| server.config("loglevel", "debug"));
    let error = scene.client.error(&["CACHE.GET", "http://a.example/b/../c?token=hush-3f9a"]);
    assert!(error.starts_with("ERR invalid url: not in canonical form"), "{error}");
    assert!(!scene.server.log().contains("hush"));
    assert!(!scene.client.text(&["INFO", "everything"]).contains("hush"));
}

#[test]
fn no_key_shows_a_secret_but_the_urls_own() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let url = scene.serve("/a", Reply::ok(BODY).gate(&gate));
    let mut waits = scene.server.client();
    waits.send(&secretive("CACHE.GET", &url));
    scene.origin.until_hits("/a", 1);
    let flights = format!("{:?}", scene.client.call(&["CACHE.FLIGHTS"]));
    let in_the_air = format!("{:?}", scene.client.call(&["KEYS", "*"]));
    gate.open();
    assert_eq!(waits.reply_bytes(), BODY.as_bytes());
    let stored = format!("{:?}", scene.client.call(&["KEYS", "*"]));
    for shown in [&flights, &in_the_air, &stored] {
        assert!(!shown.contains("hush"), "{shown}");
    }
    assert!(!in_the_air.contains(&lock_key(&url)), "a variant has a lock key of its own");
}
