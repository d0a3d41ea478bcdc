//! What happens to the server as a whole and concerns flights: flushes, swaps, demotions, loads.

use std::ffi::{c_int, c_void};

use super::api::{OK, api, raw};
use super::ctx::Ctx;
use super::{guarded, lookups};

/// Told of each event, on the main thread.
pub trait OnEvent {
    /// A database, or all of them, is about to be emptied.
    fn flushed(db: Option<i32>);
    /// Two databases have changed places.
    fn swapped(one: i32, other: i32);
    /// The server is a replica now.
    fn demoted();
    /// A data set begins to be loaded.
    fn loading();
    /// A client's connection has closed.
    fn disconnected(client: u64);
    /// The server's configuration has changed.
    fn reconfigured(ctx: &Ctx);
    /// Some time has passed: comes as often as `hz` says.
    fn ticked();
}

/// Subscribes to all of them.
///
/// # Errors
/// Names the event that the server does not offer.
pub fn subscribe<E: OnEvent>(ctx: &Ctx) -> Result<(), String> {
    let wanted: [(u64, raw::RedisModuleEventCallback, &str); 7] = [
        (raw::REDISMODULE_EVENT_FLUSHDB, Some(flush::<E>), "flush"),
        (raw::REDISMODULE_EVENT_SWAPDB, Some(swap::<E>), "swap"),
        (raw::REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED, Some(role::<E>), "role"),
        (raw::REDISMODULE_EVENT_LOADING, Some(load::<E>), "loading"),
        (raw::REDISMODULE_EVENT_CLIENT_CHANGE, Some(client::<E>), "client"),
        (raw::REDISMODULE_EVENT_CONFIG, Some(config::<E>), "configuration"),
        (raw::REDISMODULE_EVENT_CRON_LOOP, Some(cron::<E>), "cron"),
    ];
    for (index, &(id, callback, name)) in wanted.iter().enumerate() {
        if set_callback(ctx, id, callback) != OK {
            // A server of before 7.2 forgets a module whose load has failed, but not what it has subscribed to.
            for &(id, ..) in &wanted[..index] {
                set_callback(ctx, id, None);
            }
            return Err(format!("the server has no {name} event"));
        }
    }
    Ok(())
}

/// Subscribes to an event; with `None`, unsubscribes from one that was subscribed to.
fn set_callback(ctx: &Ctx, id: u64, callback: raw::RedisModuleEventCallback) -> c_int {
    let event = raw::RedisModuleEvent { id, dataver: 1 };
    // SAFETY: called during the load; the callbacks are of the type the API asks for.
    unsafe { api!(RedisModule_SubscribeToServerEvent(ctx.raw(), event, callback)) }
}

type Event = raw::RedisModuleEvent;

unsafe extern "C" fn flush<E: OnEvent>(
    _: *mut raw::RedisModuleCtx,
    _: Event,
    step: u64,
    data: *mut c_void,
) {
    if step == raw::REDISMODULE_SUBEVENT_FLUSHDB_START {
        // SAFETY: this event comes with this structure, for the time of the callback, or with null.
        let info = unsafe { data.cast::<raw::RedisModuleFlushInfo>().as_ref() };
        let db = info.map_or(-1, |info| info.dbnum);
        guarded(|| E::flushed((db >= 0).then_some(db)));
    }
}

unsafe extern "C" fn swap<E: OnEvent>(
    _: *mut raw::RedisModuleCtx,
    _: Event,
    _: u64,
    data: *mut c_void,
) {
    // SAFETY: this event comes with this structure, for the time of the callback, or with null.
    let info = unsafe { data.cast::<raw::RedisModuleSwapDbInfo>().as_ref() };
    guarded(|| match info {
        Some(info) => E::swapped(info.dbnum_first, info.dbnum_second),
        None => E::flushed(None),
    });
}

unsafe extern "C" fn role<E: OnEvent>(
    _: *mut raw::RedisModuleCtx,
    _: Event,
    role: u64,
    _: *mut c_void,
) {
    if role == raw::REDISMODULE_EVENT_REPLROLECHANGED_NOW_REPLICA {
        guarded(E::demoted);
    }
}

unsafe extern "C" fn load<E: OnEvent>(
    _: *mut raw::RedisModuleCtx,
    _: Event,
    step: u64,
    _: *mut c_void,
) {
    let starts = [
        raw::REDISMODULE_SUBEVENT_LOADING_RDB_START,
        raw::REDISMODULE_SUBEVENT_LOADING_AOF_START,
        raw::REDISMODULE_SUBEVENT_LOADING_REPL_START,
    ];
    if starts.contains(&step) {
        guarded(E::loading);
    }
}

unsafe extern "C" fn client<E: OnEvent>(
    _: *mut raw::RedisModuleCtx,
    _: Event,
    change: u64,
    data: *mut c_void,
) {
    if change == raw::REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED {
        // SAFETY: this event comes with this structure, for the time of the callback, or with null.
        let info = unsafe { data.cast::<raw::RedisModuleClientInfo>().as_ref() };
        if let Some(info) = info {
            guarded(|| E::disconnected(info.id));
        }
    }
}

unsafe extern "C" fn config<E: OnEvent>(
    ctx: *mut raw::RedisModuleCtx,
    _: Event,
    _: u64,
    _: *mut c_void,
) {
    // SAFETY: the server gives a live context to an event's callback.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    guarded(|| E::reconfigured(&ctx));
}

unsafe extern "C" fn cron<E: OnEvent>(
    ctx: *mut raw::RedisModuleCtx,
    _: Event,
    _: u64,
    _: *mut c_void,
) {
    // SAFETY: the server gives a live context to an event's callback.
    let ctx = unsafe { Ctx::from_raw(ctx) };
    guarded(|| lookups::ticked(&ctx));
    guarded(E::ticked);
}
