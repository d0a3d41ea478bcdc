//! A command's arguments, borrowed from the server.

use std::marker::PhantomData;

use super::api::{api, raw};
use super::ctx::Ctx;
use super::{main_thread, timer};

/// The arguments, the command's own name at 0.
///
/// The array is the server's, which may put another string into a place of it while the command runs (Valkey 8.1,
/// where an argument is redacted). So no reference to it is kept: each look reads the place anew.
pub struct Args<'a> {
    start: *const *mut raw::RedisModuleString,
    count: usize,
    strings: PhantomData<&'a ()>,
}

/// One argument: bytes, or the name of a key.
#[derive(Clone, Copy)]
pub struct Arg<'a>(*mut raw::RedisModuleString, PhantomData<&'a ()>);

impl<'a> Args<'a> {
    /// Wraps what a command callback was given.
    ///
    /// # Safety
    /// `start` points to `count` strings that outlive the result, as the server gives them to a command. On this
    /// thread alone they are exchanged for others.
    pub(super) unsafe fn from_raw(
        start: *mut *mut raw::RedisModuleString,
        count: std::ffi::c_int,
    ) -> Self {
        Self { start, count: usize::try_from(count).unwrap_or(0), strings: PhantomData }
    }

    /// How many there are, the command's name among them.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// The bytes of the arguments from `index` on.
    pub fn bytes_from(&self, index: usize) -> impl Iterator<Item = &'a [u8]> {
        (index..self.count).filter_map(|at| self.get(at)).map(Arg::bytes)
    }

    /// The count of keys that argument 1 gives, if it is above zero and there are as many behind it.
    pub fn key_count(&self) -> Option<usize> {
        let digits = self.get(1)?.bytes();
        // As Redis reads a whole number: digits, and no zero before them.
        if !matches!(digits.first(), Some(b'1'..=b'9')) {
            return None;
        }
        let count = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (1..=self.len() - 2).contains(&count).then_some(count)
    }

    /// The argument at `index`, if it was given.
    pub fn get(&self, index: usize) -> Option<Arg<'a>> {
        // SAFETY: the place is one of the array's, as `from_raw` was promised, and is read on the thread that the
        // server writes to it on.
        (index < self.count).then(|| Arg(unsafe { self.start.add(index).read() }, PhantomData))
    }
}

impl<'a> Arg<'a> {
    pub(super) const fn raw(self) -> *mut raw::RedisModuleString {
        self.0
    }

    /// Its bytes.
    pub fn bytes(self) -> &'a [u8] {
        // SAFETY: the string lives as long as `'a` (`Args::from_raw`), and nobody changes an argument.
        unsafe { string_bytes(self.0) }
    }
}

impl Arg<'_> {
    /// Keeps it for longer than its command runs, and gives it to `then`, on the main thread, once the command
    /// has ended: when its callback returns, the server may still move the bytes of an argument that somebody
    /// keeps (`trimStringObjectIfNeeded`), and no other thread may look at them before that.
    pub fn hold(self, then: impl FnOnce(&Ctx, Held) + Send + 'static) {
        // SAFETY: the string is live; without a context the reference belongs to the caller alone.
        let held = Held(unsafe { api!(RedisModule_HoldString(std::ptr::null_mut(), self.0)) });
        main_thread::post(move |ctx| then(ctx, held));
    }
}

/// An argument that outlives its command ([`Arg::hold`]). It may be read on any thread.
pub struct Held(*mut raw::RedisModuleString);

// SAFETY: other threads only read its bytes, and nobody changes those any more. The server trims an argument
// when its command's callback returns, and `hold` hands it out after that. What else has a reference reads
// (MONITOR, the slow log), or replaces its reference with another string's (rewriting a command), or lets go of
// it: a server that has its arguments freed by other threads gives them those alone that nobody else refers to.
// `RedisModule_HoldString` and `RedisModule_FreeString` are documented for the server's thread only, since
// references are counted without atomics. So both are called there alone (`hold`, `drop`).
unsafe impl Send for Held {}

impl Held {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the string lives as long as `self`, and nobody changes an argument.
        unsafe { string_bytes(self.0) }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if timer::fires() {
            // SAFETY: this is the one reference that `hold` has taken; timers fire on the main thread.
            unsafe { api!(RedisModule_FreeString(std::ptr::null_mut(), self.0)) };
            return;
        }
        let later = Self(self.0);
        main_thread::post(move |_| drop(later));
    }
}

/// The bytes of a string.
///
/// # Safety
/// `string` is live and unchanged for as long as the result is used.
pub(super) unsafe fn string_bytes<'a>(string: *const raw::RedisModuleString) -> &'a [u8] {
    let mut length = 0;
    // SAFETY: as the caller promises; the server gives a pointer to `length` bytes, or null.
    unsafe {
        let start = api!(RedisModule_StringPtrLen(string, &raw mut length));
        if start.is_null() { &[] } else { std::slice::from_raw_parts(start.cast(), length) }
    }
}
