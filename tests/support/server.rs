//! A real server with the module in it, on a port of its own.
//!
//! Life cycle: [`Builder::start`] picks a free port, starts the server in its
//! folder and reads its log (its standard output) until it says that it is
//! ready; a port that someone else took meanwhile means another try. Dropping
//! a [`Server`] kills it and removes its folder, and if that happens because
//! a test failed, the end of the log is printed first.
//!
//! `CACHE_GET_SERVER` names the server to run, `redis-server` or a Valkey's. `CACHE_GET_IO_THREADS` gives it so many
//! `io-threads`.

mod log;
mod process;

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use super::client::{Client, Value};
use super::module;
use super::tmp::TempDir;
use super::until::until_equal;
use process::Process;
pub use process::free_port;

/// How much of the log a failed test shows.
const LOG_TAIL: usize = 40;

/// What a server is started with.
#[derive(Clone)]
pub struct Builder {
    library: Library,
    config: Vec<(String, String)>,
    hidden: Vec<String>,
    env: Vec<(String, OsString)>,
    dir: Option<PathBuf>,
    under: Vec<String>,
}

/// Which module it loads. A build happens at the start, not before.
#[derive(Clone)]
enum Library {
    /// What the environment asks for; the development build, as a rule.
    Usual,
    Release,
    At(PathBuf),
    Absent,
}

impl Builder {
    /// Sets a directive, the server's or the module's own (`cache.…`).
    pub fn config(mut self, name: &str, value: &str) -> Self {
        self.config.retain(|(given, _)| given != name);
        self.config.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Hides a command, by `rename-command`.
    pub fn hide(mut self, command: &str) -> Self {
        self.hidden.push(command.to_owned());
        self
    }

    /// Sets a variable of the server's environment.
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.push((name.to_owned(), value.into()));
        self
    }

    /// Loads this library instead of the development build.
    pub fn module(mut self, library: impl Into<PathBuf>) -> Self {
        self.library = Library::At(library.into());
        self
    }

    /// Loads the release build.
    pub fn release(mut self) -> Self {
        self.library = Library::Release;
        self
    }

    /// Starts with no module and none of its settings.
    pub fn without_module(mut self) -> Self {
        self.library = Library::Absent;
        self.config.retain(|(name, _)| !name.starts_with("cache."));
        self
    }

    /// Works in this folder, which stays, instead of one that goes.
    pub fn dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.dir = Some(dir.into());
        self
    }

    /// Runs it under another program (`taskset`, say), which becomes the server.
    pub fn under(mut self, words: &[&str]) -> Self {
        self.under = words.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Starts the server and waits until it is ready.
    pub fn start(self) -> Server {
        let tmp = TempDir::new();
        let dir = self.dir.clone().unwrap_or_else(|| tmp.path().to_owned());
        let process = Process::start(&self, &dir);
        Server { how: self, process, dir, _tmp: tmp, control: Mutex::new(None) }
    }

    fn library(&self) -> Option<PathBuf> {
        match &self.library {
            Library::Usual => Some(module::path()),
            Library::Release => Some(module::release_path()),
            Library::At(path) => Some(path.clone()),
            Library::Absent => None,
        }
    }

    fn command(&self, dir: &Path, port: u16) -> Command {
        let program = env::var_os("CACHE_GET_SERVER").unwrap_or_else(|| "redis-server".into());
        let mut command = match self.under.split_first() {
            None => Command::new(program),
            Some((first, rest)) => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1"]).arg("--dir").arg(dir);
        if let Some(library) = self.library() {
            command.arg("--loadmodule").arg(library);
        }
        if let Some(threads) = env::var_os("CACHE_GET_IO_THREADS") {
            command.arg("--io-threads").arg(threads);
        }
        for (name, value) in &self.config {
            command.arg(format!("--{name}")).arg(value);
        }
        for name in &self.hidden {
            command.args(["--rename-command", name, ""]);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running server; killed on drop.
pub struct Server {
    how: Builder,
    process: Process,
    dir: PathBuf,
    _tmp: TempDir,
    /// The support's own connection, for the gauges.
    control: Mutex<Option<Client>>,
}

impl Server {
    /// A server with the module, free to fetch from the loopback addresses, at any port.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// The same, with more to say about it.
    pub fn builder() -> Builder {
        let builder = Builder {
            library: Library::Usual,
            config: vec![],
            hidden: vec![],
            env: vec![],
            dir: None,
            under: vec![],
        };
        builder
            .config("save", "")
            .config("enable-debug-command", "yes")
            .config("enable-module-command", "yes")
            .config("cache.allowed-networks", "127.0.0.0/8 ::1/128")
            .config("cache.allowed-ports", "")
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.process.port
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// The folder it works in.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of the library it was started with, for `MODULE LOAD`; panics
    /// if there is none.
    pub fn so(&self) -> String {
        let library = self.how.library().expect("this server has no module");
        library.into_os_string().into_string().expect("the library's path is not text")
    }

    /// All that it has logged since its start.
    pub fn log(&self) -> String {
        self.process.log.text()
    }

    /// Waits until it has logged this text.
    pub fn until_log(&self, text: &str) {
        assert!(self.process.log.until(text), "never logged {text:?}:\n{}", self.log());
    }

    /// A new connection.
    pub fn client(&self) -> Client {
        Client::connect(self.port())
    }

    /// Many new connections.
    pub fn clients(&self, count: usize) -> Vec<Client> {
        (0..count).map(|_| self.client()).collect()
    }

    /// One command on the support's own connection.
    pub fn call(&self, args: &[impl AsRef<[u8]>]) -> Result<Value, String> {
        self.with_control(|control| control.call(args))
    }

    /// The text of an INFO field; `None` if there is no such field.
    pub fn info(&self, field: &str) -> Option<String> {
        let section = if field.starts_with("cache_") { "cache" } else { "everything" };
        let info = self.with_control(|control| control.text(&["INFO", section]));
        let value = |line: &str| line.strip_prefix(field)?.strip_prefix(':').map(str::to_owned);
        info.lines().find_map(value)
    }

    /// The number in an INFO field; panics if there is none.
    pub fn gauge(&self, field: &str) -> u64 {
        let text = self.info(field).unwrap_or_else(|| panic!("INFO has no {field}"));
        text.parse().unwrap_or_else(|_| panic!("{field} is no whole number: {text}"))
    }

    /// Waits until an INFO field has this value.
    pub fn until_gauge(&self, field: &str, wanted: u64) {
        until_equal(field, &wanted, || self.gauge(field));
    }

    /// Whether it is a Valkey of this version or a newer one.
    pub fn is_valkey_since(&self, major: u32, minor: u32) -> bool {
        let Some(version) = self.info("valkey_version") else {
            return false;
        };
        let mut parts = version.split('.').map(|part| part.parse::<u32>().expect("no version"));
        (parts.next(), parts.next()) >= (Some(major), Some(minor))
    }

    /// Whether it has `io-threads`. A test of what the documents except there says so by `what`, and is skipped.
    pub fn excepts_io_threads(&self, what: &str) -> bool {
        let pair = self.with_control(|control| control.array(&["CONFIG", "GET", "io-threads"]));
        let excepts = pair.get(1) != Some(&Value::BulkString(b"1".to_vec()));
        if excepts {
            eprintln!("skipped: on a server with io-threads, {what}");
        }
        excepts
    }

    /// Gives up the support's own connection, which somebody has closed, for a new one.
    pub fn reconnect(&self) {
        *self.control.lock().unwrap() = None;
    }

    /// Whether the process is still there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.process.child.try_wait(), Ok(None))
    }

    /// Kills it, as a power cut would; what it had not saved is gone.
    pub fn kill9(&mut self) {
        self.process.kill();
    }

    /// Kills it and starts it again in the same folder, on another port.
    pub fn restart(&mut self) {
        self.restart_as(|how| how);
    }

    /// As [`Server::restart`], with something changed.
    pub fn restart_as(&mut self, change: impl FnOnce(Builder) -> Builder) {
        self.kill9();
        self.reconnect();
        self.how = change(self.how.clone());
        self.process = Process::start(&self.how, &self.dir);
    }

    /// Sends `SHUTDOWN NOSAVE`, waits for the end, and tells whether it was
    /// an orderly one (exit code 0).
    pub fn shutdown_nosave(&mut self) -> bool {
        self.client().send(&["SHUTDOWN", "NOSAVE"]);
        self.until_ended()
    }

    /// Waits for the process to end by itself; whether in good order.
    pub fn until_ended(&mut self) -> bool {
        assert!(self.process.log.until_closed(), "the server did not end:\n{}", self.log());
        self.process.child.wait().expect("cannot wait for the server").success()
    }

    fn with_control<T>(&self, act: impl FnOnce(&mut Client) -> T) -> T {
        let mut control = self.control.lock().unwrap();
        act(control.get_or_insert_with(|| self.client()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill();
        if thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let tail = &lines[lines.len().saturating_sub(LOG_TAIL)..];
            eprintln!("--- the server's log ends so ---\n{}\n---", tail.join("\n"));
        }
    }
}
