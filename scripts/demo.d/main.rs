//! What `scripts/demo` shows: workers that ask for pictures by `CACHE.GET`,
//! cold and warm, and fifty clients at once on one cold picture.
//!
//! The origin is in this process and deliberately slow, so that one sees when
//! it is asked. Every body is compared with the file it came from, and every
//! download is counted: a demo that does not show what it claims to show ends
//! with an error, not with a table.

#![allow(clippy::expect_used)] // a demo has nothing better to do than to say why it stops

#[path = "../../tests/support/mod.rs"]
mod support;

mod report;

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use report::{Row, load_it_yourself, table};
use support::{Client, Origin, Reply, Server};

const PICTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/demo.d/pictures");
const WORKERS: usize = 4;
const CROWD: usize = 50;
/// How long the origin takes for each picture, and for the one that the crowd wants.
const SLOW: Duration = Duration::from_millis(250);
const VERY_SLOW: Duration = Duration::from_secs(1);

/// A file that the origin serves.
struct Picture {
    name: String,
    url: String,
    bytes: Arc<[u8]>,
}

fn main() -> ExitCode {
    match show() {
        Ok(status) => status,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot show anything: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show() -> io::Result<ExitCode> {
    let origin = Origin::start();
    let server = Server::builder().release().start();
    let pictures = serve_pictures(&origin);
    let (port, site) = (server.port(), origin.url("/"));
    say(&format!("\nA server with the module is on port {port}, an origin at {site}.\n"))?;
    let rows = [workers(&server, &origin, &pictures)?, crowd(&server, &origin, &pictures[0])?];
    say(&format!("{}\n", table(&rows)))?;
    let wrong: Vec<String> = rows.iter().filter_map(Row::complaint).collect();
    if wrong.is_empty() {
        say(&format!("{}\n", load_it_yourself(&server.so())))?;
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("Something is wrong:\n  {}", wrong.join("\n  "));
    Ok(ExitCode::FAILURE)
}

/// Prints a text at once, a part of a line too. (`println!` panics if nobody reads it any more.)
fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Has the origin serve every file of the folder, slowly.
fn serve_pictures(origin: &Origin) -> Vec<Picture> {
    let mut files: Vec<_> = fs::read_dir(PICTURES)
        .expect("the pictures are in the repository")
        .map(|file| file.expect("the folder can be read").path())
        .collect();
    files.sort();
    files.iter().map(|file| serve(origin, file)).collect()
}

fn serve(origin: &Origin, file: &Path) -> Picture {
    let name = file.file_stem().expect("a picture has a name").to_string_lossy().into_owned();
    let bytes: Arc<[u8]> = fs::read(file).expect("a picture can be read").into();
    let path = path_of(&name);
    origin.on(&path, picture_reply(&bytes).delay(SLOW));
    Picture { url: origin.url(&path), name, bytes }
}

fn path_of(name: &str) -> String {
    format!("/pictures/{name}.png")
}

fn picture_reply(bytes: &[u8]) -> Reply {
    Reply::ok(bytes).header("Content-Type", "image/png")
}

/// The exercise of the tutorial that this command comes from: several workers,
/// each of which loops over all the pictures; and then the same again.
fn workers(server: &Server, origin: &Origin, pictures: &[Picture]) -> io::Result<Row> {
    let size: usize = pictures.iter().map(|picture| picture.bytes.len()).sum();
    say(&format!(
        "\n{WORKERS} workers, each over the same {} pictures ({} KiB); the origin takes {} ms for each:\n",
        pictures.len(),
        size / 1024,
        SLOW.as_millis(),
    ))?;
    let round = |title: &str| {
        say(&format!("  {title}"))?;
        let begun = Instant::now();
        thread::scope(|scope| {
            for worker in 0..WORKERS {
                scope.spawn(move || loop_over(server, pictures, worker == 0));
            }
        });
        let took = begun.elapsed();
        say("\n").map(|()| took)
    };
    let cold = round("cold:")?;
    let warm = round("warm:")?;
    Ok(Row {
        exercise: format!("{WORKERS} workers × {} pictures", pictures.len()),
        cold,
        warm,
        asked: 2 * WORKERS * pictures.len(),
        downloads: origin.total(),
        wanted: pictures.len() as u64,
    })
}

fn loop_over(server: &Server, pictures: &[Picture], tells: bool) {
    let mut client = server.client();
    for picture in pictures {
        get(&mut client, picture);
        if tells {
            say(&format!(" {}", picture.name)).ok(); // if nobody reads it, the end of the line tells
        }
    }
}

/// Fifty clients that want one picture in the same moment, and nobody has it.
fn crowd(server: &Server, origin: &Origin, picture: &Picture) -> io::Result<Row> {
    let path = path_of("wanted-by-all");
    origin.on(&path, picture_reply(&picture.bytes).delay(VERY_SLOW));
    let wanted = Picture {
        name: picture.name.clone(),
        url: origin.url(&path),
        bytes: Arc::clone(&picture.bytes),
    };
    say(&format!(
        "\n{CROWD} clients at once on one more picture; the origin takes {} ms for it:\n",
        VERY_SLOW.as_millis(),
    ))?;
    let mut clients = server.clients(CROWD);
    let mut round = |watch: fn(&Server) -> io::Result<()>| {
        let begun = Instant::now();
        for client in &mut clients {
            ask(client, &wanted);
        }
        watch(server)?;
        for client in &mut clients {
            check(client, &wanted);
        }
        io::Result::Ok(begun.elapsed())
    };
    let cold = round(|server| {
        server.until_gauge("cache_waiters", CROWD as u64);
        say(&format!(
            "  cold: {} clients wait, {} download is in the air ...\n",
            server.gauge("cache_waiters"),
            server.gauge("cache_flights"),
        ))
    })?;
    let warm = round(|_| Ok(()))?;
    say(&format!("  warm: all {CROWD} answered at once\n"))?;
    Ok(Row {
        exercise: format!("{CROWD} clients × 1 picture"),
        cold,
        warm,
        asked: 2 * CROWD,
        downloads: origin.hits(&path),
        wanted: 1,
    })
}

fn get(client: &mut Client, picture: &Picture) {
    ask(client, picture);
    check(client, picture);
}

fn ask(client: &mut Client, picture: &Picture) {
    client.send(&["CACHE.GET", &picture.url, "3600"]);
}

fn check(client: &mut Client, picture: &Picture) {
    let body = client.reply_bytes();
    assert!(body[..] == picture.bytes[..], "{} came back changed", picture.name);
}
