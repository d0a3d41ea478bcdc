//! How a cache is asked for a URL, and how it answers.

use std::time::Duration;

use super::redis;
use crate::load::Answer;
use crate::wire::{bulk, command};

/// Longest that any client of any cache waits, in seconds: longer than any scenario.
pub const PATIENCE: &str = "60";

#[derive(Clone, Copy)]
pub enum Tongue {
    /// `GET` of a plain string: one with an expiry, as a cache would store it, or without.
    Get {
        expires: bool,
    },
    CacheGet {
        expiry: Duration,
        stale: Option<Duration>,
    },
    /// A Python client behind a port: it takes the URL itself.
    Client,
    Http,
}

impl Tongue {
    /// The request for a URL of the origin.
    pub fn request(self, url: &str) -> Vec<u8> {
        match self {
            Self::Get { expires } => command(&["GET", &redis::plain_key(url, expires)]),
            Self::CacheGet { expiry, stale: None } => {
                command(&["CACHE.GET", url, &seconds(expiry), PATIENCE])
            }
            Self::CacheGet { expiry, stale: Some(stale) } => {
                let [expiry, stale] = [expiry, stale].map(seconds);
                command(&["CACHE.GET", url, &expiry, PATIENCE, "STALE", &stale])
            }
            Self::Client => command(&["GET", url]),
            Self::Http => {
                let (_, place) = url.split_once("://").expect("a URL");
                let (host, path) = place.split_once('/').expect("a path");
                format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
            }
        }
    }

    /// The request for a URL that is there, in as few words as it takes.
    pub fn request_hit(self, url: &str) -> Vec<u8> {
        match self {
            Self::CacheGet { .. } => command(&["CACHE.GET", url]),
            _ => self.request(url),
        }
    }

    /// The answer that must come.
    pub fn answer(self, body: &[u8]) -> Answer {
        match self {
            Self::Http => Answer::Http(body.into()),
            _ => Answer::Exact(bulk(body).into()),
        }
    }
}

/// Whole seconds or a decimal fraction, as all of them take it.
pub fn seconds(time: Duration) -> String {
    time.as_secs_f64().to_string()
}
