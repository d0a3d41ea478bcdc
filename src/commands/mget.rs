//! `CACHE.MGET numkeys url [url ...] [expiry [timeout]] [option ...]`

use std::sync::Arc;

use super::arguments as arg;
use super::lookup::{count_served, judge, key_of};
use crate::cache::decide::Found;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::{FlightId, FlightKey};
use crate::cache::options::{Options, Takes};
use crate::config::SETTINGS;
use crate::flight::answer::Source;
use crate::flight::takeoff::{Prospect, Wish};
use crate::flight::waiting::{self, Claim, Place, Places};
use crate::module::{self, Module, STATS};
use crate::server::args::Args;
use crate::server::clock;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace::ReadKey;

/// Answers the bodies cached under several URLs, downloading in parallel those that are not there.
pub struct MGet;

impl Command for MGet {
    const SPEC: Spec = Spec {
        name: c"cache.mget",
        flags: c"write blocking getkeys-api",
        categories: c"write blocking",
        arity: -3,
        keys: Keys::Counted,
        key_use: KeyUse::ReadOrFill,
        summary: c"Returns the bodies cached under several URLs, in order; downloads those that are not there, all at once.",
        complexity: c"O(N) where N is the size of the bodies. Each miss adds one download, off the main thread.",
        since: c"0.1.0",
        args: &[
            arg::NUMKEYS,
            arg::URLS,
            arg::TIMES,
            arg::STALE,
            arg::REFRESH,
            arg::NOWAIT,
            arg::METHOD,
            arg::BODY,
            arg::HEADER,
        ],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let wrong = |error| CacheError::Argument("cache.mget", error);
        let now = clock::recent();
        let count = args.key_count().ok_or(wrong(ArgumentError::KeyCount))?;
        let urls: Vec<&[u8]> = args.bytes_from(2).take(count).collect();
        let rest = args.bytes_from(2 + count);
        let options = Options::parse(rest, Takes::All, now).map_err(wrong)?;
        let keys: Vec<_> = urls.iter().map(|url| key_of(url, &options)).collect();
        if options.refresh || !answer_if_all_fresh(ctx, &keys, &options, now) {
            answer_each(ctx, &urls, keys, &options, now);
        }
        Ok(())
    }
}

type KeyName = Result<Vec<u8>, crate::cache::key::UrlError>;

/// The common case, which needs no blocking and no copies: everything is there, and fresh.
fn answer_if_all_fresh(ctx: &Ctx, keys: &[KeyName], options: &Options, now: u64) -> bool {
    let mut open = Vec::with_capacity(keys.len());
    for key in keys {
        let Some(key) = key.as_ref().ok().and_then(|name| ReadKey::open_named(ctx, name)) else {
            return false;
        };
        if !matches!(judge(Some(&key), options.stale, now), Ok(Found::Fresh(_) | Found::Bare(_))) {
            return false;
        }
        open.push(key);
    }
    ctx.reply_array(open.len());
    for key in &open {
        let found = judge(Some(key), options.stale, now);
        ctx.reply_bytes(found.ok().and_then(|found| found.body()).unwrap_or_default());
        STATS.hits.bump_alone();
    }
    true
}

fn answer_each(ctx: &Ctx, urls: &[&[u8]], keys: Vec<KeyName>, options: &Options, now: u64) {
    let (module, settings) = (module::get(), SETTINGS.current());
    let mut places = Vec::with_capacity(urls.len());
    let (mut flights, mut taken) = (Vec::new(), Places::default());
    let mut patience = 0;
    for (url, name) in urls.iter().zip(keys) {
        let outcome = name.map_err(CacheError::from).and_then(|name| {
            let key = FlightKey { db: ctx.db(), name };
            let wish = Wish { url, key, options, settings: &settings, now, taken: &taken };
            patience = wish.patience();
            ask(ctx, &module, &wish)
        });
        places.push(match outcome {
            Ok(Asked::There(place)) => place,
            Ok(Asked::Coming(flight, claim)) => {
                taken.take(flight);
                flights.push((places.len(), flight, claim));
                Place::Missing
            }
            Err(error) => Place::Error(error.to_string().into()),
        });
    }
    if flights.is_empty() {
        waiting::write_places(ctx, &places);
    } else {
        waiting::wait_for_all(ctx, &module, places, flights, patience);
    }
}

enum Asked {
    There(Place),
    Coming(FlightId, Claim),
}

fn ask(ctx: &Ctx, module: &Module, wish: &Wish<'_>) -> Result<Asked, CacheError> {
    let open = ReadKey::open_named(ctx, &wish.key.name);
    let found = judge(open.as_ref(), wish.options.stale, wish.now)?;
    let body = |found: &Found<'_>| {
        Asked::There(Place::Body(Arc::new(found.body().unwrap_or_default().to_vec()), 0))
    };
    Ok(match wish.prospect(ctx, module, &found)? {
        Prospect::Serve(source) => {
            count_served(source);
            body(&found)
        }
        Prospect::ServeAndRefresh => {
            count_served(Source::Stale);
            let there = body(&found);
            // It is answered; that the refresh cannot be started is counted, and no news to it.
            let _ = wish.lead(ctx, module, &found);
            there
        }
        Prospect::Wait(flight, _) => Asked::Coming(flight, wish.claim(module, flight)),
        Prospect::Null => Asked::There(Place::Null),
    })
}
