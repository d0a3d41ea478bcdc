//! What the kernel says of each thread: how long it ran, and how often it gave way to another.

use std::collections::BTreeMap;
use std::fs;
use std::ops::{AddAssign, Sub};
use std::path::Path;

/// What the threads of one name have used so far.
#[derive(Clone, Copy, Default)]
pub struct Used {
    pub threads: f64,
    /// Microseconds on a processor.
    pub micros: f64,
    /// Microseconds that they were ready to run, and had none.
    pub waited: f64,
    /// Hundredths of a second: in our own code, and in the kernel.
    pub user: f64,
    pub kernel: f64,
    /// Context switches: because there was nothing to do, and because others were to run.
    pub voluntary: f64,
    pub involuntary: f64,
}

/// All threads of a process, by their names.
#[derive(Clone, Default)]
pub struct Threads(pub BTreeMap<String, Used>);

impl Threads {
    /// Of the process with this id, or `self`. Those that have ended are not in it.
    pub fn of(process: &str) -> Self {
        let mut threads = Self::default();
        let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
        for task in tasks.flatten() {
            // A thread may end while it is looked at.
            if let Some((name, used)) = look(&task.path()) {
                *threads.0.entry(name).or_default() += used;
            }
        }
        threads
    }

    /// What they have used since `before`.
    pub fn since(self, before: &Self) -> BTreeMap<String, Used> {
        let less = |(name, used): (String, Used)| {
            let before = before.0.get(&name).copied().unwrap_or_default();
            (name, used - before)
        };
        self.0.into_iter().map(less).collect()
    }
}

fn look(task: &Path) -> Option<(String, Used)> {
    let read = |name| fs::read_to_string(task.join(name)).ok();
    let name = read("comm")?.trim().to_owned();
    let times: Vec<f64> = read("schedstat")?.split_whitespace().flat_map(str::parse).collect();
    let stat = read("stat")?;
    let (_, stat) = stat.rsplit_once(") ")?;
    let ticks: Vec<f64> = stat.split_whitespace().skip(11).take(2).flat_map(str::parse).collect();
    let status = read("status")?;
    let field = |name: &str| -> Option<f64> {
        status.lines().find_map(|line| line.strip_prefix(name))?.trim().parse().ok()
    };
    let used = Used {
        threads: 1.0,
        micros: times.first()? / 1e3,
        waited: times.get(1)? / 1e3,
        user: *ticks.first()?,
        kernel: *ticks.get(1)?,
        voluntary: field("voluntary_ctxt_switches:")?,
        involuntary: field("nonvoluntary_ctxt_switches:")?,
    };
    Some((name, used))
}

impl AddAssign for Used {
    fn add_assign(&mut self, other: Self) {
        self.threads += other.threads;
        self.micros += other.micros;
        self.waited += other.waited;
        self.user += other.user;
        self.kernel += other.kernel;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// How many threads there are is no count, and stays as it is now.
impl Sub for Used {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            threads: self.threads,
            micros: self.micros - before.micros,
            waited: self.waited - before.waited,
            user: self.user - before.user,
            kernel: self.kernel - before.kernel,
            voluntary: self.voluntary - before.voluntary,
            involuntary: self.involuntary - before.involuntary,
        }
    }
}
