//! Take-off: what a call leads to, and what a miss sets in motion.

use std::cell::{OnceCell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

use url::Url;

use super::answer::Source;
use super::download::{Brought, Job, Task};
use super::filled::Life;
use super::waiting::{self, Claim, Places};
use super::{landing, lease};
use crate::cache::decide::{Circumstances, Decision, Found, decide};
use crate::cache::entry::Validators;
use crate::cache::error::{CacheError, FetchError};
use crate::cache::flights::{FlightId, FlightKey, LockMark};
use crate::cache::freshness::{Expiry, wait_timeout};
use crate::cache::key::{lock_key, parse_url};
use crate::cache::lease::{Filler, Token};
use crate::cache::options::Options;
use crate::cache::origin::Request;
use crate::cache::permit::Permit;
use crate::cache::seconds::Millis;
use crate::cache::variant::{Variant, VariantCopy};
use crate::clock;
use crate::config::Settings;
use crate::module::{self, KEY_COPIES, Module, STATS};
use crate::server::ctx::Ctx;
use crate::server::timer::{OnTime, Timer};
use crate::server::{keyspace, main_thread, memory};

/// How much longer than its download's deadline a flight is let be. The download ends at the deadline
/// itself; this is for one that never got a thread, or hangs.
const GRACE: Millis = 50;

/// How much longer than its flight's deadline a lock key lives.
pub const LOCK_OUTLIVES: Millis = 1000;

/// A call that wants one key, and all that bears on it.
pub struct Wish<'a> {
    /// The URL, as it was given.
    pub url: &'a [u8],
    /// The key of its entry: the URL itself, or a variant's.
    pub key: FlightKey,
    /// What the call asks for.
    pub options: &'a Options<'a>,
    /// The copy of what it sends along, which all its flights share.
    pub request: &'a SharedRequest<'a>,
    /// The settings in force.
    pub settings: &'a Settings,
    /// The places in which the call will wait already.
    pub taken: &'a Places,
    /// Where the lock keys of the flights that it starts are kept until they may be written.
    pub marks: &'a Marks<'a>,
}

/// The lock keys of the flights that a call starts. They are written when this is dropped.
///
/// A call reads stored strings where they lie, and one of its keys may be another's lock key. So this is made before
/// the first key is opened, and dropped after the last is closed.
pub struct Marks<'a> {
    ctx: &'a Ctx,
    marks: RefCell<Vec<(LockMark, Millis)>>,
}

impl<'a> Marks<'a> {
    /// Of a call; there are none yet.
    pub const fn new(ctx: &'a Ctx) -> Self {
        Self { ctx, marks: RefCell::new(Vec::new()) }
    }

    fn add(&self, lock: LockMark, lives: Millis) {
        self.marks.borrow_mut().push((lock, lives));
    }
}

impl Drop for Marks<'_> {
    fn drop(&mut self) {
        let db = self.ctx.db();
        for (lock, lives) in self.marks.get_mut().drain(..) {
            if self.ctx.select(lock.db) {
                keyspace::mark(self.ctx, &lock, lives);
            }
        }
        self.ctx.select(db);
    }
}

/// What a call sends along, copied when the first of its flights needs it, and once for all of them.
pub struct SharedRequest<'a> {
    variant: &'a Variant<'a>,
    copy: OnceCell<Arc<VariantCopy>>,
}

impl<'a> SharedRequest<'a> {
    /// Of a call; nothing is copied yet.
    pub const fn new(variant: &'a Variant<'a>) -> Self {
        Self { variant, copy: OnceCell::new() }
    }

    /// Of a call whose copy there is.
    pub fn copied(copy: Arc<VariantCopy>) -> Self {
        static PLAIN: Variant<'static> = Variant::PLAIN;
        Self { variant: &PLAIN, copy: OnceCell::from(copy) }
    }

    fn get(&self, module: &Module, settings: &Settings) -> Result<Arc<VariantCopy>, FetchError> {
        if let Some(copy) = self.copy.get() {
            return Ok(Arc::clone(copy));
        }
        let charge = match self.variant.size() as u64 {
            0 => None,
            bytes => {
                module.has_room_for_request(settings, bytes).map_err(waiting::overloaded)?;
                Some(module.requests().charge(bytes))
            }
        };
        Ok(Arc::clone(self.copy.get_or_init(|| Arc::new(self.variant.copy(charge)))))
    }
}

/// What one who waits for a lease wants, if a download takes the lease's place.
pub struct Wanted {
    /// As [`Options::expiry`].
    pub expiry: Option<Expiry>,
    /// As [`Options::timeout`].
    pub timeout: Option<Millis>,
    /// As [`Options::stale`].
    pub stale: Option<Millis>,
    /// What it sends along.
    pub variant: Arc<VariantCopy>,
}

impl Wanted {
    /// As the options of a call whose variant is not at hand.
    pub fn options(&self) -> Options<'static> {
        let Self { expiry, timeout, stale, .. } = *self;
        Options { expiry, timeout, stale, ..Options::NONE }
    }
}

/// What comes of a wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// The answer is what was found.
    Serve(Source),
    /// As [`Prospect::Serve`]; when it is answered, a flight is to be started behind it.
    ServeAndRefresh,
    /// The answer comes with this flight.
    Wait(FlightId, Source),
    /// Null, at once; a flight is in the air.
    Null,
}

impl Wish<'_> {
    /// Looks what can be done, and starts a flight if nothing else can.
    ///
    /// # Errors
    /// The URL cannot be fetched, or too many downloads are queued.
    pub fn prospect(
        &self,
        ctx: &Ctx,
        module: &Module,
        found: &Found<'_>,
    ) -> Result<Prospect, CacheError> {
        let around = Circumstances {
            refresh: self.options.refresh,
            may_wait: !self.options.no_wait && ctx.may_block(),
            in_the_air: module.flights().find(&self.key),
            backing_off: module.backoff().holds(&self.key, clock::monotonic()),
        };
        let (flight, wait, source) = match decide(found, around) {
            Decision::Serve if matches!(found, Found::Welcome(_)) => {
                return Ok(Prospect::Serve(Source::Stale));
            }
            Decision::Serve => return Ok(Prospect::Serve(Source::Hit)),
            Decision::ServeAndRefresh => return Ok(Prospect::ServeAndRefresh),
            Decision::Join { flight, wait } => {
                STATS.misses.bump();
                if wait {
                    waiting::check_room(module, self.settings, self.taken, Some(flight))?;
                }
                STATS.coalesced.bump();
                (flight, wait, Source::Joined)
            }
            Decision::Lead { wait } => {
                STATS.misses.bump();
                if wait {
                    waiting::check_room(module, self.settings, self.taken, None)?;
                }
                (self.lead(ctx, module, found)?, wait, Source::Miss)
            }
        };
        Ok(if wait { Prospect::Wait(flight, source) } else { Prospect::Null })
    }

    /// How long the calling client waits.
    pub fn patience(&self) -> Millis {
        wait_timeout(self.asked_timeout(), self.settings.max_timeout)
    }

    fn asked_timeout(&self) -> Millis {
        self.options.timeout.unwrap_or(self.settings.default_timeout)
    }

    /// Starts a flight that nobody waits for yet.
    ///
    /// # Errors
    /// The URL cannot be fetched, or too many downloads are queued.
    pub fn lead(
        &self,
        ctx: &Ctx,
        module: &Module,
        found: &Found<'_>,
    ) -> Result<FlightId, CacheError> {
        // Only an entry that is still there can be revalidated, and one without a validator cannot.
        let validators = found.entry().and_then(|entry| entry.validators());
        let url = parse_url(self.url)?;
        self.check_room(module, &url)?;
        check_memory(ctx, module, self.settings, &self.key)?;
        let task = self.task(module, url, validators)?;
        let (flight, _) = enter(self.marks, module, &self.key, (Filler::Thread, self.span()))?;
        send(module, flight, task);
        Ok(flight)
    }

    /// Starts a flight behind a stale entry, with which its caller is answered. That it cannot be started is counted,
    /// and no news to the caller. Where there is no room for it, the next one is tried after the pause that follows a
    /// failed refresh: each try costs more than the hit itself.
    pub fn refresh(&self, ctx: &Ctx, module: &Module, found: &Found<'_>) {
        let refused = self.lead(ctx, module, found).err();
        if let Some(CacheError::OutOfMemory | CacheError::Fetch(FetchError::Overloaded(_))) =
            refused
        {
            landing::pause_refreshes(module, &self.key);
        }
    }

    /// Has a flight whose holder is lost filled by a download.
    ///
    /// # Errors
    /// As [`Wish::lead`].
    pub fn take_over(
        &self,
        ctx: &Ctx,
        module: &Module,
        flight: FlightId,
    ) -> Result<(), CacheError> {
        let url = parse_url(self.url)?;
        self.check_room(module, &url)?;
        check_not_full(ctx, &self.key)?; // its key is counted already
        let task = self.task(module, url, None)?;
        lease::pass_on(ctx, module, flight, (Filler::Thread, self.span()))?;
        send(module, flight, task);
        Ok(())
    }

    /// What the caller is to do if it waits for this flight and the flight's holder is lost.
    ///
    /// # Errors
    /// There is no room to keep what it would send along.
    pub fn claim(&self, module: &Module, flight: FlightId) -> Result<Claim, FetchError> {
        let filler = module.flights().filler(flight);
        Ok(match filler {
            Some(Filler::Holder { .. } | Filler::Nobody) => Claim::Download(Box::new(Wanted {
                expiry: self.options.expiry,
                timeout: self.options.timeout,
                stale: self.options.stale,
                variant: self.request.get(module, self.settings)?,
            })),
            Some(Filler::Thread | Filler::Copier) | None => Claim::Nothing,
        })
    }

    fn check_room(&self, module: &Module, url: &Url) -> Result<(), FetchError> {
        let host = url.host_str().unwrap_or_default();
        module.has_room(host, self.settings).map_err(waiting::overloaded)
    }

    /// How long a flight may take: a leader that is patient makes it longer, one that waits for as long
    /// as it may take (0) leaves that to the setting.
    fn span(&self) -> Millis {
        let settings = self.settings;
        settings.fetch_timeout.max(self.asked_timeout().min(settings.max_timeout))
    }

    fn task(
        &self,
        module: &Module,
        url: Url,
        validators: Option<Validators>,
    ) -> Result<Task, FetchError> {
        let time_left = Duration::from_millis(self.span());
        Ok(Task {
            request: Request {
                url,
                variant: self.request.get(module, self.settings)?,
                validators,
                time_left,
                max_body: module::max_body(self.settings),
            },
            deadline: Instant::now() + time_left,
            life: Life {
                expiry: self.options.expiry.unwrap_or(self.settings.default_expiry),
                stale: self.options.stale.unwrap_or(0),
            },
            store_headers: self.settings.store_headers.clone(),
            respect_no_store: self.settings.respect_no_store,
        })
    }
}

/// Whether a flight for this key may start.
///
/// # Errors
/// The server is out of memory, or the requests of all flights take as much as they may.
pub fn check_memory(
    ctx: &Ctx,
    module: &Module,
    settings: &Settings,
    key: &FlightKey,
) -> Result<(), CacheError> {
    check_not_full(ctx, key)?;
    let bytes = KEY_COPIES * key.name.len() as u64;
    Ok(module.has_room_for_request(settings, bytes).map_err(waiting::overloaded)?)
}

fn check_not_full(ctx: &Ctx, key: &FlightKey) -> Result<(), CacheError> {
    if memory::is_out(ctx, || lock_key(&key.name).unwrap_or_else(|_| key.name.clone())) {
        STATS.refused_oom.bump();
        return Err(CacheError::OutOfMemory);
    }
    Ok(())
}

/// Starts a flight for a key, that somebody fills within so long; nobody waits for it yet. Its lock key is written
/// with `marks`.
///
/// # Errors
/// The key's braces allow no lock key; or the system has no randomness.
pub fn enter(
    marks: &Marks<'_>,
    module: &Module,
    key: &FlightKey,
    (filler, span): (Filler, Millis),
) -> Result<(FlightId, Token), CacheError> {
    let token = new_token()?;
    let lock = LockMark { db: key.db, key: lock_key(&key.name)?, token };
    marks.add(lock.clone(), span + LOCK_OUTLIVES);
    let mut flights = module.flights();
    let flight = flights.next_flight();
    let deadline = deadline(marks.ctx, flight, (filler, span));
    flights.take_off(flight, key.clone(), (lock, filler, Some(deadline)), clock::monotonic());
    Ok((flight, token))
}

/// Gives a flight's task to the pool.
pub fn send(module: &Module, flight: FlightId, task: Task) {
    let permit: Permit<Brought> = Permit::new(flight, |flight, outcome| {
        main_thread::post(move |ctx| landing::land(ctx, flight, outcome));
    });
    let progress = module.flights().progress(flight);
    let waiting = Box::new(module.waiting_for(flight));
    module.download(Job { permit, task, progress, waiting });
}

/// A token that nobody can guess.
///
/// # Errors
/// The system has no randomness, and so none can be had.
pub fn new_token() -> Result<Token, CacheError> {
    let mut random = [0; Token::BYTES];
    getrandom::fill(&mut random).map_err(|_| CacheError::NoRandomness)?;
    Ok(Token::from_random(random))
}

/// The timer of a flight that is to be filled within so long.
pub fn deadline(ctx: &Ctx, flight: FlightId, (filler, span): (Filler, Millis)) -> Timer {
    let grace = if filler == Filler::Thread { GRACE } else { 0 };
    Timer::start::<Deadline>(ctx, span + grace, flight.to_number())
}

/// A flight's deadline has passed, and its filler has not ended it.
struct Deadline;

impl OnTime for Deadline {
    fn on_time(ctx: &Ctx, number: u64) {
        landing::overdue(ctx, FlightId::from_number(number));
    }
}
