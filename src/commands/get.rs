//! `CACHE.GET url [expiry [timeout]]`

use crate::cache::decide::fresh_body;
use crate::cache::entry;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::freshness::{Expiry, parse_timeout};
use crate::cache::seconds::Millis;
use crate::clock;
use crate::flight::takeoff::Miss;
use crate::module::STATS;
use crate::server::args::{Arg, Args};
use crate::server::command::{Argument, ArgumentKind, Command, KeyUse, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace::ReadKey;

/// Answers the body cached under a URL, downloading it first if need be.
pub struct Get;

/// A call, parsed.
struct Call<'a> {
    url: Arg<'a>,
    expiry: Option<Expiry>,
    timeout: Option<Millis>,
}

impl Command for Get {
    const SPEC: Spec = Spec {
        name: c"cache.get",
        flags: c"write blocking",
        arity: -2,
        key: KeyUse::ReadOrFill,
        summary: c"Returns the body cached under a URL; downloads it first, once for all who ask, if it is not there.",
        complexity: c"O(N) where N is the size of the body, as GET. A miss adds one download, off the main thread.",
        since: c"0.1.0",
        args: &[
            Argument { name: c"url", kind: ArgumentKind::Key, optional: false },
            Argument {
                name: c"times",
                kind: ArgumentKind::Block(&[
                    Argument { name: c"expiry", kind: ArgumentKind::Double, optional: false },
                    Argument { name: c"timeout", kind: ArgumentKind::Double, optional: true },
                ]),
                optional: true,
            },
        ],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let now = clock::now();
        let call =
            Call::parse(args, now).map_err(|error| CacheError::Argument("cache.get", error))?;
        if let Some(key) = ReadKey::open(ctx, call.url) {
            let stored = entry::decode(key.string().ok_or(CacheError::WrongType)?);
            if let Some(body) = fresh_body(&stored, now) {
                STATS.hits.bump();
                ctx.reply_bytes(body);
                return Ok(());
            }
        }
        Miss { url: call.url.bytes(), expiry: call.expiry, timeout: call.timeout }.fly(ctx)
    }
}

impl<'a> Call<'a> {
    fn parse(args: &Args<'a>, now: Millis) -> Result<Self, ArgumentError> {
        let url = args.get(1).ok_or(ArgumentError::Syntax)?;
        let expiry = args.get(2).map(|arg| Expiry::parse(arg.bytes())).transpose()?;
        if let Some(expiry) = expiry {
            expiry.ends(now)?;
        }
        let timeout = args.get(3).map(|arg| parse_timeout(arg.bytes())).transpose()?;
        if args.len() > 4 {
            return Err(ArgumentError::Syntax);
        }
        Ok(Self { url, expiry, timeout })
    }
}
