//! Downloads pictures through CACHE.GET, with redis-rs.
//!
//! ```text
//! cargo run --example images_worker FOLDER
//! ```
//!
//! Each line of standard input is a job: the URLs of some pictures. The worker
//! saves them in the folder and answers with a line that tells how long it took.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;
use std::{env, fs, io, thread};

use redis::Connection;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Seconds that a picture stays in Redis.
const EXPIRY: u32 = 60;
/// Seconds that we wait for one.
const TIMEOUT: u32 = 5;
const CALLS_AT_ONCE: usize = 4;

/// The picture: from Redis, which asks the origin only if it must. No lock, no second look.
fn download(cache: &mut Connection, url: &str) -> Outcome<Vec<u8>> {
    let body: Option<Vec<u8>> =
        redis::cmd("CACHE.GET").arg(url).arg(EXPIRY).arg(TIMEOUT).query(cache)?;
    body.ok_or_else(|| format!("no {url} within {TIMEOUT} s").into())
}

fn save(cache: &mut Connection, url: &str, folder: &Path) -> Outcome<()> {
    let name = url.rsplit('/').next().unwrap_or(url);
    Ok(fs::write(folder.join(name), download(cache, url)?)?)
}

/// Saves all of them, with every connection at work. A call that waits for a download keeps its
/// connection busy, as `BLPOP` does; so each thread has one of its own.
fn save_all(connections: &mut [Connection], urls: &[&str], folder: &Path) -> Outcome<()> {
    let share = urls.len().div_ceil(connections.len()).max(1);
    thread::scope(|scope| {
        let threads: Vec<_> = connections
            .iter_mut()
            .zip(urls.chunks(share))
            .map(|(cache, urls)| {
                scope.spawn(move || urls.iter().try_for_each(|url| save(cache, url, folder)))
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| "a thread panicked")?)
    })
}

fn main() -> Outcome<()> {
    let folder = PathBuf::from(env::args().nth(1).ok_or("where to? give a folder")?);
    let server = env::var("REDIS_URL").unwrap_or_else(|_| "redis://127.0.0.1:6379".into());
    let client = redis::Client::open(server)?;
    let mut connections: Vec<Connection> =
        (0..CALLS_AT_ONCE).map(|_| client.get_connection()).collect::<Result<_, _>>()?;
    for line in io::stdin().lines() {
        let line = line?;
        let urls: Vec<&str> = line.split_whitespace().collect();
        let begun = Instant::now();
        save_all(&mut connections, &urls, &folder)?;
        let took = begun.elapsed().as_secs_f64() * 1000.0;
        println!("{} pictures in {took:.1} ms", urls.len());
    }
    Ok(())
}
