//! How much a call may send along to an origin.
//!
//! What a call gives is hashed on the server's main thread to find its variant, and copied there if it leads to
//! a download. So it is held against these bounds before anything else is done with it.

/// The bounds, as the settings have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of a body.
    pub body: u64,
    /// The most headers.
    pub headers: u64,
    /// The most bytes of headers, names and values.
    pub header_bytes: u64,
}

impl Limits {
    /// For commands that take neither.
    pub const NONE: Self = Self { body: 0, headers: 0, header_bytes: 0 };
}
