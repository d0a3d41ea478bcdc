//! `CACHE.LEASE key [timeout] [TTL seconds] [STALE] [TIED]`

use super::arguments as arg;
use super::lookup::{count_served, judge};
use crate::cache::decide::{Circumstances, Decision, Found, decide};
use crate::cache::error::{ArgumentError, CacheError, FetchError};
use crate::cache::flights::FlightKey;
use crate::cache::freshness::wait_timeout;
use crate::cache::key::LONGEST;
use crate::cache::lease::LeaseOptions;
use crate::cache::seconds::Millis;
use crate::config::SETTINGS;
use crate::flight::answer::{Shape, Source, write_found, write_lease, write_stale};
use crate::flight::waiting::{self, Claim, Places, Terms};
use crate::flight::{landing, lease};
use crate::module::{self, STATS};
use crate::server::args::Args;
use crate::server::clock;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace::ReadKey;

/// Answers a value; or the lease to compute it, to one caller, and has the others wait for that one.
pub struct Lease;

impl Command for Lease {
    const SPEC: Spec = Spec {
        name: c"cache.lease",
        flags: c"write blocking",
        categories: c"write blocking",
        arity: -2,
        keys: Keys::First,
        key_use: KeyUse::ReadOrFill,
        summary: c"Returns a key's value; or, if there is none, a lease to one caller, who is to fill it, while the others wait.",
        complexity: c"O(N) where N is the size of the value, as GET.",
        since: c"0.1.0",
        args: &[arg::KEY, arg::TIMEOUT, arg::TTL, arg::WELCOME_STALE, arg::TIED],
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        let wrong = |error| CacheError::Argument("cache.lease", error);
        let name = args.get(1).ok_or(wrong(ArgumentError::Syntax))?;
        let longest = || SETTINGS.current().max_lease_ttl;
        let options = LeaseOptions::parse(args.bytes_from(2), longest).map_err(wrong)?;
        if options.tied && ctx.is_script() {
            return Err(wrong(ArgumentError::Tied));
        }
        let open = ReadKey::open(ctx, name);
        let welcome = options.stale.then_some(Millis::MAX);
        let found = judge(open.as_ref(), welcome, clock::recent())?;
        if matches!(found, Found::Fresh(_) | Found::Bare(_)) {
            STATS.hits.bump_alone();
            write_found(ctx, Shape::Lease, &found, Source::Hit);
            return Ok(());
        }
        answer_without_fresh(ctx, name.bytes(), options, &found)
    }
}

/// Answers with a stale value, a lease, both, or what the flight in the air will bring.
fn answer_without_fresh(
    ctx: &Ctx,
    name: &[u8],
    options: LeaseOptions,
    found: &Found<'_>,
) -> Result<(), CacheError> {
    if name.len() > LONGEST {
        return Err(CacheError::KeyTooLong); // before it is copied
    }
    let (module, settings) = (module::get(), SETTINGS.current());
    let key = FlightKey { db: ctx.db(), name: name.to_vec() };
    let terms = Terms {
        ttl: options.ttl.unwrap_or(settings.lease_ttl.min(settings.max_lease_ttl)),
        client: if ctx.is_script() { lease::A_SCRIPT } else { ctx.client_id() },
        tied: options.tied,
    };
    let around = Circumstances {
        refresh: false,
        may_wait: ctx.may_block(),
        in_the_air: module.flights().find(&key),
        backing_off: module.backoff().holds(&key, crate::clock::monotonic()),
    };
    let stale = found.body().unwrap_or_default();
    match decide(found, around) {
        Decision::Serve => {
            count_served(Source::Stale);
            write_stale(ctx, stale, None);
        }
        Decision::ServeAndRefresh => {
            let token = match lease::give(ctx, &module, &settings, &key, terms) {
                Ok(token) => Some(token),
                // The caller has its value; that nobody renews it just now is counted, and no news to it.
                Err(CacheError::Fetch(FetchError::Overloaded(_))) => None,
                // To find that out costs more than the value itself: so the next try comes after a pause.
                Err(CacheError::OutOfMemory) => {
                    landing::pause_refreshes(&module, &key);
                    None
                }
                Err(error) => return Err(error),
            };
            count_served(Source::Stale);
            write_stale(ctx, stale, token);
        }
        Decision::Lead { .. } => {
            STATS.misses.bump();
            write_lease(ctx, lease::give(ctx, &module, &settings, &key, terms)?);
        }
        Decision::Join { flight, wait } => {
            STATS.misses.bump();
            if wait {
                lease::check_room_for(&module, &settings, terms.client)?;
                waiting::check_room(&module, &settings, &Places::default(), Some(flight))?;
            }
            STATS.coalesced.bump();
            if !wait {
                ctx.reply_null();
                return Ok(());
            }
            let patience = options.timeout.unwrap_or(settings.default_timeout);
            let patience = wait_timeout(patience, settings.max_timeout);
            let waits = (Shape::Lease, Source::Joined, Claim::Lease(terms));
            waiting::wait_for(ctx, &module, flight, patience, waits);
        }
    }
    Ok(())
}
