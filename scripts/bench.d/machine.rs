//! The machine that all this runs on, and the versions of what runs on it.

use std::process::Command;
use std::{env, fs, thread};

use serde_json::{Map, Value, json};

use crate::support::Server;

/// What a reader must know to make sense of a number.
pub struct Machine {
    processor: String,
    cores: usize,
    memory_gib: u64,
    kernel: String,
    versions: Vec<(&'static str, String)>,
}

impl Machine {
    pub fn look() -> Self {
        Self {
            processor: field("/proc/cpuinfo", "model name").unwrap_or("of an unknown model".into()),
            cores: thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_gib(),
            kernel: kernel(),
            versions: versions(),
        }
    }

    /// In a line.
    pub fn line(&self) -> String {
        let versions: Vec<String> =
            self.versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!(
            "{}, {} cores, {} GiB, Linux {}; {}",
            self.processor,
            self.cores,
            self.memory_gib,
            self.kernel,
            versions.join(", ")
        )
    }

    /// As the charts read it.
    pub fn to_json(&self) -> Value {
        let versions: Map<String, Value> =
            self.versions.iter().map(|(name, version)| ((*name).into(), json!(version))).collect();
        json!({
            "date": output("date", &["--utc", "+%F"]),
            "commit": output("git", &["describe", "--always", "--dirty"]),
            "machine": {
                "processor": self.processor,
                "cores": self.cores,
                "memory_gib": self.memory_gib,
                "kernel": format!("Linux {}", self.kernel),
            },
            "versions": versions,
        })
    }
}

/// Of all that may be measured; what is not there is left out.
fn versions() -> Vec<(&'static str, String)> {
    let server = Server::builder().without_module().start();
    let valkey = server.info("valkey_version").map(|version| ("Valkey", version));
    let redis = server.info("redis_version").map(|version| ("Redis", version));
    let python = env::var("CACHE_GET_BENCH_ENV").unwrap_or_default() + "/bin/python";
    let of_library = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))";
    let others = [
        ("nginx", output("nginx", &["-v"])),
        ("Varnish", output("varnishd", &["-V"])),
        ("Python", output(&python, &["--version"])),
        ("redis-py", output(&python, &["-c", of_library, "redis"])),
        ("httpx", output(&python, &["-c", of_library, "httpx"])),
    ];
    let numbered = others.into_iter().filter_map(|(name, said)| Some((name, number(&said)?)));
    valkey.or(redis).into_iter().chain(numbered).collect()
}

/// The version's number in what a program says of itself.
fn number(said: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let words = said.split(|c| !is_part(c));
    words.map(str::to_owned).find(|word| word.contains('.') && word.len() > 2)
}

/// What a program says, on either stream; nothing if it is not there.
fn output(program: &str, arguments: &[&str]) -> String {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        return String::new();
    };
    let said = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    String::from_utf8_lossy(&said).trim().to_owned()
}

/// Its version, without what a distributor calls it.
fn kernel() -> String {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    release.split('-').next().unwrap_or_default().trim().to_owned()
}

fn memory_gib() -> u64 {
    let kib = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: u64 = kib.trim_end_matches(" kB").parse().unwrap_or(0);
    kib.div_ceil(1 << 20)
}

fn field(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
