//! The architecture's three rings, held by reading the source: `cache/` is
//! pure, `server/` alone speaks to the server, `origin/` alone to origins.

use std::fs;
use std::path::Path;

/// A ring: the part of `src/` it is, what of the crate it knows, and what else it must not name.
struct Ring {
    folder: &'static str,
    knows: &'static [&'static str],
    never: &'static [&'static str],
}

const ALL: &[&str] =
    &["cache", "clock", "commands", "config", "flight", "module", "origin", "server"];

const RINGS: [Ring; 6] = [
    Ring {
        folder: "cache",
        knows: &["cache"],
        never: &[
            "redis_module",
            "reqwest",
            "tokio",
            "std::net::Tcp",
            "std::fs",
            "SystemTime",
            "Instant::now",
            "thread::",
            "unsafe",
        ],
    },
    Ring { folder: "server", knows: &["cache", "server"], never: &["reqwest", "tokio"] },
    Ring { folder: "origin", knows: &["cache", "origin"], never: &["redis_module", "unsafe"] },
    Ring {
        folder: "commands",
        knows: &["cache", "clock", "config", "flight", "module", "server"],
        never: &["reqwest", "redis_module", "unsafe"],
    },
    Ring {
        folder: "flight",
        knows: &["cache", "clock", "config", "flight", "module", "server"],
        never: &["reqwest", "redis_module", "unsafe"],
    },
    Ring { folder: "", knows: ALL, never: &["static mut", "reqwest::Client", "extern crate"] },
];

/// Calls `look` with each source file below a folder: its path and its code,
/// without comments and unit tests.
fn each_file(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for entry in fs::read_dir(folder).unwrap_or_else(|_| panic!("no {}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            each_file(&path, look);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).unwrap();
            look(&path, &without_comments(source.split("#[cfg(test)]\nmod").next().unwrap()));
        }
    }
}

fn without_comments(source: &str) -> String {
    let code = source.lines().map(|line| line.split("//").next().unwrap_or(""));
    code.collect::<Vec<_>>().join("\n")
}

#[test]
fn no_file_names_what_its_ring_does_not_know() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for Ring { folder, knows, never } in RINGS {
        each_file(&src.join(folder), &mut |path, code| {
            seen += 1;
            for word in never {
                assert!(!code.contains(word), "{} must not name {word}", path.display());
            }
            for rest in code.split("crate::").skip(1) {
                let part = rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next();
                let part = part.unwrap_or_default();
                assert!(knows.contains(&part), "{} must not name crate::{part}", path.display());
            }
        });
    }
    assert!(seen > 10, "only {seen} files: is this the right place?");
}

/// The files that read the time of day: for what is stored, which goes by it. It may be set, forward and back; what
/// lives in memory alone must not notice, and goes by `clock::monotonic`.
const TIME_OF_DAY: [&str; 4] = [
    "config.rs",        // whether an expiry ends in reach
    "flight/answer.rs", // what is stored, judged
    "flight/filled.rs", // the moments of what is stored
    "flight/lease.rs",  // what is stored, judged
];

#[test]
fn the_time_of_day_is_read_for_what_is_stored_alone() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut reading = Vec::new();
    each_file(&src, &mut |path, code| {
        if code.contains("clock::now()") {
            reading.push(path.strip_prefix(&src).unwrap().display().to_string());
        }
    });
    reading.sort();
    assert_eq!(reading, TIME_OF_DAY);
}

#[test]
fn every_file_opens_with_its_purpose_and_none_is_a_tome() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    each_file(&src, &mut |path, _| {
        let source = fs::read_to_string(path).unwrap();
        assert!(source.starts_with("//!"), "{} does not say what it is for", path.display());
        let lines = source.lines().count();
        assert!(lines <= 600, "{} has {lines} lines", path.display());
    });
}
