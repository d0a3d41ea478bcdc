//! Arguments that are secret, or may be: hidden from `MONITOR` and the slow log.
//!
//! Hidden are the values of `HEADER`, and `BODY`. A token is hidden by the commands that take one. A call that is
//! refused is shown there too, and so hides them as well.

use crate::cache::error::ArgumentError;
use crate::cache::options::Options;
use crate::server::args::Args;
use crate::server::ctx::Ctx;

/// Hides what is secret among the arguments from `from` on, if anything is, by what came of reading them: most calls
/// have no secrets, and are not looked through. One that is refused is, since it may.
pub fn hide_parsed(
    ctx: &Ctx,
    args: &Args<'_>,
    from: usize,
    parsed: &Result<Options<'_>, ArgumentError>,
) {
    if parsed.as_ref().map_or(true, Options::has_secrets) {
        hide(ctx, args, from);
    }
}

/// Hides what is secret among the arguments from `from` on. They must have been read: see [`Ctx::redact`].
pub fn hide(ctx: &Ctx, args: &Args<'_>, from: usize) {
    // Found before any is hidden, since that changes the list on some servers.
    let secrets: Vec<usize> = args
        .bytes_from(from)
        .enumerate()
        .filter_map(|(index, word)| Some(from + index + distance(word)?))
        .collect();
    for index in secrets {
        ctx.redact(index);
    }
}

/// How far behind this word a secret stands. What merely looks like such a word, the value of a header say, hides
/// one argument too many, and never one too few.
fn distance(word: &[u8]) -> Option<usize> {
    if word.eq_ignore_ascii_case(b"HEADER") {
        Some(2)
    } else if word.eq_ignore_ascii_case(b"BODY") {
        Some(1)
    } else {
        None
    }
}
