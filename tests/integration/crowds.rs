//! A crowd is answered in slices. Between two slices clients leave, and others come, to whom the server gives the
//! handles of those who have left: what is still on its way to the former must not reach the latter.

use crate::mget::bulk;
use crate::scene::Scene;
use crate::support::client::packed;
use crate::support::{Client, Gate, Reply, Value};

/// How many answers of one flight one call waits for: many slices.
const CROWD: usize = 20_000;
/// How many clients wait for one answer of the crowd and for one that does not come.
const LEAVERS: usize = 64;
const ROUNDS: usize = 3;

fn crowded() -> Scene {
    Scene::with(|server| {
        server
            .config("cache.max-urls", "100000")
            .config("cache.max-waiters", "200000")
            .config("cache.max-waiters-per-flight", "200000")
            .config("cache.max-downloads-per-host", "1000")
    })
}

/// A flight that lands badly or well, with a crowd that waits for it.
struct Crowd {
    url: String,
    gate: Gate,
    caller: Client,
    place: Value,
}

impl Crowd {
    fn gather(scene: &Scene, round: usize) -> Self {
        let fails = round % 2 == 1;
        let reply = if fails { Reply::status(404, "Not Found") } else { Reply::ok("the crowd's") };
        let (url, gate) = scene.hold_reply(&format!("/{round}/crowd"), reply);
        let mut caller = scene.server.client();
        let count = CROWD.to_string();
        let mut call = vec!["CACHE.MGET", &count];
        call.extend(std::iter::repeat_n(&*url, CROWD));
        call.extend(["60", "0"]);
        caller.send(&call);
        scene.server.until_gauge("cache_waiters", CROWD as u64);
        let place = if fails { Value::Nil } else { bulk("the crowd's") };
        Self { url, gate, caller, place }
    }

    /// Each place of the crowd has its answer.
    fn ends_whole(mut self) {
        let Ok(Value::Array(places)) = self.caller.reply() else { panic!("no array") };
        assert_eq!(places.len(), CROWD);
        for place in places {
            match self.place {
                Value::Nil => assert!(matches!(place, Value::ServerError(_)), "{place:?}"),
                ref wanted => assert_eq!(place, *wanted),
            }
        }
    }
}

/// Of one round: URLs that nobody else asks for, and when they are answered.
struct Others {
    urls: Vec<String>,
    gate: Gate,
}

impl Others {
    fn hold(scene: &Scene, round: usize) -> Self {
        let gate = Gate::closed();
        let path = |n| format!("/{round}/other/{n}");
        let hold = |n| scene.serve(&path(n), Reply::ok(path(n)).gate(&gate));
        Self { urls: (0..LEAVERS).map(hold).collect(), gate }
    }

    /// Each client gets what it has asked for.
    fn are_served(&self, round: usize, clients: &mut [Client]) {
        self.gate.open();
        for (n, client) in clients.iter_mut().enumerate() {
            let body = bulk(format!("/{round}/other/{n}"));
            assert_eq!(client.reply(), Ok(Value::Array(vec![body.clone(), body])), "{round}");
            assert_eq!(client.text(&["PING"]), "PONG");
        }
    }
}

/// What a test needs in each round.
struct Round {
    number: usize,
    crowd: Crowd,
    others: Others,
    never: (String, Gate),
}

impl Round {
    fn begin(scene: &Scene, number: usize) -> Self {
        let crowd = Crowd::gather(scene, number);
        let others = Others::hold(scene, number);
        let never = scene.hold(&format!("/{number}/never"));
        Self { number, crowd, others, never }
    }

    /// Has each wait for an answer that does not come and for one of the crowd's, each with its patience.
    fn join(&self, leavers: &mut [Client], patience: impl Fn(usize) -> String) {
        for (n, leaver) in leavers.iter_mut().enumerate() {
            let (url, never) = (&self.crowd.url, &self.never.0);
            leaver.send(&["CACHE.MGET", "2", never, url, "60", &patience(n)]);
        }
    }

    /// Lets the crowd's flight land, and returns while the crowd is being answered.
    fn land(&self, scene: &Scene) {
        self.crowd.gate.open();
        scene.server.until_gauge("cache_flights", 1);
    }

    /// Has each ask for two answers that nobody else asks for.
    fn ask_for_others(&self, clients: &mut [Client]) {
        for (client, url) in clients.iter_mut().zip(&self.others.urls) {
            client.send(&["CACHE.MGET", "2", url, url, "60", "0"]);
        }
    }

    /// Everybody gets what it has asked for, and nothing is left.
    fn end(self, scene: &Scene, clients: &mut [Client]) {
        self.crowd.ends_whole();
        self.others.are_served(self.number, clients);
        self.never.1.open();
        scene.until_all_landed();
        scene.server.until_gauge("cache_waiters", 0);
        scene.server.until_gauge("blocked_clients", 0);
    }
}

#[test]
fn a_crowds_answer_reaches_no_later_call_of_a_client_that_was_unblocked() {
    let scene = crowded();
    let mut control = scene.server.client();
    for number in 0..ROUNDS {
        let round = Round::begin(&scene, number);
        let mut leavers = scene.server.clients(LEAVERS);
        let unblock: Vec<u8> = leavers
            .iter_mut()
            .flat_map(|leaver| packed(&["CLIENT", "UNBLOCK", &leaver.id(), "TIMEOUT"]))
            .collect();
        round.join(&mut leavers, |_| "0".to_owned());
        scene.server.until_gauge("cache_waiters", (CROWD + 2 * LEAVERS) as u64);
        round.ask_for_others(&mut leavers);
        round.land(&scene);
        control.send_raw(&unblock);
        for _ in 0..LEAVERS {
            assert_eq!(control.reply(), Ok(Value::Int(1)));
        }
        for leaver in &mut leavers {
            leaver.reply_null();
        }
        round.end(&scene, &mut leavers);
    }
}

#[test]
fn a_crowds_answer_reaches_nobody_who_comes_after_others_have_hung_up() {
    let scene = crowded();
    for number in 0..ROUNDS {
        let round = Round::begin(&scene, number);
        let mut leavers = scene.server.clients(LEAVERS);
        round.join(&mut leavers, |_| "0".to_owned());
        scene.server.until_gauge("cache_waiters", (CROWD + 2 * LEAVERS) as u64);
        let mut comers = scene.server.clients(LEAVERS);
        round.land(&scene);
        drop(leavers);
        scene.server.until_gauge("cache_waiters", 0);
        round.ask_for_others(&mut comers);
        round.end(&scene, &mut comers);
    }
}

#[test]
fn a_crowds_answer_reaches_no_later_call_of_a_client_whose_patience_has_ended() {
    let scene = crowded();
    for number in 0..ROUNDS {
        let round = Round::begin(&scene, number);
        // They end before, during and after the landing.
        let mut leavers = scene.server.clients(LEAVERS);
        round.join(&mut leavers, |n| format!("0.{:03}", 2 * (n + 1)));
        round.ask_for_others(&mut leavers);
        round.crowd.gate.open();
        for leaver in &mut leavers {
            let Ok(Value::Array(places)) = leaver.reply() else { panic!("no array") };
            assert_eq!((places.len(), &places[0]), (2, &Value::Nil));
            assert!(!matches!(&places[1], Value::BulkString(body) if body != b"the crowd's"));
        }
        round.end(&scene, &mut leavers);
    }
}
