//! What a client is answered when its command panics, on a server that is played here.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_long, c_longlong};
use std::ptr;

use super::super::command::Spec;
use super::*;

thread_local! {
    /// What was answered.
    static SAID: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn say(what: String) -> c_int {
    SAID.with_borrow_mut(|said| said.push(what));
    OK
}

unsafe extern "C" fn say_array(_: *mut raw::RedisModuleCtx, elements: c_long) -> c_int {
    say(format!("array of {elements}"))
}

unsafe extern "C" fn say_integer(_: *mut raw::RedisModuleCtx, number: c_longlong) -> c_int {
    say(format!("integer {number}"))
}

unsafe extern "C" fn say_error(_: *mut raw::RedisModuleCtx, line: *const c_char) -> c_int {
    // SAFETY: an error line is text that ends.
    let line = unsafe { CStr::from_ptr(line) }.to_string_lossy();
    say(line.split(';').next().unwrap_or_default().to_owned())
}

/// Answers arrays one in the other, `N` elements in all, and panics.
struct Panics<const N: usize>;

impl<const N: usize> Command for Panics<N> {
    const SPEC: Spec = Spec {
        name: c"panics",
        flags: c"",
        categories: c"",
        arity: 1,
        keys: Keys::None,
        key_use: KeyUse::Read,
        summary: c"",
        complexity: c"",
        since: c"",
        args: &[],
    };

    fn run(ctx: &Ctx, _: &Args<'_>) -> Result<(), CacheError> {
        let steps: [fn(&Ctx); 4] = [
            |ctx| ctx.reply_array(2),
            |ctx| ctx.reply_array(2),
            |ctx| ctx.reply_integer(1),
            |ctx| ctx.reply_integer(2),
        ];
        for step in steps.iter().take(N) {
            step(ctx);
        }
        panic!("as a broken command would");
    }
}

/// Has its client blocked, and panics.
struct Blocks;

impl Command for Blocks {
    const SPEC: Spec = Panics::<0>::SPEC;

    fn run(ctx: &Ctx, _: &Args<'_>) -> Result<(), CacheError> {
        ctx.owes_nothing();
        panic!("as a broken command would");
    }
}

fn call<C: Command>() -> Vec<String> {
    // SAFETY: no other unit test uses these functions, and all set them to the same.
    unsafe {
        raw::RedisModule_ReplyWithArray = Some(say_array);
        raw::RedisModule_ReplyWithLongLong = Some(say_integer);
        raw::RedisModule_ReplyWithError = Some(say_error);
    }
    LIFE.store(FIRST_LIFE, Relaxed);
    // SAFETY: what is called looks at no context and no arguments.
    unsafe { handle::<C>(ptr::null_mut(), ptr::NonNull::dangling().as_ptr(), 0) };
    SAID.take()
}

#[test]
fn a_panic_is_answered_once_and_completes_what_was_begun() {
    let error = "ERR internal error";
    assert_eq!(call::<Panics<0>>(), [error]);
    assert_eq!(call::<Panics<1>>(), ["array of 2", error, error]);
    assert_eq!(call::<Panics<2>>(), ["array of 2", "array of 2", error, error, error]);
    assert_eq!(call::<Panics<4>>(), ["array of 2", "array of 2", "integer 1", "integer 2", error]);
}

#[test]
fn a_panic_behind_a_blocked_client_is_left_to_whoever_answers_it() {
    assert_eq!(call::<Blocks>(), Vec::<String>::new());
}
