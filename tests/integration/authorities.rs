//! Servers without certificate authorities, as small images are: all but https works, and https as soon as there are
//! some.

use std::fs;

use crate::fleet::lease;
use crate::scene::{BODY, Scene};
use crate::support::tmp::TempDir;
use crate::support::{Origin, Reply};

const NONE: &str =
    "FETCHFAILED no CA certificates: install ca-certificates, or set SSL_CERT_FILE for the server";

/// A scene whose server looks for authorities in a file that is not there yet, and in a folder that never is.
fn without_authorities(tmp: &TempDir) -> (Scene, std::path::PathBuf) {
    let [file, folder] = ["authorities.pem", "nothing"].map(|name| tmp.path().join(name));
    let scene =
        Scene::with(|server| server.env("SSL_CERT_FILE", file.clone()).env("SSL_CERT_DIR", folder));
    (scene, file)
}

#[test]
fn without_authorities_http_and_leases_work_and_https_says_what_to_install() {
    let tmp = TempDir::new();
    let (mut scene, _) = without_authorities(&tmp);
    scene.server.until_log("no CA certificates: https fails until ca-certificates is installed");
    let url = scene.serve("/a", Reply::ok(BODY));
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    let token = lease(&mut scene.client, "key", &[]);
    scene.client.ok(&["CACHE.FILL", "key", &token, "value"]);
    let secure = Origin::tls();
    for _ in 0..2 {
        assert_eq!(scene.client.error(&["CACHE.GET", &secure.url("/")]), NONE);
    }
    let leads_there = scene.serve("/away", Reply::redirect(&secure.url("/")));
    assert_eq!(scene.client.error(&["CACHE.GET", &leads_there]), NONE);
    assert_eq!(secure.total(), 0);
}

#[test]
fn authorities_that_are_installed_later_are_found_without_a_restart() {
    let tmp = TempDir::new();
    let (mut scene, file) = without_authorities(&tmp);
    let secure = Origin::tls();
    secure.otherwise(|_| Reply::ok(BODY));
    assert_eq!(scene.client.error(&["CACHE.GET", &secure.url("/a")]), NONE);
    fs::write(&file, "this is no certificate").unwrap();
    assert_eq!(scene.client.error(&["CACHE.GET", &secure.url("/a")]), NONE);
    fs::copy(secure.ca_file(), &file).unwrap();
    assert_eq!(scene.client.text(&["CACHE.GET", &secure.url("/a")]), BODY);
    let leads_there = scene.serve("/away", Reply::redirect(&secure.url("/b")));
    assert_eq!(scene.client.text(&["CACHE.GET", &leads_there]), BODY);
}

#[test]
fn authorities_none_of_which_is_valid_are_as_good_as_none() {
    let tmp = TempDir::new();
    let (mut scene, file) = without_authorities(&tmp);
    let pem = "-----BEGIN CERTIFICATE-----\nbm9uc2Vuc2U=\n-----END CERTIFICATE-----\n";
    fs::write(&file, pem).unwrap();
    let secure = Origin::tls();
    for _ in 0..2 {
        assert_eq!(scene.client.error(&["CACHE.GET", &secure.url("/a")]), NONE);
    }
    scene.still_works();
}
