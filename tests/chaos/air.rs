//! The downloads in the air, as the origin sees them: never two for one key.
//!
//! A flight that was voided goes on while the next one may begin, so for each voiding of late there may be
//! one more. And a flight that has ended before its download hangs up, which the origin hears a moment
//! later: so what looks like a second download is given time in which to turn out to be the only one.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::body::Key;
use super::ledger::{Ledger, before, lock};
use super::plan::{bounds, seconds};

/// The downloads in the air.
#[derive(Default)]
pub struct Air(Mutex<HashMap<Key, Vec<Arc<Flying>>>>);

/// One of them, from the end of its request to just before the end of its answer.
pub struct Flying {
    since: Instant,
    stream: TcpStream,
    /// Whether its end was seen while the other side still listened.
    answered: AtomicBool,
}

impl Air {
    /// Enters a download whose request has come, and looks whether it is alone.
    pub fn enter(
        &self,
        key: &Key,
        stream: &TcpStream,
        ledger: &Ledger,
        slack: Duration,
    ) -> Option<Arc<Flying>> {
        let stream = stream.try_clone().ok()?;
        let me =
            Arc::new(Flying { since: Instant::now(), stream, answered: AtomicBool::new(false) });
        let mut others = {
            let mut air = lock(&self.0);
            let flying = air.entry(key.clone()).or_default();
            let others = flying.clone();
            flying.push(Arc::clone(&me));
            others
        };
        let then = before(Instant::now(), seconds(bounds::SPAN) + slack);
        ledger.count(if ledger.voids_since(key, then) == 0 {
            "strict downloads"
        } else {
            "downloads"
        });
        let give_up = Instant::now() + slack;
        loop {
            others.retain(|other| other.answered.load(SeqCst) || !is_closed(&other.stream));
            let Some(oldest) = others.iter().map(|other| other.since).min() else {
                return Some(me);
            };
            // A void flight may have been voided before its request came, but not before it took off.
            let took_off = before(oldest, seconds(bounds::SPAN) + slack);
            let voids = ledger.voids_since(key, took_off);
            if others.len() <= voids {
                return Some(me);
            }
            if Instant::now() > give_up || others.iter().any(|other| other.answered.load(SeqCst)) {
                ledger.violation(&format!(
                    "{} downloads in the air for {key:?}, with {voids} voidings",
                    others.len() + 1
                ));
                return Some(me);
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Takes a download out: what is sent next may end it.
    pub fn leave(&self, key: &Key, flying: &Arc<Flying>) {
        let mut air = lock(&self.0);
        if let Some(others) = air.get_mut(key) {
            others.retain(|other| !Arc::ptr_eq(other, flying));
        }
        if !is_closed(&flying.stream) {
            flying.answered.store(true, SeqCst);
        }
    }
}

/// Whether the other side has hung up.
pub fn is_closed(stream: &TcpStream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    match SockRef::from(stream).recv_with_flags(&mut byte, flags) {
        Ok(length) => length == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
