//! Instructions of a hit inside the server's `call`, against those of `GET`, and the functions they are in.
//!
//! callgrind counts each instruction, so that the numbers are nearly the same in each run, whatever else the
//! machine does: where in its table the server finds a key is chance, so that many are asked for. What comes before and after `call`, reading the command and sending the reply, is the same for all.

use super::columns::Columns;
use super::tool::{Tool, output};
use crate::support::{Client, Origin, Reply, Value};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::body;

const SIZES: [usize; 3] = [64, 1 << 10, 16 << 10];
/// A string without an expiry is cheaper to find: it is what no cache would have stored, and told of beside.
const EVERLASTING: &str = "GET, no expiry";
const COMMANDS: [&str; 5] = ["GET", EVERLASTING, "CACHE.GET", "CACHE.PEEK", "CACHE.FETCH"];
/// The one whose functions are told of, and whose bound is the promise.
const PROMISED: (usize, &str) = (1 << 10, "CACHE.GET");
const KEYS: usize = 32;
const ROUNDS: usize = 16;
const CALLS: usize = KEYS * ROUNDS;
const TOP: usize = 14;

/// The command that has callgrind write down what it has counted since the last time: it does so where the
/// server enters the command's function.
const MARK: &[&str] = &["ECHO", "next"];
const OPTIONS: [&str; 3] =
    ["--collect-atstart=no", "--toggle-collect=call", "--dump-before=echoCommand"];

/// libc copies more than 2 KiB by one instruction, of which callgrind counts a step for each byte. So told, it
/// copies by vectors, as it does what is smaller.
const LIBC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=1073741824");

/// A profile that callgrind has written.
struct Counted {
    size: usize,
    command: &'static str,
    total: f64,
    by_function: Vec<(String, f64)>,
}

pub fn run(table: &mut Table) {
    let counted = count();
    let of = |size, command| {
        let is_it = |one: &&Counted| one.size == size && one.command == command;
        counted.iter().find(is_it).expect("it was counted")
    };
    let (get, ours) = (of(PROMISED.0, "GET"), of(PROMISED.0, PROMISED.1));
    let mut measured = Sample::default();
    measured.add(ours.total / get.total);
    table.add(&Row {
        what: "instructions per hit against GET, 1 KiB".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(1.45),
        measured,
        beside: format!(
            "GET {:.0}, CACHE.GET {:.0}; of a string without expiry {}",
            get.total,
            ours.total,
            Unit::Times.write(ours.total / of(PROMISED.0, EVERLASTING).total),
        ),
    });
    let heads = ["64 B", "of GET", "1 KiB", "of GET", "16 KiB", "of GET"];
    let columns = Columns::begin("instructions in `call`", 44, &heads);
    for command in COMMANDS {
        let cells = SIZES.map(|size| {
            let (one, get) = (of(size, command), of(size, "GET"));
            [format!("{:.0}", one.total), format!("{:.2}x", one.total / get.total)]
        });
        columns.line(command, &cells.concat());
    }
    drop(columns);
    by_function(ours, get);
}

fn by_function(ours: &Counted, get: &Counted) {
    let columns = Columns::begin("CACHE.GET of 1 KiB, by function", 60, &["itself", "in GET"]);
    for (name, itself) in ours.by_function.iter().take(TOP) {
        let in_get = get.by_function.iter().find(|(other, _)| other == name);
        let in_get = in_get.map_or(String::new(), |(_, itself)| format!("{itself:.0}"));
        columns.line(&shortened(name, 58), &[format!("{itself:.0}"), in_get]);
    }
    drop(columns);
    let columns = Columns::begin("and by library", 60, &["itself", "in GET"]);
    let [ours, get] = [by_library(ours), by_library(get)];
    for (name, itself) in &ours {
        let in_get = get.iter().find(|(other, _)| other == name).map_or(0.0, |(_, itself)| *itself);
        columns.line(name, &[*itself, in_get].map(|count| format!("{count:.0}")));
    }
}

fn by_library(counted: &Counted) -> Vec<(String, f64)> {
    merged(counted.by_function.iter().map(|(name, itself)| {
        let library = name.rsplit_once(" [").map_or("?", |(_, library)| library);
        (library.trim_end_matches(']').to_owned(), *itself)
    }))
}

/// All commands at all sizes, in one server.
fn count() -> Vec<Counted> {
    progress("counting instructions of hits");
    let origin = Origin::start();
    let tool = Tool::start("callgrind", &OPTIONS, |builder| builder.env(LIBC.0, LIBC.1));
    let server = tool.server();
    let mut client = server.client();
    let keys = SIZES.map(|size| [(); KEYS].map(|()| Keys::new(size, &origin, &mut client)));
    let mut counted = vec![];
    for (size, keys) in SIZES.into_iter().zip(&keys) {
        for command in COMMANDS {
            // The server shrinks the reply buffer of a client that has been there for some seconds.
            let mut client = server.client();
            hit(&mut client, command, keys, 2); // what happens only the first time
            client.bytes(MARK);
            hit(&mut client, command, keys, ROUNDS);
            client.bytes(MARK);
            counted.push((size, command));
        }
    }
    let written = tool.end();
    // Of each two, the first is what led up to the mark before the calls.
    let profiles = written.files.iter().skip(1).step_by(2);
    let read = |((size, command), file): ((usize, &'static str), &std::path::PathBuf)| {
        let file = file.to_str().expect("the path is text");
        let text = output("callgrind_annotate", &["--auto=no", "--threshold=100", file]);
        let (total, by_function) = parse(&text).expect("callgrind_annotate has printed its table");
        Counted { size, command, total, by_function }
    };
    counted.into_iter().zip(profiles).map(read).collect()
}

/// A body, stored in each way.
struct Keys {
    url: String,
    expiring: String,
    everlasting: String,
}

impl Keys {
    fn new(size: usize, origin: &Origin, client: &mut Client) -> Self {
        let path = format!("/{size:05}/{:04}", origin.total());
        let body = body(origin.total(), size);
        origin.on(&path, Reply::ok(&body).header("Content-Type", "image/png"));
        let url = origin.url(&path);
        assert!(client.bytes(&["CACHE.GET", &url]) == body);
        // Keys as long as the URL.
        let expiring = url.replace("http", "with");
        let everlasting = url.replace("http", "none");
        client.ok(&[b"SET", expiring.as_bytes(), &body, b"EX", b"3600"]);
        client.ok(&[b"SET", everlasting.as_bytes(), &body]);
        Self { url, expiring, everlasting }
    }

    fn call(&self, command: &'static str) -> [&str; 2] {
        match command {
            "GET" => ["GET", &self.expiring],
            EVERLASTING => ["GET", &self.everlasting],
            _ => [command, &self.url],
        }
    }
}

fn hit(client: &mut Client, command: &'static str, keys: &[Keys], rounds: usize) {
    for key in (0..rounds).flat_map(|_| keys) {
        assert_ne!(client.call(&key.call(command)), Ok(Value::Nil), "a hit");
    }
}

/// The total, and the functions with the instructions in each itself, a call.
fn parse(text: &str) -> Option<(f64, Vec<(String, f64)>)> {
    let count = |line: &str| {
        let number = line.split_whitespace().next()?.replace(',', "");
        Some(number.parse::<f64>().ok()? / CALLS as f64)
    };
    let mut lines = text.lines();
    let total = count(lines.find(|line| line.ends_with("PROGRAM TOTALS"))?)?;
    let functions = lines.filter_map(|line| {
        let (_, place) = line.split_once("%)  ")?;
        let name = place.trim().split_once(':').map_or(place, |(_, name)| name);
        let itself = count(line)?;
        // What was entered before counting began is listed with all that it calls.
        (itself < total).then(|| (without_object(name), itself))
    });
    Some((total, merged(functions)))
}

/// A function stands once for each source file that was inlined into it, and once with its library.
fn merged(functions: impl Iterator<Item = (String, f64)>) -> Vec<(String, f64)> {
    let mut merged: Vec<(String, f64)> = vec![];
    for (name, itself) in functions {
        match merged.iter_mut().find(|(known, _)| bare(known) == bare(&name)) {
            Some((known, sum)) => {
                *sum += itself;
                if name.len() > known.len() {
                    *known = name;
                }
            }
            None => merged.push((name, itself)),
        }
    }
    merged.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    merged
}

fn bare(name: &str) -> &str {
    name.rsplit_once(" [").map_or(name, |(name, _)| name)
}

/// Its object's path shortened to the file's name.
fn without_object(name: &str) -> String {
    match name.rsplit_once(" [") {
        Some((name, object)) => {
            let file = object.trim_end_matches(']').rsplit('/').next().unwrap_or_default();
            // Debian's server is a link to one of its tools.
            let is_server = ["redis-", "valkey-"].iter().any(|name| file.starts_with(name));
            let file = if is_server { "server" } else { file };
            format!("{name} [{file}]")
        }
        None => name.to_owned(),
    }
}

fn shortened(name: &str, most: usize) -> String {
    if name.chars().count() <= most {
        return name.to_owned();
    }
    name.chars().take(most - 1).chain(['…']).collect()
}
