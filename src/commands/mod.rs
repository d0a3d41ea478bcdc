//! The commands, one file each: syntax, what it does, how it answers; and what they share.

mod arguments;
mod del;
mod fetch;
mod get;
mod lookup;
mod mget;
mod peek;

use crate::server::command::{Registration, registration};

/// All of them.
pub static ALL: [Registration; 5] = [
    registration::<get::Get>(),
    registration::<peek::Peek>(),
    registration::<fetch::Fetch>(),
    registration::<mget::MGet>(),
    registration::<del::Del>(),
];
