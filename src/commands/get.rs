//! `CACHE.GET url [expiry [timeout]] [option ...]`

use super::arguments as arg;
use super::lookup::on_call;
use crate::cache::error::CacheError;
use crate::cache::options::Takes;
use crate::flight::answer::Shape;
use crate::server::args::Args;
use crate::server::command::{Command, KeyUse, Keys, Spec};
use crate::server::ctx::Ctx;

/// Answers the body cached under a URL, downloading it first if need be.
pub struct Get;

impl Command for Get {
    const SPEC: Spec = Spec {
        name: c"cache.get",
        flags: c"write blocking",
        categories: c"write blocking",
        arity: -2,
        keys: Keys::First,
        key_use: KeyUse::ReadOrFill,
        summary: c"Returns the body cached under a URL; downloads it first, once for all who ask, if it is not there.",
        complexity: c"O(N) where N is the size of the body, as GET. A miss adds one download, off the main thread.",
        since: c"0.1.0",
        args: arg::DOWNLOADING,
    };

    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError> {
        on_call(ctx, "cache.get", args, Takes::All, |call| call.answer(ctx, Shape::Body))
    }
}
