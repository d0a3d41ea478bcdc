//! `cache.proxy`: everything goes through it, and nothing past it.

use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::canary::{Canary, RawOrigin};
use crate::scene::{BODY, Scene};
use crate::support::{Origin, Reply};

type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that answers plain requests itself and makes tunnels; and the heads of what it was asked.
fn proxy() -> (RawOrigin, Heads) {
    let heads = Heads::default();
    let seen = Arc::clone(&heads);
    let proxy = RawOrigin::at("127.0.0.1", move |head, stream| {
        seen.lock().unwrap().push(head.to_owned());
        let mut words = head.split(' ');
        match (words.next(), words.next()) {
            (Some("CONNECT"), Some(target)) => tunnel(stream, target),
            _ => write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{BODY}",
                BODY.len()
            ),
        }
    });
    (proxy, heads)
}

fn tunnel(client: &mut TcpStream, target: &str) -> io::Result<()> {
    let mut origin = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut up_from, mut up_to) = (client.try_clone()?, origin.try_clone()?);
    let up = thread::spawn(move || {
        io::copy(&mut up_from, &mut up_to).ok();
        up_to.shutdown(Shutdown::Write).ok();
    });
    io::copy(&mut origin, client).ok();
    client.shutdown(Shutdown::Both).ok();
    up.join().ok();
    Ok(())
}

fn seen(heads: &Heads) -> Vec<String> {
    heads.lock().unwrap().clone()
}

#[test]
fn plain_requests_go_to_the_proxy_with_the_whole_url() {
    let (proxy, heads) = proxy();
    let mut scene = Scene::with(|server| server.config("cache.proxy", &proxy.url("")));
    // The name is the proxy's to look up: nobody here knows it.
    let url = "http://shop.example/a?b=c";
    assert_eq!(scene.client.text(&["CACHE.GET", url]), BODY);
    let head = seen(&heads).remove(0);
    assert!(head.starts_with("GET http://shop.example/a?b=c HTTP/1.1\r\n"), "{head}");
    assert!(head.to_lowercase().contains("\r\nhost: shop.example\r\n"), "{head}");
    assert_eq!(scene.client.text(&["CACHE.GET", url]), BODY);
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn what_is_on_this_machine_goes_to_the_proxy_too() {
    let (proxy, heads) = proxy();
    let canary = Canary::start();
    let mut scene = Scene::with(|server| server.config("cache.proxy", &proxy.url("")));
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(scene.client.text(&["CACHE.GET", &canary.url_at(host)]), BODY, "{host}");
    }
    assert_eq!((canary.seen(), seen(&heads).len()), (0, 2));
}

#[test]
fn https_goes_through_a_tunnel_that_shows_the_proxy_only_the_host() {
    let origin = Origin::tls();
    origin.on("/a?token=hush", Reply::ok(BODY));
    let (proxy, heads) = proxy();
    let ca = origin.ca_file().to_owned();
    let mut scene =
        Scene::with(|server| server.config("cache.proxy", &proxy.url("")).env("SSL_CERT_FILE", ca));
    let url = origin.url("/a?token=hush");
    let call = ["CACHE.GET", &url, "HEADER", "Authorization", "Bearer hush"];
    assert_eq!(scene.client.text(&call), BODY);
    let target = origin.url("").replace("https://", "");
    let heads = seen(&heads);
    assert_eq!(heads.len(), 1);
    assert!(heads[0].starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")), "{heads:?}");
    assert!(!heads[0].contains("hush"), "{heads:?}");
    assert_eq!(origin.hits("/a?token=hush"), 1);
}

#[test]
fn hosts_that_are_addresses_hosts_and_ports_are_vetted_before_the_proxy_hears_of_them() {
    let (proxy, heads) = proxy();
    let mut scene = Scene::with(|server| {
        server
            .config("cache.proxy", &proxy.url(""))
            .config("cache.allowed-networks", "")
            .config("cache.allowed-ports", "80 443")
            .config("cache.allowed-hosts", "shop.example 127.0.0.1 169.254.169.254 [::1]")
    });
    for url in [
        "http://127.0.0.1/",
        "http://2130706433/",
        "http://169.254.169.254/latest/",
        "https://[::1]/",
        "http://shop.example:22/",
        "http://other.example/",
    ] {
        let error = scene.client.error(&["CACHE.GET", url]);
        assert!(error.starts_with("FETCHDENIED "), "{url}: {error}");
    }
    assert_eq!(seen(&heads), [""; 0]);
    assert_eq!(scene.client.text(&["CACHE.GET", "http://shop.example/"]), BODY);
}

#[test]
fn redirects_through_the_proxy_are_vetted() {
    let proxy = RawOrigin::answering(
        "HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\
         Connection: close\r\n\r\n",
    );
    let mut scene = Scene::with(|server| {
        server.config("cache.proxy", &proxy.url("")).config("cache.allowed-networks", "")
    });
    let error = scene.client.error(&["CACHE.GET", "http://shop.example/"]);
    assert!(error.starts_with("FETCHDENIED "), "{error}");
    assert_eq!(proxy.requests(), 1);
}

#[test]
fn a_proxy_that_is_away_is_not_gone_around() {
    let gone = Origin::start().url("");
    let mut scene = Scene::with(|server| server.config("cache.proxy", &gone));
    let url = scene.serve("/a", Reply::ok(BODY));
    assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("FETCHFAILED "));
    assert_eq!(scene.origin.total(), 0);
}

#[test]
fn a_proxy_that_is_set_or_taken_away_counts_from_the_next_download_on() {
    let (proxy, heads) = proxy();
    let mut scene = Scene::with(|server| server.config("enable-protected-configs", "yes"));
    let url = scene.serve("/a", Reply::ok("past the proxy"));
    for (setting, wanted) in
        [("", "past the proxy"), (&*proxy.url(""), BODY), ("", "past the proxy")]
    {
        scene.client.ok(&["CONFIG", "SET", "cache.proxy", setting]);
        assert_eq!(scene.client.text(&["CACHE.GET", &url, "REFRESH"]), wanted);
    }
    assert_eq!((seen(&heads).len(), scene.origin.total()), (1, 2));
}

#[test]
fn neither_the_environments_proxies_nor_its_exceptions_are_heeded() {
    let (proxy, heads) = proxy();
    let others = Origin::start();
    let mut scene = Scene::with(|server| {
        let names = ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"];
        let server = names.iter().fold(server, |server, name| server.env(name, others.url("")));
        server
            .env("NO_PROXY", "*")
            .env("no_proxy", "127.0.0.1,shop.example")
            .config("cache.proxy", &proxy.url(""))
    });
    assert_eq!(scene.client.text(&["CACHE.GET", "http://shop.example/"]), BODY);
    assert_eq!((seen(&heads).len(), others.total()), (1, 0));
}

#[test]
fn the_proxys_credentials_go_to_the_proxy_alone() {
    let (proxy, heads) = proxy();
    let with_user = proxy.url("").replace("http://", "http://user:hush@");
    let mut scene = Scene::with(|server| server.config("cache.proxy", &with_user));
    assert_eq!(scene.client.text(&["CACHE.GET", "http://shop.example/"]), BODY);
    let head = seen(&heads).remove(0).to_lowercase();
    assert!(head.contains("\r\nproxy-authorization: basic dxnlcjpodxno\r\n"), "{head}");
    assert!(!scene.server.log().contains("hush"));
}
