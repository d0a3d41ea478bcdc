//! How late a null comes, beside how late Redis' own `BLPOP` answers one.

use std::time::{Duration, Instant};

use crate::support::{Client, Gate, Origin, Reply, Server};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};

/// Timeouts, and how often each is tried.
const TRIES: [(Duration, usize); 3] = [
    (Duration::from_millis(50), 11),
    (Duration::from_millis(250), 11),
    (Duration::from_secs(1), 5),
];

pub fn run(table: &mut Table) {
    let origin = Origin::start();
    let never = Gate::closed();
    origin.on("/never", Reply::ok("").gate(&never));
    let url = origin.url("/never");
    let server = Server::builder().release().start();
    let mut client = server.client();
    for (timeout, tries) in TRIES {
        let [mut cache_get, mut blpop] = [Sample::default(), Sample::default()];
        let seconds = timeout.as_secs_f64().to_string();
        for round in 0..tries {
            progress(format_args!("nulls after {timeout:?}, round {} of {tries}", round + 1));
            cache_get.add_millis(lateness(
                &mut client,
                timeout,
                &["CACHE.GET", &url, "60", &seconds],
            ));
            blpop.add_millis(lateness(&mut client, timeout, &["BLPOP", "nothing", &seconds]));
        }
        table.add(&Row {
            what: format!("null after {} ms: late by", timeout.as_millis()),
            unit: Unit::Millis,
            asked: Bound::AtMost(5.0),
            beside: format!("BLPOP {}", Unit::Millis.write(blpop.median())),
            measured: cache_get,
        });
    }
}

/// How much longer than its timeout a command took to answer null. One that
/// answers too early is broken.
fn lateness(client: &mut Client, timeout: Duration, command: &[&str]) -> Duration {
    let sent = Instant::now();
    client.null(command);
    let took = sent.elapsed();
    took.checked_sub(timeout).expect("a null came too early")
}
