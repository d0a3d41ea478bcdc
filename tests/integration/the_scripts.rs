//! The scripts: what they say and do on machines that are not this one, played with programs that stand in for the
//! machine's own; and that the list of what other servers are not tested with names tests that there are.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::docs::root;
use crate::support::tmp::TempDir;

/// A machine where some programs are others: a folder that comes first in the `PATH`.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        let machine = Self(TempDir::new());
        // Whatever is found missing, nothing is to be installed by a test.
        for installer in ["apt-get", "sudo", "rustup", "curl"] {
            machine.has(installer, "exit 1");
        }
        machine
    }

    /// Puts a program there, which is a shell script.
    fn has(&self, name: &str, script: &str) {
        let file = self.0.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// One with this version of Rust, whose cargo does everything with this exit code.
    fn with_rust(version: &str, exit_code: u8) -> Self {
        let machine = Self::new();
        machine.has("rustc", &format!("echo 'rustc {version} (0123456 2026-01-01)'"));
        for program in ["cargo", "cargo-fmt", "cargo-clippy"] {
            machine.has(
                program,
                &format!(
                    "[ \"$1\" != --version ] || exit 0\necho ran: {program} $*\nexit {exit_code}"
                ),
            );
        }
        machine.has("shellcheck", "exit 0");
        machine
    }

    fn command(&self, script: &Path) -> Command {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("bash");
        command
            .arg(script)
            .env("PATH", format!("{}:{path}", self.0.path().display()))
            .env("CARGO_HOME", self.0.path().join("cargo"))
            .env("CARGO_TARGET_DIR", self.0.path().join("target"))
            .env("TMPDIR", self.0.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        self.command(&root().join("scripts").join(script)).args(arguments).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn asked_for_help_a_script_says_how_it_is_called_and_does_nothing_else() {
    let machine = Machine::with_rust("1.95.0", 0);
    for script in ["bench", "check-memory", "demo", "servers", "test"] {
        for flag in ["--help", "-h"] {
            let output = machine.run(script, &[flag]);
            let said = said(&output);
            assert!(output.status.success(), "{script}: {said}");
            assert!(said.contains(&format!("\n  scripts/{script}")), "{script}: {said}");
            assert!(!said.contains("ran: "), "{script}: {said}");
        }
    }
    for script in ["check-memory", "demo", "servers", "test"] {
        let output = machine.run(script, &["--no-such-thing"]);
        assert_eq!(output.status.code(), Some(2), "{script}: {}", said(&output));
        assert!(!said(&output).contains("ran: "), "{script}");
    }
}

#[test]
fn what_another_rust_finds_is_shown_and_fails_no_check() {
    let known = Machine::with_rust("1.95.1", 1).run("test", &["lint"]);
    assert!(!known.status.success(), "{}", said(&known));
    for other in ["1.99.0", "1.96.0-nightly", "1.88.0"] {
        let output = Machine::with_rust(other, 1).run("test", &["lint"]);
        let said = said(&output);
        assert!(output.status.success(), "{other}: {said}");
        for check in ["ran: cargo fmt", "ran: cargo clippy", "the check goes on", "All good"] {
            assert!(said.contains(check), "{other}: no {check:?} in {said}");
        }
    }
}

#[test]
fn a_server_that_cannot_be_had_is_skipped_aloud_and_missed_if_it_was_named() {
    let machine = Machine::with_rust("1.95.0", 0);
    let output = machine.run("test", &["servers"]);
    let all = said(&output);
    assert!(output.status.success(), "{all}");
    for name in ["redis-trixie", "valkey-trixie"] {
        assert!(all.contains(&format!("== {name}: SKIPPED")), "{all}");
    }
    assert!(!all.contains("sid") && !all.contains("experimental"), "{all}");

    let output = machine.run("test", &["servers", "valkey-sid"]);
    assert!(!output.status.success(), "{}", said(&output));

    let folder = machine.0.path().join("servers");
    let output = machine.run("servers", &[folder.to_str().unwrap(), "redis-sid"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("redis-sid cannot be had: "), "{}", said(&output));
    let output = machine.run("servers", &[folder.to_str().unwrap(), "redis-7"]);
    assert!(said(&output).starts_with("There is no server 'redis-7'"), "{}", said(&output));
}

/// It says more than anybody reads, and then runs something that would never end.
const TALKER: &str = "#!/usr/bin/env bash
set -euo pipefail
source \"$LIBRARY/run.sh\"
source \"$LIBRARY/setup.sh\"
say \"$TMPDIR\"
for line in {1..100000}; do say \"$line\"; done
run sleep 1000
";

#[test]
fn a_script_whose_reader_hangs_up_ends_without_a_word_and_leaves_nothing() {
    let machine = Machine::new();
    let script = machine.0.path().join("talker");
    fs::write(&script, TALKER).unwrap();
    let mut command = machine.command(&script);
    command.env("LIBRARY", root().join("scripts/lib"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut folder = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut folder).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), said(&output)), (Some(141), String::new()));
    let folder = PathBuf::from(folder.trim());
    assert!(folder.is_absolute() && !folder.exists(), "{} is left", folder.display());
}

#[test]
fn the_list_of_what_other_servers_are_not_tested_with_names_tests_that_there_are() {
    let list =
        fs::read_to_string(root().join("tests/integration/not_on_every_server.txt")).unwrap();
    let main = fs::read_to_string(root().join("tests/integration/main.rs")).unwrap();
    let themes: Vec<_> =
        main.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect();
    let left_out: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(left_out.len() > 10, "where is the list?");
    for line in left_out {
        let (theme, name) = line.split_once("::").unwrap_or_else(|| panic!("no theme: {line:?}"));
        assert!(themes.contains(&theme), "there is no theme {theme}");
        let source = root().join(format!("tests/integration/{theme}.rs"));
        let source = fs::read_to_string(source).unwrap();
        let is_there = match name {
            "" => source.contains("#[test]"),
            _ => source.contains(&format!("fn {name}(")),
        };
        assert!(is_there, "there is no test {line}");
        // The runner leaves out each test whose path has this text in it.
        let is_whole = name.is_empty();
        for other in themes.iter().filter(|&&other| is_whole && other != theme) {
            assert!(!format!("{other}::").contains(&format!("{theme}::")), "{line} hits {other}");
        }
    }
}

#[test]
fn no_test_runs_a_program_that_a_bare_system_lacks() {
    fn look(folder: &Path, seen: &mut usize) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                look(&path, seen);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = fs::read_to_string(&path).unwrap();
                let begins = concat!("Command::", "new(\"");
                for program in
                    source.split(begins).skip(1).filter_map(|rest| rest.split('"').next())
                {
                    *seen += 1;
                    let place = path.display();
                    assert!(["sh", "bash"].contains(&program), "{place} runs {program}");
                }
            }
        }
    }
    let mut seen = 0;
    look(&root().join("tests"), &mut seen);
    assert!(seen > 1, "is this the right place?");
}
