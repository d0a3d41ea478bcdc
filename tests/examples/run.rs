//! Runs an example as its README says, and compares what it prints with what the README shows.
//!
//! A README shows a program in a fenced block: the command after `$ `, then its output, up to the next
//! command or the end of the block.
//!
//! ```text
//! $ python examples/images/run.py
//! everything that it prints
//! ```
//!
//! The test runs that very command, in the repository's folder, so that the two cannot drift apart. What
//! differs from run to run is masked ([`masked`]); all else must be the same, to the letter.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::support::{Server, signal};

/// How long an example may take before it is clear that it hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where `scripts/test` says that the examples' Python and node are.
const ENVIRONMENT: &str = "CACHE_GET_EXAMPLES_ENV";

/// Runs a command of a README (words between blanks, no quotes) against this server; its output.
pub fn run(server: &Server, command: &str) -> String {
    run_with(server, command, &[])
}

/// As [`run`], with more in the program's environment than `REDIS_URL`.
pub fn run_with(server: &Server, command: &str, variables: &[(&str, &OsStr)]) -> String {
    let words: Vec<&str> = command.split_whitespace().collect();
    let bin = environment().join("bin");
    let child = Command::new(bin.join(words[0]))
        .args(&words[1..])
        .current_dir(root())
        .env("REDIS_URL", format!("redis://127.0.0.1:{}", server.port()))
        .env("PATH", path_with(&bin))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1,localhost")
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot run {command}: {error}"));
    let pid = child.id();
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(child.wait_with_output()));
    let Ok(ended) = told.recv_timeout(PATIENCE) else {
        signal::try_send("TERM", pid); // it may end just now
        panic!("{command} did not end within {PATIENCE:?}");
    };
    let output = ended.expect("cannot read what it prints");
    let text = String::from_utf8(output.stdout).expect("it prints what is no text");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command}: {}\n{text}\n{errors}", output.status);
    text
}

/// A program of ours in Rust (an `[[example]]` of `Cargo.toml`): built, and where cargo says that it is.
pub fn program(name: &str) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsStr::new("cargo").to_owned());
    let output = Command::new(cargo)
        .args(["build", "--example", name, "--message-format=json-render-diagnostics"])
        .args(["--manifest-path", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")])
        .stderr(Stdio::inherit())
        .output()
        .expect("cannot run cargo");
    assert!(output.status.success(), "cargo build failed");
    let report = String::from_utf8(output.stdout).expect("cargo's report is text");
    let program = report.split('"').find(|text| text.ends_with(&format!("/examples/{name}")));
    PathBuf::from(program.expect("cargo named no program"))
}

/// Asserts that the README of the command's example shows this command with this output.
pub fn assert_as_shown(command: &str, output: &str) {
    let readme = readme_of(command);
    let text = fs::read_to_string(&readme)
        .unwrap_or_else(|error| panic!("no {}: {error}", readme.display()));
    let shown = shown(&text, command)
        .unwrap_or_else(|| panic!("{} shows no `$ {command}`", readme.display()));
    let (shown, printed) = (masked(&shown), masked(output));
    assert!(
        shown == printed,
        "{} shows, masked:\n\n{shown}\n\nand what {command} prints is, masked:\n\n{printed}\n\nas it is:\n\n{output}",
        readme.display()
    );
}

/// The numbers of a line that holds `before`: those that stand after it.
pub fn numbers_after(output: &str, before: &str) -> Vec<f64> {
    let line = output.lines().find_map(|line| Some(line.split_once(before)?.1));
    let line = line.unwrap_or_else(|| panic!("no {before:?} in:\n{output}"));
    line.split(|c: char| !c.is_ascii_digit() && c != '.').filter_map(|n| n.parse().ok()).collect()
}

/// The lines under `$ command`.
fn shown(readme: &str, command: &str) -> Option<String> {
    let prompt = format!("$ {command}");
    let lines = readme.lines().skip_while(|line| *line != prompt).skip(1);
    let output: Vec<&str> =
        lines.take_while(|line| !line.starts_with("```") && !line.starts_with("$ ")).collect();
    (!output.is_empty()).then(|| output.join("\n"))
}

/// The text without what differs from run to run: measurements (a number that `ms`, `s`, `x` or `/s`
/// follows), ports (after a colon) and processes (after `process `); and without the blanks that align it.
fn masked(text: &str) -> String {
    let line = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let masked: Vec<String> = words
            .iter()
            .enumerate()
            .map(|(n, word)| {
                mask(n.checked_sub(1).map(|n| words[n]), word, words.get(n + 1).copied())
            })
            .collect();
        masked.join(" ")
    };
    text.trim_end().lines().map(line).collect::<Vec<_>>().join("\n")
}

/// One word between its neighbours.
fn mask(before: Option<&str>, word: &str, after: Option<&str>) -> String {
    let bare = |word: &str| word.trim_matches(|c: char| "(),;.:".contains(c)).to_owned();
    let is_unit = |word: &str| ["ms", "s", "x", "/s"].contains(&word);
    let measures = after.is_some_and(|after| is_unit(&bare(after)));
    let is_process = before.is_some_and(|before| bare(before) == "process");
    let number = bare(word);
    if (measures || is_process) && !number.is_empty() && number.parse::<f64>().is_ok() {
        return word.replace(&number, "#");
    }
    mask_port(word)
}

/// `http://127.0.0.1:40123/a` as `http://127.0.0.1:#/a`.
fn mask_port(word: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let Some((head, tail)) = word.split_once(HOST) else { return word.to_owned() };
    let rest = tail.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{head}{HOST}#{rest}")
}

fn environment() -> PathBuf {
    let place = env::var_os(ENVIRONMENT);
    PathBuf::from(place.unwrap_or_else(|| {
        panic!("{ENVIRONMENT} is not set: run scripts/test examples, which installs what they need")
    }))
}

fn path_with(bin: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(bin.to_owned()).chain(env::split_paths(&path));
    env::join_paths(paths).expect("the PATH can be written")
}

/// `examples/images/README.md` of `python examples/images/run.py`.
fn readme_of(command: &str) -> PathBuf {
    let program = command.split_whitespace().find(|word| word.starts_with("examples/"));
    let program = program.unwrap_or_else(|| panic!("{command} runs nothing in examples/"));
    let folder = Path::new(program).parent().expect("a program lies in a folder");
    root().join(folder).join("README.md")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn only_what_differs_from_run_to_run_is_masked() {
    let text = "  3 of 8  in 12.5 ms, (process 4711) at http://127.0.0.1:40123/a.png  60 s";
    assert_eq!(masked(text), "3 of 8 in # ms, (process #) at http://127.0.0.1:#/a.png # s");
}

#[test]
fn a_readme_shows_the_lines_under_the_command() {
    let readme = "# It\n```\n$ python examples/a.py\none\ntwo\n$ ls\nthree\n```\n";
    assert_eq!(shown(readme, "python examples/a.py").as_deref(), Some("one\ntwo"));
    assert_eq!(shown(readme, "python examples/b.py"), None);
}
