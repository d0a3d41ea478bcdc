//! The server's log, followed while it runs: that it is ready, and that it
//! has ended, is read here rather than guessed.

use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::super::until::PATIENCE;

/// What the server prints, gathered by a thread that ends with the server.
#[derive(Default)]
pub(super) struct Log {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    text: String,
    closed: bool,
}

impl Log {
    pub(super) fn follow(output: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let writer = Arc::clone(&log);
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut line = Vec::new();
            while matches!(output.read_until(b'\n', &mut line), Ok(1..)) {
                writer.change(|state| state.text += &String::from_utf8_lossy(&line));
                line.clear();
            }
            writer.change(|state| state.closed = true);
        });
        log
    }

    fn change(&self, change: impl FnOnce(&mut LogState)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    pub(super) fn text(&self) -> String {
        self.state.lock().unwrap().text.clone()
    }

    /// Waits for a text; false if the log ended, or [`PATIENCE`], without it.
    pub(super) fn until(&self, wanted: &str) -> bool {
        self.wait(|state| state.closed || state.text.contains(wanted));
        self.text().contains(wanted)
    }

    /// Waits for the end of the log, which is the end of the process.
    pub(super) fn until_closed(&self) -> bool {
        self.wait(|state| state.closed)
    }

    fn wait(&self, done: impl Fn(&LogState) -> bool) -> bool {
        let state = self.state.lock().unwrap();
        let (state, _) = self.changed.wait_timeout_while(state, PATIENCE, |s| !done(s)).unwrap();
        done(&state)
    }
}
