//! A string that is made off the server lock, and then put in place whole.
//!
//! It is Redis's own string object, so that storing it copies nothing: the keyspace takes a reference.
//! Until then it has one owner, on whichever thread. Once stored, its count of references is
//! the main thread's business: it becomes a [`SharedValue`], which cannot leave that thread.

use std::marker::PhantomData;
use std::ptr::{self, NonNull};

use super::api::{api, raw};
use super::args::string_bytes;

/// See the module's essay.
pub struct Value {
    string: NonNull<raw::RedisModuleString>,
}

// SAFETY: the one owner moves with the value. The API says of `RedisModule_CreateString` and
// `RedisModule_FreeString` that a null context is allowed and that the string is the caller's then; it says
// of neither that other threads may call it without the lock. In all sources from Redis 7.0 and Valkey 8 on,
// both touch the string and the allocator alone, which is thread-safe, as long as the string has one
// reference; an empty context is not looked at. A stored one is shared with the keyspace and no `Value` any
// more (`SharedValue`).
unsafe impl Send for Value {}

impl Value {
    /// A new string of these bytes.
    pub fn new(bytes: &[u8]) -> Self {
        // SAFETY: without a context the string belongs to the caller alone; the bytes are copied. The
        // server aborts rather than return null when memory is out.
        let string = unsafe {
            api!(RedisModule_CreateString(ptr::null_mut(), bytes.as_ptr().cast(), bytes.len()))
        };
        let Some(string) = NonNull::new(string) else {
            super::api::missing("RedisModule_CreateString's memory");
        };
        Self { string }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the string lives as long as `self`, and nobody changes it.
        unsafe { string_bytes(self.string.as_ptr()) }
    }

    pub(super) const fn raw(&self) -> *mut raw::RedisModuleString {
        self.string.as_ptr()
    }

    /// Takes over a string that has one reference.
    ///
    /// # Safety
    /// That reference is the caller's, who uses it no more.
    pub(super) const unsafe fn from_raw(string: NonNull<raw::RedisModuleString>) -> Self {
        Self { string }
    }

    /// Hands the string over to the server.
    pub(super) fn into_raw(self) -> *mut raw::RedisModuleString {
        std::mem::ManuallyDrop::new(self).string.as_ptr()
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        // SAFETY: this is the owner's one reference; on which thread it may go is `Send`'s argument.
        unsafe { api!(RedisModule_FreeString(ptr::null_mut(), self.string.as_ptr())) };
    }
}

/// A value that the keyspace holds as well. It is read, and let go of, on the main thread alone.
pub struct SharedValue {
    value: Value,
    not_send: PhantomData<*const ()>,
}

impl SharedValue {
    /// From here on the keyspace has a reference too.
    pub(super) const fn new(value: Value) -> Self {
        Self { value, not_send: PhantomData }
    }

    /// All its bytes.
    pub fn bytes(&self) -> &[u8] {
        self.value.bytes()
    }
}
