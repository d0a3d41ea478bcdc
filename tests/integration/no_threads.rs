//! A system that gives no more threads.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use crate::scene::{BODY, Scene};
use crate::support::server::Builder;
use crate::support::{Reply, Server, module, until};

/// What makes a program another user's: a limit on threads does not hold for the superuser.
fn becoming_nobody() -> &'static [&'static str] {
    let user = fs::metadata("/proc/self").expect("no /proc").uid();
    if user == 0 { &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] } else { &[] }
}

/// Whether that user gets at the module and the server; where a home is closed to others it does not.
fn nobody_gets_there() -> bool {
    let server = std::env::var("CACHE_GET_SERVER").unwrap_or_default();
    let files = [module::path_text(), server];
    let there = files.iter().filter(|file| file.contains('/')).all(|file| {
        let words = [becoming_nobody(), &["sh", "-c", "test -r \"$0\"", file]].concat();
        let looked = Command::new(words[0]).args(&words[1..]).status();
        looked.expect("cannot run sh").success()
    });
    if !there {
        eprintln!("skipped: another user cannot read {}", files.join(" or "));
    }
    there
}

fn as_nobody(server: Builder) -> Builder {
    // The folder that a test has may be closed to that user; this one is open, and nothing is written there.
    server.dir("/").under(becoming_nobody())
}

/// Sets how many threads the server's user may have.
fn limit(server: &Server, most: &str) {
    let (limit, pid) = (format!("--nproc={most}:"), server.pid().to_string());
    let words = [becoming_nobody(), &["prlimit", "--pid", &pid, &limit]].concat();
    let done = Command::new(words[0]).args(&words[1..]).output().expect("cannot run prlimit");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_download_that_gets_no_thread_fails_at_once() {
    if !nobody_gets_there() {
        return;
    }
    let mut scene = Scene::with(as_nobody);
    let url = scene.serve("/a", Reply::ok(BODY));
    limit(&scene.server, "1");
    let others = (0..20).map(|n| scene.origin.url(&format!("/{n}"))).collect::<Vec<_>>();
    for url in others.iter().chain([&url]) {
        let error = scene.client.error(&["CACHE.GET", url, "60", "0"]);
        assert!(error.starts_with("FETCHFAILED no thread"), "{error}");
        assert!(error.contains("ulimit -u"), "{error}");
    }
    assert_eq!(scene.server.gauge("cache_flights"), 0);
    // The log says so once, and calls it no fault of the module's.
    let log = scene.server.log();
    assert_eq!(log.matches("no thread for the download").count(), 1, "{log}");
    assert!(log.contains("download of ") && !log.contains("internal error"), "{log}");
    limit(&scene.server, "1000");
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
    assert_eq!(scene.origin.hits("/a"), 1);
}

/// The names of a process's threads, but for those that an allocator starts when it likes.
fn threads_of(pid: u32) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process is gone");
    let names =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<_> = names.filter(|name| !name.starts_with("jemalloc")).collect();
    names.sort();
    names
}

#[test]
fn a_load_that_gets_no_thread_fails_and_leaves_nothing_behind() {
    if !nobody_gets_there() {
        return;
    }
    let mut scene = Scene::with(|server| as_nobody(server.without_module()));
    let url = scene.serve("/a", Reply::ok(BODY));
    let library = module::path_text();
    let load =
        [
            &["MODULE", "LOADEX", &library],
            &[
                "CONFIG",
                "cache.allowed-networks",
                "127.0.0.0/8",
                "CONFIG",
                "cache.allowed-ports",
                "",
            ][..],
        ]
        .concat();
    let pid = scene.server.pid();
    let before = threads_of(pid);
    for _ in 0..3 {
        limit(&scene.server, "1");
        scene.client.error(&load);
        // The server's own may get their names meanwhile, by which an allocator's are told apart.
        until("no thread to be left", || threads_of(pid).len() <= before.len());
        scene.client.error(&["CONFIG", "SET", "cache.max-waiters", "1"]);
        limit(&scene.server, "1000");
    }
    scene.server.until_log("not loaded: no ");
    // Nobody is told any more of what happens in the server.
    scene.client.ok(&["FLUSHALL"]);
    assert!(scene.client.call(&load).is_ok());
    assert_eq!(scene.client.text(&["CACHE.GET", &url]), BODY);
}
