//! How often a body is copied between the socket and the keyspace, and by whom.
//!
//! valgrind's dhat puts itself in the place of `memcpy`, `memmove` and their like, in libc and so for everybody
//! who calls them: the server, its allocator, and Rust, which calls them for all copies whose length it does
//! not know. Two things would go by unseen, and are looked after:
//!
//! - *Reallocation.* valgrind has an allocator of its own, whose copies it does not count. The server keeps its
//!   own here (`nouserintercepts`), so that what growing costs is seen as it is.
//! - *Loops.* A decoder that moves byte by byte calls nobody. What is counted for a coded body is the least.
//!
//! That it counts right is seen by a number that is known: a flight with two waiters and a body above 64 KiB
//! copies that once more for both (in Rust), and once for the reply of each (in the server): thrice the body.

use std::collections::BTreeMap;
use std::fs;

use super::columns::Columns;
use super::dhat::{self, Site};
use super::tool::Tool;
use crate::support::{Gate, Origin, Reply};
use crate::table::{Bound, Row, Sample, Table, Unit, progress};
use crate::wire::body;

const SIZE: usize = 16 << 20;
/// What is copied at a place less than this is the server's start, and its doings beside.
const LEAST: u64 = SIZE as u64 / 50;

pub fn run(table: &mut Table) {
    // Half of its bits say something, so that there is something to decode.
    let hex: Vec<u8> =
        body(16, SIZE / 2).iter().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect();
    let plain = download("plain", &hex, Reply::ok(&hex), 0);
    let for_two = download("plain, for two", &hex, Reply::ok(&hex), 2);
    let chunked = download("chunked", &hex, Reply::ok(&hex).chunked(32 << 10), 0);
    let gzip = download("gzip", &hex, Reply::gzip(&hex), 0);

    let [mut measured, mut known] = [Sample::default(), Sample::default()];
    measured.add(times(&plain));
    table.add(&Row {
        what: "16 MiB into the keyspace: copies".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(2.5),
        measured,
        beside: format!(
            "without growing {:.2}; chunked {:.2}, gzip {:.2}",
            times(&plain) - of(&plain, &GROWING),
            times(&chunked),
            times(&gzip),
        ),
    });
    known.add((times(&for_two) - times(&plain) - 2.0).abs());
    table.add(&Row {
        what: "... for two who wait, from two more".into(),
        unit: Unit::Times,
        asked: Bound::AtMost(0.05),
        measured: known,
        beside: "that is how wrong dhat counts".into(),
    });
    for (how, sites) in [
        ("with a length", &plain),
        ("chunked", &chunked),
        ("gzip", &gzip),
        ("with a length, for two", &for_two),
    ] {
        let title = format!("copies of 16 MiB, {how}");
        let columns = Columns::begin(&title, 100, &["of the body", "calls"]);
        for (who, (bytes, calls)) in sites {
            let cells = [format!("{:.2}x", *bytes as f64 / SIZE as f64), calls.to_string()];
            columns.line(who, &cells);
        }
    }
    let columns = Columns::begin("and in the kernel", 100, &["of the body"]);
    columns.line("recv, from the socket: what comes over the wire, once", &["1.00x"]);
}

/// Who calls what, with bytes and calls.
type Sites = BTreeMap<String, (u64, u64)>;

/// What the allocators call moving a string to where there is more room.
const GROWING: [&str; 2] = ["realloc", "ralloc"];

fn times(sites: &Sites) -> f64 {
    of(sites, &[""])
}

/// The share of those whose name has one of these in it.
fn of(sites: &Sites, names: &[&str]) -> f64 {
    let is_one = |who: &str| names.iter().any(|name| who.contains(name));
    let bytes = sites.iter().filter(|(who, _)| is_one(who)).map(|(_, (bytes, _))| bytes);
    bytes.sum::<u64>() as f64 / SIZE as f64
}

/// Downloads it once, in a server of its own, with so many who wait for it.
fn download(how: &str, body: &[u8], reply: Reply, waiting: usize) -> Sites {
    progress(format_args!("counting copies, {how}"));
    let origin = Origin::start();
    let gate = Gate::closed();
    origin.on("/body", reply.gate(&gate));
    let url = origin.url("/body");
    let options = ["--mode=copy", "--soname-synonyms=somalloc=nouserintercepts"];
    let tool = Tool::start("dhat", &options, |builder| builder);
    let server = tool.server();
    let mut clients = server.clients(waiting);
    for client in &mut clients {
        client.send(&["CACHE.GET", &url, "60", "0"]);
    }
    if waiting == 0 {
        server.client().null(&["CACHE.GET", &url, "60", "0", "NOWAIT"]);
    }
    server.until_gauge("cache_waiters", waiting as u64);
    gate.open();
    for client in &mut clients {
        assert!(client.reply_bytes() == body);
    }
    server.until_gauge("cache_flights", 0);
    let length = server.client().int(&["STRLEN", &url]);
    assert!(usize::try_from(length).is_ok_and(|length| length > body.len()), "it is stored");
    drop(clients);
    let written = tool.end();
    let text = fs::read_to_string(&written.files[0]).expect("dhat has written");
    let sites = dhat::parse(&text).expect("dhat's own format");
    let mut merged = Sites::new();
    for site in sites.into_iter().filter(|site| site.bytes >= LEAST) {
        let (bytes, calls) = merged.entry(who(&site)).or_default();
        *bytes += site.bytes;
        *calls += site.times;
    }
    merged
}

/// Who copies: the innermost functions that have a name and are none of the standard library's.
fn who(site: &Site) -> String {
    const LIBRARIES: [&str; 5] =
        ["library/", "vgpreload", "???", "futures_util::io::read", "<&mut dyn"];
    let named =
        site.stack.iter().filter(|name| !LIBRARIES.iter().any(|library| name.contains(library)));
    let shortened = named.map(|name| {
        let name = name.replace(" (in /", " [");
        let short = name.split([' ', '[']).next().unwrap_or_default();
        let short = short.split('<').next().filter(|short| !short.is_empty());
        short.map_or_else(|| last_segment(&name), str::to_owned)
    });
    let mut words: Vec<String> = shortened.collect();
    words.dedup();
    words.truncate(4);
    words.join(" < ")
}

/// Of `<a::b::C<D> as e::F>::g (h.rs:1)`, `g`.
fn last_segment(name: &str) -> String {
    let name = name.split(" (").next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name).to_owned()
}
