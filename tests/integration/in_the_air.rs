//! `CACHE.FLIGHTS`: what an operator sees of what is in the air.

use crate::leasing::Answer;
use crate::scene::{BODY, Scene};
use crate::support::client::bytes_of;
use crate::support::until::until_equal;
use crate::support::{Client, Gate, Reply, Value};

/// One flight, as it is told of.
#[derive(Debug, Clone, PartialEq)]
struct Seen {
    url: String,
    db: i64,
    kind: String,
    void: i64,
    seconds: f64,
    bytes: i64,
    waiters: i64,
}

impl Seen {
    fn read(value: Value) -> Self {
        let pairs: Vec<(Value, Value)> = match value {
            Value::Map(pairs) => pairs,
            Value::Array(flat) => {
                assert_eq!(flat.len() % 2, 0, "{flat:?}");
                flat.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
            }
            other => panic!("no map: {other:?}"),
        };
        let names: Vec<_> = pairs.iter().map(|(name, _)| text(name)).collect();
        assert_eq!(names, ["url", "db", "kind", "void", "seconds", "bytes", "waiters"]);
        let number = |place: usize| match pairs[place].1 {
            Value::Int(number) => number,
            ref other => panic!("no number: {other:?}"),
        };
        Self {
            url: text(&pairs[0].1),
            db: number(1),
            kind: text(&pairs[2].1),
            void: number(3),
            seconds: text(&pairs[4].1).parse().unwrap(),
            bytes: number(5),
            waiters: number(6),
        }
    }
}

fn text(value: &Value) -> String {
    String::from_utf8(bytes_of(value.clone())).unwrap()
}

fn flights(client: &mut Client) -> Vec<Seen> {
    client.array(&["CACHE.FLIGHTS"]).into_iter().map(Seen::read).collect()
}

fn urls(seen: &[Seen]) -> Vec<&str> {
    seen.iter().map(|flight| flight.url.as_str()).collect()
}

#[test]
fn nothing_in_the_air_is_an_empty_list() {
    let mut scene = Scene::new();
    assert_eq!(flights(&mut scene.client), []);
    scene.still_works();
    assert_eq!(flights(&mut scene.client), []);
}

#[test]
fn a_download_is_told_of_with_its_waiters_from_take_off_to_landing() {
    let mut scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let joiners = scene.waiters(&flight.url, 3);
    let seen = flights(&mut scene.client).remove(0);
    assert!((0.0..20.0).contains(&seen.seconds), "{seen:?}");
    let wanted = Seen {
        url: flight.url.clone(),
        db: 0,
        kind: "download".into(),
        void: 0,
        seconds: seen.seconds,
        bytes: 0,
        waiters: 4,
    };
    assert_eq!(seen, wanted);
    until_equal("the time to pass", &true, || flights(&mut scene.client)[0].seconds > seen.seconds);
    flight.land();
    drop(joiners);
    scene.until_all_landed();
    assert_eq!(flights(&mut scene.client), []);
}

#[test]
fn the_oldest_comes_first_and_a_count_takes_the_oldest() {
    let mut scene = Scene::new();
    let mut in_the_air: Vec<_> = (0..5).rev().map(|n| scene.take_off(&format!("/{n}"))).collect();
    let wanted: Vec<String> = in_the_air.iter().map(|flight| flight.url.clone()).collect();
    assert_eq!(urls(&flights(&mut scene.client)), wanted);
    for (count, told) in [("1", 1), ("3", 3), ("5", 5), ("6", 5), ("18446744073709551615", 5)] {
        let seen = scene.client.array(&["CACHE.FLIGHTS", "count", count]);
        let seen: Vec<Seen> = seen.into_iter().map(Seen::read).collect();
        assert_eq!(urls(&seen), wanted[..told], "{count}");
    }
    in_the_air.remove(1).land();
    assert_eq!(flights(&mut scene.client)[1].url, wanted[2]);
    for flight in &mut in_the_air {
        flight.land();
    }
}

#[test]
fn the_bytes_that_have_come_so_far_are_told() {
    let mut scene = Scene::new();
    let gate = Gate::closed();
    let body = vec![b'x'; 300_000];
    let url = scene.serve("/a", Reply::ok(&body).gate_body(123_456, &gate));
    let mut waiter = scene.waiters(&url, 1).remove(0);
    until_equal("the bytes", &123_456, || flights(&mut scene.client)[0].bytes);
    gate.open();
    assert_eq!(waiter.reply_bytes().len(), 300_000);
}

#[test]
fn an_announced_length_takes_no_memory_before_its_bytes_come() {
    let mut scene = Scene::new();
    scene.still_works();
    let before = scene.server.gauge("used_memory");
    let gate = Gate::closed();
    let lie = "HTTP/1.1 200 OK\r\nContent-Length: 62914560\r\n\r\n0123456789";
    let url = scene.serve("/liar", Reply::raw(lie).gate_body(lie.len(), &gate));
    let mut waiter = scene.waiters(&url, 1).remove(0);
    until_equal("its ten bytes", &10, || flights(&mut scene.client)[0].bytes);
    let now = scene.server.gauge("used_memory");
    assert!(now < before + (1 << 20), "{before} bytes have become {now}");
    gate.open();
    let error = waiter.reply_error();
    assert!(error.starts_with("FETCHFAILED "), "{error}");
    assert!(!scene.exists(&url));
}

#[test]
fn a_lease_is_told_of_as_such() {
    let mut scene = Scene::new();
    let token = Answer::of(scene.client.call(&["CACHE.LEASE", "board"]).unwrap()).token();
    let mut waits = scene.server.client();
    waits.send(&["CACHE.LEASE", "board", "0"]);
    scene.server.until_gauge("cache_waiters", 1);
    let seen = flights(&mut scene.client).remove(0);
    assert_eq!((&*seen.url, &*seen.kind, seen.waiters, seen.bytes), ("board", "lease", 1, 0));
    let printed = format!("{:?}", scene.client.call(&["CACHE.FLIGHTS"]));
    assert!(!printed.contains(&token), "whoever has the token may fill");
    scene.client.ok(&["CACHE.FILL", "board", &token, "value"]);
    assert_eq!(flights(&mut scene.client), []);
}

#[test]
fn a_void_flight_and_the_one_after_it_are_both_told_of() {
    let mut scene = Scene::new();
    let mut void = scene.take_off("/a");
    scene.client.int(&["CACHE.DEL", &void.url]);
    let mut next = scene.waiters(&void.url, 1).remove(0);
    scene.origin.until_hits("/a", 2);
    let seen = flights(&mut scene.client);
    assert_eq!(urls(&seen), [&void.url, &void.url]);
    assert_eq!((seen[0].void, seen[1].void), (1, 0));
    void.land();
    assert_eq!(next.reply_bytes(), BODY.as_bytes());
}

#[test]
fn each_flight_tells_its_database() {
    let mut scene = Scene::new();
    let mut here = scene.take_off("/a");
    let mut elsewhere = scene.server.client();
    elsewhere.ok(&["SELECT", "3"]);
    elsewhere.send(&["CACHE.GET", &here.url, "60", "0"]);
    scene.origin.until_hits("/a", 2);
    let dbs: Vec<i64> = flights(&mut scene.client).iter().map(|seen| seen.db).collect();
    assert_eq!(dbs, [0, 3]);
    here.land();
    assert_eq!(elsewhere.reply_bytes(), BODY.as_bytes());
}

#[test]
fn a_variant_shows_its_url_and_neither_headers_nor_body() {
    let mut scene = Scene::new();
    let (url, gate) = scene.hold("/a");
    let mut waits = scene.server.client();
    waits.send(&[
        "CACHE.GET",
        &url,
        "60",
        "0",
        "METHOD",
        "POST",
        "BODY",
        "hush",
        "HEADER",
        "Authorization",
        "Bearer hush",
    ]);
    scene.origin.until_hits("/a", 1);
    let reply = scene.client.call(&["CACHE.FLIGHTS"]);
    let printed = format!("{reply:?}");
    assert!(!printed.contains("hush") && !printed.contains("cache:variant"), "{printed}");
    assert_eq!(urls(&flights(&mut scene.client)), [&url]);
    gate.open();
    assert_eq!(waits.reply_bytes(), BODY.as_bytes());
}

#[test]
fn in_resp3_each_flight_is_a_map() {
    let scene = Scene::new();
    let mut flight = scene.take_off("/a");
    let mut client = scene.server.client().resp3();
    let told = client.array(&["CACHE.FLIGHTS"]);
    assert!(matches!(&told[..], [Value::Map(_)]), "{told:?}");
    assert_eq!(urls(&flights(&mut client)), [&flight.url]);
    flight.land();
}

#[test]
fn what_is_no_count_is_an_error() {
    let mut scene = Scene::new();
    for (args, wanted) in [
        (&["COUNT", "0"][..], "ERR count should be greater than 0"),
        (&["COUNT", "-1"], "ERR count should be greater than 0"),
        (&["COUNT", "1.5"], "ERR count should be greater than 0"),
        (&["COUNT", "many"], "ERR count should be greater than 0"),
        (&["COUNT", ""], "ERR count should be greater than 0"),
        (&["COUNT"], "ERR syntax error"),
        (&["5"], "ERR syntax error"),
        (&["LIMIT", "5"], "ERR syntax error"),
        (&["COUNT", "5", "5"], "ERR syntax error"),
    ] {
        let call = [&["CACHE.FLIGHTS"], args].concat();
        assert_eq!(scene.client.error(&call), wanted, "{args:?}");
    }
}

#[test]
fn with_thousands_in_the_air_it_answers_and_the_server_serves_others_meanwhile() {
    const MANY: usize = 2000;
    let mut scene = Scene::with(|server| server.config("cache.max-downloads", "4"));
    let gate = Gate::closed();
    let held = gate.clone();
    scene.origin.otherwise(move |request| Reply::ok(&request.path).gate(&held));
    let long = "x".repeat(4000);
    for n in 0..MANY {
        let url = scene.origin.url(&format!("/{n}/{long}"));
        scene.client.null(&["CACHE.GET", &url, "NOWAIT"]);
    }
    let mut asks = scene.server.clients(5);
    for client in &mut asks {
        client.send(&["CACHE.FLIGHTS"]);
    }
    for _ in 0..100 {
        assert_eq!(scene.client.text(&["PING"]), "PONG");
    }
    for client in &mut asks {
        let Ok(Value::Array(told)) = client.reply() else { panic!("no list") };
        assert_eq!(told.len(), MANY);
        let last = Seen::read(told.last().unwrap().clone());
        assert_eq!(last.url, scene.origin.url(&format!("/{}/{long}", MANY - 1)));
    }
    // Inside a transaction and a script it is answered at once, however long it is.
    scene.client.ok(&["MULTI"]);
    assert_eq!(scene.client.text(&["CACHE.FLIGHTS"]), "QUEUED");
    let Value::Array(told) = scene.client.array(&["EXEC"]).remove(0) else { panic!("no list") };
    assert_eq!(told.len(), MANY);
    let script = "return #redis.call('CACHE.FLIGHTS')";
    assert_eq!(scene.client.int(&["EVAL", script, "0"]), i64::try_from(MANY).unwrap());
    gate.open();
    scene.until_all_landed();
}

#[test]
fn who_asks_for_a_long_list_and_hangs_up_harms_nobody() {
    let mut scene = Scene::with(|server| server.config("cache.max-downloads", "1"));
    let (first, gate) = scene.hold("/first");
    scene.client.null(&["CACHE.GET", &first, "NOWAIT"]);
    for n in 0..500 {
        let url = scene.serve(&format!("/{n}"), Reply::ok(BODY));
        scene.client.null(&["CACHE.GET", &url, "NOWAIT"]);
    }
    for _ in 0..50 {
        scene.server.client().send(&["CACHE.FLIGHTS"]);
    }
    assert_eq!(flights(&mut scene.client).len(), 501);
    gate.open();
    scene.until_all_landed();
    scene.still_works();
}
