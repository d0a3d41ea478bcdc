//! Leases, held by clients that fill, give up, are late, forget, or die.

use std::thread;
use std::time::{Duration, Instant};

use super::body::{self, Key};
use super::caller::{Answer, Call, Caller, words};
use super::calls::{any_path, void};
use super::plan::{bounds, chance, one};
use crate::support::Value;

/// How many leased keys there are in each database, beside the URLs that are leased, too.
const KEYS: usize = 4;

/// A lease's holder, or one that thinks so.
struct Held {
    /// The key in the server's words.
    name: String,
    key: Key,
    token: String,
    db: String,
}

/// One call for a lease, and what its holder then does.
pub fn run(caller: &mut Caller<'_>, db: usize) {
    let (key, name) = if chance(&mut caller.rng, 30) {
        let path = any_path(caller, db);
        let url = caller.storm.origin.url(&path);
        (Key::plain(path), url)
    } else {
        let name = format!("lease:{db}:{}", caller.rng.usize(..KEYS));
        (Key::plain(name.clone()), name)
    };
    let db = db.to_string();
    let mut call = Call::at_once(&["CACHE.LEASE", &name]);
    call.first = vec![words(&["SELECT", &db])];
    call.fresh = !name.contains("lasting");
    if caller.storm.may_void() && chance(&mut caller.rng, 10) {
        let mut delete = Call::at_once(&["CACHE.DEL", &name]);
        delete.first.clone_from(&call.first);
        call.newer_than = void(caller, &delete, &key);
    }
    call = with_options(caller, call);
    if chance(&mut caller.rng, 4) {
        return caller.leave_behind(&call);
    }
    let Some(answer) = caller.call(&call) else { return };
    if let Some(token) = judge(caller, &call, &answer, &key) {
        hold(caller, &Held { name, key, token, db });
    }
}

fn with_options(caller: &mut Caller<'_>, mut call: Call) -> Call {
    let rng = &mut caller.rng;
    call = call.waits(None);
    if chance(rng, 70) {
        let timeout = one(rng, &["0.001", "0.05", "0.3", "1", "3", "0"]);
        call.args.push(timeout.into());
        call = call.waits(timeout.parse().ok());
    }
    if chance(rng, 70) {
        call.args.extend(words(&["TTL", one(rng, &["0.001", "0.05", "0.3", "2"])]));
    }
    if chance(rng, 30) {
        call.args.push("STALE".into());
        call.fresh = false;
    }
    if chance(rng, 50) {
        call.args.push("TIED".into());
    }
    call
}

/// Judges the answer; the token, if there is one in it.
fn judge(caller: &Caller<'_>, call: &Call, answer: &Answer, key: &Key) -> Option<String> {
    let Ok(Value::Array(parts)) = &answer.reply else {
        caller.judge(call, answer, key, &answer.reply);
        return None;
    };
    let text = |at: usize| match parts.get(at) {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let value = |at: usize| Ok(parts.get(at).cloned().unwrap_or(Value::Nil));
    match (text(0).as_str(), parts.len()) {
        ("value", 2) => caller.judge(call, answer, key, &value(1)),
        ("lease", 2) => return Some(text(1)),
        ("stale", 2 | 3) if call.args.contains(&"STALE".to_owned()) => {
            caller.judge(call, answer, key, &value(1));
            return (parts.len() == 3).then(|| text(2));
        }
        _ => caller.violation(call, &format!("answered {parts:?}")),
    }
    None
}

fn hold(caller: &mut Caller<'_>, held: &Held) {
    caller.storm.ledger.count("leases");
    if caller.rng.bool() {
        thread::sleep(Duration::from_millis(caller.rng.u64(..120)));
    }
    match caller.rng.u32(..100) {
        0..60 => fill(caller, held),
        60..70 => {
            let words = words(&["CACHE.RELEASE", &held.name, &held.token]);
            finish(caller, held, Call { args: words, ..Call::at_once(&[]) }, &["LEASELOST"]);
        }
        70..80 => caller.reconnect(),
        80..90 => forge(caller, held),
        _ => {} // forgets it
    }
}

/// Fills, and says it again: what was filled once stays so.
fn fill(caller: &mut Caller<'_>, held: &Held) {
    let serial = caller.storm.ledger.next_serial();
    let size = body::size(&mut caller.rng);
    let value = body::make(&held.key, serial, size);
    caller.storm.ledger.send(serial, Instant::now());
    let call = fill_call(caller, held, &held.token, value);
    if chance(&mut caller.rng, 5) {
        return caller.leave_behind(&call);
    }
    let filled = finish(caller, held, call.clone(), &["LEASELOST", "ERR not stored"]);
    if filled && chance(&mut caller.rng, 30) {
        finish(caller, held, call, &[]);
    }
}

/// Fills by a token that is none: nobody may ever see the value.
fn forge(caller: &mut Caller<'_>, held: &Held) {
    let value = body::make(&held.key, 0, 100);
    let token: String = (0..32).map(|_| caller.rng.digit(16)).collect();
    let call = fill_call(caller, held, &token, value);
    if finish(caller, held, call.clone(), &["LEASELOST"]) {
        caller.violation(&call, "a forged token fills");
    }
}

fn fill_call(caller: &mut Caller<'_>, held: &Held, token: &str, value: Vec<u8>) -> Call {
    let mut call = Call::at_once(&["CACHE.FILL", &held.name, token]);
    call.value = Some((3, value));
    let rng = &mut caller.rng;
    if chance(rng, 70) {
        call.args.push(one(rng, &["0.001", "0.05", "0.3", "3"]).into());
    }
    if chance(rng, 30) {
        call.args.extend(words(&["STALE", "2"]));
    }
    // A large value is copied on another thread, and its client waits for that.
    call.within = Duration::from_secs_f64(bounds::DEFAULT_TIMEOUT.0);
    call
}

/// Makes a call that ends in OK, or fails in one of these ways; whether it was OK.
fn finish(caller: &mut Caller<'_>, held: &Held, mut call: Call, failures: &[&str]) -> bool {
    call.first = vec![words(&["SELECT", &held.db])];
    let Some(answer) = caller.call(&call) else {
        return false;
    };
    match &answer.reply {
        Ok(Value::Okay) => true,
        Err(line) if failures.iter().any(|code| line.starts_with(code)) => {
            caller.storm.ledger.count(line.split(' ').next().unwrap_or_default());
            false
        }
        Err(_) => {
            caller.judge(&call, &answer, &held.key, &answer.reply);
            false
        }
        other => {
            caller.violation(&call, &format!("answered {other:?}"));
            false
        }
    }
}
