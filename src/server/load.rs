//! Loading and unloading: the two symbols that the server looks for.

use std::ffi::{CStr, c_int};

use super::api::{ERR, OK, raw};
use super::ctx::Ctx;
use super::{dispatch, guarded, log, log_panics, lookups, main_thread};

/// Unit tests run without a server, and use the system's.
#[cfg(not(test))]
#[global_allocator]
static ALLOCATOR: super::alloc::RedisAllocator = super::alloc::RedisAllocator;

/// A module.
pub trait Module {
    /// Its name.
    const NAME: &'static CStr;
    /// Its version, as `MODULE LIST` shows it.
    const VERSION: c_int;

    /// Registers all it offers and starts what it runs.
    ///
    /// # Errors
    /// Why it cannot be loaded; it goes to the log.
    fn start(ctx: &Ctx) -> Result<(), String>;

    /// Whether nothing is under way, so that it may be unloaded.
    ///
    /// # Errors
    /// What is.
    fn check_idle() -> Result<(), String>;

    /// Ends what it runs: all of it, or as much as a [`Module::start`] that failed has started.
    fn stop();
}

/// Gives a [`Module`] the two symbols that the server looks for.
macro_rules! export_module {
    ($module:ty) => {
        #[allow(unsafe_code)]
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn RedisModule_OnLoad(
            ctx: *mut ::redis_module::raw::RedisModuleCtx,
            _argv: *mut *mut ::redis_module::raw::RedisModuleString,
            argc: ::std::ffi::c_int,
        ) -> ::std::ffi::c_int {
            // SAFETY: called by the server, as it calls `RedisModule_OnLoad`.
            unsafe { $crate::server::load::on_load::<$module>(ctx, argc) }
        }

        #[allow(unsafe_code)]
        #[allow(non_snake_case)]
        #[unsafe(no_mangle)]
        unsafe extern "C" fn RedisModule_OnUnload(
            ctx: *mut ::redis_module::raw::RedisModuleCtx,
        ) -> ::std::ffi::c_int {
            // SAFETY: called by the server, as it calls `RedisModule_OnUnload`.
            unsafe { $crate::server::load::on_unload::<$module>(ctx) }
        }
    };
}
pub(crate) use export_module;

/// # Safety
/// Called by the server, with what it gives to `RedisModule_OnLoad`.
pub unsafe fn on_load<M: Module>(ctx: *mut raw::RedisModuleCtx, argc: c_int) -> c_int {
    // SAFETY: as the caller promises. This fills the API's functions, so it comes before all else: even
    // memory is theirs.
    let status = unsafe {
        raw::Export_RedisModule_Init(
            ctx,
            M::NAME.as_ptr(),
            M::VERSION,
            raw::REDISMODULE_APIVER_1.cast_signed(),
        )
    };
    if status == ERR {
        return ERR;
    }
    // SAFETY: the server gives a live context for the time of the load.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    log_panics();
    if !main_thread::open(&ctx) {
        return ERR;
    }
    let started = guarded(|| {
        if argc > 0 {
            return Err("it takes no arguments; use loadmodule … and cache.… settings, or MODULE LOADEX … CONFIG".into());
        }
        M::start(&ctx)
    });
    let started = started.unwrap_or_else(|| Err("internal error".into()));
    if let Err(reason) = started {
        log::warning(&format!("not loaded: {reason}"));
        end::<M>(&ctx);
        return ERR;
    }
    lookups::begin(&ctx);
    dispatch::loaded(&ctx);
    OK
}

/// The other end. The order makes sure that nothing is left behind: the event loop is held back first, so that
/// what is posted from there on stays where it can be seen; then nothing may be under way that could post; then
/// nothing may have been posted. Only after that the module goes.
///
/// # Safety
/// Called by the server, with what it gives to `RedisModule_OnUnload`.
pub unsafe fn on_unload<M: Module>(ctx: *mut raw::RedisModuleCtx) -> c_int {
    // SAFETY: the server gives a live context for the time of the unload.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    let refused = if main_thread::hold_back() {
        let idle = guarded(|| lookups::check(&ctx).and_then(|()| M::check_idle()));
        match idle {
            Some(Ok(())) if main_thread::has_tasks() => Some(UNDER_WAY.to_owned()),
            Some(idle) => idle.err(),
            None => Some("internal error".to_owned()),
        }
    } else {
        Some(UNDER_WAY.to_owned())
    };
    if let Some(reason) = refused {
        main_thread::go_on();
        log::warning(&format!("not unloaded: {reason}"));
        return ERR;
    }
    end::<M>(&ctx);
    OK
}

const UNDER_WAY: &str = "work for the main thread is under way; try again";

/// Ends the module, and at last what it has run on.
fn end<M: Module>(ctx: &Ctx) {
    dispatch::unloaded();
    lookups::end(ctx);
    guarded(M::stop);
    main_thread::close();
}
