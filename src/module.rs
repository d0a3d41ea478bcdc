//! The module: its rings wired together, and the one piece of shared state.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use crate::cache::backoff::Backoff;
use crate::cache::budget::Budget;
use crate::cache::error::Overload;
use crate::cache::flights::{FlightId, Void};
use crate::cache::lease::FilledTokens;
use crate::cache::stats::Stats;
use crate::config::{SETTINGS, Settings, TABLE};
use crate::flight::Flights;
use crate::flight::download::{self, Job};
use crate::flight::waiting::Waits;
use crate::flight::{lease, telling};
use crate::origin::http::{HttpOrigin, Policies};
use crate::origin::pool::{Limits, Pool, Start};
use crate::server::answers::Answerer;
use crate::server::blocked;
use crate::server::ctx::Ctx;
use crate::server::events::OnEvent;
use crate::server::info::{self, OnInfo, Section};
use crate::server::keyspace;
use crate::server::log;
use crate::server::main_thread;
use crate::server::settings::{self, Registered, server_number};

/// What is counted, since the module was loaded.
pub static STATS: Stats = Stats::new();

/// The longest string that the server takes from a client (`proto-max-bulk-len`): an entry that is longer
/// could be stored, but neither restored nor migrated.
static LONGEST_STRING: AtomicU64 = AtomicU64::new(u64::MAX);

/// The same where the server does not tell: its default.
const USUAL_LONGEST_STRING: u64 = 512 << 20;

/// The memory that the server may have: `maxmemory`, or else the machine's.
static MEMORY: AtomicU64 = AtomicU64::new(u64::MAX);

/// How much of it is left to an entry's head.
const HEAD_ROOM: u64 = 512 * 1024;

/// How often a flight keeps its key: twice in the flight table, in its lock key's name, which the keyspace has
/// too, and in its download's URL.
pub const KEY_COPIES: u64 = 5;

/// The module from load to unload; see [`get`].
static MODULE: RwLock<Option<Arc<Module>>> = RwLock::new(None);

/// Everything that lives as long as the module is loaded. The order is that in which it is taken down:
/// first what runs downloads, then what they run on, at last what Redis holds addresses of.
pub struct Module {
    pool: Pool,
    origin: Arc<HttpOrigin>,
    answerer: Answerer,
    flights: Arc<Mutex<Flights>>,
    waits: Mutex<Waits>,
    backoff: Mutex<Backoff>,
    filled_tokens: Mutex<FilledTokens>,
    requests: Budget,
    _settings: Registered<Settings>,
}

/// The loaded module. For the main thread alone: other threads are given the parts they need, so that
/// nobody else holds it when it is unloaded.
///
/// # Panics
/// Outside of load and unload, where no callback runs.
pub fn get() -> Arc<Module> {
    let module = MODULE.read().unwrap_or_else(PoisonError::into_inner);
    match &*module {
        Some(module) => Arc::clone(module),
        None => panic!("the module is not loaded"),
    }
}

/// Reads the settings, builds the parts and makes them known.
///
/// # Errors
/// Which of them failed.
pub fn start(ctx: &Ctx) -> Result<(), String> {
    let settings = settings::register(ctx, &TABLE, &SETTINGS)?;
    let threads = usize::try_from(SETTINGS.current().max_downloads).unwrap_or(usize::MAX);
    let policies = Policies {
        guard: Box::new(|| Arc::clone(&SETTINGS.current().guard)),
        max_redirects: Arc::new(|| {
            usize::try_from(SETTINGS.current().max_redirects).unwrap_or(usize::MAX)
        }),
    };
    let origin = HttpOrigin::new(policies).map_err(|error| format!("no client: {error}"))?;
    if !origin.has_authorities() {
        log::warning(
            "no CA certificates: https fails until ca-certificates is installed, or SSL_CERT_FILE names a file",
        );
    }
    let module = Module {
        pool: Pool::new(threads).map_err(|error| format!("no download threads: {error}"))?,
        origin: Arc::new(origin),
        answerer: Answerer::start().map_err(|error| format!("no answering thread: {error}"))?,
        flights: Arc::default(),
        waits: Mutex::default(),
        backoff: Mutex::default(),
        filled_tokens: Mutex::default(),
        requests: Budget::default(),
        _settings: settings,
    };
    look_at_the_server(ctx);
    keyspace::warn_of_hidden_commands(ctx);
    STATS.reset();
    *MODULE.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(module));
    Ok(())
}

/// Whether nothing is under way.
///
/// # Errors
/// What is.
pub fn check_idle() -> Result<(), String> {
    let module = get();
    let in_the_air = module.flights().len();
    if in_the_air > 0 {
        return Err(format!("{in_the_air} flights are in the air"));
    }
    if module.pool.jobs() > 0 {
        return Err("a download is ending; try again".into());
    }
    if !module.answerer.is_idle() {
        return Err("answers or copies are being written; try again".into());
    }
    Ok(())
}

/// Takes everything down that is there: at unload, and when a step of the load has failed.
pub fn stop() {
    let module = MODULE.write().unwrap_or_else(PoisonError::into_inner).take();
    let was_loaded = module.is_some();
    drop(module);
    download::tell_all_repeats();
    if was_loaded {
        warn_of_forgotten_settings();
    }
    SETTINGS.clear();
}

/// The server keeps a module's settings no longer than the module.
fn warn_of_forgotten_settings() {
    let set = settings::changed(&TABLE, &SETTINGS);
    if !set.is_empty() {
        log::warning(&format!(
            "unloaded; a plain MODULE LOAD begins with the defaults of all settings, those of the guard too. These \
             had other values: {}. MODULE LOADEX sets them, or a restart with them in redis.conf",
            set.join(" ")
        ));
    }
}

/// Reads what of the server's own configuration matters here.
fn look_at_the_server(ctx: &Ctx) {
    blocked::look_whether_commands_may_intervene(ctx);
    let longest = server_number(ctx, c"proto-max-bulk-len").ok().flatten();
    LONGEST_STRING.store(longest.unwrap_or(USUAL_LONGEST_STRING), Relaxed);
    // INFO tells where CONFIG is hidden.
    let memory = |field| info::server_field(ctx, c"memory", field).filter(|&bytes| bytes > 0);
    let memory = memory(c"maxmemory").or_else(|| memory(c"total_system_memory"));
    MEMORY.store(memory.unwrap_or(u64::MAX), Relaxed);
}

/// The largest body that is taken: what the setting says, and what fits into a string.
pub fn max_body(settings: &Settings) -> u64 {
    let fits = LONGEST_STRING.load(Relaxed).saturating_sub(HEAD_ROOM);
    settings.max_body_size.min(fits)
}

impl Module {
    /// The flight table. Hold it for a look or a change, never across a call into the server.
    pub fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What tells another thread how many wait for a flight.
    pub fn waiting_for(&self, flight: FlightId) -> impl FnOnce() -> usize + Send + 'static {
        let flights = Arc::clone(&self.flights);
        move || flights.lock().unwrap_or_else(PoisonError::into_inner).waiting(flight)
    }

    /// The clients that wait; the same rule.
    pub fn waits(&self) -> MutexGuard<'_, Waits> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The keys whose refresh has failed of late; the same rule.
    pub fn backoff(&self) -> MutexGuard<'_, Backoff> {
        self.backoff.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tokens that have filled of late; the same rule.
    pub fn filled_tokens(&self) -> MutexGuard<'_, FilledTokens> {
        self.filled_tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether another download from this host would find a thread or a place in the queue.
    ///
    /// # Errors
    /// Of what there is too much.
    pub fn has_room(&self, host: &str, settings: &Settings) -> Result<(), Overload> {
        self.pool.has_room(host, limits(settings))
    }

    /// The bytes of bodies and headers that downloads, and those who wait for leases, keep.
    pub fn requests(&self) -> &Budget {
        &self.requests
    }

    /// Whether so many more bytes of a request may be kept, beside the requests and keys of all flights. A lone
    /// request always may.
    ///
    /// # Errors
    /// [`Overload::Requests`].
    pub fn has_room_for_request(&self, settings: &Settings, bytes: u64) -> Result<(), Overload> {
        let most = match settings.max_request_memory {
            0 => MEMORY.load(Relaxed) / 16,
            bytes => bytes,
        };
        let keys = self.flights().key_bytes().saturating_mul(KEY_COPIES);
        let used = self.requests.used().saturating_add(keys);
        let fits = used == 0 || used.saturating_add(bytes) <= most;
        if fits { Ok(()) } else { Err(Overload::Requests(most)) }
    }

    /// Runs a download on a thread of the pool, when its host's turn comes.
    pub fn download(&self, job: Job) {
        let origin = Arc::clone(&self.origin);
        let host = job.task.request.url.host_str().unwrap_or_default().to_owned();
        let limits = limits(&SETTINGS.current());
        self.pool.submit(&host, limits, move |start| match start {
            Start::OnThread => download::run(job, &*origin),
            Start::NoThread => download::fail_for_want_of_a_thread(job),
        });
    }

    /// Whether a reply of so many bytes fits into the memory for replies beside those that are under way. A lone
    /// one always does.
    pub fn has_room_for_reply(&self, bytes: usize) -> bool {
        let pending = self.answerer.pending();
        pending == 0 || pending.saturating_add(bytes as u64) <= most_reply_memory()
    }

    /// Of so many clients, each to be answered with so many bytes, how many may be: as many as fit into the
    /// memory for replies beside those that are under way, and never none.
    pub fn answerable(&self, clients: usize, size: usize) -> usize {
        let fit = most_reply_memory().saturating_sub(self.answerer.pending()) / size.max(1) as u64;
        usize::try_from(fit).unwrap_or(usize::MAX).max(1).min(clients)
    }

    /// What answers many clients, or with many bytes.
    pub fn answerer(&self) -> &Answerer {
        &self.answerer
    }
}

fn most_reply_memory() -> u64 {
    match SETTINGS.current().max_reply_memory {
        0 => MEMORY.load(Relaxed) / 4,
        bytes => bytes,
    }
}

fn limits(settings: &Settings) -> Limits {
    let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let per_host = match settings.max_downloads_per_host {
        0 => settings.max_downloads.div_ceil(4),
        most => most,
    };
    Limits { per_lane: count(per_host), queued: count(settings.max_queued_downloads) }
}

/// Frees void leases that nobody waits for. (Those of a demoted or loading server stay until their end, since
/// their lock keys cannot be removed there.)
fn free(flights: &mut Flights, idle: Vec<FlightId>) {
    lease::free(idle.into_iter().filter_map(|id| flights.land_idle(id)).collect());
}

impl OnEvent for Module {
    fn flushed(db: Option<i32>) {
        let module = get();
        let mut flights = module.flights();
        let idle = flights.void(db, Void::Flushed);
        free(&mut flights, idle);
    }

    fn swapped(one: i32, other: i32) {
        let module = get();
        let mut flights = module.flights();
        let idle = flights.swap(one, other);
        free(&mut flights, idle);
    }

    fn demoted() {
        get().flights().void(None, Void::Demoted);
        // In a turn of its own: the server is in the middle of it.
        main_thread::post(|ctx| telling::send_all_elsewhere(ctx, &get()));
    }

    fn loading() {
        get().flights().void(None, Void::Loading);
    }

    fn disconnected(client: u64) {
        lease::disconnected(&get(), client);
    }

    fn reconfigured(ctx: &Ctx) {
        look_at_the_server(ctx);
    }

    fn ticked() {
        download::tell_due_repeats();
    }
}

impl OnInfo for Module {
    fn on_info(section: &Section) {
        let module = get();
        let (flights, leases, waiters) = {
            let flights = module.flights();
            (flights.len() as u64, flights.leases() as u64, flights.waiters() as u64)
        };
        for (name, value) in [
            ("flights", flights),
            ("leases_held", leases),
            ("waiters", waiters),
            ("queued", module.pool.queued() as u64),
            ("threads", module.pool.threads() as u64),
        ] {
            section.number(name, value);
        }
        for (name, value) in STATS.all() {
            section.number(name, value);
        }
        section.decimal("download_seconds", STATS.download_seconds());
        let landing = main_thread::held().as_micros();
        section.number("landing_usec", landing.try_into().unwrap_or(u64::MAX));
    }
}
