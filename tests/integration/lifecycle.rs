//! Coming and going: load, unload, and the end of the server.

use std::{fs, io};

use crate::scene::{BODY, Scene};
use crate::support::client::packed;
use crate::support::server::Builder;
use crate::support::{Reply, Server, Value, module, until};

/// Loads the module and opens the loopback network to it.
const LOADED: [&str; 6] =
    ["CONFIG", "cache.allowed-networks", "127.0.0.0/8", "CONFIG", "cache.allowed-ports", ""];

fn load(server: &Server) {
    let library = module::path_text();
    let call = [&["MODULE", "LOADEX", &library], &LOADED[..]].concat();
    server.call(&call).expect("the module does not load");
}

/// Unloads as soon as nothing is under way, and no client's last command is one of the module's.
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
    drop(flight);
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
    scene.client.text(&["PING"]);
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
fn unloading_is_refused_while_a_connections_last_command_is_the_modules() {
    let mut scene = Scene::new();
    let mut other = scene.server.client();
    scene.client.null(&["CACHE.PEEK", "key"]);
    other.null(&["CACHE.PEEK", "key"]);
    for (left, client) in [(2, &mut scene.client), (1, &mut other)] {
        let refused = scene.server.call(&["MODULE", "UNLOAD", "cache"]).unwrap_err();
        assert!(refused.starts_with("ERR "), "{refused}");
        scene
            .server
            .until_log(&format!("not unloaded: {left} connections have sent a CACHE command"));
        client.text(&["PING"]);
    }
    scene.server.call(&["MODULE", "UNLOAD", "cache"]).expect("nothing stands against it");
}

/// The server looks up a command that it refuses, and keeps the lookup, but does not count it.
#[test]
fn unloading_is_refused_while_a_connections_last_command_is_one_that_was_refused() {
    let scene = Scene::with(Builder::without_module);
    let mut other = scene.server.client();
    other.ok(&["CONFIG", "RESETSTAT"]);
    load(&scene.server);
    let at_load = scene.server.gauge("total_commands_processed");
    for pings in 0..at_load + 3 {
        other.ok(&["CONFIG", "RESETSTAT"]);
        for _ in 0..pings {
            other.text(&["PING"]);
        }
        let error = other.error(&["CACHE.GET"]);
        assert!(error.starts_with("ERR wrong number of arguments"), "{error}");
        let refused = scene.server.call(&["MODULE", "UNLOAD", "cache"]).unwrap_err();
        assert!(refused.starts_with("ERR "), "{refused}");
    }
    other.text(&["PING"]);
    scene.server.call(&["MODULE", "UNLOAD", "cache"]).expect("nothing stands against it");
}

#[test]
fn unloading_is_refused_whatever_the_count_of_commands_has_been_reset_to() {
    let scene = Scene::with(Builder::without_module);
    let [mut one, mut other] = [scene.server.client(), scene.server.client()];
    other.ok(&["CONFIG", "RESETSTAT"]);
    load(&scene.server);
    let at_load = scene.server.gauge("total_commands_processed");
    for pings in 0..at_load + 3 {
        other.ok(&["CONFIG", "RESETSTAT"]);
        one.null(&["CACHE.PEEK", "key"]);
        for _ in 0..pings {
            other.text(&["PING"]);
        }
        let refused = other.error(&["MODULE", "UNLOAD", "cache"]);
        assert!(refused.starts_with("ERR "), "{refused}");
    }
    one.text(&["PING"]);
    scene.server.call(&["MODULE", "UNLOAD", "cache"]).expect("nothing stands against it");
}

#[test]
fn unloading_is_refused_while_a_transaction_may_hold_the_modules_commands() {
    let mut scene = Scene::new();
    scene.client.ok(&["MULTI"]);
    for command in [["CACHE.PEEK", "key"], ["GET", "key"]] {
        assert_eq!(scene.client.text(&command), "QUEUED");
    }
    let refused = scene.server.call(&["MODULE", "UNLOAD", "cache"]).unwrap_err();
    assert!(refused.starts_with("ERR "), "{refused}");
    scene.server.until_log("not unloaded: 1 connections are inside MULTI");
    assert_eq!(scene.client.array(&["EXEC"]).len(), 2);
    scene.server.call(&["MODULE", "UNLOAD", "cache"]).expect("nothing stands against it");
}

#[test]
fn a_command_right_behind_the_unload_and_the_load_answers_for_itself_or_an_error() {
    let mut scene = Scene::new();
    scene.client.ok(&["SET", "key", "value"]);
    let library = scene.server.so();
    for _ in 0..20 {
        // In one write, so that a server which looks commands up ahead has looked up all of these.
        let mut pipeline = Vec::new();
        let calls: [&[&str]; 6] = [
            &["MODULE", "UNLOAD", "cache"],
            &["CACHE.PEEK", "key"],
            &["MODULE", "LOAD", &library],
            &["CACHE.PEEK", "key"],
            &["CACHE.FLIGHTS"],
            &["PING"],
        ];
        for call in calls {
            pipeline.extend(packed(call));
        }
        scene.client.send_raw(&pipeline);
        assert_eq!(scene.client.reply(), Ok(Value::Okay), "{}", scene.server.log());
        let gone = scene.client.reply_error();
        assert!(
            gone.starts_with("ERR unknown command")
                || gone.starts_with("ERR the server has called a command that MODULE UNLOAD"),
            "{gone}"
        );
        assert_eq!(scene.client.reply(), Ok(Value::Okay));
        for own in [Value::BulkString("value".into()), Value::Array(vec![])] {
            match scene.client.reply() {
                Ok(answer) => assert_eq!(answer, own),
                // Ours, or the server's: it has counted the arguments by another command.
                Err(stale) => assert!(stale.starts_with("ERR "), "{stale}"),
            }
        }
        assert_eq!(scene.client.reply_bytes(), b"PONG");
    }
}

#[test]
fn a_load_with_a_setting_that_is_none_leaves_nothing_behind() {
    let mut scene = Scene::with(Builder::without_module);
    let library = module::path_text();
    let mut queued = scene.server.client();
    queued.ok(&["MULTI"]);
    assert_eq!(queued.text(&["GET", "key"]), "QUEUED");
    let before = threads(&scene.server);
    for wrong in [["cache.no-such-setting", "1"], ["cache.max-waiters", "many"]] {
        scene.client.error(&[&["MODULE", "LOADEX", &library, "CONFIG"], &wrong[..]].concat());
        until("the threads to be gone", || threads(&scene.server) <= before);
        let unknown = scene.client.error(&["CACHE.PEEK", "key"]);
        assert!(unknown.starts_with("ERR unknown command"), "{unknown}");
    }
    load(&scene.server);
    scene.client.null(&["CACHE.PEEK", "key"]);
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
