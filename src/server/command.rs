//! Commands: what each one says of itself, and how the server comes to call it.
//!
//! A command is a type. Its [`Spec`] stands beside its handler, and from it are made the registration,
//! the key specification (cluster, ACL, `COMMAND GETKEYS`) and `COMMAND DOCS`.

use std::ffi::{CStr, c_int};
use std::ptr;

use super::api::{ERR, OK, api, raw};
use super::args::Args;
use super::ctx::Ctx;
use super::dispatch::handle;
use super::log::c_string;
use crate::cache::error::CacheError;

/// One command.
pub trait Command {
    /// What it says of itself.
    const SPEC: Spec;

    /// Runs it. It has answered its client, or blocked it, when it returns `Ok`.
    ///
    /// # Errors
    /// The error is the answer.
    fn run(ctx: &Ctx, args: &Args<'_>) -> Result<(), CacheError>;
}

/// A command's metadata.
pub struct Spec {
    /// Its name, in lower case.
    pub name: &'static CStr,
    /// Flags as `RedisModule_CreateCommand` takes them.
    pub flags: &'static CStr,
    /// Its ACL categories, where modules may say them (Redis 7.2, Valkey).
    pub categories: &'static CStr,
    /// How many arguments it has, its name among them; negative for "at least".
    pub arity: c_int,
    /// Where its keys are.
    pub keys: Keys,
    /// What it does to them.
    pub key_use: KeyUse,
    /// One line for `COMMAND DOCS`.
    pub summary: &'static CStr,
    /// The same, of its cost.
    pub complexity: &'static CStr,
    /// The module's version it came with.
    pub since: &'static CStr,
    /// Its arguments.
    pub args: &'static [Argument],
}

/// Where a command's keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// None.
    None,
    /// One, at argument 1.
    First,
    /// As many as argument 1 says, behind it. Needs the flag `getkeys-api`: a cluster does not heed such
    /// a key specification by itself.
    Counted,
}

/// What a command does to its keys, in the terms of key specifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyUse {
    /// Reads it.
    Read,
    /// Reads it, or fills it.
    ReadOrFill,
    /// Writes it, whatever is there.
    Write,
    /// Deletes it.
    Delete,
}

/// An argument, for `COMMAND DOCS`.
pub struct Argument {
    /// Its name.
    pub name: &'static CStr,
    /// What it is.
    pub kind: ArgumentKind,
    /// How often it is given.
    pub count: Count,
}

/// How often an argument is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Once or not at all.
    Optional,
    /// Once or more often.
    Many,
    /// As often as one likes, each time with its word.
    Any,
}

/// What an argument is.
pub enum ArgumentKind {
    /// The key.
    Key,
    /// A number with decimals.
    Double,
    /// A whole number.
    Integer,
    /// A whole number, behind a word.
    IntegerAfter(&'static CStr),
    /// A number with decimals, behind a word.
    DoubleAfter(&'static CStr),
    /// Any bytes, behind a word.
    BytesAfter(&'static CStr),
    /// A word.
    Word(&'static CStr),
    /// One of these, behind no word.
    EitherOf(&'static [Argument]),
    /// One of these, behind a word.
    OneOf(&'static CStr, &'static [Argument]),
    /// Any bytes.
    Bytes,
    /// Several that come together, behind a word.
    BlockAfter(&'static CStr, &'static [Argument]),
    /// Several that come together.
    Block(&'static [Argument]),
}

/// Whether the server knows the commands' own ACL category, `@cache`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnCategory {
    /// It does, and commands can be put into it.
    Known,
    /// It has no categories of modules' own (before Redis 7.4 and Valkey 8), or no place for another.
    Unknown,
}

impl OwnCategory {
    /// Makes it known.
    pub fn add(ctx: &Ctx) -> Self {
        // SAFETY: called during the load, the only time when the API allows it.
        let status = unsafe {
            match raw::RedisModule_AddACLCategory {
                Some(add) => add(ctx.raw(), c"cache".as_ptr()),
                None => return Self::Unknown,
            }
        };
        // A category outlives its module: it may still be there from an earlier load.
        let errno = std::io::Error::last_os_error().raw_os_error();
        if status == OK || errno == Some(libc::EBUSY) { Self::Known } else { Self::Unknown }
    }
}

/// A command ready to be registered.
pub struct Registration {
    spec: Spec,
    handler: raw::RedisModuleCmdFunc,
}

/// Makes a command ready to be registered.
pub const fn registration<C: Command>() -> Registration {
    Registration { spec: C::SPEC, handler: Some(handle::<C>) }
}

impl Registration {
    /// Registers it.
    ///
    /// # Errors
    /// Says what the server did not take.
    pub fn register(&self, ctx: &Ctx, own_category: OwnCategory) -> Result<(), String> {
        let Spec { name, flags, .. } = self.spec;
        let key = c_int::from(self.spec.keys != Keys::None);
        let failed = |what| Err(format!("{what} of command '{}' failed", name.to_string_lossy()));
        // SAFETY: called during the load; the handler is of the type the API asks for; all text is
        // copied by the server.
        unsafe {
            let created = api!(RedisModule_CreateCommand(
                ctx.raw(),
                name.as_ptr(),
                self.handler,
                flags.as_ptr(),
                key,
                key,
                key
            ));
            if created == ERR {
                return failed("registration");
            }
            let command = api!(RedisModule_GetCommand(ctx.raw(), name.as_ptr()));
            if command.is_null() || self.describe(command) == ERR {
                return failed("description");
            }
            if let Some(categorise) = raw::RedisModule_SetCommandACLCategories {
                // Who may cache is not yet an administrator.
                let is_own = own_category == OwnCategory::Known && !self.is_for_administrators();
                let own = if is_own { " cache" } else { "" };
                let all = c_string(&(self.spec.categories.to_string_lossy() + own));
                if categorise(command, all.as_ptr()) == ERR {
                    return failed("categories");
                }
            }
        }
        Ok(())
    }

    fn is_for_administrators(&self) -> bool {
        self.spec.flags.to_bytes().split(|&byte| byte == b' ').any(|flag| flag == b"admin")
    }

    /// # Safety
    /// `command` is the one just created.
    unsafe fn describe(&self, command: *mut raw::RedisModuleCommand) -> c_int {
        let spec = &self.spec;
        // The lists end with an element that is all zeros.
        // SAFETY: all zeros is a valid value of these plain structures, and the API's end mark.
        let mut keys: [raw::RedisModuleCommandKeySpec; 2] = unsafe { std::mem::zeroed() };
        if spec.keys != Keys::None {
            keys[0].flags = spec.key_use.flags();
            keys[0].begin_search_type =
                raw::RedisModuleKeySpecBeginSearchType_REDISMODULE_KSPEC_BS_INDEX;
            keys[0].bs.index.pos = 1;
        }
        match spec.keys {
            Keys::None => {}
            Keys::First => {
                keys[0].find_keys_type =
                    raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_RANGE;
                keys[0].fk.range.keystep = 1;
            }
            Keys::Counted => {
                keys[0].find_keys_type =
                    raw::RedisModuleKeySpecFindKeysType_REDISMODULE_KSPEC_FK_KEYNUM;
                keys[0].fk.keynum.firstkey = 1;
                keys[0].fk.keynum.keystep = 1;
            }
        }
        let mut lists = ArgumentLists::default();
        let args = lists.add(spec.args);
        let info = raw::RedisModuleCommandInfo {
            version: &raw const INFO_VERSION,
            summary: spec.summary.as_ptr(),
            complexity: spec.complexity.as_ptr(),
            since: spec.since.as_ptr(),
            history: ptr::null_mut(),
            tips: ptr::null(),
            arity: spec.arity,
            key_specs: keys.as_mut_ptr(),
            args,
        };
        // SAFETY: the command exists; `info` and all it points to live through the call, which copies.
        unsafe { api!(RedisModule_SetCommandInfo(command, &raw const info)) }
    }
}

/// The layout of the structures above, by which a server of another version knows them.
static INFO_VERSION: raw::RedisModuleCommandInfoVersion = raw::RedisModuleCommandInfoVersion {
    version: 1,
    sizeof_historyentry: size_of::<raw::RedisModuleCommandHistoryEntry>(),
    sizeof_keyspec: size_of::<raw::RedisModuleCommandKeySpec>(),
    sizeof_arg: size_of::<raw::RedisModuleCommandArg>(),
};

impl KeyUse {
    pub(super) const fn flags(self) -> u64 {
        (match self {
            Self::Read => raw::REDISMODULE_CMD_KEY_RO | raw::REDISMODULE_CMD_KEY_ACCESS,
            Self::ReadOrFill => {
                raw::REDISMODULE_CMD_KEY_RW
                    | raw::REDISMODULE_CMD_KEY_ACCESS
                    | raw::REDISMODULE_CMD_KEY_UPDATE
            }
            Self::Write => raw::REDISMODULE_CMD_KEY_OW | raw::REDISMODULE_CMD_KEY_UPDATE,
            Self::Delete => raw::REDISMODULE_CMD_KEY_RM | raw::REDISMODULE_CMD_KEY_DELETE,
        }) as u64
    }
}

impl Count {
    const fn flags(self) -> u32 {
        match self {
            Self::One => raw::REDISMODULE_CMD_ARG_NONE,
            Self::Optional => raw::REDISMODULE_CMD_ARG_OPTIONAL,
            Self::Many => raw::REDISMODULE_CMD_ARG_MULTIPLE,
            Self::Any => {
                raw::REDISMODULE_CMD_ARG_OPTIONAL
                    | raw::REDISMODULE_CMD_ARG_MULTIPLE
                    | raw::REDISMODULE_CMD_ARG_MULTIPLE_TOKEN
            }
        }
    }
}

/// Holds the lists of arguments, nested ones among them, while the server copies them.
#[derive(Default)]
struct ArgumentLists(Vec<Box<[raw::RedisModuleCommandArg]>>);

impl ArgumentLists {
    fn add(&mut self, args: &[Argument]) -> *mut raw::RedisModuleCommandArg {
        // SAFETY: all zeros is a valid value of this plain structure, and the list's end mark.
        let end: raw::RedisModuleCommandArg = unsafe { std::mem::zeroed() };
        let mut list: Vec<_> = args.iter().map(|arg| self.convert(arg)).collect();
        list.push(end);
        let mut list = list.into_boxed_slice();
        let start = list.as_mut_ptr();
        self.0.push(list);
        start
    }

    fn convert(&mut self, arg: &Argument) -> raw::RedisModuleCommandArg {
        // SAFETY: all zeros is a valid value of this plain structure.
        let mut converted: raw::RedisModuleCommandArg = unsafe { std::mem::zeroed() };
        converted.name = arg.name.as_ptr();
        converted.key_spec_index = -1;
        converted.flags = arg.count.flags().cast_signed();
        converted.type_ = match arg.kind {
            ArgumentKind::Key => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_KEY,
            ArgumentKind::Double | ArgumentKind::DoubleAfter(_) => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_DOUBLE
            }
            ArgumentKind::Integer | ArgumentKind::IntegerAfter(_) => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_INTEGER
            }
            ArgumentKind::Bytes | ArgumentKind::BytesAfter(_) => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_STRING
            }
            ArgumentKind::Word(_) => raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_PURE_TOKEN,
            ArgumentKind::OneOf(..) | ArgumentKind::EitherOf(_) => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_ONEOF
            }
            ArgumentKind::Block(_) | ArgumentKind::BlockAfter(..) => {
                raw::RedisModuleCommandArgType_REDISMODULE_ARG_TYPE_BLOCK
            }
        };
        if let ArgumentKind::Key = arg.kind {
            converted.key_spec_index = 0;
        }
        if let ArgumentKind::IntegerAfter(word)
        | ArgumentKind::DoubleAfter(word)
        | ArgumentKind::BytesAfter(word)
        | ArgumentKind::Word(word)
        | ArgumentKind::OneOf(word, _)
        | ArgumentKind::BlockAfter(word, _) = arg.kind
        {
            converted.token = word.as_ptr();
        }
        if let ArgumentKind::Block(args)
        | ArgumentKind::EitherOf(args)
        | ArgumentKind::OneOf(_, args)
        | ArgumentKind::BlockAfter(_, args) = arg.kind
        {
            converted.subargs = self.add(args);
        }
        converted
    }
}
