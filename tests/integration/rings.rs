//! The architecture's three rings, held by reading the source: `cache/` is
//! pure, `server/` alone speaks to the server, `origin/` alone to origins.

use std::fs;
use std::path::Path;

/// A part of `src/`, and what none of its files may name.
const RULES: [(&str, &[&str]); 6] = [
    (
        "cache",
        &[
            "redis_module",
            "reqwest",
            "tokio",
            "crate::server",
            "crate::origin",
            "crate::commands",
            "crate::module",
            "crate::config",
            "SystemTime",
            "Instant::now",
            "thread::",
            "unsafe",
        ],
    ),
    ("server", &["reqwest", "crate::origin", "crate::commands"]),
    ("origin", &["redis_module", "crate::server", "crate::commands", "unsafe"]),
    ("commands", &["reqwest", "redis_module", "unsafe"]),
    ("flight", &["reqwest", "redis_module", "unsafe"]),
    ("", &["static mut", "reqwest::Client", "extern crate"]),
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
    for (folder, forbidden) in RULES {
        each_file(&src.join(folder), &mut |path, code| {
            seen += 1;
            for word in forbidden {
                assert!(!code.contains(word), "{} must not name {word}", path.display());
            }
        });
    }
    assert!(seen > 10, "only {seen} files: is this the right place?");
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
