//! Settings in Redis's own configuration: `CONFIG`, `redis.conf`, `MODULE LOADEX`.
//!
//! A table of [`Setting`]s describes them; a [`Store`] holds their values as one shared structure, so
//! that a flight keeps the settings of its take-off whatever is changed meanwhile.

use std::ffi::{CStr, c_char, c_int, c_longlong, c_void};
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::api::{ERR, OK, api, raw};
use super::args::string_bytes;
use super::ctx::Ctx;
use super::guarded;
use super::value::Value;
use crate::cache::seconds::{self, Millis};

/// The server does not tell its configuration: `CONFIG` is hidden by `rename-command`. Whoever asks takes the
/// careful answer, not "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untold;

/// A numeric setting of the server's own; `None` if this server has none of that name.
///
/// # Errors
/// [`Untold`], also where it is no number.
pub fn server_number(ctx: &Ctx, name: &CStr) -> Result<Option<u64>, Untold> {
    let text = server_setting(ctx, name)?;
    text.map(|text| text.parse().map_err(|_| Untold)).transpose()
}

/// A setting of the server's own, as `CONFIG GET` prints it.
fn server_setting(ctx: &Ctx, name: &CStr) -> Result<Option<String>, Untold> {
    // SAFETY: the arguments are as the format names them; a reply that is not null is ours to look at and
    // to free once; its elements live as long as it does, and are looked at only if they are strings.
    unsafe {
        let (config, format) = (c"CONFIG".as_ptr(), c"Ecc".as_ptr());
        let reply =
            api!(RedisModule_Call(ctx.raw(), config, format, c"GET".as_ptr(), name.as_ptr()));
        if reply.is_null() {
            return Err(Untold);
        }
        let told = if api!(RedisModule_CallReplyType(reply)) == ARRAY_REPLY {
            let value = api!(RedisModule_CallReplyArrayElement(reply, 1));
            let mut length = 0;
            let start = if value.is_null() {
                ptr::null()
            } else {
                api!(RedisModule_CallReplyStringPtr(value, &raw mut length))
            };
            Ok((!start.is_null()).then(|| {
                String::from_utf8_lossy(std::slice::from_raw_parts(start.cast(), length))
                    .into_owned()
            }))
        } else {
            Err(Untold)
        };
        api!(RedisModule_FreeCallReply(reply));
        told
    }
}

#[allow(clippy::cast_possible_truncation)] // a small number, which bindgen takes for an enum value
const ARRAY_REPLY: c_int = raw::REDISMODULE_REPLY_ARRAY as c_int;

/// One setting of a structure `S`.
pub struct Setting<S: 'static> {
    /// Its name, without the module's.
    pub name: &'static CStr,
    /// When, and by whom, it may be set.
    pub scope: Scope,
    /// What it is, with its default, and how it is read and written.
    pub kind: Kind<S>,
}

/// When, and by whom, a setting may be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// At any time.
    Anytime,
    /// When the module is loaded.
    AtLoad,
    /// At any time, by those who may set protected configuration (`enable-protected-configs`).
    Protected,
}

/// What a setting is.
pub enum Kind<S> {
    /// A whole number.
    Number { default: i64, min: i64, max: i64, get: fn(&S) -> u64, set: fn(&mut S, u64) },
    /// A number of bytes, which may be written as `64mb`.
    Bytes { default: i64, min: i64, max: i64, get: fn(&S) -> u64, set: fn(&mut S, u64) },
    /// A time in seconds, which may have decimals.
    Seconds {
        default: &'static CStr,
        min: Millis,
        max: Millis,
        get: fn(&S) -> Millis,
        set: fn(&mut S, Millis),
    },
    /// Yes or no.
    YesNo { default: bool, get: fn(&S) -> bool, set: fn(&mut S, bool) },
    /// Anything else, with its own parser, whose error is told to whoever set it.
    Text {
        default: &'static CStr,
        get: fn(&S) -> String,
        set: fn(&mut S, &str) -> Result<(), String>,
    },
}

/// Holds the settings that are in force, from load to unload.
pub struct Store<S>(RwLock<Option<Arc<S>>>);

impl<S: Clone + Default> Store<S> {
    /// Holds none yet: [`register`] fills it.
    pub const fn empty() -> Self {
        Self(RwLock::new(None))
    }

    /// The settings as they are now; later changes do not change them.
    pub fn current(&self) -> Arc<S> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        current.clone().unwrap_or_default()
    }

    /// Looks at one of them, for a call that needs no more.
    pub fn look<T>(&self, look: impl FnOnce(&S) -> T) -> T {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &*current {
            Some(settings) => look(settings),
            None => look(&S::default()),
        }
    }

    /// Forgets all, at unload.
    pub fn clear(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn change<T>(&self, change: impl FnOnce(&mut S) -> T) -> T {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(current.get_or_insert_default()))
    }
}

impl<S> Setting<S> {
    /// Sets its default.
    ///
    /// # Errors
    /// The default is none that it takes.
    pub fn set_default(&self, settings: &mut S) -> Result<(), String> {
        match &self.kind {
            Kind::Number { default, set, .. } | Kind::Bytes { default, set, .. } => {
                set(settings, default.unsigned_abs());
                Ok(())
            }
            Kind::YesNo { default, set, .. } => {
                set(settings, *default);
                Ok(())
            }
            Kind::Seconds { default, .. } | Kind::Text { default, .. } => {
                self.set_text(settings, &default.to_string_lossy())
            }
        }
    }

    fn set_text(&self, settings: &mut S, text: &str) -> Result<(), String> {
        match &self.kind {
            Kind::Text { set, .. } => set(settings, text),
            Kind::Seconds { min, max, set, .. } => {
                let span = seconds::parse(text.trim().as_bytes())
                    .and_then(|span| u64::try_from(span).ok());
                match span.filter(|span| (min..=max).contains(&span)) {
                    Some(span) => {
                        set(settings, span);
                        Ok(())
                    }
                    None => Err(format!(
                        "must be seconds from {} to {}",
                        seconds::print(*min),
                        seconds::print(*max)
                    )),
                }
            }
            Kind::Number { .. } | Kind::Bytes { .. } | Kind::YesNo { .. } => {
                Err("is no text".into())
            }
        }
    }

    fn text(&self, settings: &S) -> String {
        match &self.kind {
            Kind::Text { get, .. } => get(settings),
            Kind::Seconds { get, .. } => seconds::print(get(settings)),
            Kind::Number { get, .. } | Kind::Bytes { get, .. } => get(settings).to_string(),
            Kind::YesNo { get, .. } => get(settings).to_string(),
        }
    }

    fn flags(&self) -> u32 {
        let scope = match self.scope {
            Scope::Anytime => raw::REDISMODULE_CONFIG_DEFAULT,
            Scope::AtLoad => raw::REDISMODULE_CONFIG_IMMUTABLE,
            Scope::Protected => raw::REDISMODULE_CONFIG_PROTECTED,
        };
        let memory = match self.kind {
            Kind::Bytes { .. } => raw::REDISMODULE_CONFIG_MEMORY,
            _ => 0,
        };
        scope | memory
    }
}

/// A setting together with where its value is; Redis is given its address.
pub struct Bound<S: 'static> {
    setting: &'static Setting<S>,
    store: &'static Store<S>,
    /// What the last `CONFIG GET` was answered: the server borrows it until the next.
    printed: Mutex<Option<Value>>,
}

/// The settings that Redis knows of; they must live until the module is gone.
pub type Registered<S> = Vec<Box<Bound<S>>>;

/// Registers a table and lets Redis set each from its configuration, or to its default.
///
/// # Errors
/// Says what the server did not take.
pub fn register<S: Clone + Default + 'static>(
    ctx: &Ctx,
    table: &'static [Setting<S>],
    store: &'static Store<S>,
) -> Result<Registered<S>, String> {
    let bound: Registered<S> = table
        .iter()
        .map(|setting| Box::new(Bound { setting, store, printed: Mutex::new(None) }))
        .collect();
    for one in &bound {
        if register_one(ctx, one) != OK {
            return Err(format!("setting '{}' was not taken", one.setting.name.to_string_lossy()));
        }
    }
    // SAFETY: called during the load, after all settings are registered.
    if unsafe { api!(RedisModule_LoadConfigs(ctx.raw())) } != OK {
        return Err("a setting given at load was refused".into());
    }
    Ok(bound)
}

/// The names of the settings that have other values than their defaults.
pub fn changed<S: Clone + Default>(table: &[Setting<S>], store: &Store<S>) -> Vec<String> {
    let (current, defaults) = (store.current(), S::default());
    let changed = table.iter().filter(|one| one.text(&current) != one.text(&defaults));
    changed.map(|one| format!("cache.{}", one.name.to_string_lossy())).collect()
}

fn register_one<S: Clone + Default + 'static>(ctx: &Ctx, bound: &Bound<S>) -> c_int {
    let setting = bound.setting;
    let (name, flags) = (setting.name.as_ptr(), setting.flags());
    let data = ptr::from_ref(bound).cast_mut().cast::<c_void>();
    // SAFETY: called during the load; `data` is the boxed setting, which stays where it is until the
    // module is gone (`Registered`), and the callbacks are those for its type.
    unsafe {
        match setting.kind {
            Kind::Number { default, min, max, .. } | Kind::Bytes { default, min, max, .. } => {
                api!(RedisModule_RegisterNumericConfig(
                    ctx.raw(),
                    name,
                    default,
                    flags,
                    min,
                    max,
                    Some(get_number::<S>),
                    Some(set_number::<S>),
                    None,
                    data
                ))
            }
            Kind::YesNo { default, .. } => {
                api!(RedisModule_RegisterBoolConfig(
                    ctx.raw(),
                    name,
                    c_int::from(default),
                    flags,
                    Some(get_yes_no::<S>),
                    Some(set_yes_no::<S>),
                    None,
                    data
                ))
            }
            Kind::Seconds { default, .. } | Kind::Text { default, .. } => {
                api!(RedisModule_RegisterStringConfig(
                    ctx.raw(),
                    name,
                    default.as_ptr(),
                    flags,
                    Some(get_text::<S>),
                    Some(set_text::<S>),
                    None,
                    data
                ))
            }
        }
    }
}

/// # Safety
/// `data` is what `register_one` gave for the same `S`.
unsafe fn bound<'a, S>(data: *mut c_void) -> &'a Bound<S> {
    // SAFETY: as the caller promises; the box outlives the module's registration.
    unsafe { &*data.cast() }
}

unsafe extern "C" fn get_number<S: Clone + Default + 'static>(
    _: *const c_char,
    data: *mut c_void,
) -> c_longlong {
    // SAFETY: `data` is this setting's (`register_one`).
    let bound = unsafe { bound::<S>(data) };
    let number = guarded(|| match bound.setting.kind {
        Kind::Number { get, .. } | Kind::Bytes { get, .. } => get(&bound.store.current()),
        _ => 0,
    });
    number.and_then(|number| number.try_into().ok()).unwrap_or(c_longlong::MAX)
}

unsafe extern "C" fn set_number<S: Clone + Default + 'static>(
    _: *const c_char,
    number: c_longlong,
    data: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: `data` is this setting's (`register_one`).
    let bound = unsafe { bound::<S>(data) };
    // The server has held it against the setting's bounds, none of which is negative.
    let number = number.unsigned_abs();
    let done = guarded(|| match bound.setting.kind {
        Kind::Number { set, .. } | Kind::Bytes { set, .. } => {
            bound.store.change(|settings| set(settings, number));
        }
        _ => {}
    });
    if done.is_some() { OK } else { ERR }
}

unsafe extern "C" fn get_yes_no<S: Clone + Default + 'static>(
    _: *const c_char,
    data: *mut c_void,
) -> c_int {
    // SAFETY: `data` is this setting's (`register_one`).
    let bound = unsafe { bound::<S>(data) };
    let yes = guarded(|| match bound.setting.kind {
        Kind::YesNo { get, .. } => get(&bound.store.current()),
        _ => false,
    });
    c_int::from(yes.unwrap_or_default())
}

unsafe extern "C" fn set_yes_no<S: Clone + Default + 'static>(
    _: *const c_char,
    yes: c_int,
    data: *mut c_void,
    _: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: `data` is this setting's (`register_one`).
    let bound = unsafe { bound::<S>(data) };
    let done = guarded(|| {
        if let Kind::YesNo { set, .. } = bound.setting.kind {
            bound.store.change(|settings| set(settings, yes != 0));
        }
    });
    if done.is_some() { OK } else { ERR }
}

unsafe extern "C" fn get_text<S: Clone + Default + 'static>(
    _: *const c_char,
    data: *mut c_void,
) -> *mut raw::RedisModuleString {
    // SAFETY: `data` is this setting's (`register_one`).
    let bound = unsafe { bound::<S>(data) };
    guarded(|| {
        let value = Value::new(bound.setting.text(&bound.store.current()).as_bytes());
        let string = value.raw();
        *bound.printed.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        string
    })
    .unwrap_or(ptr::null_mut())
}

unsafe extern "C" fn set_text<S: Clone + Default + 'static>(
    _: *const c_char,
    text: *mut raw::RedisModuleString,
    data: *mut c_void,
    error: *mut *mut raw::RedisModuleString,
) -> c_int {
    // SAFETY: `data` is this setting's (`register_one`), and the text lives through the call.
    let (bound, text) = unsafe { (bound::<S>(data), string_bytes(text)) };
    let outcome = guarded(|| {
        let text = std::str::from_utf8(text).map_err(|_| "is not valid UTF-8".to_owned())?;
        bound.store.change(|settings| bound.setting.set_text(settings, text))
    });
    match outcome {
        Some(Ok(())) => OK,
        Some(Err(reason)) => {
            // SAFETY: `error` is where the server wants the reason; it takes the string over.
            unsafe { *error = Value::new(reason.as_bytes()).into_raw() };
            ERR
        }
        None => ERR,
    }
}
