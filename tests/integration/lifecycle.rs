//! Coming and going: load, unload, and the end of the server.

use std::{fs, io};

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Reply, Server, module, until};

/// Loads the module and opens the loopback network to it.
const LOADED: [&str; 6] =
    ["CONFIG", "cache.allowed-networks", "127.0.0.0/8", "CONFIG", "cache.allowed-ports", ""];

fn load(server: &Server) {
    let library = module::path_text();
    let call = [&["MODULE", "LOADEX", &library], &LOADED[..]].concat();
    server.call(&call).expect("the module does not load");
}

/// Unloads as soon as the last client has let go.
fn unload(server: &Server) {
    until("the module to be unloaded", || server.call(&["MODULE", "UNLOAD", "cache"]).is_ok());
}

/// How many threads the server has; none where the system does not tell.
/// Those of its allocator are left out: they come as they like, and stay.
fn threads(server: &Server) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid()));
    let name = |task: io::Result<fs::DirEntry>| fs::read_to_string(task?.path().join("comm"));
    let names = tasks.into_iter().flatten().filter_map(|task| name(task).ok());
    names.filter(|name| !name.starts_with("jemalloc")).count()
}

#[test]
fn a_hundred_rounds_of_load_use_and_unload_leave_nothing_behind() {
    let mut scene = Scene::with(Builder::without_module);
    let url = scene.serve("/a", Reply::ok(BODY));
    let mut after_one = None;
    for round in 1..=100 {
        load(&scene.server);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
        assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
        assert_eq!(scene.server.gauge("cache_downloads"), 1, "round {round}");
        assert_eq!(scene.client.int(&["DEL", &url]), 1);
        unload(&scene.server);
        assert!(scene.client.error(&["CACHE.GET", &url]).starts_with("ERR unknown command"));
        after_one
            .get_or_insert_with(|| (threads(&scene.server), scene.server.gauge("used_memory")));
    }
    assert_eq!(scene.origin.hits("/a"), 100);
    let (threads_then, memory_then) = after_one.unwrap();
    until("the threads to be gone", || threads(&scene.server) <= threads_then);
    let memory_now = scene.server.gauge("used_memory");
    assert!(memory_now < memory_then + (1 << 20), "{memory_then} bytes have become {memory_now}");
}

#[test]
fn unloading_is_refused_while_a_flight_is_in_the_air() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let refused = scene.client.error(&["MODULE", "UNLOAD", "cache"]);
    assert!(refused.starts_with("ERR "), "{refused}");
    flight.land();
    unload(&scene.server);
}

#[test]
fn unloading_is_refused_while_a_flight_is_in_the_air_that_nobody_waits_for() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    scene.client.null(&["CACHE.GET", &url, "60", "0.01"]);
    let refused = scene.client.error(&["MODULE", "UNLOAD", "cache"]);
    assert!(refused.starts_with("ERR "), "{refused}");
    assert_eq!(scene.server.gauge("cache_flights"), 1);
    gate.open();
    scene.until_fresh(&url);
    unload(&scene.server);
}

#[test]
fn an_idle_module_that_was_busy_unloads_at_once() {
    let mut scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY));
    for n in 0..50 {
        scene.client.text(&["CACHE.GET", &scene.origin.url(&format!("/{n}"))]);
    }
    unload(&scene.server);
    assert!(scene.server.call(&["PING"]).is_ok());
}

#[test]
fn a_shutdown_with_flights_in_the_air_ends_in_good_order() {
    let mut scene = Scene::new();
    let flights = ["/a", "/b", "/c"].map(|path| scene.take_off(path));
    let _waiters = scene.waiters(&flights[0].url, 20);
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
}

#[test]
fn a_shutdown_with_flights_queued_ends_in_good_order() {
    let mut scene = Scene::with(|server| server.config("cache.max-downloads", "1"));
    let _flight = scene.take_off("/a");
    let (url, _gate) = scene.hold("/queued");
    let _waiter = scene.waiters(&url, 1);
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
}

#[test]
fn an_idle_server_shuts_down_in_good_order() {
    let mut scene = Scene::new();
    let url = scene.serve("/a", Reply::ok(BODY));
    scene.client.text(&["CACHE.GET", &url]);
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
}

#[test]
fn the_module_is_not_loaded_twice() {
    let scene = Scene::new();
    assert!(scene.server.call(&["MODULE", "LOAD", &scene.server.so()]).is_err());
    scene.still_works();
}

#[test]
fn unloading_right_behind_an_answer_is_done_or_refused() {
    let mut scene = Scene::with(Builder::without_module);
    let url = scene.serve("/a", Reply::ok(BODY));
    for _ in 0..20 {
        load(&scene.server);
        scene.client.send(&["CACHE.GET", &url]);
        scene.client.send(&["MODULE", "UNLOAD", "cache"]);
        assert_eq!(scene.client.reply_bytes(), BODY.as_bytes());
        if let Err(refused) = scene.client.reply() {
            assert!(refused.starts_with("ERR "), "{refused}");
            unload(&scene.server);
        }
        assert_eq!(scene.client.int(&["DEL", &url]), 1);
    }
}
