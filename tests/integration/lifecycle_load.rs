//! Coming and going under load: unload, reload, and the end of the server.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::fleet::lease;
use crate::scene::{BODY, Scene};
use crate::support::{Client, Reply, Server, Value, until};

/// How soon a server must be gone that is told to shut down.
const SOON: Duration = Duration::from_secs(1);
/// How often the module is unloaded under load.
const UNLOADS: usize = 8;

fn load(server: &Server) {
    let opened = ["cache.allowed-networks", "127.0.0.0/8", "CONFIG", "cache.allowed-ports", ""];
    let library = server.so();
    let call = [&["MODULE", "LOADEX", &library, "CONFIG"], &opened[..]].concat();
    server.call(&call).expect("the module does not load");
}

fn try_unload(server: &Server) -> Result<Value, String> {
    server.call(&["MODULE", "UNLOAD", "cache"])
}

/// Calls without end, as long as the module is there or not there; tells how often it was.
fn call(mut client: Client, scene: &Scene, me: usize, stop: &AtomicBool) -> usize {
    let mut answers = 0;
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        // Commands of the server's own leave room for an unload, which the module's do not.
        client.text(&["PING"]);
        let path = if n % 4 == 0 { "/large".to_owned() } else { format!("/{me}/{n}") };
        match client.call(&["CACHE.GET", &scene.origin.url(&path), "0.001", "0"]) {
            Ok(Value::BulkString(_)) => answers += 1,
            Err(absent) if absent.starts_with("ERR unknown command") => {}
            other => panic!("{other:?}"),
        }
    }
    answers
}

#[test]
fn under_load_the_module_is_unloaded_between_flights_or_not_at_all() {
    let scene = Scene::new();
    if scene.server.excepts_io_threads("the module is not to be unloaded under traffic") {
        return;
    }
    scene.origin.otherwise(|_| Reply::ok(BODY));
    scene.serve("/large", Reply::ok(BODY.repeat(10_000)));
    let (stop, done) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (scene, stop, done) = (&scene, &stop, &done);
    thread::scope(|scope| {
        let callers: Vec<_> = scene.server.clients(3).into_iter().enumerate().collect();
        let callers: Vec<_> = callers
            .into_iter()
            .map(|(me, client)| scope.spawn(move || call(client, scene, me, stop)))
            .collect();
        until("the unloads", || {
            match try_unload(&scene.server) {
                Ok(_) => {
                    load(&scene.server);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Err(refused) => assert!(refused.starts_with("ERR "), "{refused}"),
            }
            done.load(Ordering::Relaxed) == UNLOADS
        });
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            assert!(caller.join().unwrap() > 0, "a client was never answered");
        }
    });
    until("the last unload", || try_unload(&scene.server).is_ok());
    load(&scene.server);
    scene.still_works();
}

/// Large bodies whose flights end while they are copied for several: by their deadline, which comes at about
/// that time.
#[test]
fn unloads_right_behind_flights_that_their_deadlines_end_leave_nothing_behind() {
    let deadlines = ["0.02", "0.04", "0.06", "0.08", "0.1"];
    let scene = Scene::new();
    scene.origin.otherwise(|_| Reply::ok(BODY.repeat(200_000)));
    for (round, deadline) in deadlines.iter().cycle().take(4 * deadlines.len()).enumerate() {
        scene.server.call(&["CONFIG", "SET", "cache.fetch-timeout", deadline]).unwrap();
        let mut clients = scene.server.clients(6);
        for (n, client) in clients.iter_mut().enumerate() {
            let url = scene.origin.url(&format!("/{round}/{}", n % 2));
            client.send(&["CACHE.GET", &url, "60", "0"]);
        }
        for client in &mut clients {
            match client.reply() {
                Ok(body) => assert!(matches!(body, Value::BulkString(_)), "{body:?}"),
                Err(error) => assert!(error.starts_with("FETCHTIMEOUT"), "{error}"),
            }
            client.text(&["PING"]);
        }
        until("the unload", || try_unload(&scene.server).is_ok());
        load(&scene.server);
    }
    scene.still_works();
    assert!(!scene.server.log().contains("internal error"));
}

#[test]
fn unloading_is_refused_while_a_lease_is_held_or_answers_are_under_way() {
    let mut scene = Scene::new();
    let token = lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    assert!(try_unload(&scene.server).unwrap_err().starts_with("ERR "));
    let mut waiters = scene.server.clients(40);
    for waiter in &mut waiters {
        waiter.send(&["CACHE.LEASE", "value", "0"]);
    }
    scene.server.until_gauge("cache_waiters", 40);
    let value = "x".repeat(1 << 20);
    scene.client.ok(&["CACHE.FILL", "value", &token, &value]);
    // Whether an answer is still under way now is a matter of luck; that none is lost, is not.
    let refused = try_unload(&scene.server);
    for waiter in &mut waiters {
        let told = waiter.reply().unwrap();
        assert!(
            matches!(told, Value::Array(words) if words[1] == Value::BulkString(value.clone().into()))
        );
    }
    drop(waiters);
    scene.client.text(&["PING"]);
    if let Err(refused) = refused {
        assert!(refused.starts_with("ERR "), "{refused}");
        until("the unload", || try_unload(&scene.server).is_ok());
    }
    load(&scene.server);
    scene.still_works();
}

#[test]
fn a_shutdown_in_the_middle_of_everything_takes_no_second() {
    let mut scene = Scene::with(|server| {
        server.config("cache.max-downloads", "3").config("cache.max-downloads-per-host", "3")
    });
    let flights = ["/a", "/b"].map(|path| scene.take_off(path));
    let large = scene.serve("/large", Reply::ok(BODY.repeat(100_000)));
    let mut receivers = scene.server.clients(20);
    lease(&mut scene.client, "value", &["0", "TTL", "3600"]);
    let mut heir = scene.server.client();
    heir.send(&["CACHE.LEASE", "value", "0"]);
    scene.server.until_gauge("cache_waiters", 3);
    let mut waiters = scene.waiters(&flights[0].url, 50);
    for receiver in &mut receivers {
        receiver.send(&["CACHE.GET", &large, "3600", "0"]);
    }
    scene.until_fresh(&large); // its answers are under way, to clients that do not read them
    let queued = ["/c", "/d"].map(|path| scene.hold(path).0);
    for url in &queued {
        let mut waiter = scene.server.client();
        waiter.send(&["CACHE.GET", url, "60", "0"]);
        waiters.push(waiter);
    }
    scene.server.until_gauge("cache_queued", 1);
    let told = Instant::now();
    assert!(scene.server.shutdown_nosave(), "{}", scene.server.log());
    let took = told.elapsed();
    assert!(took < SOON, "it took {took:?}");
    for mut waiter in waiters {
        let end = waiter.reply_error();
        assert!(end.starts_with("no reply"), "{end}");
    }
}
