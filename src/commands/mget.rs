//! `CACHE.MGET numkeys url [url ...] [expiry [timeout]] [option ...]`

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use super::arguments as arg;
use super::lookup::{count_served, judge_string};
use super::secrets;
use crate::cache::decide::Found;
use crate::cache::error::{ArgumentError, CacheError, Overload};
use crate::cache::flights::{FlightId, FlightKey};
use crate::cache::key::{LONGEST, UrlError};
use crate::cache::options::{Options, Takes};
use crate::cache::seconds::Millis;
use crate::config::{SETTINGS, Settings};
use crate::flight::answer::Source;
use crate::flight::takeoff::{Marks, Prospect, SharedRequest, Wish};
use crate::flight::waiting::{self, Claim, Place, Places};
use crate::module::{self, Module, STATS};
use crate::server::args::{Arg, Args};
use crate::server::clock;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;
use crate::server::keyspace::{ReadKey, ReadString};

/// The most bytes of URLs that one call has parsed, which happens on the main thread: some 20 ms of it.
const PARSED_AT_ONCE: usize = 1 << 20;

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
        let Some(count) = args.key_count() else {
            secrets::hide(ctx, args, 1);
            return Err(wrong(ArgumentError::KeyCount));
        };
        let rest = args.bytes_from(2 + count);
        let parsed = Options::parse(rest, Takes::All, now, || SETTINGS.current().limits());
        let urls = || (2..2 + count).filter_map(|index| args.get(index));
        if parsed.is_err() || urls().any(|url| secrets::is_announced_by(url.bytes())) {
            secrets::hide(ctx, args, 2); // a wrong count makes URLs of options
        } else {
            secrets::hide_parsed(ctx, args, 2 + count, &parsed);
        }
        let (given, most) = (count as u64, SETTINGS.look(|settings| settings.max_urls));
        if given > most {
            return Err(wrong(ArgumentError::TooManyUrls { count: given, most }));
        }
        let options = &parsed.map_err(wrong)?;
        let marks = Marks::new(ctx); // they are written when the keys are closed, which are opened below
        let call = Call { ctx, options, now };
        let found = call.open_all(urls());
        if options.refresh || !call.answer_if_all_fresh(&found) {
            let (module, settings) = (&module::get(), &SETTINGS.current());
            let (taken, may_parse) = (Places::default(), Cell::new(PARSED_AT_ONCE));
            let miss = Miss { call: &call, module, settings, taken, may_parse, marks: &marks };
            miss.answer_each(urls().zip(&found));
        }
        Ok(())
    }
}

/// A call for several URLs.
struct Call<'a> {
    ctx: &'a Ctx,
    options: &'a Options<'a>,
    now: Millis,
}

/// Such a call, when not all that it asks for is there and fresh.
struct Miss<'a> {
    call: &'a Call<'a>,
    module: &'a Module,
    settings: &'a Settings,
    /// The places in which its client will wait.
    taken: Places,
    /// How many bytes of URLs it may still parse.
    may_parse: Cell<usize>,
    marks: &'a Marks<'a>,
}

/// One of its URLs, looked up.
struct Looked {
    /// The key of its entry, where that is not the URL itself.
    variant_key: Option<Vec<u8>>,
    /// Its string, looked at before the next key is opened. The server may put another string in the place of a small
    /// one when that is first looked at. Whoever had opened the same key before, for a URL that is listed twice, would
    /// look at the old one.
    open: Option<ReadString>,
}

impl Looked {
    fn new(variant_key: Option<Vec<u8>>, open: Option<ReadKey>) -> Self {
        Self { variant_key, open: open.map(Into::into) }
    }
}

/// What was found of one URL, and what that leads to.
type OneUrl<'a> = (&'a Result<Looked, UrlError>, Result<Asked, CacheError>);

/// What one URL of a call leads to.
enum Asked {
    /// What was found is the answer.
    Found(Source),
    /// The answer comes with a flight.
    Coming(FlightId, Claim),
    /// Null.
    Null,
}

impl Call<'_> {
    /// Opens the entries of all URLs. They stay open until the call is answered.
    fn open_all<'b>(&self, urls: impl Iterator<Item = Arg<'b>>) -> Vec<Result<Looked, UrlError>> {
        if self.options.variant.is_plain() {
            return urls.map(|url| Ok(Looked::new(None, ReadKey::open(self.ctx, url)))).collect();
        }
        let digest = self.options.variant.digest();
        let look = |url: Arg<'_>| {
            let key = digest.key(url.bytes())?;
            let open = ReadKey::open_named(self.ctx, &key);
            Ok(Looked::new(Some(key), open))
        };
        urls.map(look).collect()
    }

    fn judge<'b>(&self, looked: &'b Looked) -> Result<Found<'b>, CacheError> {
        let open = looked.open.as_ref();
        open.map_or(Ok(Found::Nothing), |open| {
            judge_string(open.string(), self.options.stale, self.now)
        })
    }

    /// The common case, which needs no blocking and no copies: everything is there, and fresh.
    fn answer_if_all_fresh(&self, found: &[Result<Looked, UrlError>]) -> bool {
        let is_fresh = |looked: &Result<Looked, UrlError>| {
            let found = looked.as_ref().ok().map(|looked| self.judge(looked));
            matches!(found, Some(Ok(Found::Fresh(_) | Found::Bare(_))))
        };
        if !found.iter().all(is_fresh) {
            return false;
        }
        self.ctx.reply_array(found.len());
        for looked in found.iter().flatten() {
            self.reply_found(looked);
            STATS.hits.bump_alone();
        }
        true
    }

    fn reply_found(&self, looked: &Looked) {
        self.ctx.reply_bytes(self.body(looked));
    }

    fn body<'b>(&self, looked: &'b Looked) -> &'b [u8] {
        self.judge(looked).ok().and_then(|found| found.body()).unwrap_or_default()
    }
}

impl Miss<'_> {
    fn answer_each<'b>(
        mut self,
        urls: impl Iterator<Item = (Arg<'b>, &'b Result<Looked, UrlError>)>,
    ) {
        let request = SharedRequest::new(&self.call.options.variant);
        let mut patience = 0;
        let mut all = Vec::new();
        for (url, looked) in urls {
            let asked = match looked {
                Ok(looked) => self.ask(url.bytes(), looked, &request, &mut patience),
                Err(error) => Err(error.clone().into()),
            };
            if let Ok(Asked::Coming(flight, _)) = asked {
                self.taken.take(flight);
            }
            all.push((looked, asked));
        }
        if all.iter().any(|(_, asked)| matches!(asked, Ok(Asked::Coming(..)))) {
            self.wait(all, patience);
        } else {
            self.answer_now(&all);
        }
    }

    /// Looks what one URL leads to, and starts what is to be started.
    fn ask(
        &self,
        url: &[u8],
        looked: &Looked,
        request: &SharedRequest<'_>,
        patience: &mut Millis,
    ) -> Result<Asked, CacheError> {
        let (&Call { ctx, options, .. }, module) = (self.call, self.module);
        let found = self.call.judge(looked)?;
        if url.len() > LONGEST {
            // Before it is copied: nothing of this length has a flight.
            return match found.body() {
                Some(_) if !options.refresh => Ok(Asked::Found(Source::Hit)),
                _ => Err(UrlError::TooLong.into()),
            };
        }
        if options.refresh || !matches!(found, Found::Fresh(_) | Found::Bare(_)) {
            let left = self.may_parse.get().checked_sub(url.len());
            let most = PARSED_AT_ONCE as u64;
            self.may_parse.set(left.ok_or_else(|| waiting::overloaded(Overload::UrlBytes(most)))?);
        }
        let name = looked.variant_key.as_deref().unwrap_or(url).to_vec();
        let wish = Wish {
            url,
            key: FlightKey { db: ctx.db(), name },
            options,
            request,
            settings: self.settings,
            taken: &self.taken,
            marks: self.marks,
        };
        *patience = wish.patience();
        Ok(match wish.prospect(ctx, module, &found)? {
            Prospect::Serve(source) => Asked::Found(source),
            Prospect::ServeAndRefresh => {
                wish.refresh(ctx, module, &found);
                Asked::Found(Source::Stale)
            }
            Prospect::Wait(flight, _) => Asked::Coming(flight, wish.claim(module, flight)?),
            Prospect::Null => Asked::Null,
        })
    }

    /// Answers a call that need not wait: nothing is copied.
    fn answer_now(&self, all: &[OneUrl<'_>]) {
        let ctx = self.call.ctx;
        ctx.reply_array(all.len());
        for (looked, asked) in all {
            match (looked, asked) {
                (Ok(looked), Ok(Asked::Found(source))) => {
                    count_served(*source);
                    self.call.reply_found(looked);
                }
                (_, Err(error)) => ctx.reply_error(&error.to_string()),
                _ => ctx.reply_null(),
            }
        }
    }

    /// Lets the client wait for what is coming, with a copy of what is there. A reply that does not fit into the
    /// memory for replies is refused, in its place, before it is copied; what was asked for twice is copied once.
    fn wait(&self, all: Vec<OneUrl<'_>>, patience: Millis) {
        let mut reserved = self.module.answerer().promise(0);
        let mut copies: HashMap<(*const u8, usize), Arc<Vec<u8>>> = HashMap::new();
        let mut places = Vec::with_capacity(all.len());
        let mut flights = Vec::new();
        for (looked, asked) in all {
            places.push(match (looked, asked) {
                (_, Ok(Asked::Coming(flight, claim))) => {
                    flights.push((places.len(), flight, claim));
                    Place::Missing
                }
                (Ok(looked), Ok(Asked::Found(source))) => {
                    let body = self.call.body(looked);
                    if self.module.has_room_for_reply(body.len()) {
                        reserved.add(body.len());
                        count_served(source);
                        // The same entry lies at the same place: all are open.
                        let copy = copies
                            .entry((body.as_ptr(), body.len()))
                            .or_insert_with(|| Arc::new(body.to_vec()));
                        Place::Body(Arc::clone(copy), 0)
                    } else {
                        Place::Error(waiting::overloaded(Overload::Replies).to_string().into())
                    }
                }
                (_, Err(error)) => Place::Error(error.to_string().into()),
                _ => Place::Null,
            });
        }
        waiting::wait_for_all(self.call.ctx, self.module, places, flights, patience);
    }
}
