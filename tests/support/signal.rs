//! Signals for processes, by the shell that every system has. (`kill` the program is in a package of its own, which
//! a bare Debian lacks; `kill` the shell's is always there.)

use std::process::Command;

/// Sends a signal (`STOP`, `TERM`, ...); panics if there is no such process, or it is not ours.
pub fn send(signal: &str, pid: u32) {
    assert!(try_send(signal, pid), "cannot send {signal} to process {pid}");
}

/// As [`send`], for a process that may have ended; whether it was there.
pub fn try_send(signal: &str, pid: u32) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", "kill -s \"$1\" \"$2\" 2>/dev/null", "sh", signal, &pid.to_string()]);
    shell.status().expect("cannot run sh").success()
}
