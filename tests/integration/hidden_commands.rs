//! Servers that hide commands (`rename-command`), as hardened ones do: what is unknown counts as unknown, what still
//! works does, and what does not is said once, at load.

use crate::fleet::lease;
use crate::handmade;
use crate::revalidation::not_modified;
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Value};

/// A scene whose server hides these commands.
fn hiding(commands: &[&str]) -> Scene {
    Scene::with(|server| commands.iter().fold(server, |server, command| server.hide(command)))
}

/// How often the log warns of hidden commands.
fn warnings(scene: &Scene) -> usize {
    scene.server.log().matches("(rename-command)").count()
}

#[test]
fn a_server_that_hides_nothing_is_not_warned_of() {
    assert_eq!(warnings(&Scene::new()), 0);
}

#[test]
fn without_config_client_unblock_answers_0_and_costs_nobody_a_reply() {
    let mut scene = hiding(&["CONFIG"]);
    let mut flight = scene.take_off("/a");
    let mut waiter = scene.server.client();
    let id = waiter.id();
    waiter.send(&["CACHE.GET", &flight.url, "60", "0"]);
    scene.server.until_gauge("cache_waiters", 2);
    assert_eq!(scene.client.int(&["CLIENT", "UNBLOCK", &id]), 0);
    flight.land();
    assert_eq!(waiter.reply_bytes(), BODY.as_bytes());
    scene.server.until_log("this server hides CONFIG (rename-command): CLIENT UNBLOCK answers 0");
    assert_eq!(warnings(&scene), 1);
}

#[test]
fn without_config_maxmemory_is_still_seen() {
    let scene = Scene::with(|server| server.hide("CONFIG").config("maxmemory", "16mb"));
    // The replies to all who wait may take a quarter of it: four of these six fit.
    let body = "x".repeat(1_000_000);
    let gate = crate::support::Gate::closed();
    let url = scene.serve("/a", Reply::ok(&body).gate(&gate));
    let mut waiters = scene.waiters(&url, 6);
    gate.open();
    let replies: Vec<_> = waiters.iter_mut().map(Client::reply).collect();
    let refused = replies.iter().filter(|reply| reply.is_err()).count();
    assert_eq!(refused, 2, "maxmemory was not seen");
}

#[test]
fn without_set_each_call_is_a_download_and_the_log_says_so_once() {
    let mut scene = hiding(&["SET"]);
    let url = scene.serve("/a", Reply::ok(BODY));
    for asked in 1..=3 {
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
        assert_eq!(scene.origin.hits("/a"), asked);
        assert_eq!(scene.server.gauge("cache_not_stored_refused"), asked);
    }
    let token = lease(&mut scene.client, "key", &[]);
    let error = scene.client.error(&["CACHE.FILL", "key", &token, "value"]);
    assert_eq!(error, "ERR not stored: the server refused the write");
    scene.server.until_log("this server hides SET (rename-command): nothing can be stored");
    assert_eq!(warnings(&scene), 1);
}

#[test]
fn without_del_or_unlink_alone_entries_are_still_deleted() {
    for command in ["DEL", "UNLINK"] {
        let mut scene = hiding(&[command]);
        let url = scene.serve("/a", Reply::ok(BODY));
        scene.client.text(&["CACHE.GET", &url]);
        assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 1, "without {command}");
        assert_eq!(scene.client.int(&["CACHE.DEL", &url]), 0);
        assert!(!scene.exists(&url));
        assert_eq!(warnings(&scene), 0);
    }
}

#[test]
fn without_del_and_unlink_a_deletion_is_an_error_and_voids_the_flight() {
    let mut scene = hiding(&["DEL", "UNLINK"]);
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    let error = scene.client.error(&["CACHE.DEL", &url]);
    assert!(error.starts_with("ERR not deleted: "), "{error}");
    assert!(scene.exists(&url));
    let mut flight = scene.take_off("/b");
    scene.client.error(&["CACHE.DEL", &flight.url]);
    flight.land();
    assert_eq!(scene.server.gauge("cache_not_stored_void"), 1);
    scene.server.until_log("this server hides UNLINK and DEL (rename-command): CACHE.DEL fails");
}

#[test]
fn without_the_commands_of_renewal_what_an_origin_confirms_is_answered() {
    for command in ["SETRANGE", "PEXPIREAT", "PERSIST"] {
        let mut scene = hiding(&[command]);
        let url = scene.origin.url("/a");
        scene.origin.on("/a", not_modified());
        let expiry = if command == "PERSIST" { "-1" } else { "60" };
        handmade::stale(BODY).header("etag", "\"v1\"").put(&mut scene.client, &url);
        assert_eq!(scene.client.text(&["CACHE.GET", &url, expiry]), BODY, "without {command}");
        assert_eq!(scene.server.gauge("cache_revalidated"), 1);
        assert_eq!(scene.server.gauge("cache_not_stored_refused"), 1);
        scene.server.until_log(&format!("this server hides {command} (rename-command): "));
        assert_eq!(warnings(&scene), 1);
    }
}

#[test]
fn without_exists_a_lost_lease_in_a_cluster_is_passed_on() {
    let mut scene = Scene::with(|server| crate::cluster::clustered(server.hide("EXISTS")));
    scene.client.ok(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let mut client = scene.server.client();
    crate::support::until("the cluster", || {
        client.text(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
    });
    let token = lease(&mut scene.client, "key", &[]);
    client.send(&["CACHE.LEASE", "key", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    scene.client.ok(&["CACHE.RELEASE", "key", &token]);
    let Ok(Value::Array(told)) = client.reply() else { panic!("no answer") };
    assert_eq!(told[0], Value::BulkString("lease".into()));
}
