//! `CACHE.FLIGHTS [COUNT count]`

use super::arguments as arg;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::Sighting;
use crate::cache::lease::Filler;
use crate::cache::seconds::{self, Millis};
use crate::cache::variant;
use crate::clock;
use crate::flight::waiting::Room;
use crate::module;
use crate::server::answers::Answer;
use crate::server::args::Args;
use crate::server::blocked::Blocked;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Tells what is in the air.
pub struct Flights;

/// As many as are told of on the main thread; the answer about more is written on another.
const FEW: usize = 64;

impl Command for Flights {
    const SPEC: Spec = Spec {
        name: c"cache.flights",
        flags: c"readonly admin",
        categories: c"read admin dangerous",
        arity: -1,
        keys: Keys::None,
        key_use: KeyUse::Read,
        summary: c"Returns what is in the air: url, database, kind, seconds, bytes so far and waiters of each flight, the oldest first.",
        complexity: c"O(N) where N is the number of flights told of.",
        since: c"0.1.0",
        args: &[arg::COUNT],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let most = parse(args).map_err(|error| CacheError::Argument("cache.flights", error))?;
        let module = module::get();
        let seen: Vec<Sighting> = module.flights().sightings().take(most).collect();
        let now = clock::monotonic();
        let client =
            if seen.len() > FEW && ctx.may_block() { Blocked::briefly::<Room>(ctx) } else { None };
        let Some(client) = client else {
            write(ctx, &seen, now);
            return Ok(());
        };
        let size = seen.iter().map(|sighting| sighting.key.name.len() + 100).sum();
        let write = Box::new(move |ctx: &Ctx| write(ctx, &seen, now));
        module.answerer().release(vec![client], Answer { size, write });
        Ok(())
    }
}

/// How many are asked for.
fn parse(args: &Args<'_>) -> Result<usize, ArgumentError> {
    let mut words = args.bytes_from(1);
    let Some(word) = words.next() else {
        return Ok(usize::MAX);
    };
    let count = words.next().ok_or(ArgumentError::Syntax)?;
    if !word.eq_ignore_ascii_case(b"COUNT") || words.next().is_some() {
        return Err(ArgumentError::Syntax);
    }
    let count = std::str::from_utf8(count).ok().and_then(|digits| digits.parse().ok());
    count.filter(|&count| count > 0).ok_or(ArgumentError::Count)
}

fn write(ctx: &Ctx, seen: &[Sighting], now: Millis) {
    ctx.reply_array(seen.len());
    for sighting in seen {
        ctx.reply_map(7);
        ctx.reply_text("url");
        ctx.reply_bytes(variant::url_of(&sighting.key.name).unwrap_or(&sighting.key.name));
        ctx.reply_text("db");
        ctx.reply_integer(i64::from(sighting.key.db));
        ctx.reply_text("kind");
        ctx.reply_text(kind(sighting.filler));
        ctx.reply_text("void");
        ctx.reply_integer(i64::from(sighting.is_void));
        ctx.reply_text("seconds");
        ctx.reply_text(&seconds::print(now.saturating_sub(sighting.since)));
        for (name, number) in [("bytes", sighting.bytes), ("waiters", sighting.waiting as u64)] {
            ctx.reply_text(name);
            ctx.reply_integer(i64::try_from(number).unwrap_or(i64::MAX));
        }
    }
}

/// What a flight is, by its filler.
const fn kind(filler: Filler) -> &'static str {
    match filler {
        Filler::Thread => "download",
        Filler::Holder { .. } | Filler::Copier | Filler::Nobody => "lease",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_one_until_its_value_is_stored() {
        let held = Filler::Holder { client: 1, tied: false };
        for filler in [held, Filler::Copier, Filler::Nobody] {
            assert_eq!(kind(filler), "lease");
        }
        assert_eq!(kind(Filler::Thread), "download");
    }
}
