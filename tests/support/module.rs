//! Builds the module: `cargo test` compiles tests, not the library that a
//! server loads, so this runs `cargo build` itself, once a process.
//!
//! `CACHE_GET_MODULE` names a library to use instead, and
//! `CACHE_GET_PROFILE=release` (or whoever starts the server) asks for the
//! release build.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The module's library, built as the environment asks.
pub fn path() -> PathBuf {
    path_of(env::var("CACHE_GET_PROFILE").is_ok_and(|profile| profile == "release"))
}

/// The module's library of the release build.
pub fn release_path() -> PathBuf {
    path_of(true)
}

/// The path as text, for `MODULE LOAD`.
pub fn path_text() -> String {
    let text = path().into_os_string().into_string();
    text.expect("the library's path is not text")
}

fn path_of(release: bool) -> PathBuf {
    static DEV: OnceLock<PathBuf> = OnceLock::new();
    static RELEASE: OnceLock<PathBuf> = OnceLock::new();
    if let Some(given) = env::var_os("CACHE_GET_MODULE") {
        return PathBuf::from(given);
    }
    let built = if release { &RELEASE } else { &DEV };
    built.get_or_init(|| build(release)).clone()
}

/// Runs `cargo build` and takes the artefact's path from what it reports, so
/// that every way of moving the target folder is honoured.
fn build(release: bool) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--lib", "--message-format=json-render-diagnostics"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .stderr(Stdio::inherit());
    if release {
        command.arg("--release");
    }
    let output = command.output().expect("cannot run cargo");
    assert!(output.status.success(), "cargo build failed");
    artefact(&String::from_utf8_lossy(&output.stdout)).expect("cargo named no module library")
}

/// The quoted path in cargo's report that ends in the library's file name.
fn artefact(report: &str) -> Option<PathBuf> {
    let name = format!("{}cache_get{}", env::consts::DLL_PREFIX, env::consts::DLL_SUFFIX);
    report
        .split('"')
        .find(|text| text.ends_with(&name) && text.contains(std::path::MAIN_SEPARATOR))
        .map(PathBuf::from)
}
