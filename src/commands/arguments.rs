//! What the commands' arguments are, for `COMMAND DOCS`: named once, listed by each command.

use crate::server::command::{Argument, ArgumentKind, Count};

/// `url`
pub const URL: Argument = Argument { name: c"url", kind: ArgumentKind::Key, count: Count::One };

/// `url …`
pub const URLS: Argument = Argument { name: c"url", kind: ArgumentKind::Key, count: Count::Many };

/// `numkeys`
pub const NUMKEYS: Argument =
    Argument { name: c"numkeys", kind: ArgumentKind::Integer, count: Count::One };

/// `[expiry [timeout]]`
pub const TIMES: Argument = Argument {
    name: c"times",
    kind: ArgumentKind::Block(&[
        Argument { name: c"expiry", kind: ArgumentKind::Double, count: Count::One },
        Argument { name: c"timeout", kind: ArgumentKind::Double, count: Count::Optional },
    ]),
    count: Count::Optional,
};

/// `[STALE stale]`
pub const STALE: Argument =
    Argument { name: c"stale", kind: ArgumentKind::DoubleAfter(c"STALE"), count: Count::Optional };

/// `[REFRESH]`
pub const REFRESH: Argument =
    Argument { name: c"refresh", kind: ArgumentKind::Word(c"REFRESH"), count: Count::Optional };

/// `[NOWAIT]`
pub const NOWAIT: Argument =
    Argument { name: c"nowait", kind: ArgumentKind::Word(c"NOWAIT"), count: Count::Optional };

/// `[METHOD GET|POST]`
pub const METHOD: Argument = Argument {
    name: c"method",
    kind: ArgumentKind::OneOf(
        c"METHOD",
        &[
            Argument { name: c"get", kind: ArgumentKind::Word(c"GET"), count: Count::One },
            Argument { name: c"post", kind: ArgumentKind::Word(c"POST"), count: Count::One },
        ],
    ),
    count: Count::Optional,
};

/// `[BODY body]`
pub const BODY: Argument =
    Argument { name: c"body", kind: ArgumentKind::BytesAfter(c"BODY"), count: Count::Optional };

/// `[HEADER name value …]`
pub const HEADER: Argument = Argument {
    name: c"header",
    kind: ArgumentKind::BlockAfter(
        c"HEADER",
        &[
            Argument { name: c"name", kind: ArgumentKind::Bytes, count: Count::One },
            Argument { name: c"value", kind: ArgumentKind::Bytes, count: Count::One },
        ],
    ),
    count: Count::Any,
};

/// `url [expiry [timeout]] [option ...]`, of the commands that may download.
pub const DOWNLOADING: &[Argument] = &[URL, TIMES, STALE, REFRESH, NOWAIT, METHOD, BODY, HEADER];

/// `key`
pub const KEY: Argument = Argument { name: c"key", kind: ArgumentKind::Key, count: Count::One };

/// `[timeout]`
pub const TIMEOUT: Argument =
    Argument { name: c"timeout", kind: ArgumentKind::Double, count: Count::Optional };

/// `[TTL seconds]`
pub const TTL: Argument =
    Argument { name: c"ttl", kind: ArgumentKind::DoubleAfter(c"TTL"), count: Count::Optional };

/// `[STALE]`
pub const WELCOME_STALE: Argument =
    Argument { name: c"stale", kind: ArgumentKind::Word(c"STALE"), count: Count::Optional };

/// `[TIED]`
pub const TIED: Argument =
    Argument { name: c"tied", kind: ArgumentKind::Word(c"TIED"), count: Count::Optional };

/// `token`
pub const TOKEN: Argument =
    Argument { name: c"token", kind: ArgumentKind::Bytes, count: Count::One };

/// `token|FORCE`
pub const TOKEN_OR_FORCE: Argument = Argument {
    name: c"how",
    kind: ArgumentKind::EitherOf(&[
        TOKEN,
        Argument { name: c"force", kind: ArgumentKind::Word(c"FORCE"), count: Count::One },
    ]),
    count: Count::One,
};

/// `value`
pub const VALUE: Argument =
    Argument { name: c"value", kind: ArgumentKind::Bytes, count: Count::One };

/// `[expiry]`
pub const EXPIRY: Argument =
    Argument { name: c"expiry", kind: ArgumentKind::Double, count: Count::Optional };

/// `[COUNT count]`
pub const COUNT: Argument =
    Argument { name: c"count", kind: ArgumentKind::IntegerAfter(c"COUNT"), count: Count::Optional };
