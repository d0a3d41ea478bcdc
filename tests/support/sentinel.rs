//! A Sentinel: the server's own watchman, which promotes a replica when its master is gone.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread;

use super::client::Client;
use super::server::{Server, free_port};
use super::tmp::TempDir;
use super::until::until;

/// How long, in milliseconds, a master may be silent before it counts as gone.
const DOWN_AFTER: u32 = 800;
/// How often, in milliseconds, it looks at its servers.
const PERIOD: &str = "100";

/// A Sentinel that watches one master, and decides alone; killed on drop.
pub struct Sentinel {
    child: Child,
    port: u16,
    tmp: TempDir,
}

impl Sentinel {
    /// Starts one, and returns when it knows the master and that it has this many replicas.
    pub fn watch(master: &Server, replicas: usize) -> Self {
        let (tmp, port) = (TempDir::new(), free_port());
        let file = tmp.path().join("sentinel.conf");
        let mut config = String::new();
        let dir = tmp.path().display();
        writeln!(config, "port {port}\nbind 127.0.0.1\ndir {dir}\nlogfile sentinel.log").unwrap();
        writeln!(config, "sentinel monitor ours 127.0.0.1 {} 1", master.port()).unwrap();
        writeln!(config, "sentinel down-after-milliseconds ours {DOWN_AFTER}").unwrap();
        writeln!(config, "sentinel failover-timeout ours 3000").unwrap();
        fs::write(&file, config).expect("cannot write the configuration");
        let program = env::var_os("CACHE_GET_SERVER").unwrap_or_else(|| "redis-server".into());
        let child = Command::new(program)
            .arg(&file)
            .arg("--sentinel")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("cannot run the sentinel");
        let sentinel = Self { child, port, tmp };
        until("the sentinel", || Client::try_connect(port).is_ok());
        let mut client = Client::connect(port);
        for period in ["INFO-PERIOD", "PUBLISH-PERIOD"] {
            client.ok(&["SENTINEL", "DEBUG", period, PERIOD]); // by default they are seconds
        }
        let knows = format!("status=ok,address=127.0.0.1:{},slaves={replicas},", master.port());
        until("the sentinel to know its own", || sentinel.info().contains(&knows));
        sentinel
    }

    /// Where it says that the master is.
    pub fn master_port(&self) -> u16 {
        let told = Client::connect(self.port).array(&["SENTINEL", "MASTER", "ours"]);
        let words: Vec<_> = told.into_iter().map(super::client::bytes_of).collect();
        let at = words.iter().position(|word| word == b"port").expect("it names no port");
        String::from_utf8_lossy(&words[at + 1]).parse().expect("this is no port")
    }

    /// Has it put this replica in its master's place, although that is well. It gives up on a busy machine,
    /// and so is asked again.
    pub fn fail_over(&self, to: &Server) {
        let mut client = Client::connect(self.port);
        until("the failover", || {
            let done = self.master_port() == to.port();
            if !done {
                client.call(&["SENTINEL", "FAILOVER", "ours"]).ok(); // it tells if one is under way
            }
            done
        });
    }

    fn info(&self) -> String {
        Client::connect(self.port).text(&["INFO", "sentinel"])
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        self.child.kill().ok(); // it may have ended by itself
        self.child.wait().expect("cannot wait for the sentinel");
        if thread::panicking() {
            let log = fs::read_to_string(self.tmp.path().join("sentinel.log")).unwrap_or_default();
            eprintln!("--- the sentinel's log ---\n{log}---");
        }
    }
}
