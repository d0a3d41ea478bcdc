//! What the cache asks of an origin, and nothing of how HTTP does it.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::entry::Validators;
use super::error::FetchError;
use super::headers::Headers;
use super::incoming::Incoming;
use super::variant::VariantCopy;

/// One download to be made.
#[derive(Debug, Clone)]
pub struct Request {
    /// Where from; it has passed [`super::key::parse_url`].
    pub url: Url,
    /// How it is asked for: one copy for all flights of a call.
    pub variant: Arc<VariantCopy>,
    /// What the cache has, to be sent only if it has changed.
    pub validators: Option<Validators>,
    /// What is left of the flight's deadline, for everything up to the body's last byte.
    pub time_left: Duration,
    /// The most bytes of body, after decoding, that are taken.
    pub max_body: u64,
}

/// Who takes a response.
pub trait Sink {
    /// A success begins: its status and headers, and how long its decoded body is said to be. Answers where
    /// that is written as it comes. Called once.
    fn begin(&mut self, status: u16, headers: &Headers, length: Option<u64>) -> &mut Incoming;
}

/// How a download ended well.
#[derive(Debug)]
pub enum Fetched {
    /// The sink has it all.
    Whole,
    /// What the cache has is still good; here are the headers of the 304. Only if validators were sent.
    NotModified(Headers),
}

/// The other side of a flight.
pub trait Origin: Send + Sync {
    /// Downloads into `sink`; blocks until the last byte, the deadline or a failure.
    ///
    /// # Errors
    /// Any [`FetchError`] but `Overloaded`. What was written to the sink until then is void.
    fn fetch(&self, request: &Request, sink: &mut dyn Sink) -> Result<Fetched, FetchError>;
}

/// Whether a final status is a success, whose body is kept (RFC 9110 section 15.3: 200 OK,
/// 203 Non-Authoritative Information, 204 No Content).
pub const fn is_success(status: u16) -> bool {
    matches!(status, 200 | 203 | 204)
}
