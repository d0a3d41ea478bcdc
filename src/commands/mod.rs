//! The commands, one file each: syntax, what it does, how it answers; and what they share.

mod arguments;
mod del;
mod fetch;
mod fill;
mod flights;
mod get;
mod lease;
mod lookup;
mod mget;
mod peek;
mod release;
mod secrets;

use crate::server::command::{Registration, registration};

/// All of them.
pub static ALL: [Registration; 9] = [
    registration::<get::Get>(),
    registration::<peek::Peek>(),
    registration::<fetch::Fetch>(),
    registration::<mget::MGet>(),
    registration::<del::Del>(),
    registration::<lease::Lease>(),
    registration::<fill::Fill>(),
    registration::<release::Release>(),
    registration::<flights::Flights>(),
];
