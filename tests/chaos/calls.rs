//! Calls for URLs, chosen at random: every command, option and place to call from.

use super::body::{Key, VARIANTS};
use super::caller::{Answer, Call, Caller, words};
use super::leases;
use super::ledger::{Scope, Since};
use super::plan::{DATABASES, chance, one};
use crate::support::Value;
use std::time::Instant;

/// How many URLs there are in each database.
pub const URLS: usize = 10;
/// How many more there are whose entries may have no expiry.
const LASTING: usize = 2;

/// Makes calls until the storm is over.
pub fn run(mut caller: Caller<'_>) {
    while !caller.storm.is_over() {
        let db = caller.rng.usize(..DATABASES);
        match caller.rng.u32(..100) {
            0..45 => get(&mut caller, db),
            45..53 => several(&mut caller, db),
            53..60 => peek(&mut caller, db),
            60..64 if caller.storm.may_void() => delete_then_get(&mut caller, db),
            64..70 => inside(&mut caller, db),
            70..73 => leave(&mut caller, db),
            _ => leases::run(&mut caller, db),
        }
    }
}

/// A URL's path in a database; its first part names that.
pub fn any_path(caller: &mut Caller<'_>, db: usize) -> String {
    match caller.rng.usize(..URLS + LASTING) {
        number if number < URLS => format!("/{db}/u{number}"),
        number => format!("/{db}/lasting{number}"),
    }
}

/// One way of asking: the key that it is for, and the options that say so.
fn any_key(caller: &mut Caller<'_>, db: usize) -> (Key, &'static [&'static str]) {
    let name = any_path(caller, db);
    // The plain way is taken more often, so that it is crowded, too.
    let plain = caller.rng.bool();
    let (options, variant) = if plain { VARIANTS[0] } else { one(&mut caller.rng, &VARIANTS) };
    (Key { name, variant: variant.to_owned() }, options)
}

/// `[expiry [timeout]] [option ...]`, and what they promise.
fn with_options(caller: &mut Caller<'_>, mut call: Call, key: &Key) -> Call {
    let lasting = key.name.contains("lasting");
    let rng = &mut caller.rng;
    call.fresh = !lasting;
    call = call.waits(None);
    if chance(rng, 80) {
        let expiry = one(rng, &["0.001", "0.05", "0.3", "3"]);
        call.args.push(if lasting && rng.bool() { "-1".into() } else { expiry.into() });
        if chance(rng, 80) {
            let timeout = one(rng, &["0.001", "0.05", "0.3", "1", "3", "0"]);
            call.args.push(timeout.into());
            call = call.waits(timeout.parse().ok());
        }
    }
    if chance(rng, 30) {
        call.args.extend(words(&["STALE", one(rng, &["0", "0.2", "2"])]));
        call.fresh = false;
    }
    if chance(rng, 15) {
        call.args.push("REFRESH".into());
    }
    if chance(rng, 10) {
        call.args.push("nowait".into());
        call.null_after = None;
    }
    call
}

fn in_database(db: usize) -> Vec<Vec<String>> {
    vec![words(&["SELECT", &db.to_string()])]
}

/// `CACHE.GET` or `CACHE.FETCH`.
fn any_get(caller: &mut Caller<'_>, db: usize) -> (Call, Key) {
    let (key, options) = any_key(caller, db);
    let command = if chance(&mut caller.rng, 25) { "CACHE.FETCH" } else { "CACHE.GET" };
    let call = Call::at_once(&[command, &caller.storm.origin.url(&key.name)]);
    let mut call = with_options(caller, call, &key);
    call.args.extend(words(options));
    call.first = in_database(db);
    (call, key)
}

fn get(caller: &mut Caller<'_>, db: usize) {
    let (call, key) = any_get(caller, db);
    if let Some(answer) = caller.call(&call) {
        judge_get(caller, &call, &answer, &key);
    }
}

fn judge_get(caller: &Caller<'_>, call: &Call, answer: &Answer, key: &Key) {
    let reply = match (&answer.reply, call.args[0].as_str()) {
        (Ok(Value::Array(_) | Value::Map(_)), "CACHE.FETCH") => body_of(&answer.reply),
        (reply, _) => reply.clone(),
    };
    caller.judge(call, answer, key, &reply);
}

/// The body in the answer of `CACHE.FETCH`, a map that RESP2 has as a flat array.
fn body_of(reply: &Result<Value, String>) -> Result<Value, String> {
    let is_body = |value: &Value| *value == Value::BulkString(b"body".to_vec());
    let found = match reply {
        Ok(Value::Map(pairs)) => pairs.iter().find(|(name, _)| is_body(name)).map(|pair| &pair.1),
        Ok(Value::Array(all)) => all.iter().position(is_body).and_then(|at| all.get(at + 1)),
        _ => None,
    };
    found.cloned().ok_or_else(|| format!("FETCH without a body: {reply:?}"))
}

/// `CACHE.MGET`, the same URL twice now and then.
fn several(caller: &mut Caller<'_>, db: usize) {
    let (_, options) = any_key(caller, db);
    let variant =
        VARIANTS.iter().find(|(words, _)| *words == options).map_or("", |(_, label)| label);
    let count = caller.rng.usize(1..6);
    let paths: Vec<String> = (0..count).map(|_| any_path(caller, db)).collect();
    let keys = paths.iter().map(|name| Key { name: name.clone(), variant: variant.to_owned() });
    let keys: Vec<Key> = keys.collect();
    // One call gives all the same expiry, so it is for ever only where that suits each.
    let (lasting, other): (Vec<&Key>, Vec<&Key>) =
        keys.iter().partition(|key| key.name.contains("lasting"));
    let mut call = Call::at_once(&["CACHE.MGET", &count.to_string()]);
    call.args.extend(paths.iter().map(|path| caller.storm.origin.url(path)));
    let mut call = with_options(caller, call, other.first().unwrap_or(&&keys[0]));
    call.fresh &= lasting.is_empty();
    call.args.extend(words(options));
    call.first = in_database(db);
    let Some(answer) = caller.call(&call) else { return };
    match &answer.reply {
        Ok(Value::Array(places)) if places.len() == keys.len() => {
            // One place that is there does not end the wait for the others, and one that is null may have
            // been so at once; so of the early nulls only those of whole calls are judged.
            for (place, key) in places.iter().zip(&keys) {
                let reply = match place {
                    Value::ServerError(error) => Err(crate::support::client::line(error)),
                    other => Ok(other.clone()),
                };
                caller.judge(&call, &answer, key, &reply);
            }
        }
        Ok(Value::Array(_)) => caller.violation(&call, "places are missing"),
        other => caller.judge(&call, &answer, &keys[0], other),
    }
}

fn peek(caller: &mut Caller<'_>, db: usize) {
    let (key, options) = any_key(caller, db);
    let mut call = Call::at_once(&["CACHE.PEEK", &caller.storm.origin.url(&key.name)]);
    call.fresh = !key.name.contains("lasting");
    if chance(&mut caller.rng, 30) {
        call.args.extend(words(&["STALE", "2"]));
        call.fresh = false;
    }
    call.args.extend(words(options));
    call.first = in_database(db);
    if let Some(answer) = caller.call(&call) {
        caller.judge(&call, &answer, &key, &answer.reply);
    }
}

/// Deletes, and asks again: what was made before that must not come back.
fn delete_then_get(caller: &mut Caller<'_>, db: usize) {
    let (call, key) = any_get(caller, db);
    let variant = VARIANTS.iter().find(|(_, label)| *label == key.variant).map_or(&[][..], |v| v.0);
    let mut delete = Call::at_once(&["CACHE.DEL", &caller.storm.origin.url(&key.name)]);
    delete.args.extend(words(variant));
    delete.first = in_database(db);
    let Some(since) = void(caller, &delete, &key) else { return };
    let call = Call { newer_than: Some(since), ..call };
    if let Some(answer) = caller.call(&call) {
        judge_get(caller, &call, &answer, &key);
    }
}

/// Deletes a key, whose flight is void from then on; when it was begun, if it was done.
pub fn void(caller: &mut Caller<'_>, delete: &Call, key: &Key) -> Option<(Instant, Since)> {
    let since = (Instant::now(), caller.storm.swaps.now());
    caller.storm.ledger.void(Scope::Key(key.clone()));
    let answer = caller.call(delete)?;
    match &answer.reply {
        Ok(Value::Int(0 | 1)) => Some(since),
        other => {
            caller.judge(delete, &answer, key, other);
            None
        }
    }
}

/// In a transaction or a script, where nothing waits.
fn inside(caller: &mut Caller<'_>, db: usize) {
    const SCRIPT: &str = "return redis.pcall(unpack(ARGV))";
    let (mut call, key) = any_get(caller, db);
    call.args[0] = "CACHE.GET".into();
    (call.null_after, call.within) = (None, std::time::Duration::ZERO);
    if caller.rng.bool() {
        call.args = [words(&["EVAL", SCRIPT, "1", &key.name]), call.args].concat();
        if let Some(answer) = caller.call(&call) {
            caller.judge(&call, &answer, &key, &answer.reply);
        }
        return;
    }
    let queued = std::mem::replace(&mut call.args, words(&["EXEC"]));
    call.first.extend([words(&["MULTI"]), queued.clone(), queued]);
    let Some(answer) = caller.call(&call) else { return };
    match &answer.reply {
        Ok(Value::Array(both)) if both.len() == 2 => {
            for reply in both {
                let reply = match reply {
                    Value::ServerError(error) => Err(crate::support::client::line(error)),
                    other => Ok(other.clone()),
                };
                caller.judge(&call, &answer, &key, &reply);
            }
        }
        other => caller.judge(&call, &answer, &key, other),
    }
}

/// Leaves before the answer comes.
fn leave(caller: &mut Caller<'_>, db: usize) {
    let (call, _) = any_get(caller, db);
    caller.leave_behind(&call);
}
