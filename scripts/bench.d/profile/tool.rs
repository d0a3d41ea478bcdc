//! A server that runs under one of valgrind's tools, and what the tool has written when it has ended.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::Server;
use crate::support::server::Builder;
use crate::support::tmp::TempDir;

/// The server, and the folder that the tool writes to.
pub struct Tool {
    server: Server,
    dir: TempDir,
}

impl Tool {
    /// Starts a server under this tool, with these options, and these settings on top of the usual ones.
    pub fn start(tool: &str, options: &[&str], settings: impl FnOnce(Builder) -> Builder) -> Self {
        let dir = TempDir::new();
        let out = dir.path().join("out");
        let out = format!("--{tool}-out-file={}", out.to_str().expect("the path is text"));
        let tool = format!("--tool={tool}");
        let log = format!("--log-file={}", dir.path().join("log").display());
        // Else the threads of ours may wait for the main thread's turn to end, for as long as it likes.
        let first = ["valgrind", &tool, &out, &log, "--fair-sched=yes", "--num-callers=30"];
        let words: Vec<&str> = first.into_iter().chain(options.iter().copied()).collect();
        Self { server: settings(Server::builder().release().under(&words)).start(), dir }
    }

    pub const fn server(&self) -> &Server {
        &self.server
    }

    /// Ends the server in good order, since only then the tool writes what it has; the files, in their order.
    pub fn end(mut self) -> Written {
        assert!(self.server.shutdown_nosave(), "the server has not ended well");
        let entries = fs::read_dir(self.dir.path()).expect("the folder is there");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        let mut files: Vec<PathBuf> = paths.filter(|path| !path.ends_with("log")).collect();
        files.sort_by_key(|path| number(path));
        Written { files, _dir: self.dir }
    }
}

/// What a tool has written; gone when dropped.
pub struct Written {
    pub files: Vec<PathBuf>,
    _dir: TempDir,
}

/// The number at the end of `out.12`; what has none is the last.
fn number(path: &std::path::Path) -> u64 {
    let end = path.extension().and_then(|end| end.to_str());
    end.and_then(|end| end.parse().ok()).unwrap_or(u64::MAX)
}

/// What a program prints.
pub fn output(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output();
    let output = output.unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
