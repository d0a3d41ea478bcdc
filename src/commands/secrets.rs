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
    let words: Vec<&[u8]> = args.bytes_from(from).collect();
    // Found before any is hidden, since that changes the list on some servers.
    for index in secrets_among(&words) {
        ctx.redact(from + index);
    }
}

/// Whether a secret stands behind this word.
pub fn is_announced_by(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"HEADER") || word.eq_ignore_ascii_case(b"BODY")
}

/// Where among these words secrets stand. What merely looks like `HEADER` or `BODY`, the value of a header say, hides
/// one argument too many, and never one too few. A header that is given in one word, by mistake, is hidden as well.
fn secrets_among(words: &[&[u8]]) -> Vec<usize> {
    let mut secrets = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if word.eq_ignore_ascii_case(b"BODY") {
            secrets.push(index + 1);
        } else if word.eq_ignore_ascii_case(b"HEADER") {
            let name = words.get(index + 1).copied().unwrap_or_default();
            if name.iter().any(|&byte| byte == b':' || byte == b' ') {
                secrets.push(index + 1);
            }
            secrets.push(index + 2);
        }
    }
    secrets.retain(|&index| index < words.len());
    secrets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_bodies_are_secret_also_where_a_call_is_written_amiss() {
        let cases: [(&[&str], &[usize]); 7] = [
            (&["60", "HEADER", "A", "secret", "BODY", "secret"], &[3, 5]),
            (&["header", "A", "secret", "header", "B", "secret"], &[2, 5]),
            (&["HEADER", "Authorization: Bearer secret"], &[1]),
            (&["HEADER", "Authorization: Bearer secret", "NOWAIT"], &[1, 2]),
            (&["BODY"], &[]),
            (&["HEADER", "A"], &[]),
            (&["60", "5", "STALE", "3"], &[]),
        ];
        for (words, wanted) in cases {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert_eq!(secrets_among(&words), wanted, "{words:?}");
        }
    }
}
