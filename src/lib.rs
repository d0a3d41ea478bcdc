//! `cache-get`: a Redis module that adds `CACHE.GET`, the GET that fills itself.
//!
//! This file registers what the module offers: its commands, settings, INFO section and events. Three
//! rings lie behind it (`docs/architecture.md`): `cache` holds the rules and knows nobody, `server`
//! speaks to Redis, `origin` to HTTP; `commands`, `flight` and `module` bring them together.

mod cache;
mod clock;
mod commands;
mod config;
mod flight;
mod module;
mod origin;
mod server;

use std::ffi::{CStr, c_int};

use module::Module;
use server::command::OwnCategory;
use server::ctx::Ctx;
use server::{events, info, load};

/// What the server loads.
struct CacheGet;

load::export_module!(CacheGet);

impl load::Module for CacheGet {
    const NAME: &'static CStr = c"cache";
    const VERSION: c_int = 100; // 0.1.0, as two digits each

    fn start(ctx: &Ctx) -> Result<(), String> {
        let own_category = OwnCategory::add(ctx);
        for command in &commands::ALL {
            command.register(ctx, own_category)?;
        }
        info::register::<Module>(ctx)?;
        module::start(ctx)?;
        events::subscribe::<Module>(ctx)
    }

    fn check_idle() -> Result<(), String> {
        module::check_idle()
    }

    fn stop() {
        module::stop();
    }
}
