//! One client: a connection with one call outstanding, and what must hold for each of its answers.

use std::time::{Duration, Instant};

use fastrand::Rng;

use super::body::{self, Key};
use super::ledger::{Deeds, Since};
use super::plan::{bounds, seconds};
use super::storm::Storm;
use crate::support::{Client, Value};

/// One of the clients.
pub struct Caller<'a> {
    pub storm: &'a Storm,
    pub number: usize,
    pub rng: Rng,
    client: Client,
    id: String,
    pings: u64,
}

/// What a call may be answered with, and when.
#[derive(Debug, Clone)]
pub struct Call {
    /// Commands before it whose replies do not matter.
    pub first: Vec<Vec<String>>,
    pub args: Vec<String>,
    /// An argument of any bytes, and where it stands among the others.
    pub value: Option<(usize, Vec<u8>)>,
    /// Not before this may a wait end with null; `None` where null may come at once.
    pub null_after: Option<Duration>,
    /// When the answer must be there, on a machine that is not busy.
    pub within: Duration,
    /// Whether each body must be fresh.
    pub fresh: bool,
    /// Bodies made before this cannot come any more, unless databases have changed places since.
    pub newer_than: Option<(Instant, Since)>,
}

/// A reply, and when its call began.
pub struct Answer {
    pub reply: Result<Value, String>,
    pub began: Instant,
    demoted_since: Since,
    reloaded_since: Since,
    squeezed_since: Since,
}

/// Words as owned ones.
pub fn words(of: &[&str]) -> Vec<String> {
    of.iter().map(|&word| word.to_owned()).collect()
}

impl Call {
    /// A call that is answered at once.
    pub fn at_once(args: &[&str]) -> Self {
        Self {
            first: Vec::new(),
            args: words(args),
            value: None,
            null_after: None,
            within: Duration::ZERO,
            fresh: false,
            newer_than: None,
        }
    }

    fn wire(&self) -> Vec<&[u8]> {
        let mut wire: Vec<&[u8]> = self.args.iter().map(String::as_bytes).collect();
        if let Some((at, value)) = &self.value {
            wire.insert(*at, value);
        }
        wire
    }

    /// The call may wait for so long; `None` for the setting's default.
    pub fn waits(mut self, timeout: Option<f64>) -> Self {
        let (least, most) = match timeout {
            None => bounds::DEFAULT_TIMEOUT,
            Some(0.0) => bounds::MAX_TIMEOUT,
            Some(given) => (given.min(bounds::MAX_TIMEOUT.0), given.min(bounds::MAX_TIMEOUT.1)),
        };
        self.null_after = Some(seconds(least));
        self.within = seconds(most);
        self
    }
}

impl<'a> Caller<'a> {
    pub fn new(storm: &'a Storm, number: usize) -> Self {
        let (client, id) = connect(storm, number);
        let rng = storm.plan.rng(number as u64);
        Self { storm, number, rng, client, id, pings: 0 }
    }

    /// Hangs up, whatever is outstanding, and comes again.
    pub fn reconnect(&mut self) {
        (self.client, self.id) = connect(self.storm, self.number);
        if self.rng.bool() {
            // What a killed connection says is judged at the next call.
            self.client.try_send(&["HELLO", "3"]).ok();
            self.client.reply().ok();
        }
    }

    /// Sends a call and leaves before it is answered.
    pub fn leave_behind(&mut self, call: &Call) {
        for args in &call.first {
            self.client.try_send(args).ok();
        }
        self.client.try_send(&call.wire()).ok();
        if self.rng.bool() {
            std::thread::sleep(Duration::from_millis(self.rng.u64(..30)));
        }
        self.reconnect();
    }

    /// Makes a call, and checks that it is answered once and in time. `None`: the storm closed the connection.
    pub fn call(&mut self, call: &Call) -> Option<Answer> {
        let storm = self.storm;
        let unblocked_since = storm.roster.unblocked[self.number].now();
        let [demoted_since, reloaded_since, squeezed_since] =
            [&storm.demotions, &storm.reloads, &storm.squeezes].map(Deeds::now);
        let began = Instant::now();
        let lost = call
            .first
            .iter()
            .any(|args| self.exchange(args).is_err_and(|line| line.starts_with("no reply")));
        let reply = if lost {
            Err("no reply: before the call".into())
        } else {
            self.exchange(&call.wire())
        };
        let took = began.elapsed();
        storm.ledger.count("calls");
        if took > call.within + storm.plan.slack {
            self.violation(call, &format!("answered after {took:?}: {}", shown(&reply)));
        }
        if self.is_lost(call, &reply) {
            return None;
        }
        let unblocked = storm.roster.unblocked[self.number].any(unblocked_since);
        let demoted = storm.demotions.any(demoted_since);
        // Timers count whole milliseconds, by another clock than ours.
        let early = call.null_after.is_some_and(|after| took + Duration::from_millis(10) < after);
        if reply == Ok(Value::Nil) && early && !unblocked {
            self.violation(call, &format!("null after only {took:?}"));
        }
        if matches!(&reply, Err(line) if line.starts_with("UNBLOCKED")) && !unblocked && !demoted {
            self.violation(call, "unblocked by nobody");
        }
        self.check_nothing_is_left(call, &reply)?;
        Some(Answer { reply, began, demoted_since, reloaded_since, squeezed_since })
    }

    fn exchange(&mut self, args: &[impl AsRef<[u8]>]) -> Result<Value, String> {
        match self.client.try_send(args) {
            Ok(()) => self.client.reply(),
            Err(error) => Err(format!("no reply: {error}")),
        }
    }

    /// A reply that came twice, or that nobody asked for, would be taken for that of the next command.
    fn check_nothing_is_left(&mut self, call: &Call, before: &Result<Value, String>) -> Option<()> {
        self.pings += 1;
        let payload = format!("ping-{}-{}", self.number, self.pings);
        let mut reply = self.exchange(&["PING", &payload]);
        while matches!(&reply, Err(line) if line.starts_with("LOADING")) {
            reply = self.exchange(&["PING", &payload]);
        }
        if self.is_lost(call, &reply) {
            return None;
        }
        if reply != Ok(Value::BulkString(payload.into())) {
            let (before, after) = (shown(before), shown(&reply));
            self.violation(call, &format!("answered twice: {before}, and then {after}"));
            self.reconnect();
            return None;
        }
        Some(())
    }

    /// Whether the connection has gone; it is replaced, and it is a violation if the storm has not closed it.
    fn is_lost(&mut self, call: &Call, reply: &Result<Value, String>) -> bool {
        let Err(line) = reply else {
            return false;
        };
        if !line.starts_with("no reply") {
            return false;
        }
        if self.storm.roster.was_killed(&self.id) {
            self.storm.ledger.count("connections lost");
        } else {
            self.violation(call, line);
        }
        self.reconnect();
        true
    }

    /// Judges one body, null or error for a key.
    pub fn judge(&self, call: &Call, answer: &Answer, key: &Key, reply: &Result<Value, String>) {
        let storm = self.storm;
        match reply {
            Ok(Value::BulkString(body)) => self.judge_body(call, answer, key, body),
            Ok(Value::Nil) => storm.ledger.count("nulls"),
            Ok(other) => self.violation(call, &format!("answered {other:?}")),
            Err(line) => {
                let code = line.split(' ').next().unwrap_or_default();
                storm.ledger.count(code);
                let may_be = match code {
                    "UNBLOCKED" | "FETCHTIMEOUT" | "OVERLOADED" => true,
                    "FETCHFAILED" if line.contains("the flight was lost") => false,
                    // On a connection that an answer to another request has closed (`script::forged`).
                    "FETCHFAILED"
                        if line.ends_with("connection closed before message completed") =>
                    {
                        true
                    }
                    "HTTPSTATUS" => storm.ledger.may_fail(key, line),
                    "READONLY" => storm.demotions.any(answer.demoted_since),
                    "LOADING" => storm.reloads.any(answer.reloaded_since),
                    // A full server queues no commands.
                    "EXECABORT" => {
                        storm.demotions.any(answer.demoted_since)
                            || storm.reloads.any(answer.reloaded_since)
                            || storm.squeezes.any(answer.squeezed_since)
                    }
                    "OOM" => storm.squeezes.any(answer.squeezed_since),
                    _ => storm.ledger.may_fail(key, code),
                };
                if !may_be {
                    self.violation(call, &format!("failed as it cannot: {line}"));
                }
            }
        }
    }

    fn judge_body(&self, call: &Call, answer: &Answer, key: &Key, body: &[u8]) {
        let ledger = &self.storm.ledger;
        ledger.count("bodies");
        if body.is_empty() && ledger.may_fail(key, "empty") {
            return;
        }
        let serial = match body::check(key, body) {
            Ok(serial) => serial,
            Err(what) => return self.violation(call, &what),
        };
        let Some(made) = ledger.made(serial) else {
            return self.violation(call, &format!("body {serial}, which was never sent whole"));
        };
        let oldest = seconds(bounds::EXPIRY + bounds::SPAN) + self.storm.plan.slack;
        let age = answer.began.saturating_duration_since(made.good_at);
        if call.fresh && age > oldest {
            self.violation(call, &format!("body {serial} was good {age:?} ago, and is not stale"));
        }
        // What was deleted comes back only if a database that has kept it is swapped in.
        if let Some((then, swapped_since)) = call.newer_than
            && made.at < then
            && !self.storm.swaps.any(swapped_since)
        {
            self.violation(call, &format!("body {serial} is from before it was deleted"));
        }
    }

    pub fn violation(&self, call: &Call, what: &str) {
        let mut args = format!("{:?}", call.args);
        args.truncate(300);
        self.storm.ledger.violation(&format!("client {}: {args}: {what}", self.number));
    }
}

/// A connection that is on the roster. The storm may close it before it is.
fn connect(storm: &Storm, number: usize) -> (Client, String) {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let since = storm.roster.before();
        let made = Client::try_connect(storm.port).ok().and_then(|mut client| {
            client.try_send(&["CLIENT", "ID"]).ok()?;
            let Ok(Value::Int(id)) = client.reply() else { return None };
            Some((client, id.to_string()))
        });
        if let Some((client, id)) = made {
            storm.roster.enter(number, &id, since);
            return (client, id);
        }
        if storm.is_over() || Instant::now() > give_up {
            storm.end();
            panic!("the server takes no connections any more");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A reply, short enough to be read.
fn shown(reply: &Result<Value, String>) -> String {
    let text = format!("{reply:?}");
    text.chars().take(200).collect()
}
