//! The commands, one file each: syntax, parsing, what it does, how it answers.

mod get;
mod peek;

use crate::server::command::{Registration, registration};

/// All of them.
pub static ALL: [Registration; 2] = [registration::<get::Get>(), registration::<peek::Peek>()];
