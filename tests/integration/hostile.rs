//! The guard against all that an attacker can write into a URL. A canary listens at every address of this
//! machine; whatever the URL, it must see nobody.

use crate::canary::Canary;
use crate::hostile_urls::{DISGUISED_V4, NAMES, SPECIAL_V4, SPECIAL_V6, TRICKS};
use crate::scene::Scene;

/// How a hostile URL is answered; the last is for names that nobody has given to any machine.
const REFUSALS: [&str; 3] =
    ["FETCHDENIED ", "ERR invalid url: ", "FETCHFAILED failed to lookup address information"];

/// Calls for each URL, and returns those that were not refused, with what was answered instead.
fn not_refused(scene: &mut Scene, urls: &[String]) -> Vec<String> {
    let mut through = Vec::new();
    for url in urls {
        let reply = scene.client.call(&["CACHE.GET", url, "60", "0"]);
        if !reply.as_ref().is_err_and(|error| REFUSALS.iter().any(|r| error.starts_with(r))) {
            through.push(format!("{url:?}: {reply:?}"));
        }
    }
    through
}

fn closed() -> Scene {
    Scene::with(|server| server.config("cache.allowed-networks", ""))
}

#[test]
fn no_address_or_name_of_a_private_network_is_connected_to_however_it_is_written() {
    let (mut scene, canary) = (closed(), Canary::start());
    let hosts = [SPECIAL_V4, DISGUISED_V4, SPECIAL_V6, NAMES].concat();
    let mut urls: Vec<String> = hosts.iter().map(|host| canary.url_at(host)).collect();
    // The ports that may be used by default, and one that is written out although it need not be.
    urls.extend(SPECIAL_V4.iter().map(|host| format!("http://{host}/latest/meta-data/")));
    urls.extend(SPECIAL_V6.iter().map(|host| format!("https://{host}:443/")));
    let through = not_refused(&mut scene, &urls);
    assert_eq!(through, [""; 0]);
    assert_eq!(canary.seen(), 0);
    assert_eq!(scene.server.gauge("cache_downloads"), 0);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

#[test]
fn this_machines_own_names_and_addresses_are_private_too() {
    let (mut scene, canary) = (closed(), Canary::start());
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let words = hosts.lines().filter(|line| !line.starts_with('#')).flat_map(str::split_whitespace);
    let mut urls: Vec<String> = Vec::new();
    for word in words.chain([name.trim()]).filter(|word| !word.is_empty()) {
        let host = if word.contains(':') { format!("[{word}]") } else { word.to_owned() };
        urls.push(canary.url_at(&host));
    }
    assert!(!urls.is_empty());
    let through = not_refused(&mut scene, &urls);
    assert_eq!(through, [""; 0]);
    assert_eq!(canary.seen(), 0);
}

#[test]
fn no_trick_with_schemes_users_blanks_or_ports_leads_anywhere() {
    let (mut scene, canary) = (closed(), Canary::start());
    let here = format!("127.0.0.1:{}", canary.port());
    let urls: Vec<String> = TRICKS.iter().map(|trick| trick.replace("{}", &here)).collect();
    let through = not_refused(&mut scene, &urls);
    assert_eq!(through, [""; 0]);
    assert_eq!(canary.seen(), 0);
    assert_eq!(scene.client.int(&["DBSIZE"]), 0);
}

/// Even where the address is allowed: the loopback network is open here, to ports 80 and 443.
#[test]
fn no_port_but_those_of_the_web_is_connected_to() {
    let mut scene = Scene::with(|server| server.config("cache.allowed-ports", "80 443"));
    let canary = Canary::start();
    let ports = [0, 1, 21, 22, 23, 25, 53, 79, 81, 110, 442, 444, 3306, 5432, 6379, 8080, 11211];
    let mut urls = vec![canary.url_at("127.0.0.1"), canary.url_at("localhost")];
    urls.push(format!("http://127.0.0.1:{}/", scene.server.port()));
    urls.extend(
        ports.iter().flat_map(|port| {
            ["http", "https"].map(|scheme| format!("{scheme}://127.0.0.1:{port}/"))
        }),
    );
    let through = not_refused(&mut scene, &urls);
    assert_eq!(through, [""; 0]);
    assert_eq!(canary.seen(), 0);
}

#[test]
fn every_command_that_downloads_is_under_the_guard() {
    let (mut scene, canary) = (closed(), Canary::start());
    let url = canary.url_at("127.0.0.1");
    let denied = "FETCHDENIED the host is not in a public or allowed network";
    assert_eq!(scene.client.error(&["CACHE.FETCH", &url]), denied);
    assert_eq!(scene.client.error(&["CACHE.GET", &url, "METHOD", "POST", "BODY", "x"]), denied);
    assert_eq!(scene.client.error(&["CACHE.GET", &url, "HEADER", "X-Forwarded-For", "a"]), denied);
    assert_eq!(scene.client.error(&["CACHE.GET", &url, "REFRESH"]), denied);
    scene.client.null(&["CACHE.GET", &url, "NOWAIT"]);
    let many = scene.client.call(&["CACHE.MGET", "2", &url, &canary.url_at("localhost")]).unwrap();
    assert_eq!(format!("{many:?}").matches("FETCHDENIED").count(), 2, "{many:?}");
    scene.client.call(&["EVAL", "return redis.call('CACHE.GET', ARGV[1])", "0", &url]).unwrap();
    scene.until_all_landed();
    assert_eq!(canary.seen(), 0);
}
