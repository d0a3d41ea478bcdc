//! Loading and unloading: the two symbols that the server looks for.

use std::ffi::{CStr, c_int};

use super::api::{ERR, OK, raw};
use super::ctx::Ctx;
use super::{guarded, log, main_thread};

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

    /// Ends what it runs.
    ///
    /// # Errors
    /// Why it cannot be unloaded now; nothing was ended then.
    fn stop() -> Result<(), String>;
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
            _ctx: *mut ::redis_module::raw::RedisModuleCtx,
        ) -> ::std::ffi::c_int {
            $crate::server::load::on_unload::<$module>()
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
    if !main_thread::open(&ctx) {
        return ERR;
    }
    let started = guarded(|| {
        if argc > 0 {
            return Err("it takes no arguments; use loadmodule … and cache.… settings, or MODULE LOADEX … CONFIG".into());
        }
        M::start(&ctx)
    });
    match started {
        Some(Ok(())) => OK,
        Some(Err(reason)) => {
            log::warning(&format!("not loaded: {reason}"));
            main_thread::close();
            ERR
        }
        None => ERR,
    }
}

/// The other end.
pub fn on_unload<M: Module>() -> c_int {
    if !main_thread::hold_back() {
        log::warning("not unloaded: work for the main thread is under way, try again");
        return ERR;
    }
    let stopped = guarded(M::stop);
    if let Some(Ok(())) = stopped {
        main_thread::close();
        return OK;
    }
    main_thread::go_on();
    if let Some(Err(reason)) = stopped {
        log::warning(&format!("not unloaded: {reason}"));
    }
    ERR
}
