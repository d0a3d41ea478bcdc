//! System calls of the server while something goes on, as `strace` counts them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::tmp::TempDir;
use crate::support::{Server, signal};

/// `strace`, at work.
pub struct Strace {
    child: Child,
    dir: TempDir,
}

impl Strace {
    /// Watches all threads of the server; `None` where there is no `strace`, or it may not.
    pub fn of(server: &Server) -> Option<Self> {
        let dir = TempDir::new();
        let mut command = Command::new("strace");
        command.args(["-f", "-c", "-o"]).arg(dir.path().join("counts"));
        command.args(["-p", &server.pid().to_string()]);
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().ok()?;
        let mut said = BufReader::new(child.stderr.take()?).lines();
        let attached = said.any(|line| line.is_ok_and(|line| line.contains("attached")));
        // Read on, so that it never waits for a reader: it tells of each thread that comes or goes.
        std::thread::spawn(move || said.for_each(drop));
        if !attached {
            child.wait().ok();
            return None;
        }
        Some(Self { child, dir })
    }

    /// How often each was called, the most frequent first.
    pub fn end(mut self) -> Vec<(String, f64)> {
        // Asked so it lets the server go, and writes what it has; killed, it does neither.
        signal::send("INT", self.child.id());
        self.child.wait().expect("it ends");
        let counts = fs::read_to_string(self.dir.path().join("counts")).unwrap_or_default();
        let mut calls: Vec<(String, f64)> = counts.lines().filter_map(parse).collect();
        calls.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        calls
    }
}

/// `% time, seconds, usecs/call, calls, [errors,] syscall`
fn parse(line: &str) -> Option<(String, f64)> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let calls = words.get(3)?.parse().ok()?;
    let name = words.last().filter(|&&name| name != "total")?;
    Some(((*name).to_owned(), calls))
}
