//! An entry as an answer: the body alone, or all that is known of it.

use crate::cache::decide::Found;
use crate::cache::entry::{Entry, decode};
use crate::cache::lease::Token;
use crate::cache::seconds::Millis;
use crate::clock;
use crate::server::ctx::Ctx;

/// How a command answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// The body: `CACHE.GET`.
    Body,
    /// A map: `CACHE.FETCH`.
    Full,
    /// An array that says what it has: `CACHE.LEASE`.
    Lease,
}

/// Where an answer comes from, in the words of `CACHE.FETCH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The entry was fresh.
    Hit,
    /// The entry was stale, and welcome.
    Stale,
    /// This call's flight brought it.
    Miss,
    /// Another call's flight brought it.
    Joined,
    /// This call's flight found the entry to be still good.
    Revalidated,
}

impl Source {
    const fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Revalidated => "revalidated",
        }
    }
}

/// Answers with what was found in the keyspace.
#[inline(always)]
pub fn write_found(ctx: &Ctx, shape: Shape, found: &Found<'_>, source: Source) {
    match (shape, found.entry()) {
        (Shape::Body, _) => ctx.reply_bytes(found.body().unwrap_or_default()),
        (Shape::Lease, _) => write_value(ctx, found.body().unwrap_or_default()),
        (Shape::Full, Some(entry)) => write_full(ctx, &entry, source),
        (Shape::Full, None) => write_bare(ctx, found.body().unwrap_or_default(), source),
    }
}

/// Answers with a stored string.
pub fn write_stored(ctx: &Ctx, shape: Shape, stored: &[u8], source: Source) {
    // Judged as ever welcome: it is the answer, whatever the time.
    let found = Found::judge(decode(stored), Some(Millis::MAX), clock::now());
    write_found(ctx, shape, &found, source);
}

/// Answers with a lease: the caller is to fill.
pub fn write_lease(ctx: &Ctx, token: Token) {
    ctx.reply_array(2);
    ctx.reply_text("lease");
    ctx.reply_text(&token.to_string());
}

/// Answers with a stale value, and the lease if it is this caller who is to fill.
pub fn write_stale(ctx: &Ctx, value: &[u8], token: Option<Token>) {
    ctx.reply_array(if token.is_some() { 3 } else { 2 });
    ctx.reply_text("stale");
    ctx.reply_bytes(value);
    if let Some(token) = token {
        ctx.reply_text(&token.to_string());
    }
}

/// Answers with a fresh value.
fn write_value(ctx: &Ctx, value: &[u8]) {
    ctx.reply_array(2);
    ctx.reply_text("value");
    ctx.reply_bytes(value);
}

fn write_full(ctx: &Ctx, entry: &Entry<'_>, source: Source) {
    let now = clock::now();
    let headers: Vec<_> = entry.headers().collect();
    begin(ctx, i64::from(entry.status()), headers.len());
    for (name, value) in headers {
        ctx.reply_array(2);
        ctx.reply_bytes(name);
        ctx.reply_bytes(value);
    }
    let ttl = entry.fresh_until.moment().map(|end| end.saturating_sub(now).div_ceil(1000));
    end(ctx, entry.body(), Some(now.saturating_sub(entry.fetched()) / 1000), ttl, source);
}

/// A body that somebody stored without a head: of its age and headers nothing is known.
fn write_bare(ctx: &Ctx, body: &[u8], source: Source) {
    begin(ctx, 200, 0);
    end(ctx, body, None, None, source);
}

fn begin(ctx: &Ctx, status: i64, headers: usize) {
    ctx.reply_map(6);
    ctx.reply_text("status");
    ctx.reply_integer(status);
    ctx.reply_text("headers");
    ctx.reply_array(headers);
}

fn end(ctx: &Ctx, body: &[u8], age: Option<u64>, ttl: Option<u64>, source: Source) {
    ctx.reply_text("body");
    ctx.reply_bytes(body);
    for (name, seconds) in [("age", age), ("ttl", ttl)] {
        ctx.reply_text(name);
        match seconds.and_then(|seconds| i64::try_from(seconds).ok()) {
            Some(seconds) => ctx.reply_integer(seconds),
            None => ctx.reply_null(),
        }
    }
    ctx.reply_text("cache");
    ctx.reply_text(source.word());
}
