//! What the operating system says about a process, and what the server says
//! about itself; and which processors they may use.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::client::bytes_of;
use crate::support::{Server, signal};

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

/// Processor seconds that the threads of a process have used so far, exact to the nanosecond (the
/// kernel's `proc/<pid>/schedstat`, of each thread that is still there).
pub fn cpu_seconds_of(pid: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let nanos = tasks.filter_map(|task| -> Option<f64> {
        let stat = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        stat.split_whitespace().next()?.parse().ok()
    });
    nanos.sum::<f64>() / 1e9
}

/// A process and those that it has started.
pub fn family(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .expect("Linux has it")
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name before these may hold blanks; it ends with the last parenthesis.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((pid, parent))
        })
        .collect();
    let mut family = vec![pid];
    let mut at = 0;
    while let Some(&of) = family.get(at) {
        family.extend(all.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid));
        at += 1;
    }
    family
}

/// Asks a process to end.
pub fn end(pid: u32) {
    signal::try_send("TERM", pid);
}

/// What a command is started with to have one processor, the first.
pub const ON_FIRST_CORE: [&str; 3] = ["taskset", "--cpu-list", "0"];

/// While this is there, this program keeps off the first processor, its origin as well, so that what is
/// measured has that one for itself. Where there is but one, nothing can be kept apart.
pub struct OffFirstCore;

impl OffFirstCore {
    pub fn begin() -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        if cores > 1 {
            set_own_cores(&format!("1-{}", cores - 1));
        }
        Self
    }
}

impl Drop for OffFirstCore {
    fn drop(&mut self) {
        set_own_cores("0-1023");
    }
}

fn set_own_cores(list: &str) {
    let pid = std::process::id().to_string();
    let mut command = Command::new("taskset");
    command.args(["--all-tasks", "--cpu-list", "--pid", list, &pid]);
    let done = command.output().expect("util-linux has taskset");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
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
    resident_kib_of(server.pid())
}

/// The same, of any process.
pub fn resident_kib_of(pid: u32) -> u64 {
    status(pid, "VmRSS:")
}

/// The most that it ever had.
pub fn peak_resident_kib(server: &Server) -> u64 {
    peak_resident_kib_of(server.pid())
}

/// The same, of any process.
pub fn peak_resident_kib_of(pid: u32) -> u64 {
    status(pid, "VmHWM:")
}

fn status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let value = status.lines().find_map(|line| line.strip_prefix(name)).expect("a known field");
    value.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

/// How busy the machine is with other things than this benchmark, from 0 to 1.
pub fn busy_elsewhere() -> f64 {
    busy_for(Duration::from_millis(500))
}

/// Waits until the machine has nothing to do: who had the last turn may still be tidying up after a thousand
/// clients, and that is not to be the next one's burden. Where something else keeps it busy, it is not waited for.
pub fn until_quiet() {
    let give_up = Instant::now() + Duration::from_secs(3);
    while busy_for(Duration::from_millis(50)) > 0.15 && Instant::now() < give_up {}
}

fn busy_for(span: Duration) -> f64 {
    let before = processor_ticks();
    thread::sleep(span);
    let after = processor_ticks();
    1.0 - (after.idle - before.idle) / (after.all - before.all).max(1.0)
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
