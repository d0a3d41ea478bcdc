//! How a function of the module API is called.

/// The generated bindings.
pub(super) use redis_module::raw;

/// Calls an API function by the name it has behind `RedisModule_`.
///
/// The call itself is `unsafe`, and its reason is given where it is made.
macro_rules! api {
    ($name:ident($($argument:expr),* $(,)?)) => {
        match $crate::server::api::raw::$name {
            Some(function) => function($($argument),*),
            None => $crate::server::api::missing(stringify!($name)),
        }
    };
}
pub(super) use api;

/// A function that every supported server has is not there: a programming error, caught by the
/// callback's guard.
#[cold]
pub(super) fn missing(name: &str) -> ! {
    panic!("this server has no {name}")
}

/// `REDISMODULE_OK` as callbacks return it.
pub(super) const OK: std::ffi::c_int = 0;
/// `REDISMODULE_ERR` as callbacks return it.
pub(super) const ERR: std::ffi::c_int = 1;
