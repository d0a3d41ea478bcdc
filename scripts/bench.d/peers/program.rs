//! A program in the background: started, waited for, ended.

use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use crate::process;
use crate::support::tmp::TempDir;
use crate::support::until;

/// The program, and the folders that it works in; all are gone when dropped.
pub struct Program {
    child: Child,
    dirs: Vec<TempDir>,
}

impl Program {
    /// Starts what `arguments` are for that folder, with what it says in the folder's `log`.
    pub fn start(
        name: &str,
        is_on_one_core: bool,
        dir: TempDir,
        arguments: impl FnOnce(&Path, &mut Command),
    ) -> Self {
        let before: &[&str] = if is_on_one_core { &process::ON_FIRST_CORE } else { &[] };
        let words: Vec<&str> = before.iter().copied().chain([name]).collect();
        let mut command = Command::new(words[0]);
        command.args(&words[1..]);
        arguments(dir.path(), &mut command);
        let log = fs::File::create(dir.path().join("log")).expect("a folder of our own");
        let errors = log.try_clone().expect("a file can be shared");
        let child = command.stdin(Stdio::null()).stdout(log).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot run {name}: {error}"));
        Self { child, dirs: vec![dir] }
    }

    /// Gives it another folder, for what it caches.
    pub fn with_folder(mut self, dir: TempDir) -> Self {
        self.dirs.push(dir);
        self
    }

    /// Waits until it takes connections.
    pub fn until_listening(mut self, port: u16) -> Self {
        until("a peer to listen", || {
            if let Ok(Some(end)) = self.child.try_wait() {
                panic!("it ended, with {end}:\n{}", self.log());
            }
            TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
        });
        self
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What lies in its folders, in whole blocks.
    pub fn bytes_in_folders(&self) -> u64 {
        self.dirs[1..].iter().map(|dir| bytes_in(dir.path())).sum()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dirs[0].path().join("log")).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- what a peer had to say ---\n{}\n---", self.log());
        }
        process::end(self.child.id()); // in good order, with the processes that it has started
        let give_up = Instant::now() + Duration::from_secs(5);
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > give_up {
                self.child.kill().ok();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_in(&entry.path()),
        Ok(data) => data.blocks() * 512, // POSIX: of that size, whatever the disk's
        Err(_) => 0,                     // it went away just now
    });
    bytes.sum()
}
