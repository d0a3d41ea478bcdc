//! What the operating system, and the server itself, say about the server.

use std::fs;
use std::thread;
use std::time::Duration;

use crate::support::Server;
use crate::support::client::bytes_of;

/// Processor seconds that the server has used so far, all its threads together.
///
/// The server's own count, by `getrusage`: exact to the microsecond, where
/// `/proc/<pid>/stat` goes by hundredths.
pub fn cpu_seconds(server: &Server) -> f64 {
    let info = server.call(&["INFO", "cpu"]).expect("INFO answers");
    let info = String::from_utf8(bytes_of(info)).expect("INFO is text");
    let field = |name: &str| -> f64 {
        let value = info.lines().find_map(|line| line.strip_prefix(name));
        value.expect("the field is there").parse().expect("it is a number")
    };
    field("used_cpu_user:") + field("used_cpu_sys:")
}

/// Microseconds that the server has spent in this command since `CONFIG RESETSTAT`.
pub fn command_micros(server: &Server, command: &str) -> f64 {
    let stats = server.info(&format!("cmdstat_{command}")).expect("the command was called");
    let micros = stats.split(',').find_map(|field| field.strip_prefix("usec="));
    micros.expect("it is counted").parse().expect("it is a number")
}

/// Threads of the server's process, but for those that its allocator starts when it sees fit.
pub fn threads(server: &Server) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| !name.starts_with("jemalloc_bg"))
        .count()
}

/// Files, and so connections, that the server has open.
pub fn open_files(server: &Server) -> usize {
    fs::read_dir(format!("/proc/{}/fd", server.pid())).expect("it runs").count()
}

/// Kibibytes of memory that the process has resident now.
pub fn resident_kib(server: &Server) -> u64 {
    status(server, "VmRSS:")
}

/// The most that it ever had.
pub fn peak_resident_kib(server: &Server) -> u64 {
    status(server, "VmHWM:")
}

fn status(server: &Server, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("it runs");
    let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a known field");
    value.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

/// The processor's name.
pub fn model() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    model.unwrap_or("of an unknown model").to_owned()
}

/// How busy the machine is with other things than this benchmark, from 0 to 1.
pub fn busy_elsewhere() -> f64 {
    let before = processor_ticks();
    thread::sleep(Duration::from_millis(500));
    let after = processor_ticks();
    1.0 - (after.idle - before.idle) / (after.all - before.all)
}

struct Ticks {
    idle: f64,
    all: f64,
}

fn processor_ticks() -> Ticks {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let all = stat.lines().next().unwrap_or_default();
    let ticks: Vec<f64> = all.split_whitespace().skip(1).flat_map(str::parse).collect();
    Ticks { idle: ticks.iter().skip(3).take(2).sum(), all: ticks.iter().take(8).sum() }
}
