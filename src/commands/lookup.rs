//! What the commands have in common: a call's key, its options, what is stored there, and the way from
//! there to an answer.

use std::borrow::Cow;

use super::secrets;
use crate::cache::decide::Found;
use crate::cache::entry;
use crate::cache::error::{ArgumentError, CacheError};
use crate::cache::flights::FlightKey;
use crate::cache::key::{LONGEST, UrlError};
use crate::cache::options::{Options, Takes};
use crate::cache::seconds::Millis;
use crate::config::SETTINGS;
use crate::flight::answer::{Shape, Source, write_found};
use crate::flight::takeoff::{Marks, Prospect, SharedRequest, Wish};
use crate::flight::waiting::{self, Places};
use crate::module::{self, STATS};
use crate::server::args::{Arg, Args};
use crate::server::clock;
use crate::server::ctx::Ctx;
use crate::server::keyspace::ReadKey;
use crate::server::unchanged::Unchanged;

static NO_OPTIONS: Options<'static> = Options::NONE;

/// A call for one URL.
pub struct Call<'a> {
    url: Arg<'a>,
    /// What it asks for.
    pub options: &'a Options<'a>,
    /// When.
    pub now: Millis,
}

/// Parses `url`, and what of `[expiry [timeout]] [option ...]` the command takes, and acts on it.
///
/// # Errors
/// In the words of the command, and those of the act.
pub fn on_call(
    ctx: &Ctx,
    command: &'static str,
    args: &Args<'_>,
    takes: Takes,
    act: impl FnOnce(&Call<'_>) -> Result<(), CacheError>,
) -> Result<(), CacheError> {
    let wrong = |error| CacheError::Argument(command, error);
    let url = args.get(1).ok_or(wrong(ArgumentError::Syntax))?;
    let now = clock::recent();
    let parsed;
    let options = if args.len() == 2 {
        &NO_OPTIONS // as in most calls; they do not pay for more
    } else {
        let limits = || SETTINGS.current().limits();
        let outcome = Options::parse(args.bytes_from(2), takes, now, limits);
        secrets::hide_parsed(ctx, args, 2, &outcome);
        parsed = outcome.map_err(wrong)?;
        &parsed
    };
    act(&Call { url, options, now })
}

impl Call<'_> {
    /// The key of the entry: the URL, or a variant's.
    ///
    /// # Errors
    /// The URL is too long for a variant, or its braces allow no variant key.
    pub fn key(&self) -> Result<Cow<'_, [u8]>, CacheError> {
        if self.options.variant.is_plain() {
            return Ok(Cow::Borrowed(self.url.bytes()));
        }
        Ok(Cow::Owned(self.options.variant.digest().key(self.url.bytes())?))
    }

    /// Whether the URL is longer than any that is fetched, or any key that is leased: it has no flight.
    pub fn is_too_long(&self) -> bool {
        self.url.bytes().len() > LONGEST
    }

    /// Reads the entry without a change to how the server keeps it.
    ///
    /// # Errors
    /// As [`Call::key`].
    pub fn read_unchanged(&self, ctx: &Ctx) -> Result<Option<Unchanged>, CacheError> {
        if self.options.variant.is_plain() {
            return Ok(Unchanged::read(ctx, &self.url));
        }
        // The entry of a variant is never short. A `GET` of it would have some servers track its key beside the URL.
        let open = ReadKey::open_named(ctx, &self.key()?);
        Ok(open.map(Unchanged::InPlace))
    }

    /// Answers the call, in the command's shape: at once, after a flight, or null.
    ///
    /// # Errors
    /// The key holds no string, or no flight can be started.
    #[inline(always)]
    pub fn answer(&self, ctx: &Ctx, shape: Shape) -> Result<(), CacheError> {
        if !self.options.variant.is_plain() {
            return self.answer_variant(ctx, shape);
        }
        let open = ReadKey::open(ctx, self.url);
        self.answer_opened(ctx, shape, open, Cow::Borrowed(self.url.bytes()))
    }

    #[inline(never)]
    fn answer_variant(&self, ctx: &Ctx, shape: Shape) -> Result<(), CacheError> {
        let key = self.key()?;
        let open = ReadKey::open_named(ctx, &key);
        self.answer_opened(ctx, shape, open, key)
    }

    #[inline(always)]
    fn answer_opened(
        &self,
        ctx: &Ctx,
        shape: Shape,
        open: Option<ReadKey>,
        key: Cow<'_, [u8]>,
    ) -> Result<(), CacheError> {
        let found = judge(open.as_ref(), self.options.stale, self.now)?;
        if !self.options.refresh && matches!(found, Found::Fresh(_) | Found::Bare(_)) {
            STATS.hits.bump_alone();
            write_found(ctx, shape, &found, Source::Hit);
            return Ok(());
        }
        self.answer_without_fresh(ctx, shape, open, key)
    }

    #[cold]
    fn answer_without_fresh(
        &self,
        ctx: &Ctx,
        shape: Shape,
        open: Option<ReadKey>,
        key: Cow<'_, [u8]>,
    ) -> Result<(), CacheError> {
        if self.is_too_long() {
            return Err(UrlError::TooLong.into()); // before it is copied
        }
        let (module, settings) = (module::get(), SETTINGS.current());
        let marks = Marks::new(ctx);
        let open = open; // so that it is closed before the marks are written
        let found = &judge(open.as_ref(), self.options.stale, self.now)?;
        let wish = Wish {
            url: self.url.bytes(),
            key: FlightKey { db: ctx.db(), name: key.into_owned() },
            options: self.options,
            request: &SharedRequest::new(&self.options.variant),
            settings: &settings,
            taken: &Places::default(),
            marks: &marks,
        };
        match wish.prospect(ctx, &module, found)? {
            Prospect::Serve(source) => {
                count_served(source);
                write_found(ctx, shape, found, source);
            }
            Prospect::ServeAndRefresh => {
                count_served(Source::Stale);
                write_found(ctx, shape, found, Source::Stale);
                wish.refresh(ctx, &module, found);
            }
            Prospect::Wait(flight, source) => {
                let claim = wish.claim(&module, flight)?;
                waiting::wait_for(ctx, &module, flight, wish.patience(), (shape, source, claim));
            }
            Prospect::Null => ctx.reply_null(),
        }
        Ok(())
    }
}

/// Judges what an open key holds, for a call that accepts entries up to `stale` past their expiry.
///
/// # Errors
/// [`CacheError::WrongType`].
#[inline(always)]
pub fn judge(
    open: Option<&ReadKey>,
    stale: Option<Millis>,
    now: Millis,
) -> Result<Found<'_>, CacheError> {
    open.map_or(Ok(Found::Nothing), |key| judge_string(key.string(), stale, now))
}

/// Judges what a key holds; `None` stands for something that is no string.
///
/// # Errors
/// [`CacheError::WrongType`].
#[inline(always)]
pub fn judge_string(
    string: Option<&[u8]>,
    stale: Option<Millis>,
    now: Millis,
) -> Result<Found<'_>, CacheError> {
    let stored = entry::decode(string.ok_or(CacheError::WrongType)?);
    Ok(Found::judge(stored, stale, now))
}

/// Counts an answer that needed no flight.
pub fn count_served(source: Source) {
    if source == Source::Stale { STATS.stale_hits.bump() } else { STATS.hits.bump_alone() }
}
